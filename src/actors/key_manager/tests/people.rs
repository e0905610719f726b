//! People: what the outbox promises, who may go, and that logins disturb nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::spawn_named;
use domain::change::Change;
use storage::apim::change_log;
use storage::apim::oauth_clients::{self, OauthClient};
use storage::shared::outbox;

use super::*;
use crate::key_manager::command::OauthRefusal;

fn gone(name: &str) -> Change {
    Change::UserChanged {
        user: name.to_owned(),
        removed: true,
    }
}

async fn leave_in_outbox(desk: &Desk, row: &str) {
    let mut write = desk.shared.write("test.outbox").await.unwrap();
    outbox::create(&mut write, row, SUPER_TENANT, &gone("eve"), (1, 0))
        .await
        .unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn what_a_crash_left_in_the_outbox_is_relayed_once_at_the_next_start() {
    let (desk, system, feed, _dir) = desk(SigningAlgorithm::Es256).await;
    leave_in_outbox(&desk, "row").await;
    let (_km, child) = component(&system, &desk);
    let _root = start_root(&system, vec![feed, child]).await.unwrap();
    let entries = async || {
        let mut read = desk.apim.read().await.unwrap();
        change_log::list(&mut read, 1, 99, 1_000_000).await.unwrap()
    };
    let found = entries().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].change(), Some(gone("eve")));
    // As after a crash between the entry and the removal of its row.
    leave_in_outbox(&desk, "row").await;
    assert!(desk.relay(&[]).await.unwrap().is_none());
    assert_eq!(entries().await.len(), 1);
    let mut read = desk.shared.read().await.unwrap();
    assert_eq!(outbox::list(&mut read, 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_change_that_somebody_else_relayed_still_waits_for_its_followers() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.follower_that_stays_behind().await;
    leave_in_outbox(&bench.desk, "row").await;
    bench.desk.relay(&[]).await.unwrap();
    let relayed = bench.desk.relay(&["row".to_owned()]).await;
    let applied = bench.desk.feed.committed(relayed.unwrap().unwrap()).await;
    assert_eq!(applied.to_string(), "0/1; unreached=gateway");
}

#[tokio::test]
async fn a_deleted_users_tokens_and_password_are_refused() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let user = bench.user("ann", &[role::SUBSCRIBER]).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let issued = bench.log_in(&secret, PASSWORD).await.unwrap();
    assert!(bench.is_good(&issued.access_token).await);
    let applied = bench.km.delete_user(SUPER_TENANT, &user.id).await.unwrap();
    assert!(applied.is_some());
    let refusal = bench.refusal(&issued.access_token).await;
    assert_eq!(refusal, Some(RefusalReason::Revoked));
    assert!(bench.km.issue(refresh(&secret, &issued)).await.is_err());
    assert!(bench.log_in(&secret, PASSWORD).await.is_err());
    bench.user("ann", &[]).await;
    assert!(
        !bench.is_good(&issued.access_token).await,
        "a namesake inherits nothing"
    );
    let new = bench.log_in(&secret, PASSWORD).await.unwrap();
    assert!(bench.is_good(&new.access_token).await);
}

