//! A hit of the token cache among 10,000 tokens: below 300 ns beyond hashing the credential.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod measure;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use actors::gateway::{Caller, TokenCache, token_key};
use domain::application::{ApplicationStatus, KeyType};
use domain::subscription::SubscriptionStatus;
use domain::validation::{Grant, GrantKind, GrantedApplication, GrantedSubscription, UserType};
use domain::validation_cache::{Entry, Subject, SubjectKind, Touches};

const TOKENS: usize = 10_000;
const ROUNDS: usize = 20;
/// Of a usual access token in compact form.
const LENGTH: usize = 900;
const LIMIT_NS: f64 = 300.0;
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
        cache.insert(token_key(0, text), Arc::new(entry));
    }
    // A stride of a prime visits the tokens in an order that no cache guesses.
    let order: Vec<&String> = (0..TOKENS)
        .filter_map(|at| texts.get(at * 7_919 % TOKENS))
        .collect();
    let (mut missed, units) = (0_u64, (ROUNDS * TOKENS) as u64);
    let mut hashing = || {
        for _ in 0..ROUNDS {
            for text in &order {
                black_box(token_key(0, black_box(text)));
            }
        }
        units
    };
    let mut hitting = || {
        for _ in 0..ROUNDS {
            for text in &order {
                let found = cache.current(&token_key(0, black_box(text)), 0);
                missed += u64::from(black_box(found).is_none());
            }
        }
        units
    };
    let measured = measure::nanoseconds(&mut [&mut hashing, &mut hitting]);
    anyhow::ensure!(missed == 0, "{missed} tokens were not found");
    let [hashing, hitting] = measured.as_slice() else {
        anyhow::bail!("nothing was measured");
    };
    println!("hashing {hashing:.1} ns, hashing and hit {hitting:.1} ns");
    let beyond = hitting - hashing;
    Ok(measure::verdict(
        "a hit of the token cache",
        beyond,
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
