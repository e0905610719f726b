//! Chains of refreshed tokens, their lives, and API keys.

use domain::application::KeyType;
use domain::change::MarkedSubject;
use domain::validation::{Credential, Secret};
use storage::apim::api_keys::{self, ApiKey};
use storage::apim::revocations::{self, Revocation};
use storage::apim::tokens;

use super::*;
use crate::key_manager::message::Validated;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

#[tokio::test]
async fn a_refresh_token_works_once_and_its_replay_ends_the_session() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("ann", &[]).await;
    for kind in [TokenType::Jwt, TokenType::Oauth] {
        let (client, secret) = bench.client(kind).await;
        let first = bench.log_in(&secret, PASSWORD).await.unwrap();
        let bystander = bench.log_in(&secret, PASSWORD).await.unwrap();
        let second = bench.km.issue(refresh(&secret, &first)).await.unwrap();
        assert!(bench.is_good(&second.access_token).await);
        assert!(bench.km.issue(refresh(&secret, &first)).await.is_err());
        for token in [&first.access_token, &second.access_token] {
            assert!(!bench.is_good(token).await, "{kind:?}");
        }
        assert!(bench.km.issue(refresh(&secret, &second)).await.is_err());
        assert!(
            bench.is_good(&bystander.access_token).await,
            "another session goes on"
        );
        bench
            .km
            .end_access(SUPER_TENANT, MarkedSubject::Client, &client.consumer_key)
            .await
            .unwrap();
        assert!(!bench.is_good(&bystander.access_token).await);
    }
}

#[tokio::test]
async fn of_64_uses_of_one_refresh_token_at_once_on_two_nodes_one_wins_and_the_session_ends() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (other, _root) = bench.beside().await;
    bench.user("ann", &[]).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    for _ in 0..3 {
        let first = bench.log_in(&secret, PASSWORD).await.unwrap();
        // As many as threats 7 asks for.
        let uses: Vec<_> = (0..64)
            .map(|n| {
                let node = if n % 2 == 0 { &bench.km } else { &other };
                let (node, again) = (node.clone(), refresh(&secret, &first));
                let used = async move { node.issue(again).await };
                cluster::spawn_named("test use", used)
            })
            .collect();
        let mut won: Vec<Issued> = Vec::new();
        for used in uses {
            won.extend(used.await.unwrap().ok());
        }
        assert_eq!(won.len(), 1);
        assert!(!bench.is_good(&won[0].access_token).await);
        assert!(bench.km.issue(refresh(&secret, &won[0])).await.is_err());
    }
}

#[tokio::test]
async fn chosen_lives_are_bounded_and_so_is_the_time_a_mark_is_kept() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("ann", &[]).await;
    let (mut client, secret) = bench.client(TokenType::Jwt).await;
    client.details.refresh_token_seconds = Some(i64::MAX);
    client.details.user_token_seconds = Some(i64::MAX);
    bench.km.update_client(client).await.unwrap();
    let grant = GrantType::Password {
        username: "ann".to_owned(),
        password: PASSWORD.to_owned(),
        address: HOME,
    };
    let issued = bench.km.issue(request(&secret, grant, "")).await.unwrap();
    assert_eq!(issued.expires_in, 30 * 24 * 3_600);
    // A request may ask for less than what was configured, never for more.
    for (asked, given) in [(60, 60), (i64::MAX, 3_600)] {
        let mut own = request(&secret, GrantType::ClientCredentials, "");
        own.validity_seconds = Some(asked);
        assert_eq!(bench.km.issue(own).await.unwrap().expires_in, given);
    }
    let now = bench.desk.clock.now_ms();
    let mut read = bench.desk.apim.read().await.unwrap();
    let hash = hash_hex(issued.refresh_token.as_deref().unwrap());
    let stored = tokens::find_refresh(&mut read, &hash)
        .await
        .unwrap()
        .unwrap();
    assert!(stored.expires_at_ms <= now + 30 * DAY_MS);
    drop(read);
    let ended = bench
        .km
        .end_access(SUPER_TENANT, MarkedSubject::User, "ann");
    ended.await.unwrap();
    assert!(!bench.is_good(&issued.access_token).await);
    let mut read = bench.desk.apim.read().await.unwrap();
    let marks = revocations::list_marks(&mut read, now).await.unwrap();
    assert!(
        marks[0].until_ms >= stored.expires_at_ms,
        "none outlives its mark"
    );
    assert!(marks[0].until_ms <= bench.desk.clock.now_ms() + 30 * DAY_MS);
    let refused = bench
        .km
        .end_access(SUPER_TENANT, MarkedSubject::Session, "");
    assert!(matches!(refused.await, Err(Refused::BadField { .. })));
}

