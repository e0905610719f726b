//! Followers of the change log, registered, fenced and forgotten.

use domain::change_log::Registered;
use domain::serving_lease::{FollowerKind, WhenCutOff};

use super::everywhere;
use crate::apim::followers;

#[tokio::test]
async fn a_follower_that_registered_meanwhile_is_not_fenced_and_registering_ends_a_fence() {
    everywhere(async |fresh| {
        let (serve, refuse) = (
            FollowerKind::Calls(WhenCutOff::Serve),
            FollowerKind::Calls(WhenCutOff::Refuse),
        );
        let follower = |name: &str, kind, registered_at_ms, fenced_at_ms| Registered {
            name: name.to_owned(),
            kind,
            incarnation: 2,
            registered_at_ms,
            fenced_at_ms,
            left_at_ms: None,
        };
        let mut write = fresh.apim.write("test.followers").await.unwrap();
        for (name, kind) in [("b", serve), ("c", FollowerKind::Policies), ("a", serve)] {
            assert!(followers::save(&mut write, name, kind, 2, 1).await.unwrap());
        }
        let again = followers::save(&mut write, "a", refuse, 2, 5).await;
        assert!(again.unwrap());
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
        let again = followers::save(&mut write, "b", serve, 2, 20).await;
        assert!(again.unwrap());
        followers::delete_fenced(&mut write, 9).await.unwrap();
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let left = followers::list(&mut read).await.unwrap();
        let wanted = [
            follower("a", refuse, 5, None),
            follower("b", serve, 20, None),
        ];
        assert_eq!(left, wanted);
        assert_eq!(followers::find(&mut read, "c").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn what_a_former_life_says_changes_nothing_about_a_later_one() {
    everywhere(async |fresh| {
        let kind = FollowerKind::Calls(WhenCutOff::Serve);
        let mut write = fresh.apim.write("test.followers").await.unwrap();
        for (incarnation, counts) in [(3, true), (4, true), (3, false)] {
            let at_ms = 10 + i64::from(incarnation as u32);
            let saved = followers::save(&mut write, "a", kind, incarnation, at_ms).await;
            assert_eq!(saved.unwrap(), counts, "{incarnation}");
        }
        let left = followers::leave(&mut write, "a", kind, 3, 19).await;
        assert!(!left.unwrap());
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let left = followers::find(&mut read, "a").await.unwrap().unwrap();
        assert_eq!((left.incarnation, left.registered_at_ms), (4, 14));
        drop(read);
        let mut write = fresh.apim.write("test.followers").await.unwrap();
        // A node that was put back from a backup counts from there, once the last life is fenced.
        assert!(followers::fence(&mut write, "a", 14, 20).await.unwrap());
        let saved = followers::save(&mut write, "a", kind, 1, 30).await;
        assert!(saved.unwrap());
        write.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_registration_that_comes_behind_the_leave_of_its_life_registers_nobody() {
    everywhere(async |fresh| {
        let kinds = [
            ("refuse", FollowerKind::Calls(WhenCutOff::Refuse), true),
            ("serve", FollowerKind::Calls(WhenCutOff::Serve), false),
            ("policies", FollowerKind::Policies, true),
        ];
        let find = async |name: &str| {
            let mut read = fresh.apim.read().await.unwrap();
            followers::find(&mut read, name).await.unwrap().unwrap()
        };
        for (name, kind, is_gone) in kinds {
            for registers in [true, false] {
                let name = format!("{name} {registers}");
                let mut write = fresh.apim.write("test.followers").await.unwrap();
                if registers {
                    let saved = followers::save(&mut write, &name, kind, 3, 100).await;
                    assert!(saved.unwrap());
                }
                let left = followers::leave(&mut write, &name, kind, 3, 200).await;
                assert!(left.unwrap(), "{name}");
                write.commit().await.unwrap();
                let row = find(&name).await;
                assert_eq!((row.fenced_at_ms, row.is_gone()), (Some(200), is_gone));
                for (life, at_ms, counts) in [
                    (3, 201, false),
                    // A clock that was put back is no other life.
                    (3, 100, false),
                    // A node that was put back from a backup may come to the same number.
                    (3, 60_000, true),
                ] {
                    let mut write = fresh.apim.write("test.followers").await.unwrap();
                    let saved = followers::save(&mut write, &name, kind, life, at_ms).await;
                    assert_eq!(saved.unwrap(), counts, "{name} {at_ms}");
                }
                // The next life is there at once.
                let mut write = fresh.apim.write("test.followers").await.unwrap();
                let saved = followers::save(&mut write, &name, kind, 4, 201).await;
                assert!(saved.unwrap());
                write.commit().await.unwrap();
                let row = find(&name).await;
                assert_eq!((row.fenced_at_ms, row.left_at_ms), (None, None));
            }
        }
        let mut write = fresh.apim.write("test.followers").await.unwrap();
        let kind = FollowerKind::Policies;
        let left = followers::leave(&mut write, "gone", kind, 3, 200).await;
        assert!(left.unwrap());
        followers::delete_fenced(&mut write, 201).await.unwrap();
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        assert_eq!(followers::find(&mut read, "gone").await.unwrap(), None);
    })
    .await;
}
