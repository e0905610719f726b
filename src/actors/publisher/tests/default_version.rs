//! The path without a version: it moves when the new default can answer, and never stops before.

use super::*;

fn default_of(changes: &[Change]) -> Vec<(String, bool)> {
    let moves = changes.iter().filter_map(|change| match change {
        Change::DefaultVersionChanged {
            api_id,
            default_context,
        } => Some((api_id.clone(), default_context.is_some())),
        _ => None,
    });
    moves.collect()
}

async fn publish(bench: &Bench, api: &Api, step: Step) {
    let publish = bench.publisher.change_lifecycle(edition(&api.id), step);
    publish.await.unwrap();
}

/// Version 1: wanted, deployed, published.
async fn first(bench: &Bench) -> Api {
    let mut new = new_api("Pizza", "1", "/pizza");
    new.api.is_default_version = true;
    let first = deployed(bench, new).await;
    publish(bench, &first, step("Publish")).await;
    let Some(Change::ApiDeployed { artifact }) = log(bench).await.into_iter().next() else {
        panic!("not deployed");
    };
    assert_eq!(artifact.default_context.as_deref(), Some("/pizza"));
    first
}

/// Makes a revision of what an API is and deploys it.
async fn redeploy(bench: &Bench, api: &Api) {
    let made = bench
        .publisher
        .create_revision(edition(&api.id), String::new());
    let revision = made.await.unwrap().id;
    let deploy = bench
        .publisher
        .deploy(edition(&api.id), revision, default_target());
    deploy.await.unwrap();
}

#[tokio::test]
async fn the_path_moves_when_the_new_default_is_deployed_and_published_and_not_before() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let first = first(&bench).await;
    let quiet = log(&bench).await.len();
    let copied = publisher.copy(edition(&first.id), "2".to_owned(), true);
    let second = copied.await.unwrap().value;
    assert_eq!(second.state, LifecycleState::Created);
    let old = publisher.get(SUPER_TENANT, &first.id).await.unwrap();
    assert!(!old.is_default_version && second.is_default_version);
    assert_eq!(log(&bench).await.len(), quiet, "nothing changes at runtime");
    redeploy(&bench, &second).await;
    redeploy(&bench, &first).await;
    for change in &log(&bench).await[quiet..] {
        let Change::ApiDeployed { artifact } = change else {
            panic!("{change:?}");
        };
        let serves = artifact.default_context.is_some();
        assert_eq!(serves, artifact.version == "1", "until it is published");
    }
    publish(&bench, &second, step("Publish")).await;
    let moved = default_of(&log(&bench).await);
    // Given before it is taken, so that the path answers all the time.
    assert_eq!(
        moved,
        [(second.id.clone(), true), (first.id.clone(), false)]
    );
    let old = publisher.get(SUPER_TENANT, &first.id).await.unwrap();
    assert_eq!(old.state, LifecycleState::Deprecated);
    let wrong = publisher.change_lifecycle(edition(&first.id), step("Publish"));
    assert!(matches!(wrong.await, Err(PublisherError::Invalid(_))));
    publish(&bench, &first, step("Retire")).await;
    let gone = Change::ApiUndeployed {
        api_id: first.id.clone(),
        environment: "Default".to_owned(),
    };
    assert_eq!(log(&bench).await.last(), Some(&gone));
    let steps = publisher.history(SUPER_TENANT, &first.id).await.unwrap().1;
    let states: Vec<_> = steps.iter().map(|step| step.post.as_str()).collect();
    assert_eq!(states, ["CREATED", "PUBLISHED", "DEPRECATED", "RETIRED"]);
}

#[tokio::test]
async fn giving_the_default_up_acts_with_the_next_deployment() {
    let bench = bench().await;
    let first = first(&bench).await;
    let quiet = log(&bench).await.len();
    let mut changed = first.clone();
    changed.is_default_version = false;
    let update = bench.publisher.update(edition(&first.id), wanted(&changed));
    assert!(!update.await.unwrap().value.is_default_version);
    assert_eq!(log(&bench).await.len(), quiet, "nothing changes at runtime");
    redeploy(&bench, &first).await;
    let changes = log(&bench).await;
    let Change::ApiDeployed { artifact } = &changes[quiet] else {
        panic!("not deployed");
    };
    assert_eq!(artifact.default_context, None);
}

#[tokio::test]
async fn when_the_version_that_serves_is_taken_away_a_deployed_default_takes_over() {
    let bench = bench().await;
    let first = first(&bench).await;
    let copied = bench
        .publisher
        .copy(edition(&first.id), "2".to_owned(), true);
    let second = copied.await.unwrap().value;
    redeploy(&bench, &second).await;
    assert_eq!(default_of(&log(&bench).await), []);
    let undeploy = bench.publisher.undeploy(edition(&first.id), None, None);
    undeploy.await.unwrap();
    let moved = default_of(&log(&bench).await);
    assert_eq!(moved, [(second.id.clone(), true)]);
    // Deployed again, the old one does not take it back.
    redeploy(&bench, &first).await;
    let changes = log(&bench).await;
    let Some(Change::ApiDeployed { artifact }) = changes.last() else {
        panic!("not deployed");
    };
    assert_eq!(artifact.default_context, None);
}
