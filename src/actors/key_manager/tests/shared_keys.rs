//! Keys of several nodes: what one signs the others take, and only while it has that key.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::change::{Change, Entry};
use storage::apim::{change_log, verification_keys};
use tempfile::TempDir;

use super::*;

/// The same desk on another node, with signing keys of its own.
fn with_keys(desk: &Desk, directory: &std::path::Path) -> Desk {
    let keys = Keys::load(directory, SigningAlgorithm::Es256).unwrap();
    Desk {
        keys: Arc::new(keys),
        node: Arc::default(),
        ..desk.clone()
    }
}

fn takes(desk: &Desk, token: &str) -> bool {
    let parsed = domain::token::parse(token).unwrap();
    desk.keys.verify(
        &parsed.key_id,
        &parsed.algorithm,
        parsed.signed,
        parsed.signature,
    )
}

#[tokio::test]
async fn keys_that_a_node_no_longer_has_sign_for_nobody() {
    let (desk, _system, _feed, _dir) = desk(SigningAlgorithm::Es256).await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = with_keys(&desk, first.path());
    before.share_keys("one").await.unwrap();
    let token = before.keys.sign("at+jwt", &serde_json::json!({})).unwrap();
    desk.share_keys("two").await.unwrap();
    assert!(takes(&desk, &token), "another node has signed it");
    // The node has lost its keys, or they were taken from it.
    let after = with_keys(&desk, second.path());
    after.share_keys("one").await.unwrap();
    assert!(!takes(&after, &token));
    desk.learn_news().await.unwrap();
    assert!(!takes(&desk, &token), "nobody takes it any more");
}

#[tokio::test]
async fn a_change_of_the_keys_is_told_of_and_nothing_else_is() {
    let (desk, _system, _feed, _dir) = desk(SigningAlgorithm::Es256).await;
    let changes = async || {
        let mut read = desk.apim.read().await.unwrap();
        let head = change_log::head(&mut read).await.unwrap();
        let log = change_log::list(&mut read, 1, head.n, usize::MAX).await;
        let told = log.unwrap().into_iter();
        told.map(|entry| entry.payload).collect::<Vec<_>>()
    };
    desk.share_keys("two").await.unwrap();
    desk.share_keys("two").await.unwrap();
    desk.keep_keys().await.unwrap();
    assert_eq!(changes().await.len(), 1);
    let dir = tempfile::tempdir().unwrap();
    let other = with_keys(&desk, dir.path());
    other.share_keys("one").await.unwrap();
    let told = changes().await;
    assert_eq!(told.len(), 2);
    let change = serde_json::from_str(&told[1]).unwrap();
    let Change::VerificationKeysChanged { jwks } = change else {
        panic!("{change:?}");
    };
    let ids = |jwks: &str| {
        let jwks: serde_json::Value = serde_json::from_str(jwks).unwrap();
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].to_string())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&jwks).len(), 4);
    assert_eq!(ids(&jwks), ids(&other.keys.jwks()));
    desk.learn_news().await.unwrap();
    assert_eq!(ids(&jwks), ids(&desk.keys.jwks()), "published by both");
}

#[tokio::test]
async fn a_node_that_is_given_up_leaves_no_keys_for_ever_and_one_that_is_there_keeps_its_own() {
    let (desk, _system, _feed, _dir) = desk(SigningAlgorithm::Es256).await;
    let dir = tempfile::tempdir().unwrap();
    let given_up = with_keys(&desk, dir.path());
    given_up.share_keys("one").await.unwrap();
    desk.share_keys("two").await.unwrap();
    let token = given_up.keys.sign("at+jwt", &serde_json::json!({}));
    let token = token.unwrap();
    let (now, day_ms) = (desk.clock.now_ms(), 86_400_000);
    // As if nobody had named them for so many days.
    let age = async |of: &Desk, node: &str, days: i64| {
        let mut write = desk.apim.write("test.keys").await.unwrap();
        for (id, key) in of.keys.own_public() {
            let at_ms = now - days * day_ms;
            let aged = verification_keys::save(&mut write, node, (id, &key), at_ms);
            aged.await.unwrap();
        }
        write.commit().await.unwrap();
    };
    let days = LONGEST_CHOSEN_SECONDS * 1_000 / day_ms;
    age(&given_up, "one", days + 1).await;
    age(&desk, "two", 2).await;
    desk.keep_keys().await.unwrap();
    assert!(takes(&desk, &token), "some of its tokens may still be good");
    let mut read = desk.apim.read().await.unwrap();
    let named = verification_keys::list(&mut read).await.unwrap();
    drop(read);
    let fresh = named.iter().filter(|key| key.renewed_at_ms >= now);
    assert_eq!((named.len(), fresh.count()), (4, 2), "its own, again");
    age(&given_up, "one", days + 3).await;
    desk.keep_keys().await.unwrap();
    assert!(!takes(&desk, &token));
    assert!(!desk.keys.jwks().contains(&token_key(&token)));
    given_up.keep_keys().await.unwrap();
    desk.learn_news().await.unwrap();
    assert!(takes(&desk, &token), "it was there all the same");
}

