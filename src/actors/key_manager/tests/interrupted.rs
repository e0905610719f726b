//! What was cut off between Shared and API-M, and what nobody waits for any more.

use std::time::Duration;

use domain::change::{Change, MarkedSubject};
use storage::apim::api_keys::{self, ApiKey};
use storage::apim::tokens::{self, RefreshToken};
use storage::apim::{grants, oauth_clients};
use storage::shared::outbox;

use super::*;

impl Bench {
    /// A user whose rows are in Shared, and whose creation or removal API-M was not told of.
    async fn leave(&self, name: &str, changes: &[Change], remove: Option<&str>) {
        let mut write = self.desk.shared.write("test.people").await.unwrap();
        let now = self.desk.clock.now_ms();
        match remove {
            Some(id) => {
                let removed = users::delete(&mut write, SUPER_TENANT, id, role::ADMIN).await;
                assert!(removed.unwrap());
            }
            None => {
                let user = users::User {
                    id: format!("id of {name}"),
                    tenant: SUPER_TENANT.to_owned(),
                    name: name.to_owned(),
                    password_hash: String::new(),
                    email: String::new(),
                    given_name: String::new(),
                    family_name: String::new(),
                    active: true,
                    created_at_ms: now,
                    updated_at_ms: now,
                };
                users::create(&mut write, &user, &[]).await.unwrap();
            }
        }
        for (place, change) in (0..).zip(changes) {
            let row = uuid::Uuid::new_v4().to_string();
            let left = outbox::create(&mut write, &row, SUPER_TENANT, change, (now, place));
            left.await.unwrap();
        }
        write.commit().await.unwrap();
    }

    async fn waiting(&self) -> usize {
        let mut read = self.desk.shared.read().await.unwrap();
        outbox::list(&mut read, 99).await.unwrap().len()
    }
}

fn changed(name: &str, removed: bool) -> Change {
    Change::UserChanged {
        user: name.to_owned(),
        removed,
    }
}

fn ended(name: &str) -> Change {
    Change::IssuedBefore {
        subject: MarkedSubject::User,
        id: name.to_owned(),
        before_ms: 1,
        until_ms: 1,
    }
}

#[tokio::test]
async fn what_a_user_makes_before_their_creation_is_relayed_is_theirs() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("olga", &[]).await;
    let creation = [changed("bob", true), changed("bob", false)];
    bench.leave("bob", &creation, None).await;
    let (client, _) = bench.client_of("bob", TokenType::Jwt, &["password"]).await;
    bench.desk.relay(&[]).await.unwrap();
    assert_eq!(bench.waiting().await, 0);
    let found = bench.km.find_client(&client.consumer_key).await;
    assert_eq!(found.unwrap().details.owner, "bob");
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_finished_when_it_is_asked_for_again() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let user = bench.user("ann", &[]).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let issued = bench.log_in(&secret, PASSWORD).await.unwrap();
    let removal = [changed("ann", true), ended("ann")];
    bench.leave("ann", &removal, Some(&user.id)).await;
    assert!(bench.is_good(&issued.access_token).await, "API-M knows not");
    let again = bench.km.delete_user(SUPER_TENANT, &user.id).await;
    assert!(matches!(again, Err(Refused::NotFound(_))));
    assert_eq!(bench.waiting().await, 0);
    assert!(!bench.is_good(&issued.access_token).await);
}

#[tokio::test]
async fn what_a_namesake_has_made_outlives_the_rest_of_a_removal() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("olga", &[]).await;
    let first = bench.user("bob", &[]).await;
    // That the first one was removed was told of, and that what was issued to them has ended not yet.
    bench.leave("bob", &[ended("bob")], Some(&first.id)).await;
    bench.leave("bob", &[], None).await;
    let own = ["client_credentials"];
    let (_, secret) = bench.client_of("bob", TokenType::Jwt, &own).await;
    let asked = request(&secret, GrantType::ClientCredentials, "");
    let issued = bench.km.issue(asked).await.unwrap();
    let mut write = bench.desk.apim.write("test.keys").await.unwrap();
    for (hash, issued_at_ms) in [("first", 1), ("namesake's", bench.desk.clock.now_ms())] {
        let key = ApiKey {
            issued_at_ms,
            owner: "bob".to_owned(),
            ..sessions::key(hash, -1, None)
        };
        api_keys::create(&mut write, &key).await.unwrap();
    }
    write.commit().await.unwrap();
    bench.desk.relay(&[]).await.unwrap();
    assert_eq!(bench.waiting().await, 0);
    assert!(bench.is_good(&issued.access_token).await);
    let mut read = bench.desk.apim.read().await.unwrap();
    for (hash, stays) in [("first", false), ("namesake's", true)] {
        let found = grants::api_key(&mut read, hash).await.unwrap();
        assert_eq!(found.is_some(), stays, "{hash}");
    }
}

