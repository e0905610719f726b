//! A hit of the token cache among 10,000 tokens: below 300 ns beyond hashing the credential, which is done before.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod measure;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use actors::gateway::{Caller, TokenCache, TokenKey, token_key};
use anyhow::Context as _;
use domain::application::{ApplicationStatus, KeyType};
use domain::subscription::SubscriptionStatus;
use domain::validation::{Grant, GrantKind, GrantedApplication, GrantedSubscription, UserType};
use domain::validation_cache::{Entry, Subject, SubjectKind, Touches};

const TOKENS: usize = 10_000;
const ROUNDS: usize = 20;
/// Of a usual access token in compact form.
const LENGTH: usize = 900;
const LIMIT_NS: f64 = 300.0;
/// A prime: the tokens are visited in an order that no cache guesses.
const STRIDE: usize = 7_919;
/// What a grant rests on, as the gateway's validator writes it down.
const SUBJECTS: [SubjectKind; 5] = [
    SubjectKind::Token,
    SubjectKind::User,
    SubjectKind::KeyManager,
    SubjectKind::Client,
    SubjectKind::Application,
];

fn main() -> anyhow::Result<ExitCode> {
    let texts: Vec<String> = (0..TOKENS)
        .map(|number| format!("{number:0>LENGTH$}"))
        .collect();
    let (cache, mut touches) = (TokenCache::new(), Touches::new(TOKENS * SUBJECTS.len(), 1));
    for (number, text) in texts.iter().enumerate() {
        let subject = |kind| Subject::new(kind, "carbon.super", number.to_string());
        let touches = touches.watch(&SUBJECTS.map(subject));
        let entry = Entry::new(Caller::granted(grant(number)), 1, i64::MAX, touches);
        cache.insert(token_key(0, "carbon.super", text), Arc::new(entry));
    }
    let keys: Vec<TokenKey> = texts
        .iter()
        .map(|text| token_key(0, "carbon.super", text))
        .collect();
    drop(texts);
    let (mut missed, units) = (0_u64, (ROUNDS * TOKENS) as u64);
    let mut hitting = || {
        let mut at = 0;
        for _ in 0..units {
            let found = keys
                .get(at)
                .and_then(|key| cache.current(black_box(key), 0));
            // The number of what was found says how far it is to the next one: no hit begins before the one before it
            // has ended, as between requests.
            let number = found.as_ref().map_or(0, |entry| entry.number());
            missed += u64::from(number == 0);
            at = (at + STRIDE * usize::try_from(number).unwrap_or(1)) % TOKENS;
            black_box(found);
        }
        units
    };
    let measured = measure::nanoseconds(&mut [&mut hitting]);
    anyhow::ensure!(missed == 0, "{missed} tokens were not found");
    let hit = measured.first().copied().context("nothing was measured")?;
    Ok(measure::verdict(
        "a hit of the token cache among 10,000",
        hit,
        LIMIT_NS,
        "ns",
    ))
}

fn grant(number: usize) -> Grant {
    Grant {
        at: 1,
        tenant: "carbon.super".to_owned(),
        kind: GrantKind::Jwt,
        issuer: "https://localhost:9443/oauth2/token".to_owned(),
        token_id: number.to_string(),
        session: None,
        consumer_key: format!("client{number}"),
        key_type: KeyType::Production,
        scopes: vec!["default".to_owned()],
        audiences: Vec::new(),
        user: "admin".to_owned(),
        user_type: UserType::Application,
        issued_at_ms: 0,
        not_before_ms: None,
        expires_at_ms: None,
        application: Some(GrantedApplication {
            id: number.to_string(),
            name: "Bench".to_owned(),
            owner: "admin".to_owned(),
            policy: "Unlimited".to_owned(),
            status: ApplicationStatus::Approved,
        }),
        subscriptions: vec![GrantedSubscription {
            id: number.to_string(),
            api_id: "api".to_owned(),
            policy: "Gold".to_owned(),
            status: SubscriptionStatus::Unblocked,
        }],
        bound_api_id: None,
        permitted_ips: Vec::new(),
        permitted_referers: Vec::new(),
    }
}
