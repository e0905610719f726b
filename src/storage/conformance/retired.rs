//! Nodes that are retired, and those that are not any more.

use super::{Fresh, everywhere};
use crate::apim::retired_nodes;

/// Retires it as one that was admitted so often; gives whether it was.
async fn retire(fresh: &Fresh, (node, admissions): (&str, i64), now_ms: i64) -> bool {
    let mut write = fresh.apim.write("test.retire").await.unwrap();
    let retired = retired_nodes::create(&mut write, node, admissions, now_ms).await;
    let retired = retired.unwrap();
    if retired {
        write.commit().await.unwrap();
    }
    retired
}

async fn admit(fresh: &Fresh, node: &str) {
    let mut write = fresh.apim.write("test.admit").await.unwrap();
    retired_nodes::delete(&mut write, node).await.unwrap();
    write.commit().await.unwrap();
}

/// Since when it is retired, and how often it was admitted.
async fn find(fresh: &Fresh, node: &str) -> (Option<i64>, i64) {
    let mut read = fresh.apim.read().await.unwrap();
    let retired = retired_nodes::find(&mut read, node).await.unwrap();
    let admissions = retired_nodes::find_admissions(&mut read, node).await;
    (retired, admissions.unwrap())
}

#[tokio::test]
async fn a_node_stays_retired_from_when_it_was_until_it_is_a_member_again() {
    everywhere(async |fresh| {
        assert_eq!(find(&fresh, "a").await, (None, 0));
        for now_ms in [7, 9] {
            assert!(retire(&fresh, ("a", 0), now_ms).await);
            let found = (find(&fresh, "a").await, find(&fresh, "b").await);
            assert_eq!(found, ((Some(7), 0), (None, 0)));
        }
        admit(&fresh, "a").await;
        assert_eq!(find(&fresh, "a").await, (None, 1));
    })
    .await;
}

#[tokio::test]
async fn a_word_that_was_meant_before_a_node_was_admitted_retires_it_no_more() {
    everywhere(async |fresh| {
        // Also one that was never retired, nor counted before.
        for node in ["a", "b"] {
            admit(&fresh, node).await;
            assert!(!retire(&fresh, (node, 0), 7).await);
            assert_eq!(find(&fresh, node).await, (None, 1));
            assert!(retire(&fresh, (node, 1), 8).await);
            admit(&fresh, node).await;
            for admissions in 0..2 {
                assert!(!retire(&fresh, (node, admissions), 9).await);
            }
            assert_eq!(find(&fresh, node).await, (None, 2));
        }
    })
    .await;
}
