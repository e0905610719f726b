//! Clients over their lives, and what they may ask of a refresh token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, Door, child};

use super::*;
use crate::change_feed::Applied;
use crate::change_feed::message::WaitApplied;

fn shop() -> NewClient {
    NewClient {
        tenant: SUPER_TENANT.to_owned(),
        name: "shop".to_owned(),
        owner: "olga".to_owned(),
        grant_types: vec!["client_credentials".to_owned()],
        callback_url: String::new(),
        token_type: TokenType::Jwt,
        access_token_seconds: None,
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
    }
}

impl Bench {
    async fn works(&self, key: &str, secret: &str) -> bool {
        let secret = ClientSecret {
            consumer_key: key.to_owned(),
            consumer_secret: secret.to_owned(),
        };
        self.km.authenticate(secret).await.is_ok()
    }

    async fn head(&self) -> u64 {
        let mut read = self.desk.apim.read().await.unwrap();
        storage::apim::grants::head(&mut read).await.unwrap()
    }
}

#[tokio::test]
async fn a_client_registered_again_gets_a_new_secret_and_the_one_before_goes_on() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("olga", &[]).await;
    let (first, one) = bench.km.register_client(shop()).await.unwrap().value;
    let (second, two) = bench.km.register_client(shop()).await.unwrap().value;
    let key = first.consumer_key.as_str();
    assert_eq!(second.consumer_key, key);
    assert_ne!(one, two);
    assert!(bench.works(key, &one).await && bench.works(key, &two).await);
    let (_, three) = bench.km.register_client(shop()).await.unwrap().value;
    assert!(!bench.works(key, &one).await, "only the last one before");
    assert!(bench.works(key, &two).await && bench.works(key, &three).await);
    // Whoever regenerates a secret means the ones before to end.
    let four = bench.km.regenerate_secret(key).await.unwrap().value;
    assert!(bench.works(key, &four).await);
    assert!(!bench.works(key, &two).await && !bench.works(key, &three).await);
}

#[tokio::test]
async fn of_two_registrations_at_once_on_two_nodes_each_gets_a_secret_that_works() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("olga", &[]).await;
    let (other, _root) = bench.beside().await;
    let (one, two) = tokio::join!(
        bench.km.register_client(shop()),
        other.register_client(shop())
    );
    let ((client, one), (same, two)) = (one.unwrap().value, two.unwrap().value);
    assert_eq!(client.consumer_key, same.consumer_key);
    for secret in [one, two] {
        assert!(bench.works(&client.consumer_key, &secret).await);
    }
}

#[tokio::test]
async fn a_clerk_takes_the_next_command_while_followers_are_waited_for() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (client, secret) = bench.client(TokenType::Jwt).await;
    bench.follower_that_stays_behind().await;
    let changed = bench.km.update_client(client);
    tokio::pin!(changed);
    // Both are questions to the same clerk.
    tokio::select! {
        biased;
        _ = &mut changed => panic!("it did not wait for its follower"),
        found = bench.km.authenticate(secret) => assert!(found.is_ok()),
    }
    changed.await.unwrap();
}

#[tokio::test]
async fn a_token_is_revoked_once_however_often_it_is_asked_for() {
    for kind in [TokenType::Jwt, TokenType::Oauth] {
        is_revoked_once(kind).await;
    }
}

async fn is_revoked_once(kind: TokenType) {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, secret) = bench.client(kind).await;
    let own = request(&secret, GrantType::ClientCredentials, "");
    let issued = bench.km.issue(own).await.unwrap();
    let revoke = || bench.km.revoke(secret.clone(), issued.access_token.clone());
    assert!(revoke().await.unwrap().is_some());
    let head = bench.head().await;
    // Nothing is written again, and the answer says who knows of it as the first one did.
    assert!(revoke().await.unwrap().is_some());
    assert_eq!(bench.head().await, head);
    assert!(bench.refusal(&issued.access_token).await.is_some());
}

#[tokio::test]
async fn what_is_no_token_of_the_client_is_revoked_without_asking_who_knows_of_it() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("ann", &[role::CREATOR]).await;
    let (_, signing) = bench.client(TokenType::Jwt).await;
    let (_, other) = bench.client(TokenType::Oauth).await;
    let signed = bench.log_in(&signing, PASSWORD).await.unwrap();
    let opaque = bench.log_in(&other, PASSWORD).await.unwrap();
    let head = bench.head().await;
    let (header, rest) = signed.access_token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let forged = format!("{header}.{claims}.{turned}");
    let foreign = [opaque.access_token.clone(), opaque.refresh_token.unwrap()];
    let texts = ["", "garbage", "a.b.c", "..", &forged, &"x".repeat(42)];
    for text in texts.map(str::to_owned).into_iter().chain(foreign) {
        let asked = bench.km.revoke(signing.clone(), text.clone()).await;
        assert!(asked.unwrap().is_none(), "{text}");
    }
    let asked = bench.km.revoke(other.clone(), signed.access_token.clone());
    assert!(asked.await.unwrap().is_none(), "another client's");
    assert_eq!(bench.head().await, head);
    // A refresh token that is gone with its session may have been revoked just now.
    for _ in 0..2 {
        let refresh = signed.refresh_token.clone().unwrap();
        let asked = bench.km.revoke(signing.clone(), refresh).await;
        assert!(asked.unwrap().is_some());
    }
    assert!(bench.is_good(&opaque.access_token).await);
}

