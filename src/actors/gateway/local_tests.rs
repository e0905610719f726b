//! Signed tokens that a gateway judges itself: what it lets in, what it refuses, and what it leaves
//! to key managers.

use std::path::Path;

use cluster::Clock;
use domain::api::SUPER_TENANT;
use domain::application::{ApplicationStatus, KeyType};
use domain::change::{Change, MarkedSubject};
use domain::validation::{Grant, GrantKind, GrantedApplication, RefusalReason, UserType, Verdict};
use serde_json::{Value, json};

use super::local::judge;
use super::locked;
use super::projection::Projection;
use super::state::State;
use crate::key_manager::{Keys, SigningAlgorithm};

const ISSUER: &str = "https://keys.example";

/// What a key manager grants to a client of an application.
pub(super) fn granted(consumer_key: &str, application: &str) -> Grant {
    Grant {
        at: 5,
        tenant: SUPER_TENANT.to_owned(),
        kind: GrantKind::Jwt,
        issuer: ISSUER.to_owned(),
        token_id: "t".to_owned(),
        session: None,
        consumer_key: consumer_key.to_owned(),
        key_type: KeyType::Sandbox,
        scopes: Vec::new(),
        audiences: Vec::new(),
        user: "ann".to_owned(),
        user_type: UserType::Application,
        issued_at_ms: 0,
        not_before_ms: None,
        expires_at_ms: None,
        application: Some(GrantedApplication {
            id: application.to_owned(),
            name: "shop".to_owned(),
            owner: "ann".to_owned(),
            policy: "Unlimited".to_owned(),
            status: ApplicationStatus::Approved,
        }),
        subscriptions: vec![domain::validation::GrantedSubscription {
            id: "s".to_owned(),
            api_id: "api".to_owned(),
            policy: "Gold".to_owned(),
            status: domain::subscription::SubscriptionStatus::Unblocked,
        }],
        bound_api_id: None,
        permitted_ips: Vec::new(),
        permitted_referers: Vec::new(),
    }
}

struct Bench {
    state: State,
    projection: Projection,
    keys: Keys,
    now: i64,
    _dir: tempfile::TempDir,
}

fn keys(dir: &Path) -> Keys {
    Keys::load(dir, SigningAlgorithm::Es256).unwrap()
}

// === impl Bench ===

impl Bench {
    /// A gateway that knows one client and the keys of one key manager.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = State::new(Clock::system());
        let now = state.clock.now_ms() / 1_000;
        locked(&state.consumers).learn(&granted("known", "shop"), 5, state.clock.now_ms());
        let mut bench = Self {
            projection: Projection::new(),
            keys: keys(dir.path()),
            state,
            now,
            _dir: dir,
        };
        bench.projection.publish(&bench.state);
        let jwks = bench.keys.jwks();
        bench.apply(&Change::VerificationKeysChanged { jwks });
        bench
    }

    fn apply(&mut self, change: &Change) {
        drop(self.projection.apply(SUPER_TENANT, change, &self.state));
    }

    fn claims(&self, changed: &[(&str, Value)]) -> Value {
        let mut claims = json!({
            "iss": ISSUER, "sub": "ann@carbon.super", "aut": "APPLICATION_USER", "aud": ["known"],
            "azp": "known", "scope": "read write", "jti": "one", "sid": "session",
            "iat": self.now, "nbf": self.now, "exp": self.now + 60,
        });
        for (name, value) in changed {
            claims[*name] = value.clone();
        }
        claims
    }

    fn token(&self, changed: &[(&str, Value)]) -> String {
        self.keys.sign("at+jwt", &self.claims(changed)).unwrap()
    }

    fn judge(&self, text: &str) -> Option<Result<Grant, RefusalReason>> {
        judge(&self.state, ISSUER, text, 7).map(|verdict| match verdict {
            Verdict::Granted(grant) => Ok(*grant),
            Verdict::Refused { reason, at, .. } => {
                assert_eq!(at, 7);
                Err(reason)
            }
        })
    }

    fn reason(&self, text: &str) -> Option<RefusalReason> {
        self.judge(text).and_then(Result::err)
    }
}

