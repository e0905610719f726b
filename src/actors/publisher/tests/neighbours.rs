//! What one API may not take from another: its scopes, its paths, the policies that it is served
//! with.

use domain::api::ApiScope;
use domain::policy::PolicyLevel;

use super::*;

fn scoped(name: &str, version: &str, context: &str, scope: &str) -> NewApi {
    let mut new = new_api(name, version, context);
    new.api.scopes = vec![ApiScope {
        name: scope.to_owned(),
        display_name: scope.to_owned(),
        roles: vec!["teller".to_owned()],
        ..ApiScope::default()
    }];
    new
}

#[track_caller]
fn assert_names<T: std::fmt::Debug>(refused: Result<T, PublisherError>, field: &str) {
    match refused {
        Err(PublisherError::Invalid(faults)) => assert_eq!(faults[0].field, field),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_scope_belongs_to_the_api_that_defined_it_first() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let bank = scoped("Bank", "1", "/bank", "pay");
    let bank = publisher.create(author(), bank).await.unwrap().value;
    let theft = publisher.create(author(), scoped("Eve", "1", "/eve", "pay"));
    assert_names(theft.await, "scopes");
    let own = publisher.create(author(), scoped("Eve", "1", "/eve", "own"));
    let eve = own.await.unwrap().value;
    let mut wide = eve.clone();
    wide.scopes[0].name = "pay".to_owned();
    let theft = publisher.update(edition(&eve.id), wanted(&wide)).await;
    assert_names(theft, "scopes");
    // Versions of one API share their scopes.
    let second = publisher.copy(edition(&bank.id), "2".to_owned(), false);
    let second = second.await.unwrap().value;
    publisher.delete(edition(&second.id)).await.unwrap();
    // What a revision froze can be deployed again, so its scopes stay taken.
    let revision = publisher.create_revision(edition(&bank.id), String::new());
    let revision = revision.await.unwrap();
    let mut without = bank.clone();
    without.scopes.clear();
    let saved = publisher.update(edition(&bank.id), wanted(&without));
    saved.await.unwrap();
    let theft = publisher.update(edition(&eve.id), wanted(&wide)).await;
    assert_names(theft, "scopes");
    let removed = publisher.delete_revision(edition(&bank.id), revision.id);
    removed.await.unwrap();
    let free = publisher.update(edition(&eve.id), wanted(&wide)).await;
    assert_eq!(free.unwrap().value.scopes[0].name, "pay");
    let back = publisher.update(edition(&bank.id), wanted(&bank)).await;
    assert_names(back, "scopes");
}

#[tokio::test]
async fn no_api_answers_at_a_path_of_another_with_or_without_its_version() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    for (name, context) in [
        ("Pizza", "/pizza"),
        ("Pasta", "/pasta/{version}"),
        ("Soup", "/kitchen/soup"),
    ] {
        let made = publisher.create(author(), new_api(name, "1.0.0", context));
        made.await.unwrap();
    }
    for (version, context) in [
        ("2", "/pizza/{version}"),
        ("2", "/PIZZA"),
        ("2", "/{version}/pizza"),
        ("2", "/pasta"),
        ("soup", "/kitchen"),
        ("2", "/pizza/1.0.0"),
        ("Soup", "/Kitchen/{version}"),
    ] {
        let refused = publisher.create(author(), new_api("Other", version, context));
        let refused = refused.await;
        assert!(
            matches!(
                &refused,
                Err(PublisherError::Conflict {
                    fields: ["context"],
                    ..
                })
            ),
            "{context} {version}: {refused:?}"
        );
    }
    let apart = publisher.create(author(), new_api("Other", "2", "/kitchen"));
    apart.await.unwrap();
    let next = publisher.create(author(), new_api("Pasta", "2", "/pasta/{version}"));
    next.await.unwrap();
}

async fn advanced(bench: &Bench, name: &str) -> Policy {
    let mut write = bench.stores.apim.write("test.policy").await.unwrap();
    let defaults = Policy::defaults(SUPER_TENANT, || uuid::Uuid::new_v4().to_string());
    let mut policy = defaults
        .into_iter()
        .find(|one| one.level == PolicyLevel::Api && !one.is_built_in())
        .unwrap();
    policy.id = uuid::Uuid::new_v4().to_string();
    policy.name = name.to_owned();
    policies::create(&mut write, &policy).await.unwrap();
    write.commit().await.unwrap();
    policy
}

#[tokio::test]
async fn a_policy_that_only_a_deployed_revision_names_cannot_be_removed() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let stores = &bench.stores;
    let (admin, child) =
        crate::admin::component(&stores.system, (&stores.apim, &stores.shared), &stores.feed);
    let _root = start_root(&stores.system, vec![child]).await.unwrap();
    let policy = advanced(&bench, "Slow").await;
    let mut new = new_api("Pizza", "1", "/pizza");
    new.api.api_throttling_policy = Some("Slow".to_owned());
    let api = deployed(&bench, new).await;
    let mut without = api.clone();
    without.api_throttling_policy = None;
    let saved = publisher.update(edition(&api.id), wanted(&without));
    saved.await.unwrap();
    let refused = admin.delete_policy(policy.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("Pizza:1"), "{refused}");
    // Once it is deployed nowhere the policy may go; then the revision cannot come back.
    let undeployed = publisher.undeploy(edition(&api.id), None, None);
    undeployed.await.unwrap();
    admin.delete_policy(policy).await.unwrap();
    let revisions = publisher.revisions(SUPER_TENANT, &api.id).await.unwrap();
    let id = revisions[0].revision.id.clone();
    let deploy = publisher.deploy(edition(&api.id), id.clone(), default_target());
    assert_names(deploy.await, "apiThrottlingPolicy");
    let restore = publisher.restore_revision(edition(&api.id), id);
    assert_names(restore.await, "apiThrottlingPolicy");
}

#[tokio::test]
async fn the_number_of_a_revision_comes_once() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let new = new_api("Pizza", "1", "/pizza");
    let api = publisher.create(author(), new).await.unwrap().value;
    for number in 1..=3 {
        let made = publisher.create_revision(edition(&api.id), String::new());
        let made = made.await.unwrap();
        assert_eq!(made.number, number);
        let removed = publisher.delete_revision(edition(&api.id), made.id);
        removed.await.unwrap();
    }
}