#[tokio::test]
async fn a_key_that_somebody_deleted_by_hand_is_told_of_once() {
    let (desk, _system, _feed, _dir) = desk(SigningAlgorithm::Es256).await;
    let dir = tempfile::tempdir().unwrap();
    let other = with_keys(&desk, dir.path());
    other.share_keys("one").await.unwrap();
    desk.share_keys("two").await.unwrap();
    let mut write = desk.apim.write("test.keys").await.unwrap();
    verification_keys::delete_of_node(&mut write, "one")
        .await
        .unwrap();
    write.commit().await.unwrap();
    desk.keep_keys().await.unwrap();
    desk.keep_keys().await.unwrap();
    let mut read = desk.apim.read().await.unwrap();
    let head = change_log::head(&mut read).await.unwrap();
    let log = change_log::list(&mut read, 1, head.n, usize::MAX).await;
    let told: Vec<_> = log.unwrap().iter().filter_map(Entry::change).collect();
    let [.., Change::VerificationKeysChanged { jwks }] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(told.len(), 3);
    let (gone, kept) = (other.keys.own_public(), desk.keys.own_public());
    assert!(gone.into_iter().all(|(id, _)| !jwks.contains(id)));
    assert!(kept.into_iter().all(|(id, _)| jwks.contains(id)));
}

fn token_key(token: &str) -> String {
    domain::token::parse(token).unwrap().key_id
}

#[tokio::test]
async fn a_token_of_a_removed_key_opens_nothing_from_the_moment_of_the_entry_on() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, client) = bench.client(TokenType::Jwt).await;
    let (_dir, _root, token) = newcomer(&bench, "one", &client).await;
    assert!(bench.is_good(&token).await);
    // The same node after its keys were removed.
    let again = tempfile::tempdir().unwrap();
    let again = with_keys(&bench.desk, again.path());
    again.share_keys("one").await.unwrap();
    assert!(!bench.is_good(&token).await);
}

/// A node with keys of its own over the bench's databases, and a token that it has issued.
async fn newcomer(bench: &Bench, name: &str, client: &ClientSecret) -> (TempDir, Root, String) {
    let dir = tempfile::tempdir().unwrap();
    let desk = with_keys(&bench.desk, dir.path());
    desk.share_keys(name).await.unwrap();
    let system = System::new(Clock::system(), true);
    let (km, child) = component(&system, &desk);
    let root = start_root(&system, vec![child]).await.unwrap();
    let own = request(client, GrantType::ClientCredentials, "");
    let issued = km.issue(own).await.unwrap();
    (dir, root, issued.access_token)
}

#[tokio::test]
async fn a_token_of_a_node_that_has_just_come_is_known_and_revoked_at_once() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, client) = bench.client(TokenType::Jwt).await;
    // Each look for a key that was not known is followed by the next newcomer.
    let (_first, _one, validated) = newcomer(&bench, "one", &client).await;
    assert!(bench.is_good(&validated).await);
    let (_second, _two, revoked) = newcomer(&bench, "two", &client).await;
    let applied = bench.km.revoke(client.clone(), revoked.clone()).await;
    assert!(applied.unwrap().is_some(), "it was told of");
    let (_third, _three, again) = newcomer(&bench, "three", &client).await;
    assert!(bench.is_good(&again).await);
    let why = bench.refusal(&revoked).await;
    assert_eq!(why, Some(RefusalReason::Revoked));
}

/// A well-formed token of a key that nobody has.
fn invented(desk: &Desk, number: usize) -> String {
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"invented-{number}"}}"#);
    let claims = serde_json::json!({"jti": number.to_string()}).to_string();
    desk.keys.sign_texts(&header, &claims).unwrap()
}

#[tokio::test]
async fn a_flood_of_invented_keys_has_the_table_read_once_a_second_and_hides_no_key_that_is_there()
{
    let bench = bench(SigningAlgorithm::Es256).await;
    let (_, client) = bench.client(TokenType::Jwt).await;
    bench.desk.share_keys("two").await.unwrap();
    let looked = bench.desk.clock.monotonic();
    let why = bench.refusal(&invented(&bench.desk, 0)).await;
    assert_eq!(why, Some(RefusalReason::Malformed));
    // Put there by hand, so that the log says nothing of it.
    let dir = tempfile::tempdir().unwrap();
    let other = with_keys(&bench.desk, dir.path());
    let mut write = bench.desk.apim.write("test.keys").await.unwrap();
    for (id, key) in other.keys.own_public() {
        let now = bench.desk.clock.now_ms();
        let saved = verification_keys::save(&mut write, "one", (id, &key), now);
        saved.await.unwrap();
    }
    write.commit().await.unwrap();
    let token = other.keys.sign("at+jwt", &serde_json::json!({})).unwrap();
    let mut number = 1;
    let found = loop {
        let why = bench.refusal(&invented(&bench.desk, number)).await;
        assert_eq!(why, Some(RefusalReason::Malformed));
        // A client that may revoke what is its own gets no more looks than anybody.
        let foreign = invented(&bench.desk, number);
        let none = bench.km.revoke(client.clone(), foreign).await;
        assert!(none.unwrap().is_none());
        number += 1;
        if takes(&bench.desk, &token) {
            break bench.desk.clock.monotonic() - looked;
        }
    };
    let second = key_looks::BETWEEN;
    let slack = second / 500;
    assert!(found + slack >= second, "it was read for each: {found:?}");
    // Two, on a machine that does nothing else.
    assert!(found < 5 * second, "{found:?}");
    assert!(number > 3, "many came in between");
    // That was a look, and there is none left: those that come are known by their entries.
    let (_first, _one, validated) = newcomer(&bench, "three", &client).await;
    assert!(bench.is_good(&validated).await);
    let (_second, _two, revoked) = newcomer(&bench, "four", &client).await;
    let applied = bench.km.revoke(client.clone(), revoked.clone()).await;
    assert!(applied.unwrap().is_some(), "it was told of");
    let why = bench.refusal(&revoked).await;
    assert_eq!(why, Some(RefusalReason::Revoked));
}
