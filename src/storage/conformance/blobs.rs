//! Blobs, on each backend.

use super::{TENANT, everywhere};
use crate::shared::blobs::{self, Blob};

#[tokio::test]
async fn old_blobs_are_listed_in_pieces_that_leave_none_out() {
    everywhere(async |fresh| {
        let mut write = fresh.shared.write("test.blobs").await.unwrap();
        for (id, created_at_ms) in [("a", 1), ("b", 9), ("c", 2), ("d", 10), ("e", 3)] {
            let blob = Blob {
                id: id.to_owned(),
                tenant: TENANT.to_owned(),
                kind: "document".to_owned(),
                media_type: "application/json".to_owned(),
                bytes: vec![0, 255],
                created_at_ms,
            };
            blobs::create(&mut write, &blob).await.unwrap();
        }
        write.commit().await.unwrap();
        let mut read = fresh.shared.read().await.unwrap();
        for (cursor, piece) in [("", vec!["a", "b"]), ("b", vec!["c", "e"]), ("e", vec![])] {
            let found = blobs::list_before(&mut read, 10, cursor, 2).await;
            assert_eq!(found.unwrap(), piece, "after {cursor:?}");
        }
        let found = blobs::find(&mut read, TENANT, "c").await.unwrap();
        assert_eq!(found.unwrap().bytes, [0, 255]);
        let foreign = blobs::find(&mut read, "other.example", "c").await;
        assert_eq!(foreign.unwrap(), None);
        let outline = blobs::outline(&mut read, TENANT, "c").await.unwrap();
        let outline = outline.map(|outline| (outline.kind, outline.size));
        assert_eq!(outline, Some(("document".to_owned(), 2)));
        let foreign = blobs::outline(&mut read, "other.example", "c").await;
        assert!(foreign.unwrap().is_none());
        drop(read);
        let mut write = fresh.shared.write("test.blobs").await.unwrap();
        blobs::delete(&mut write, "c").await.unwrap();
        write.commit().await.unwrap();
        let mut read = fresh.shared.read().await.unwrap();
        let left = blobs::list_before(&mut read, 10, "", 9).await;
        assert_eq!(left.unwrap(), ["a", "b", "e"]);
    })
    .await;
}
