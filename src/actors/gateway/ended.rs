//! What ended before its time, as far as the change log says so (S4): revoked tokens and
//! issued-before marks. Asked where a token is verified here, and where a call is open whose
//! credential was touched; key managers have their own.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};
use domain::application::KeyType;
use domain::change::{Change, Closed, MarkedSubject};
use domain::validation::{Grant, GrantKind};
use foldhash::fast::FixedState;
use storage::apim::tokens::REVOCATIONS_KEPT_MS;

use super::gone::Gone;

/// A thing by the start of the hash of its names: two that meet end together, which opens nothing.
pub(super) type Name = [u8; 16];

/// Revocations and marks that are not over, and what is gone besides.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Until when each has to be kept.
    revoked: HashMap<Name, i64, FixedState>,
    /// Before which moment everything is over, and until when that has to be kept.
    marks: HashMap<Name, (i64, i64), FixedState>,
    gone: Gone,
}

// === impl Ended ===

impl Ended {
    /// Takes in a change that ends something; no other.
    pub(super) fn apply(&mut self, tenant: &str, change: &Change) {
        match change {
            Change::TokenRevoked {
                issuer,
                token_id,
                expires_at_ms,
            } => {
                let until_ms = self
                    .revoked
                    .entry(name([tenant, issuer, token_id]))
                    .or_insert(*expires_at_ms);
                *until_ms = (*until_ms).max(*expires_at_ms);
            }
            Change::IssuedBefore {
                subject,
                id,
                before_ms,
                until_ms,
            } => {
                // A mark is replaced by a later one, and never weakened.
                let mark = self
                    .marks
                    .entry(name([tenant, subject.as_str(), id]))
                    .or_insert((*before_ms, *until_ms));
                *mark = (mark.0.max(*before_ms), mark.1.max(*until_ms));
            }
            _ => self.gone.apply(tenant, change),
        }
    }

    /// Whether what was granted once has certainly ended since, whoever is there to ask: by the rules
    /// of key managers, which know more that can end it.
    pub(super) fn is_over(&self, grant: &Grant) -> bool {
        let tenant = grant.tenant.as_str();
        let application = grant.application.as_ref();
        let application = application.map_or("", |known| known.id.as_str());
        let session = grant.session.as_deref().unwrap_or_default();
        let user = grant.user.as_str();
        let login = if session.is_empty() { "" } else { user };
        let marked = [
            (MarkedSubject::User, user),
            (MarkedSubject::Client, grant.consumer_key.as_str()),
            (MarkedSubject::Session, session),
            (MarkedSubject::Login, login),
            (MarkedSubject::Application, application),
        ];
        let is_key = grant.kind == GrantKind::ApiKey;
        self.is_revoked(tenant, &grant.issuer, &grant.token_id)
            || self.is_marked(tenant, grant.issued_at_ms, &marked)
            || self.gone.is_application(tenant, application)
            || (is_key && self.gone.is_api_key(tenant, &grant.token_id))
    }

    /// What keeps a subscription from letting calls with such keys through.
    pub(super) fn closed(&self, tenant: &str, subscription: &str, keys: KeyType) -> Option<Closed> {
        self.gone.closed(tenant, subscription, keys)
    }

    /// Whether this very token was revoked.
    pub(super) fn is_revoked(&self, tenant: &str, issuer: &str, token_id: &str) -> bool {
        let known = name([tenant, issuer, token_id]);
        self.revoked.contains_key(&known)
    }

    /// Whether what was issued then is covered by a mark on one of these; those without an id are
    /// nothing.
    pub(super) fn is_marked(
        &self,
        tenant: &str,
        issued_at_ms: i64,
        subjects: &[(MarkedSubject, &str)],
    ) -> bool {
        let named = subjects.iter().filter(|(_, id)| !id.is_empty());
        let mut marks = named.filter_map(|(subject, id)| {
            let known = name([tenant, subject.as_str(), id]);
            self.marks.get(&known)
        });
        marks.any(|(before_ms, _)| issued_at_ms < *before_ms)
    }

    /// Forgets what is over at `now_ms`, as late as Carbon does.
    pub(super) fn sweep(&mut self, now_ms: i64) {
        let before_ms = now_ms.saturating_sub(REVOCATIONS_KEPT_MS);
        self.revoked.retain(|_, until_ms| *until_ms > before_ms);
        self.marks.retain(|_, (_, until_ms)| *until_ms > before_ms);
    }
}

