//! Nodes that are retired, and those that are not any more.

use super::everywhere;
use crate::apim::retired_nodes;

#[tokio::test]
async fn a_node_stays_retired_from_when_it_was_until_it_is_a_member_again() {
    everywhere(async |fresh| {
        let find = async |node: &str| {
            let mut read = fresh.apim.read().await.unwrap();
            retired_nodes::find(&mut read, node).await.unwrap()
        };
        assert_eq!(find("a").await, None);
        for now_ms in [7, 9] {
            let mut write = fresh.apim.write("test.retire").await.unwrap();
            retired_nodes::create(&mut write, "a", now_ms)
                .await
                .unwrap();
            write.commit().await.unwrap();
            assert_eq!((find("a").await, find("b").await), (Some(7), None));
        }
        let mut write = fresh.apim.write("test.retire").await.unwrap();
        retired_nodes::delete(&mut write, "a").await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(find("a").await, None);
    })
    .await;
}