/// Stands before the change feed: counts who waits for followers, and answers late.
struct Slow(Arc<AtomicUsize>);

impl Actor for Slow {
    type Message = Asked<WaitApplied>;
    type Arguments = Arc<AtomicUsize>;
    const KIND: &'static str = "test.slow";

    async fn start(
        count: Arc<AtomicUsize>,
        _me: Address<Asked<WaitApplied>>,
    ) -> Result<Self, BoxError> {
        Ok(Self(count))
    }

    async fn handle(&mut self, asked: Asked<WaitApplied>) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        cluster::spawn_named("answers late", async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            asked.reply.send(Applied::default());
        });
        Ok(())
    }
}

#[tokio::test]
async fn texts_that_may_have_been_revoked_before_are_one_question_to_the_feed_however_many_come() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let count = Arc::new(AtomicUsize::new(0));
    let (slow, slow_child) = child::<Slow>(&bench.system, "slow", Arc::clone(&count));
    let door = Door::local(&bench.system, slow, |asked| asked, Some);
    let mut desk = bench.desk.clone();
    desk.feed = desk.feed.waiting_at(door);
    let system = System::new(Clock::system(), true);
    let (km, child) = component(&system, &desk);
    let _root = start_root(&system, vec![slow_child, child]).await.unwrap();
    let revoke = async |number: u32| {
        let text = format!("{number:0>42}0");
        km.revoke(secret.clone(), text).await.unwrap().is_some()
    };
    let all = tokio::join!(
        revoke(1),
        revoke(2),
        revoke(3),
        revoke(4),
        revoke(5),
        revoke(6),
        revoke(7),
        revoke(8)
    );
    assert_eq!(all, (true, true, true, true, true, true, true, true));
    let asked = count.load(Ordering::SeqCst);
    assert!((1..=3).contains(&asked), "{asked} of 8 asked");
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_and_the_next_one_has_all_again() {
    let bench = bench(SigningAlgorithm::Es256).await;
    bench.user("ann", &[role::CREATOR]).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let grant = GrantType::Password {
        username: "ann".to_owned(),
        password: PASSWORD.to_owned(),
        address: HOME,
    };
    let asked = "apim:api_create apim:api_view";
    let issued = bench
        .km
        .issue(request(&secret, grant, asked))
        .await
        .unwrap();
    let mut less = refresh(&secret, &issued);
    less.scopes = vec!["apim:api_view".to_owned(), "apim:admin".to_owned()];
    let less = bench.km.issue(less).await.unwrap();
    assert_eq!(less.scopes, ["apim:api_view"]);
    // Nothing of what is asked for: the token is not used up by a wrong question.
    let mut none = refresh(&secret, &less);
    none.scopes = vec!["apim:subscribe".to_owned()];
    let refused = bench.km.issue(none).await.err();
    assert!(matches!(
        refused,
        Some(Refused::Oauth(command::OauthRefusal::InvalidScope, _))
    ));
    let all = bench.km.issue(refresh(&secret, &less)).await.unwrap();
    assert_eq!(all.scopes.join(" "), asked);
}

#[tokio::test]
async fn no_token_is_issued_that_is_too_long_to_be_taken() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    // Each quotation mark takes two bytes within a claim.
    for (marks, fits) in [(1_000, true), (4_000, false)] {
        let scope = format!("device_{}", "\"".repeat(marks));
        let own = request(&secret, GrantType::ClientCredentials, &scope);
        match bench.km.issue(own).await {
            Ok(issued) => assert!(fits && bench.is_good(&issued.access_token).await),
            Err(refused) => assert!(
                !fits
                    && matches!(
                        refused,
                        Refused::Oauth(command::OauthRefusal::InvalidScope, _)
                    )
            ),
        }
    }
}

#[tokio::test]
async fn a_name_that_ends_in_the_tenant_is_nobodys() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let new = NewUser {
        tenant: SUPER_TENANT.to_owned(),
        name: format!("alice@{SUPER_TENANT}"),
        password: PASSWORD.to_owned(),
        email: String::new(),
        given_name: String::new(),
        family_name: String::new(),
        roles: Vec::new(),
    };
    let refused = bench.km.create_user(new).await;
    assert!(matches!(refused, Err(Refused::BadField { field, .. }) if field == "userName"));
}
