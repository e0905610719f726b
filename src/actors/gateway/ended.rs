//! What ended before its time, as far as the change log says so (S4): revoked tokens and
//! issued-before marks. Asked only where a token is verified here; key managers have their own.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};
use domain::change::{Change, MarkedSubject};
use foldhash::fast::FixedState;
use storage::apim::tokens::REVOCATIONS_KEPT_MS;

/// A thing by the start of the hash of its names: two that meet end together, which opens nothing.
type Name = [u8; 16];

/// Revocations and marks that are not over.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Until when each has to be kept.
    revoked: HashMap<Name, i64, FixedState>,
    /// Before which moment everything is over, and until when that has to be kept.
    marks: HashMap<Name, (i64, i64), FixedState>,
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
            _ => {}
        }
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

fn name(parts: [&str; 3]) -> Name {
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
    use super::*;

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
