//! Orders: none waits for another's definition, and one that nobody waits for any more is not
//! carried out. And who is older does not hang on the clock.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use domain::application::{Application, ApplicationStatus, TokenType};
use domain::subscription::{Subscription, SubscriptionStatus};
use storage::apim::{apis as rows, applications, subscriptions};

use super::*;

/// Has a future send its order.
pub(super) async fn sent<F: Future>(future: &mut Pin<Box<F>>) {
    let mut polled = |context: &mut std::task::Context<'_>| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    };
    std::future::poll_fn(&mut polled).await;
}

#[tokio::test]
async fn a_definition_that_waits_to_be_written_anew_holds_up_no_other_change() {
    let bench = bench().await;
    let publisher = bench.publisher.clone();
    let mut new = new_api("Pizza", "1", "/pizza");
    let text = r#"{"openapi":"3.0.3","info":{"title":"Pizza","version":"1"},
        "paths":{"/menu":{"get":{"responses":{"200":{"description":"ok"}}}}}}"#;
    let definition = DefinitionDocument {
        bytes: text.as_bytes().to_vec(),
        media_type: "application/json".to_owned(),
        generated: false,
    };
    new.definition = Some(definition.into());
    let api = publisher.create(author(), new).await.unwrap().value;
    let reading = &publisher.stores.reading;
    let turns = Arc::clone(&reading.turns);
    let all = u32::try_from(turns.available_permits()).unwrap();
    let turns = turns.acquire_many_owned(all).await.unwrap();
    let free = reading.places.available_permits();
    let (mut changed, caller) = (api.clone(), publisher.clone());
    changed.operations[0].verb = "PUT".to_owned();
    let update = cluster::spawn_named("test", async move {
        caller.update(edition(&changed.id), wanted(&changed)).await
    });
    while reading.places.available_permits() == free {
        tokio::task::yield_now().await;
    }
    let other = publisher.create_revision(edition(&api.id), String::new());
    other.await.unwrap();
    assert!(!update.is_finished());
    drop(turns);
    let saved = update.await.unwrap().unwrap().value;
    assert_eq!(saved.operations[0].verb, "PUT");
    let kept = publisher.definition(SUPER_TENANT, &api.id).await.unwrap().1;
    let text = String::from_utf8(kept.bytes).unwrap();
    assert!(text.contains("put"), "{text}");
}

#[tokio::test]
async fn an_order_whose_caller_gave_up_before_it_was_begun_is_not_carried_out() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let new = new_api("Pizza", "1", "/pizza");
    let api = publisher.create(author(), new).await.unwrap().value;
    let busy = bench.stores.apim.write("test.busy").await.unwrap();
    let first = publisher.create_revision(edition(&api.id), String::new());
    let mut first = Box::pin(first);
    sent(&mut first).await;
    let mut given_up = Box::pin(publisher.delete(edition(&api.id)));
    sent(&mut given_up).await;
    drop(given_up);
    drop(busy);
    first.await.unwrap();
    let later = publisher.create_revision(edition(&api.id), String::new());
    later.await.unwrap();
    publisher.get(SUPER_TENANT, &api.id).await.unwrap();
}

#[tokio::test]
async fn versions_are_as_old_as_they_were_made_in_order_whatever_the_clock_said() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let new = new_api("Pizza", "1", "/pizza");
    let api = publisher.create(author(), new).await.unwrap().value;
    // As if it was made before the clock was set back by an hour.
    let mut row = publisher.row(SUPER_TENANT, &api.id).await.unwrap();
    row.created_at_ms += 3_600_000;
    let mut write = bench.stores.apim.write("test.clock").await.unwrap();
    rows::delete(&mut write, SUPER_TENANT, &api.id)
        .await
        .unwrap();
    rows::create(&mut write, &row).await.unwrap();
    write.commit().await.unwrap();
    let second = publisher.copy(edition(&api.id), "2".to_owned(), false);
    let second = second.await.unwrap().value;
    assert_eq!(second.created_at_ms, row.created_at_ms + 1);
    let stored = publisher.get(SUPER_TENANT, &second.id).await.unwrap();
    assert_eq!(stored.created_at_ms, second.created_at_ms);
    for id in [&api.id, &second.id] {
        let moved = publisher.change_lifecycle(edition(id), step("Publish"));
        moved.await.unwrap();
    }
    let first = publisher.get(SUPER_TENANT, &api.id).await.unwrap();
    assert_eq!(first.state, LifecycleState::Deprecated);
}

