//! What crosses a removal: a new version that takes subscribers over, and another's change of a
//! policy.

use std::time::Duration;

use super::*;
use crate::apim::apis;
use crate::row::Columns as _;

#[tokio::test]
async fn an_application_does_not_go_between_the_reading_and_the_carrying_over_of_subscriptions() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let app = application(ID, "Shop", "ann");
        applications::create(&mut write, &app).await.unwrap();
        let held = subscription("s", "v1", ID);
        subscriptions::create(&mut write, &held).await.unwrap();
        write.commit().await.unwrap();
        let mut publish = database.write("test.portal").await.unwrap();
        apis::claim(&mut publish, TENANT).await.unwrap();
        let old = subscriptions::list_for_change(&mut publish, TENANT, "v1").await;
        assert_eq!(old.unwrap().len(), 1);
        let other = database.clone();
        let mut removal = std::pin::pin!(async move {
            let mut write = other.write("test.portal").await.unwrap();
            let gone = applications::delete(&mut write, TENANT, (ID, 0)).await;
            gone.unwrap();
            write.commit().await.unwrap();
        });
        // It has the time to commit, were it not for the claim.
        let early = tokio::time::timeout(Duration::from_millis(300), &mut removal).await;
        let carried = subscription("t", "v2", ID);
        subscriptions::create(&mut publish, &carried).await.unwrap();
        publish.commit().await.unwrap();
        if early.is_err() {
            removal.await;
        }
        let mut read = database.read().await.unwrap();
        for id in ["s", "t"] {
            let left = subscriptions::find(&mut read, TENANT, id).await;
            assert_eq!(left.unwrap(), None, "{id}");
        }
    }
}

#[tokio::test]
async fn a_subscription_without_an_application_keeps_neither_its_api_nor_its_plan() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let held = subscription("s", "api", "gone");
        subscriptions::create(&mut write, &held).await.unwrap();
        let plan = Policy::defaults(TENANT, crate::conformance::new_id);
        let plan = plan.into_iter().find(|plan| plan.name == "Gold").unwrap();
        policies::create(&mut write, &plan).await.unwrap();
        let count = subscriptions::count_of_api(&mut write, TENANT, "api").await;
        assert_eq!(count.unwrap(), 0);
        let any = Policy {
            row_version: 0,
            ..plan
        };
        policies::delete(&mut write, &any).await.unwrap();
        apis::delete(&mut write, TENANT, "api").await.unwrap();
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let left = subscriptions::find(&mut read, TENANT, "s").await;
        assert_eq!(left.unwrap(), None);
    }
}

#[tokio::test]
async fn a_policy_that_was_changed_since_it_was_read_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let plan = Policy::defaults(TENANT, crate::conformance::new_id);
        let plan = plan.into_iter().find(|plan| plan.name == "Gold").unwrap();
        policies::create(&mut write, &plan).await.unwrap();
        let read = Policy {
            row_version: 1,
            ..plan
        };
        assert_eq!(policies::update(&mut write, &read).await.unwrap(), 2);
        let stale = policies::delete(&mut write, &read).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        let read = Policy {
            row_version: 2,
            ..read
        };
        policies::delete(&mut write, &read).await.unwrap();
    }
}

#[tokio::test]
async fn orphans_are_found_behind_any_number_of_registrations_that_look_alike() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        for n in 0..600 {
            let alike = client(&format!("c{n}"), &format!("{n}_PRODUCTION"), n / 300);
            oauth_clients::create(&mut write, &alike).await.unwrap();
        }
        let name = domain::application::client_name("ann", ID, "PRODUCTION");
        let orphan = client("orphan", &name, 5);
        oauth_clients::create(&mut write, &orphan).await.unwrap();
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let (mut found, mut after) = (Vec::new(), Some(String::new()));
        while let Some(from) = after {
            let page = application_keys::list_orphans(&mut read, 10, &from).await;
            let (orphans, end) = page.unwrap();
            found.extend(orphans.into_iter().map(|one| one.consumer_key));
            after = end;
        }
        assert_eq!(found, ["orphan"]);
    }
}

#[tokio::test]
async fn a_page_of_look_alikes_begins_where_the_one_before_ended_and_sorts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [sqlite, ..] = &databases(dir.path()).await[..] else {
        panic!("no database");
    };
    let plan = format!("EXPLAIN QUERY PLAN {}", application_keys::LOOK_ALIKES);
    let query = sqlx::query(sqlx::AssertSqlSafe(plan)).bind(10).bind("");
    let mut read = sqlite.read().await.unwrap();
    let rows = read.all(query).await.unwrap();
    let steps: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
    let steps = steps.join("; ");
    assert!(steps.contains("(consumer_key>?)"), "{steps}");
    assert!(!steps.contains("TEMP B-TREE"), "{steps}");
}

#[tokio::test]
async fn subscribers_are_found_by_their_owner_in_any_case_of_any_letter() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let app = application(ID, "Shop", "\u{c5}sa");
        applications::create(&mut write, &app).await.unwrap();
        let held = subscription("s", "api", ID);
        subscriptions::create(&mut write, &held).await.unwrap();
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        for (words, count) in [("\u{c5}sa", 1), ("\u{e5}SA", 1), ("asa", 0)] {
            let found = subscriptions::list_by_api(&mut read, TENANT, "api", words, (9, 0));
            let (rows, total) = found.await.unwrap();
            assert_eq!((rows.len(), total), (count, count), "{words}");
        }
    }
}
