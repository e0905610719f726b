//! How changes are made: nobody waits for another's followers, a change meets what its author has
//! seen, and a client that is taken over brings no tokens along.

use super::*;
use crate::change_feed::message::Pull;

/// A follower that is heard of and applies nothing.
async fn laggard(bench: &Bench) {
    let pull = Pull {
        follower: "laggard".to_owned(),
        n: 0,
        uuid: String::new(),
        most: 1,
        wait_ms: 0,
    };
    bench.clients.feed.pull(pull).await.unwrap();
}

#[tokio::test]
async fn a_follower_that_lags_holds_up_its_own_change_and_no_other() {
    let bench = bench().await;
    laggard(&bench).await;
    let begun = bench.clients.clock.now_ms();
    let mut made = Vec::new();
    for n in 0..60 {
        let new = application(&format!("app {n}"), "ann");
        let portal = bench.portal.clone();
        made.push(cluster::spawn_named("test", async move {
            portal.create_application(new).await
        }));
    }
    for one in made {
        let changed = one.await.unwrap().unwrap();
        assert_eq!(changed.applied.behind, ["laggard"]);
    }
    // One after another they would take a second each, fifteen for each of four writers.
    let took_ms = bench.clients.clock.now_ms() - begun;
    assert!(took_ms < 10_000, "{took_ms} ms");
}

#[tokio::test]
async fn a_removal_waits_once_for_all_that_it_changes() {
    let bench = bench().await;
    let portal = &bench.portal;
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    for kind in [KeyType::Production, KeyType::Sandbox] {
        let wanted = NewClient {
            name: domain::application::client_name("ann", &made.id, kind.as_str()),
            ..client(&made)
        };
        let keys = portal.create_keys(made.clone(), kind, wanted, "{}".to_owned());
        keys.await.unwrap();
    }
    laggard(&bench).await;
    let begun = bench.clients.clock.now_ms();
    portal.delete_application(made).await.unwrap();
    let took_ms = bench.clients.clock.now_ms() - begun;
    assert!(took_ms < 2_000, "{took_ms} ms for three entries");
}

#[tokio::test]
async fn several_subscriptions_wait_once_and_say_each_what_became_of_it() {
    let bench = bench().await;
    let portal = &bench.portal;
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    let first = published(&bench, "pizza").await;
    let second = published(&bench, "pasta").await;
    laggard(&bench).await;
    let begun = bench.clients.clock.now_ms();
    let wanted = [&first, &first, &second].map(|api| subscription(api, &made));
    let changed = portal.create_subscriptions(wanted.to_vec()).await.unwrap();
    let took_ms = bench.clients.clock.now_ms() - begun;
    assert!(took_ms < 2_000, "{took_ms} ms");
    assert_eq!(changed.applied.behind, ["laggard"]);
    let fared: Vec<_> = changed.value.iter().map(Result::is_ok).collect();
    assert_eq!(fared, [true, false, true]);
}

#[tokio::test]
async fn what_was_changed_since_it_was_read_is_not_removed() {
    let bench = bench().await;
    let portal = &bench.portal;
    let is_stale = |error: DevPortalError| {
        assert!(
            matches!(error, DevPortalError::Store(StoreError::Stale)),
            "{error}"
        );
    };
    let made = portal.create_application(application("Shop", "ann")).await;
    let read = made.unwrap().value;
    let changed = Application {
        description: "another".to_owned(),
        ..read.clone()
    };
    portal.update_application(changed).await.unwrap();
    is_stale(portal.delete_application(read.clone()).await.unwrap_err());
    let keys = portal.create_keys(
        read.clone(),
        KeyType::Production,
        client(&read),
        "{}".to_owned(),
    );
    let (key, served, _) = keys.await.unwrap().value;
    let changed = ApplicationKey {
        properties: "{\"a\":1}".to_owned(),
        ..key.clone()
    };
    portal.update_keys(changed.clone(), served).await.unwrap();
    is_stale(portal.delete_keys(key.clone(), true).await.unwrap_err());
    portal.delete_keys(changed, true).await.unwrap();
    let any = Application {
        row_version: 0,
        ..read
    };
    portal.delete_application(any).await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_taken_over_brings_no_tokens_along() {
    let bench = bench().await;
    let portal = &bench.portal;
    let key_manager = portal.key_manager();
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    let (left, old) = key_manager.create_client(client(&made)).await.unwrap();
    let token = async |secret: String| {
        let request = TokenRequest {
            client: ClientSecret {
                consumer_key: left.consumer_key.clone(),
                consumer_secret: secret,
            },
            grant: GrantType::ClientCredentials,
            scopes: Vec::new(),
            validity_seconds: None,
        };
        key_manager.issue(request).await.unwrap().access_token
    };
    let before = token(old).await;
    let keys = portal.create_keys(
        made.clone(),
        KeyType::Production,
        client(&made),
        "{}".to_owned(),
    );
    let (key, _, secret) = keys.await.unwrap().value;
    assert_eq!(key.consumer_key, left.consumer_key);
    let after = token(secret).await;
    for (token, is_granted) in [(before, false), (after, true)] {
        let verdict = key_manager.validate(&token).await.unwrap();
        assert_eq!(matches!(verdict, Verdict::Granted(_)), is_granted);
    }
}
