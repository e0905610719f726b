//! Keys of several nodes: what one signs the others take, and only while it has that key.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;

/// The same desk with signing keys of its own.
fn with_keys(desk: &Desk, directory: &std::path::Path) -> Desk {
    let keys = Keys::load(directory, SigningAlgorithm::Es256).unwrap();
    Desk {
        keys: Arc::new(keys),
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
    desk.share_keys("two").await.unwrap();
    assert!(!takes(&desk, &token), "nobody takes it any more");
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