#[tokio::test]
async fn a_purge_takes_small_steps_and_leaves_what_is_still_good() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let mut write = bench.desk.apim.write("test.purge").await.unwrap();
    for number in 0..1_201_u32 {
        let expires_at_ms = if number == 0 { i64::MAX } else { 1 };
        let revocation = Revocation {
            tenant: SUPER_TENANT.to_owned(),
            issuer: String::new(),
            token_id: number.to_string(),
            expires_at_ms,
        };
        revocations::save(&mut write, &revocation).await.unwrap();
    }
    write.commit().await.unwrap();
    for (most, left) in [(1, 701), (1, 201), (9, 1), (9, 1)] {
        bench.desk.purge(most).await.unwrap();
        let mut read = bench.desk.apim.read().await.unwrap();
        assert_eq!(revocations::list(&mut read, 0).await.unwrap().len(), left);
    }
}

pub(in crate::key_manager) fn key(
    hash: &str,
    validity_seconds: i64,
    application_id: Option<&str>,
) -> ApiKey {
    ApiKey {
        id: hash.to_owned(),
        tenant: SUPER_TENANT.to_owned(),
        name: hash.to_owned(),
        key_hash: hash.to_owned(),
        key_type: KeyType::Production,
        api_id: "api".to_owned(),
        application_id: application_id.map(str::to_owned),
        owner: "ann".to_owned(),
        permitted_ips: String::new(),
        permitted_referers: String::new(),
        issued_at_ms: 1_000,
        validity_seconds,
        last_used_at_ms: None,
    }
}

#[tokio::test]
async fn api_keys_end_by_time_revocation_and_marks_as_tokens_do() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let mut write = bench.desk.apim.write("test.keys").await.unwrap();
    for key in [
        key("endless", -1, None),
        key("longest", i64::MAX, None),
        key("over", 1, None),
        key("revoked", -1, None),
        key("orphan", -1, Some("gone")),
    ] {
        api_keys::create(&mut write, &key).await.unwrap();
    }
    let revocation = Revocation {
        tenant: SUPER_TENANT.to_owned(),
        issuer: String::new(),
        token_id: "revoked".to_owned(),
        expires_at_ms: i64::MAX,
    };
    revocations::save(&mut write, &revocation).await.unwrap();
    write.commit().await.unwrap();
    let ended = bench
        .km
        .end_access(SUPER_TENANT, MarkedSubject::Application, "gone");
    ended.await.unwrap();
    let refusals_in = async |tenant: &str| {
        let hashes = ["endless", "longest", "over", "revoked", "orphan"];
        let asked = hashes.map(|hash| Credential {
            tenant: tenant.to_owned(),
            secret: Secret::ApiKey(hash.to_owned()),
        });
        match bench.km.validate_many(0, asked.to_vec()).await.unwrap() {
            Validated::Verdicts(verdicts) => verdicts
                .into_iter()
                .map(|verdict| match verdict {
                    Verdict::Granted(_) => None,
                    Verdict::Refused { reason, .. } => Some(reason),
                })
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let refusals = async || refusals_in(SUPER_TENANT).await;
    let (expired, revoked) = (Some(RefusalReason::Expired), Some(RefusalReason::Revoked));
    assert_eq!(refusals().await, [None, None, expired, revoked, revoked]);
    let unknown = Some(RefusalReason::Unknown);
    assert_eq!(
        refusals_in("other.example").await,
        [unknown, unknown, expired, revoked, revoked],
        "what is good is good in its own tenant alone"
    );
    let ended = bench
        .km
        .end_access(SUPER_TENANT, MarkedSubject::User, "ann");
    ended.await.unwrap();
    assert_eq!(
        refusals().await,
        [Some(RefusalReason::Unknown); 5],
        "they do not come back"
    );
}