#[tokio::test]
async fn subscribers_that_are_taken_over_are_told_of_together_and_none_twice() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let first = published(publisher).await;
    let second = publisher.copy(edition(&first.id), "2".to_owned(), false);
    let second = second.await.unwrap().value;
    let mut write = bench.stores.apim.write("test.subscribers").await.unwrap();
    for n in 0..1_200 {
        let app = application(n);
        applications::create(&mut write, &app).await.unwrap();
        let held = subscription(&first.id, &app.id);
        subscriptions::create(&mut write, &held).await.unwrap();
    }
    // One has subscribed to both already, and one was left by an application that is gone.
    let both = subscription(&second.id, &application(7).id);
    subscriptions::create(&mut write, &both).await.unwrap();
    let left = subscription(&first.id, "gone");
    subscriptions::create(&mut write, &left).await.unwrap();
    write.commit().await.unwrap();
    let before = log(&bench).await.len();
    let moved = publisher.change_lifecycle(edition(&second.id), step("Publish"));
    moved.await.unwrap();
    let entries = log(&bench).await.split_off(before);
    let told: Vec<_> = entries
        .iter()
        .filter_map(|change| match change {
            Change::SubscriptionsMade {
                api_id,
                application_ids,
            } => {
                assert_eq!(*api_id, second.id);
                Some(application_ids.len())
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [1_000, 199]);
    let page = (9, 0);
    let held = publisher.subscriptions(SUPER_TENANT, &second.id, "", page);
    assert_eq!(held.await.unwrap().1, 1_200);
}

#[tokio::test]
async fn subscribers_are_not_taken_over_where_the_checklist_says_that_they_subscribe_again() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let first = published(publisher).await;
    let app = application(1);
    let mut write = bench.stores.apim.write("test.subscribers").await.unwrap();
    applications::create(&mut write, &app).await.unwrap();
    let held = subscription(&first.id, &app.id);
    subscriptions::create(&mut write, &held).await.unwrap();
    write.commit().await.unwrap();
    for (version, require_resubscription, taken_over) in [("2", true, 0), ("3", false, 1)] {
        let copied = publisher.copy(edition(&first.id), version.to_owned(), false);
        let copied = copied.await.unwrap().value;
        let publish = Step {
            require_resubscription,
            deprecate_old_versions: false,
            ..step("Publish")
        };
        let before = log(&bench).await.len();
        let moved = publisher.change_lifecycle(edition(&copied.id), publish);
        moved.await.unwrap();
        let entries = log(&bench).await.split_off(before);
        let told = |change: &&Change| matches!(change, Change::SubscriptionsMade { .. });
        assert_eq!(entries.iter().filter(told).count(), taken_over, "{version}");
        let held = publisher.subscriptions(SUPER_TENANT, &copied.id, "", (9, 0));
        assert_eq!(held.await.unwrap().1, taken_over, "{version}");
        // The version after takes over from the one before it alone.
        if require_resubscription {
            let moved = publisher.change_lifecycle(edition(&copied.id), step("Demote to Created"));
            moved.await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_api_is_tried_as_a_prototype_demoted_and_published_and_each_step_is_told() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let new = new_api("Pizza", "1", "/pizza");
    let api = publisher.create(author(), new).await.unwrap().value;
    let mut steps = Vec::new();
    for (event, leads) in [
        ("Deploy as a Prototype", LifecycleState::Prototyped),
        ("Demote to Created", LifecycleState::Created),
        ("Deploy as a Prototype", LifecycleState::Prototyped),
        ("Publish", LifecycleState::Published),
        ("Demote to Created", LifecycleState::Created),
    ] {
        let moved = publisher.change_lifecycle(edition(&api.id), step(event));
        assert_eq!(moved.await.unwrap().value.state, leads, "{event}");
        steps.push(leads);
    }
    let told = log(&bench)
        .await
        .into_iter()
        .filter_map(|change| match change {
            Change::ApiStateChanged { api_id, state } if api_id == api.id => Some(state),
            _ => None,
        });
    assert_eq!(told.collect::<Vec<_>>(), steps);
}

/// Version 1, which is published.
async fn published(publisher: &PublisherHandle) -> Api {
    let new = new_api("Pizza", "1", "/pizza");
    let first = publisher.create(author(), new).await.unwrap().value;
    let moved = publisher.change_lifecycle(edition(&first.id), step("Publish"));
    moved.await.unwrap().value
}

fn application(n: usize) -> Application {
    Application {
        id: format!("app {n}"),
        tenant: SUPER_TENANT.to_owned(),
        name: format!("app {n}"),
        owner: "ann".to_owned(),
        throttling_policy: "Unlimited".to_owned(),
        token_type: TokenType::Jwt,
        description: String::new(),
        status: ApplicationStatus::Approved,
        attributes: "{}".to_owned(),
        created_at_ms: 1,
        updated_at_ms: 1,
        row_version: 1,
    }
}

fn subscription(api: &str, application: &str) -> Subscription {
    Subscription {
        id: uuid::Uuid::new_v4().to_string(),
        tenant: SUPER_TENANT.to_owned(),
        api_id: api.to_owned(),
        application_id: application.to_owned(),
        policy: "Gold".to_owned(),
        requested_policy: "Gold".to_owned(),
        status: SubscriptionStatus::Unblocked,
        subscriber: "ann".to_owned(),
        created_at_ms: 1,
    }
}
