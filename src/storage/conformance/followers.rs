//! Followers of the change log, registered, fenced and forgotten.

use domain::serving_lease::{FollowerKind, WhenCutOff};

use super::everywhere;
use crate::apim::followers::{self, Follower};

#[tokio::test]
async fn a_follower_that_registered_meanwhile_is_not_fenced_and_registering_ends_a_fence() {
    everywhere(async |fresh| {
        let (serve, refuse) = (
            FollowerKind::Calls(WhenCutOff::Serve),
            FollowerKind::Calls(WhenCutOff::Refuse),
        );
        let follower = |name: &str, kind, registered_at_ms, fenced_at_ms| Follower {
            name: name.to_owned(),
            kind,
            registered_at_ms,
            fenced_at_ms,
        };
        let mut write = fresh.apim.write("test.followers").await.unwrap();
        for (name, kind) in [("b", serve), ("c", FollowerKind::Policies), ("a", serve)] {
            followers::save(&mut write, name, kind, 1).await.unwrap();
        }
        followers::save(&mut write, "a", refuse, 5).await.unwrap();
        assert!(!followers::fence(&mut write, "a", 1, 9).await.unwrap());
        assert!(followers::fence(&mut write, "b", 1, 9).await.unwrap());
        assert!(!followers::fence(&mut write, "b", 1, 10).await.unwrap());
        assert!(followers::fence(&mut write, "c", 1, 8).await.unwrap());
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let all = followers::list(&mut read).await.unwrap();
        let wanted = [
            follower("a", refuse, 5, None),
            follower("b", serve, 1, Some(9)),
            follower("c", FollowerKind::Policies, 1, Some(8)),
        ];
        assert_eq!(all, wanted);
        let one = followers::find(&mut read, "b").await.unwrap();
        assert_eq!(one.as_ref(), Some(&wanted[1]));
        drop(read);
        let mut write = fresh.apim.write("test.followers").await.unwrap();
        followers::save(&mut write, "b", serve, 20).await.unwrap();
        followers::delete_fenced(&mut write, 9).await.unwrap();
        followers::delete(&mut write, "a").await.unwrap();
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let left = followers::list(&mut read).await.unwrap();
        assert_eq!(left, [follower("b", serve, 20, None)]);
        assert_eq!(followers::find(&mut read, "a").await.unwrap(), None);
    })
    .await;
}