/// Names a thing.
pub(super) fn name(parts: [&str; 3]) -> Name {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut name = Name::default();
    for (byte, hashed) in name.iter_mut().zip(context.finish().as_ref()) {
        *byte = *hashed;
    }
    name
}

#[cfg(test)]
mod tests {
    use domain::api::SUPER_TENANT;

    use super::super::local_tests::granted;
    use super::*;

    fn over(change: &Change, grant: &Grant) -> bool {
        let mut ended = Ended::default();
        ended.apply(SUPER_TENANT, change);
        ended.is_over(grant)
    }

    fn revoked(issuer: &str, token_id: &str) -> Change {
        Change::TokenRevoked {
            issuer: issuer.to_owned(),
            token_id: token_id.to_owned(),
            expires_at_ms: i64::MAX,
        }
    }

    #[test]
    fn what_was_granted_is_known_to_be_over_by_each_thing_that_a_change_can_end() {
        let known = Grant {
            issued_at_ms: 100,
            session: Some("session".to_owned()),
            ..granted("known", "shop")
        };
        let opaque = Grant {
            kind: GrantKind::Opaque,
            issuer: String::new(),
            token_id: "hash".to_owned(),
            ..known.clone()
        };
        let key = Grant {
            kind: GrantKind::ApiKey,
            consumer_key: String::new(),
            session: None,
            ..opaque.clone()
        };
        let of_known = revoked(&known.issuer, &known.token_id);
        assert!(over(&of_known, &known) && !over(&of_known, &opaque));
        assert!(over(&revoked("", "hash"), &opaque) && !over(&revoked("", "hash"), &known));
        let marks = [
            (MarkedSubject::User, "ann"),
            (MarkedSubject::Login, "ann"),
            (MarkedSubject::Client, "known"),
            (MarkedSubject::Session, "session"),
            (MarkedSubject::Application, "shop"),
        ];
        for (subject, id) in marks {
            let mark = |before_ms| Change::IssuedBefore {
                subject,
                id: id.to_owned(),
                before_ms,
                until_ms: i64::MAX,
            };
            for grant in [&known, &opaque] {
                assert!(over(&mark(101), grant), "{subject:?}");
                assert!(!over(&mark(100), grant), "{subject:?}");
            }
            // An API key is no login and was issued to no client.
            let ends_keys = matches!(subject, MarkedSubject::User | MarkedSubject::Application);
            assert_eq!(over(&mark(101), &key), ends_keys, "{subject:?}");
        }
        let application_id = "shop".to_owned();
        let removed = Change::ApplicationRemoved { application_id };
        assert!(over(&removed, &known) && over(&removed, &opaque) && over(&removed, &key));
        let key_changed = |revoked| Change::ApiKeyChanged {
            key_hash: "hash".to_owned(),
            api_id: "api".to_owned(),
            revoked,
        };
        assert!(over(&key_changed(true), &key) && !over(&key_changed(false), &key));
        assert!(!over(&key_changed(true), &opaque));
        let application_id = "other".to_owned();
        assert!(!over(
            &Change::ApplicationRemoved { application_id },
            &known
        ));
    }

    #[test]
    fn what_is_revoked_or_marked_is_over_for_its_tenant_and_issuer_alone_until_it_may_be_forgotten()
    {
        let mut ended = Ended::default();
        let revoked = Change::TokenRevoked {
            issuer: "i".to_owned(),
            token_id: "1".to_owned(),
            expires_at_ms: 500,
        };
        ended.apply("t", &revoked);
        assert!(ended.is_revoked("t", "i", "1"));
        assert!(!ended.is_revoked("u", "i", "1") && !ended.is_revoked("t", "j", "1"));
        let mark = |before_ms| Change::IssuedBefore {
            subject: MarkedSubject::Session,
            id: "s".to_owned(),
            before_ms,
            until_ms: 700,
        };
        ended.apply("t", &mark(100));
        ended.apply("t", &mark(50));
        let of = |subject, id: &'static str| [(subject, id)];
        let session = of(MarkedSubject::Session, "s");
        assert!(ended.is_marked("t", 99, &session) && !ended.is_marked("t", 100, &session));
        assert!(!ended.is_marked("t", 99, &of(MarkedSubject::User, "s")));
        assert!(!ended.is_marked("t", 99, &of(MarkedSubject::Session, "")));
        ended.sweep(600 + REVOCATIONS_KEPT_MS);
        assert!(!ended.is_revoked("t", "i", "1") && ended.is_marked("t", 99, &session));
        ended.sweep(700 + REVOCATIONS_KEPT_MS);
        assert!(!ended.is_marked("t", 99, &session));
    }
}
