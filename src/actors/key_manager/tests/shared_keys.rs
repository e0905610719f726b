//! Keys of several nodes: what one signs the others take, and only while it has that key.

use std::sync::Arc;

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