#[tokio::test]
async fn a_deleted_users_client_ends_and_a_namesake_inherits_nothing() {
    let bench = bench(SigningAlgorithm::Es256).await;
    for token_type in [TokenType::Jwt, TokenType::Oauth] {
        let (client, secret) = bench.client(token_type).await;
        let own = || request(&secret, GrantType::ClientCredentials, "");
        let issued = bench.km.issue(own()).await.unwrap().access_token;
        assert!(bench.is_good(&issued).await);
        let olga = bench.km.find_user_by_name(SUPER_TENANT, "olga").await;
        let id = olga.unwrap().id;
        let applied = bench.km.delete_user(SUPER_TENANT, &id).await.unwrap();
        assert!(applied.is_some());
        assert!(!bench.is_good(&issued).await);
        assert!(bench.km.issue(own()).await.is_err());
        let late = bench.km.create_client(client.details.clone()).await;
        assert!(
            matches!(late, Err(Refused::NotFound(_))),
            "a client lives no longer than its owner"
        );
        // As a registration that was cut off between its commit and that look.
        let row = OauthClient {
            consumer_key: "late".to_owned(),
            tenant: SUPER_TENANT.to_owned(),
            name: "late".to_owned(),
            owner: "olga".to_owned(),
            secret_hash: hash_hex("secret"),
            grant_types: vec!["client_credentials".to_owned()],
            callback_url: String::new(),
            token_type: "JWT".to_owned(),
            access_token_seconds: None,
            refresh_token_seconds: None,
            user_token_seconds: None,
            id_token_seconds: None,
            created_at_ms: 1,
        };
        let mut write = bench.desk.apim.write("test.clients").await.unwrap();
        oauth_clients::create(&mut write, &row).await.unwrap();
        write.commit().await.unwrap();
        let late = ClientSecret {
            consumer_key: "late".to_owned(),
            consumer_secret: "secret".to_owned(),
        };
        let own = request(&late, GrantType::ClientCredentials, "");
        let refused = bench.km.issue(own).await;
        assert!(matches!(
            refused,
            Err(Refused::Oauth(OauthRefusal::InvalidClient, _))
        ));
        bench.user("olga", &[role::SUBSCRIBER]).await;
        for key in [client.consumer_key.as_str(), "late"] {
            let found = bench.km.find_client(key).await;
            assert!(matches!(found, Err(Refused::NotFound(_))));
        }
    }
}

#[tokio::test]
async fn a_tenant_keeps_an_administrator_whoever_is_removed_at_once() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (other, _root) = bench.beside().await;
    let ann = bench.user("ann", &[role::ADMIN]).await;
    let bob = bench.user("bob", &[role::ADMIN]).await;
    let (one, two) = tokio::join!(
        bench.km.delete_user(SUPER_TENANT, &ann.id),
        other.delete_user(SUPER_TENANT, &bob.id)
    );
    let refused = [&one, &two];
    let refused = refused
        .iter()
        .filter(|gone| matches!(gone, Err(Refused::BadField { .. })));
    assert_eq!(refused.count(), 1);
    assert!(bench.km.has_administrator(SUPER_TENANT).await.unwrap());
}

#[tokio::test]
async fn scopes_are_granted_by_the_roles_of_the_user() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    for (name, role, granted) in [
        ("sue", role::SUBSCRIBER, "apim:subscribe"),
        ("cat", role::CREATOR, "apim:api_create apim:api_view"),
        (
            "ada",
            role::ADMIN,
            "apim:admin apim:subscribe apim:api_create apim:api_view",
        ),
    ] {
        bench.user(name, &[role]).await;
        let grant = GrantType::Password {
            username: name.to_owned(),
            password: PASSWORD.to_owned(),
            address: HOME,
        };
        let asked = "apim:admin apim:subscribe apim:api_create apim:api_view apim:moon";
        let issued = bench
            .km
            .issue(request(&secret, grant, asked))
            .await
            .unwrap();
        assert_eq!(issued.scopes.join(" "), granted);
    }
    let own = request(
        &secret,
        GrantType::ClientCredentials,
        "apim:admin apim:subscribe",
    );
    assert_eq!(bench.km.issue(own).await.unwrap().scopes, ["default"]);
}

#[tokio::test]
async fn a_flood_of_logins_does_not_hold_up_other_tokens() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let mut flood = Vec::new();
    for number in 0..100 {
        let km = bench.km.clone();
        let credential = STANDARD.encode(format!("user{number}:guess"));
        flood.push(spawn_named("flood", async move {
            km.basic(&credential, HOME).await
        }));
    }
    let waiting = || {
        let reports = bench.system.registry.report(bench.system.clock.monotonic());
        let doors = reports
            .iter()
            .filter(|actor| actor.name.contains("key-manager/door"));
        doors.map(|actor| actor.depth).sum::<u64>()
    };
    let started = async {
        while waiting() < 50 {
            tokio::task::yield_now().await;
        }
    };
    let deadline = std::time::Duration::from_secs(10);
    tokio::time::timeout(deadline, started).await.unwrap();
    let own = request(&secret, GrantType::ClientCredentials, "");
    assert!(bench.km.issue(own).await.is_ok());
    assert!(
        flood.iter().any(|login| !login.is_finished()),
        "the flood goes on"
    );
    for login in flood {
        login.abort();
    }
}