#[tokio::test]
async fn a_relay_that_failed_is_made_up_for_before_the_next_round() {
    let started = tokio::time::Instant::now();
    let bench = bench(SigningAlgorithm::Es256).await;
    let creation = [changed("bob", true), changed("bob", false)];
    bench.leave("bob", &creation, None).await;
    let held = bench.desk.apim.write("test.held").await.unwrap();
    assert!(bench.desk.relay_or_owe(&[]).await.is_err());
    drop(held);
    let relayed = async {
        while bench.waiting().await > 0 {
            tokio::task::yield_now().await;
        }
    };
    let soon = Duration::from_secs(25).saturating_sub(started.elapsed());
    tokio::time::timeout(soon, relayed).await.unwrap();
}

#[tokio::test]
async fn a_namesake_gets_nothing_for_a_refresh_token_that_outlived_the_mark() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let user = bench.user("ann", &[]).await;
    let (client, secret) = bench.client(TokenType::Jwt).await;
    // Issued when refresh tokens lived longer than they do now.
    let row = RefreshToken {
        token_hash: hash_hex("old"),
        tenant: SUPER_TENANT.to_owned(),
        consumer_key: client.consumer_key.clone(),
        session: "session".to_owned(),
        username: "ann".to_owned(),
        scopes: String::new(),
        used: false,
        issued_at_ms: user.created_at_ms,
        expires_at_ms: i64::MAX,
    };
    let mut write = bench.desk.apim.write("test.tokens").await.unwrap();
    tokens::create_refresh(&mut write, &row).await.unwrap();
    write.commit().await.unwrap();
    bench.km.delete_user(SUPER_TENANT, &user.id).await.unwrap();
    let mut write = bench.desk.apim.write("test.purge").await.unwrap();
    // Marks are kept a while longer than what they end.
    let month_ms = 30 * 24 * 3_600 * 1_000;
    let far = bench.desk.everything_expired_by(bench.desk.clock.now_ms()) + month_ms;
    tokens::delete_expired(&mut write, far, 99).await.unwrap();
    write.commit().await.unwrap();
    bench.user("ann", &[]).await;
    let grant = GrantType::RefreshToken("old".to_owned());
    assert!(bench.km.issue(request(&secret, grant, "")).await.is_err());
}

#[tokio::test]
async fn what_has_ended_stays_so_as_long_as_a_token_of_a_longer_life_could_open_something() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let day = 24 * 3_600;
    let before = Desk {
        settings: Settings {
            issuer: bench.desk.settings.issuer.clone(),
            access_token_seconds: 90 * day,
            refresh_token_seconds: 90 * day,
        }
        .into(),
        ..bench.desk.clone()
    };
    before.share_keys("one").await.unwrap();
    let (client, secret) = bench.client(TokenType::Jwt).await;
    let (km, child) = component(&bench.system, &before);
    let root = start_root(&bench.system, vec![child]).await.unwrap();
    let asked = request(&secret, GrantType::ClientCredentials, "");
    let issued = km.issue(asked).await.unwrap();
    assert!(issued.expires_in > 89 * day);
    root.stop(Duration::from_secs(9)).await;
    // The configuration is shorter since, and this key manager has read it.
    bench.desk.share_keys("one").await.unwrap();
    let ended = bench
        .km
        .end_access(SUPER_TENANT, MarkedSubject::Client, &client.consumer_key);
    ended.await.unwrap();
    let mut write = bench.desk.apim.write("test.purge").await.unwrap();
    let far = bench.desk.clock.now_ms() + 80 * day * 1_000;
    tokens::delete_expired(&mut write, far, 99).await.unwrap();
    write.commit().await.unwrap();
    assert!(!bench.is_good(&issued.access_token).await);
}

/// Asks and gives up before anybody has looked.
async fn abandon<T>(asked: impl Future<Output = T>) {
    tokio::select! {
        biased;
        _ = asked => panic!("nobody gave up"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn a_command_whose_asker_gave_up_makes_no_client_and_uses_no_token_up() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("ann", &[]).await;
    let (client, secret) = bench.client(TokenType::Jwt).await;
    let issued = bench.log_in(&secret, PASSWORD).await.unwrap();
    abandon(bench.km.issue(refresh(&secret, &issued))).await;
    assert!(bench.km.issue(refresh(&secret, &issued)).await.is_ok());
    let lost = NewClient {
        name: "lost".to_owned(),
        ..client.details
    };
    abandon(bench.km.create_client(lost)).await;
    // The same clerk looks, after that.
    let found = bench.km.find_client_by_name(SUPER_TENANT, "olga", "lost");
    assert!(matches!(found.await, Err(Refused::NotFound(_))));
    let mut read = bench.desk.apim.read().await.unwrap();
    let found = oauth_clients::find_by_name(&mut read, SUPER_TENANT, "olga", "lost").await;
    assert_eq!(found.unwrap(), None);
}

#[tokio::test]
async fn access_that_was_to_end_ends_though_the_asker_gave_up() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let user = bench.user("ann", &[]).await;
    abandon(bench.km.delete_user(SUPER_TENANT, &user.id)).await;
    let found = bench.km.find_user(SUPER_TENANT, &user.id).await;
    assert!(matches!(found, Err(Refused::NotFound(_))));
}
