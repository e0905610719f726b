//! Carbon over a file: identity and projection.

use domain::application::{ApplicationStatus, KeyType};
use domain::change_log::Position;
use domain::consumer::{Consumer, Said};
use domain::validation::GrantedApplication;

use super::consumers;
use super::join_tokens::{self, JoinToken, Taken};
use super::projection::Item;
use super::{identity, open, projection};
use crate::apim::tokens::REVOCATIONS_KEPT_MS;

#[tokio::test]
async fn each_start_raises_the_incarnation_and_keeps_the_id() {
    let dir = tempfile::tempdir().unwrap();
    for start in 1..4 {
        let carbon = open(dir.path()).await.unwrap();
        let mut write = carbon.write("test.identity").await.unwrap();
        let raised = identity::raise(&mut write, "gw", 0, || format!("id{start}")).await;
        let raised = raised.unwrap();
        write.commit().await.unwrap();
        assert_eq!(
            (raised.node_id.as_str(), raised.incarnation),
            ("id1", start)
        );
        let mut read = carbon.read().await.unwrap();
        assert_eq!(identity::find(&mut read).await.unwrap(), Some(raised));
        drop(read);
        carbon.close().await;
    }
    let carbon = open(dir.path()).await.unwrap();
    let mut write = carbon.write("test.identity").await.unwrap();
    let raised = identity::raise(&mut write, "gw", 40, || "id5".to_owned()).await;
    let raised = raised.unwrap();
    assert_eq!((raised.incarnation, raised.has_counted), (41, false));
    identity::note_counting(&mut write).await.unwrap();
    let raised = identity::raise(&mut write, "gw", 0, || "id6".to_owned()).await;
    assert!(raised.unwrap().has_counted, "in every later life");
    let kept = identity::save_issuer(&mut write, "https://keys.example").await;
    kept.unwrap();
    let raised = identity::raise(&mut write, "gw", 0, || "id7".to_owned()).await;
    assert_eq!(raised.unwrap().issuer, "https://keys.example");
}

#[tokio::test]
async fn a_batch_and_its_position_are_kept_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let carbon = open(dir.path()).await.unwrap();
    let item = |name: &str, until_ms| Item {
        section: "mark".to_owned(),
        item: name.to_owned(),
        body: "{}".to_owned(),
        until_ms,
    };
    let mut write = carbon.write("test.batch").await.unwrap();
    for kept in [item("a", None), item("b", Some(50)), item("c", Some(500))] {
        projection::save(&mut write, &kept).await.unwrap();
    }
    let position = Position::new(7, "u7");
    projection::save_applied(&mut write, &position, 5)
        .await
        .unwrap();
    write.commit().await.unwrap();
    let mut write = carbon.write("test.batch").await.unwrap();
    projection::delete_all(&mut write).await.unwrap();
    let next = Position::new(8, "u8");
    projection::save_applied(&mut write, &next, 6)
        .await
        .unwrap();
    drop(write);

    let mut read = carbon.read().await.unwrap();
    let applied = projection::applied(&mut read).await.unwrap().unwrap();
    assert_eq!((applied.position, applied.at_ms), (position, 5));
    let kept = projection::list(&mut read, 100).await.unwrap();
    assert_eq!(kept, [item("a", None), item("c", Some(500))]);
    drop(read);
    let mut write = carbon.write("test.batch").await.unwrap();
    // Perhaps the clock is ahead: a week later.
    for (now_ms, gone) in [(100, 0), (100 + REVOCATIONS_KEPT_MS, 1)] {
        let removed = projection::delete_ended(&mut write, now_ms).await;
        assert_eq!(removed.unwrap(), gone);
    }
    projection::delete(&mut write, "mark", "a").await.unwrap();
    write.commit().await.unwrap();
    let mut read = carbon.read().await.unwrap();
    let kept = projection::list(&mut read, 0).await.unwrap();
    assert_eq!(kept, [item("c", Some(500))]);
}