#[test]
fn a_token_of_a_known_consumer_gets_what_a_key_manager_said_of_the_consumer() {
    let bench = Bench::new();
    let grant = bench.judge(&bench.token(&[])).unwrap().unwrap();
    let known = granted("known", "shop");
    assert_eq!(grant.application, known.application);
    assert_eq!(grant.subscriptions, known.subscriptions);
    assert_eq!((grant.key_type, grant.at), (KeyType::Sandbox, 7));
    // And what it says itself.
    assert_eq!(grant.user, "ann");
    assert_eq!(grant.user_type, UserType::ApplicationUser);
    assert_eq!(grant.scopes, ["read", "write"]);
    assert_eq!(grant.session.as_deref(), Some("session"));
    assert_eq!(grant.expires_at_ms, Some((bench.now + 60) * 1_000));
    // Another node's clock may be ahead a little.
    let ahead = bench.token(&[("nbf", json!(bench.now + 3))]);
    assert!(bench.judge(&ahead).unwrap().is_ok());
}

#[test]
fn what_this_gateway_was_never_told_of_is_left_to_key_managers() {
    let bench = Bench::new();
    assert!(
        bench
            .judge(&bench.token(&[("azp", json!("stranger"))]))
            .is_none()
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let of_another = keys(elsewhere.path())
        .sign("at+jwt", &bench.claims(&[]))
        .unwrap();
    assert!(bench.judge(&of_another).is_none());
}

#[test]
fn forged_foreign_and_untimely_tokens_of_a_known_consumer_are_refused() {
    let bench = Bench::new();
    let good = bench.token(&[]);
    let other = bench.token(&[("scope", json!("all"))]);
    let (head, signature) = (
        good.rsplit_once('.').unwrap(),
        other.rsplit_once('.').unwrap(),
    );
    let with = |from: &str, to: &str| {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (header, rest) = good.split_once('.').unwrap();
        let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        assert!(header.contains(from), "{header}");
        format!(
            "{}.{rest}",
            URL_SAFE_NO_PAD.encode(header.replace(from, to))
        )
    };
    for forged in [
        format!("{}.{}", head.0, signature.1),
        format!("{}.", head.0),
        format!("{good}="),
        with("ES256", "RS256"),
        with("ES256", "none"),
        with("ES256", "HS256"),
        bench.keys.sign("JWT", &bench.claims(&[])).unwrap(),
        bench.token(&[("iss", json!("https://other.example"))]),
        bench.token(&[("exp", Value::Null)]),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(
            bench.reason(&forged),
            Some(RefusalReason::Malformed),
            "{forged}"
        );
    }
    for untimely in [
        [("exp", json!(bench.now - 1))],
        [("nbf", json!(bench.now + 30))],
    ] {
        let token = bench.token(&untimely);
        assert_eq!(bench.reason(&token), Some(RefusalReason::Expired));
    }
}

#[test]
fn what_was_revoked_or_marked_is_refused_and_a_removed_key_opens_nothing() {
    let mut bench = Bench::new();
    let revoked = Change::TokenRevoked {
        issuer: ISSUER.to_owned(),
        token_id: "one".to_owned(),
        expires_at_ms: i64::MAX,
    };
    bench.apply(&revoked);
    assert_eq!(
        bench.reason(&bench.token(&[])),
        Some(RefusalReason::Revoked)
    );
    let again = bench.token(&[("jti", json!("two"))]);
    assert!(bench.judge(&again).unwrap().is_ok());
    let marks = [
        (MarkedSubject::User, "ann"),
        (MarkedSubject::Login, "ann"),
        (MarkedSubject::Client, "known"),
        (MarkedSubject::Session, "session"),
        (MarkedSubject::Application, "shop"),
    ];
    for (subject, id) in marks {
        let mut bench = Bench::new();
        let mark = Change::IssuedBefore {
            subject,
            id: id.to_owned(),
            before_ms: bench.now * 1_000 + 1,
            until_ms: i64::MAX,
        };
        bench.apply(&mark);
        let token = bench.token(&[]);
        assert_eq!(
            bench.reason(&token),
            Some(RefusalReason::Revoked),
            "{subject:?}"
        );
        let later = bench.token(&[("iat", json!(bench.now + 1))]);
        assert!(bench.judge(&later).unwrap().is_ok(), "{subject:?}");
        // A client's own token is no login.
        let own = bench.token(&[("sid", json!(""))]);
        let is_over = !matches!(subject, MarkedSubject::Login | MarkedSubject::Session);
        assert_eq!(bench.reason(&own).is_some(), is_over, "{subject:?}");
    }
    let jwks = r#"{"keys":[]}"#.to_owned();
    bench.apply(&Change::VerificationKeysChanged { jwks });
    assert!(bench.judge(&again).is_none());
}