#[tokio::test]
async fn a_join_token_is_good_once_in_its_time_and_with_its_secret() {
    let dir = tempfile::tempdir().unwrap();
    let carbon = open(dir.path()).await.unwrap();
    let token = |id: &str, expires_ms| JoinToken {
        id: id.to_owned(),
        secret_hash: format!("hash of {id}"),
        expires_ms,
        roles: format!("roles of {id}"),
    };
    let good = |id: &str| Taken::Good(format!("roles of {id}"));
    let mut write = carbon.write("test.join").await.unwrap();
    for made in [token("a", 100), token("b", 100)] {
        join_tokens::create(&mut write, &made, 50).await.unwrap();
    }
    write.commit().await.unwrap();
    let take = async |id: &str, hash: &str, now_ms| {
        let mut write = carbon.write("test.join").await.unwrap();
        let taken = join_tokens::take(&mut write, id, hash, now_ms).await;
        write.commit().await.unwrap();
        taken.unwrap()
    };
    assert_eq!(take("a", "hash of b", 60).await, Taken::Unknown);
    let (one, two) = tokio::join!(take("a", "hash of a", 60), take("a", "hash of a", 60));
    assert!(
        [(&one, &two), (&two, &one)].contains(&(&good("a"), &Taken::Unknown)),
        "{one:?} {two:?}"
    );
    assert_eq!(take("b", "hash of b", 100).await, Taken::Expired);
    let mut write = carbon.write("test.join").await.unwrap();
    let old = token("c", 100);
    join_tokens::create(&mut write, &old, 50).await.unwrap();
    let later = 101 + 24 * 60 * 60 * 1_000;
    let new = token("d", later + 1);
    join_tokens::create(&mut write, &new, later).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(take("c", "hash of c", 60).await, Taken::Unknown);
    assert_eq!(take("d", "hash of d", later).await, good("d"));
}

fn said(key: &str, application: &str, n: u64, said_at_ms: i64) -> Said {
    let application = GrantedApplication {
        id: application.to_owned(),
        name: "shop".to_owned(),
        owner: "ann".to_owned(),
        policy: "Unlimited".to_owned(),
        status: ApplicationStatus::Approved,
    };
    Said {
        consumer: Consumer {
            tenant: "carbon.super".to_owned(),
            consumer_key: key.to_owned(),
            key_type: KeyType::Production,
            application: Some(application),
            subscriptions: Vec::new(),
        },
        n,
        said_at_ms,
    }
}

#[tokio::test]
async fn what_is_kept_of_clients_ends_with_what_touches_them_with_age_and_beyond_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let carbon = open(dir.path()).await.unwrap();
    let mut write = carbon.write("test.consumers").await.unwrap();
    for kept in [
        said("a", "one", 5, 100),
        said("b", "one", 9, 200),
        said("c", "two", 5, 300),
        said("d", "three", 5, 400),
        said("e", "four", 12, 500),
    ] {
        consumers::save(&mut write, &kept).await.unwrap();
    }
    // It knew of the change already.
    consumers::delete_of_application(&mut write, "one", 9)
        .await
        .unwrap();
    consumers::delete_client(&mut write, "c", 6).await.unwrap();
    write.commit().await.unwrap();
    let mut read = carbon.read().await.unwrap();
    let kept = consumers::list(&mut read, 11, 10).await.unwrap();
    // What is true beyond the position is of no use to whoever is there.
    assert_eq!(kept, [said("d", "three", 5, 400), said("b", "one", 9, 200)]);
    assert_eq!(consumers::list(&mut read, 20, 1).await.unwrap().len(), 1);
    drop(read);
    let mut write = carbon.write("test.consumers").await.unwrap();
    let gone = consumers::delete_old(&mut write, 201, 1).await.unwrap();
    assert_eq!(gone, 2);
    write.commit().await.unwrap();
    let mut read = carbon.read().await.unwrap();
    let kept = consumers::list(&mut read, 20, 10).await.unwrap();
    assert_eq!(kept, [said("e", "four", 12, 500)]);
    drop(read);
    let mut write = carbon.write("test.consumers").await.unwrap();
    consumers::delete_all(&mut write).await.unwrap();
    write.commit().await.unwrap();
    let mut read = carbon.read().await.unwrap();
    assert!(consumers::list(&mut read, 20, 10).await.unwrap().is_empty());
}
