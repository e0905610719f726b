//! The publisher over databases of its own: what holds when several change APIs at once, what a
//! deployment says in the change log, and what the sweeper leaves alone.

use cluster::{Clock, Root, System, start_root};
use domain::api::{Api, Operation, SUPER_TENANT};
use domain::change::{Change, Entry};
use domain::lifecycle::LifecycleState;
use domain::policy::Policy;
use storage::apim::policies;

use super::*;
use crate::change_feed::FeedSettings;
use crate::change_feed::message::{Pull, Pulled};
use crate::devportal::test_api;

mod crashes;
mod default_version;
mod definitions;
mod neighbours;
mod orders;

struct Bench {
    publisher: PublisherHandle,
    stores: Stores,
    _root: Root,
    _dir: tempfile::TempDir,
}

/// What a publisher works at over the databases of a directory, and the feed that it tells.
async fn stores(dir: &std::path::Path) -> (Stores, cluster::Child) {
    let at = |name: &str| format!("sqlite:{}", dir.join(name).display());
    let apim = storage::apim::open(&at("apim.db")).await.unwrap();
    let shared = storage::shared::open(&at("shared.db")).await.unwrap();
    let system = System::new(Clock::system(), true);
    let (feed, child) =
        crate::change_feed::component(&system, &apim, &shared, FeedSettings::default());
    let stores = Stores {
        system,
        apim,
        shared,
        feed,
        settings: PublisherSettings::default(),
        reading: super::reading::Reading::default(),
    };
    (stores, child)
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let (stores, feed_child) = stores(dir.path()).await;
    let mut write = stores.apim.write("test.policies.seed").await.unwrap();
    let defaults = Policy::defaults(SUPER_TENANT, || uuid::Uuid::new_v4().to_string());
    policies::seed(&mut write, &defaults).await.unwrap();
    write.commit().await.unwrap();
    let (publisher, child) = component(
        &stores.system,
        stores.apim.clone(),
        stores.shared.clone(),
        stores.feed.clone(),
        stores.settings,
    );
    let root = start_root(&stores.system, vec![feed_child, child]).await;
    Bench {
        publisher,
        stores,
        _root: root.unwrap(),
        _dir: dir,
    }
}

fn author() -> Author {
    Author {
        tenant: SUPER_TENANT.to_owned(),
        user: "ann".to_owned(),
    }
}

fn edition(api_id: &str) -> Edition {
    Edition {
        author: author(),
        api_id: api_id.to_owned(),
        expected: Vec::new(),
    }
}

fn new_api(name: &str, version: &str, context: &str) -> NewApi {
    let api = Api {
        version: version.to_owned(),
        context: context.to_owned(),
        description: "Bakes".to_owned(),
        tags: vec!["Oven".to_owned()],
        ..test_api(name)
    };
    NewApi {
        api,
        definition: None,
    }
}

fn wanted(api: &Api) -> Wanted {
    Wanted {
        api: api.clone(),
        has_operations: true,
    }
}

fn default_target() -> Vec<Target> {
    vec![Target {
        environment: "Default".to_owned(),
        vhost: None,
        display_on_devportal: true,
    }]
}

fn step(action: &str) -> Step {
    Step {
        action: action.to_owned(),
        deprecate_old_versions: true,
        require_resubscription: false,
    }
}

async fn deployed(bench: &Bench, new: NewApi) -> Api {
    let publisher = &bench.publisher;
    let api = publisher.create(author(), new).await.unwrap().value;
    let revision = publisher.create_revision(edition(&api.id), String::new());
    let revision = revision.await.unwrap();
    let deploy = publisher.deploy(edition(&api.id), revision.id, default_target());
    assert_eq!(deploy.await.unwrap().value.len(), 1);
    api
}

async fn log(bench: &Bench) -> Vec<Change> {
    let pull = Pull {
        follower: "test".to_owned(),
        n: 0,
        uuid: String::new(),
        most: 100,
        wait_ms: 0,
        small: false,
    };
    match bench.stores.feed.pull(pull).await.unwrap() {
        Pulled::Entries { entries, .. } => entries.iter().filter_map(Entry::change).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_two_equal_creations_at_once_one_wins() {
    let bench = bench().await;
    let create = |name: &str| {
        let new = new_api(name, "1", "/pizza");
        bench.publisher.create(author(), new)
    };
    let (first, second) = tokio::join!(create("Pizza"), create("Pizza"));
    assert!(first.is_ok() != second.is_ok());
    let lost = if first.is_ok() { second } else { first };
    let both = ["name", "version"];
    assert!(
        matches!(&lost, Err(PublisherError::Conflict { fields, .. }) if **fields == both),
        "{lost:?}"
    );
    // Names are unique whatever their case, and a context belongs to one name.
    for (name, version, field) in [("PIZZA", "2", "name"), ("Pasta", "2", "context")] {
        let new = new_api(name, version, "/pizza");
        let refused = bench.publisher.create(author(), new).await;
        assert!(
            matches!(&refused, Err(PublisherError::Conflict { fields, .. }) if **fields == [field]),
            "{name}: {refused:?}"
        );
    }
    let all = ApiSearch::default();
    let order = (SortBy::default(), true);
    let found = bench.publisher.list(SUPER_TENANT, &all, order, (10, 0));
    assert_eq!(found.await.unwrap().1, 1);
}

#[tokio::test]
async fn an_update_of_a_row_version_that_is_gone_is_refused() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let new = new_api("Pizza", "1", "/pizza");
    let api = publisher.create(author(), new).await.unwrap().value;
    let mut changed = api.clone();
    changed.description = "Bakes well".to_owned();
    let at = |expected| Edition {
        expected: vec![expected],
        ..edition(&api.id)
    };
    let saved = publisher
        .update(at(1), wanted(&changed))
        .await
        .unwrap()
        .value;
    assert_eq!(
        (saved.row_version, saved.description.as_str()),
        (2, "Bakes well")
    );
    let stale = publisher.update(at(1), wanted(&changed)).await;
    assert!(matches!(stale, Err(PublisherError::Stale)));
    assert!(matches!(
        publisher.delete(at(1)).await,
        Err(PublisherError::Stale)
    ));
    changed.context = "/other".to_owned();
    let moved = publisher.update(at(2), wanted(&changed)).await;
    assert!(matches!(moved, Err(PublisherError::Invalid(_))));
    publisher.delete(at(2)).await.unwrap();
    let gone = publisher.get(SUPER_TENANT, &api.id).await;
    assert!(matches!(gone, Err(PublisherError::NotFound { .. })));
}

#[tokio::test]
async fn a_sixth_revision_and_the_removal_of_a_deployed_one_are_refused() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let api = deployed(&bench, new_api("Pizza", "1", "/pizza")).await;
    for _ in 0..4 {
        let made = publisher.create_revision(edition(&api.id), String::new());
        made.await.unwrap();
    }
    let sixth = publisher.create_revision(edition(&api.id), String::new());
    assert!(matches!(
        sixth.await,
        Err(PublisherError::TooManyRevisions(5))
    ));
    let revisions = publisher.revisions(SUPER_TENANT, &api.id).await.unwrap();
    let numbers: Vec<_> = revisions.iter().map(|one| one.revision.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let first = revisions[0].revision.id.clone();
    let refused = publisher.delete_revision(edition(&api.id), first.clone());
    assert!(matches!(refused.await, Err(PublisherError::Deployed)));
    let left = publisher.undeploy(edition(&api.id), Some(first.clone()), None);
    assert_eq!(left.await.unwrap().value, Vec::new());
    let removed = publisher.delete_revision(edition(&api.id), first);
    removed.await.unwrap();
}

#[tokio::test]
async fn a_deployment_serves_what_the_revision_froze() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let new = new_api("Pizza", "1", "/pizza");
    let api = publisher.create(author(), new).await.unwrap().value;
    let revision = publisher.create_revision(edition(&api.id), String::new());
    let revision = revision.await.unwrap();
    let mut changed = api.clone();
    changed.endpoints.production = Some("http://10.0.0.2".to_owned());
    publisher
        .update(edition(&api.id), wanted(&changed))
        .await
        .unwrap();
    let deploy = publisher.deploy(edition(&api.id), revision.id.clone(), default_target());
    deploy.await.unwrap();
    let Some(Change::ApiDeployed { artifact }) = log(&bench).await.pop() else {
        panic!("no deployment in the log");
    };
    assert_eq!(
        artifact.endpoints.production.as_deref(),
        Some("http://10.0.0.1")
    );
    assert_eq!(artifact.context, "/pizza/1");
    let restored = publisher.restore_revision(edition(&api.id), revision.id);
    let restored = restored.await.unwrap();
    assert_eq!(restored.endpoints, api.endpoints);
    assert_eq!(
        publisher.get(SUPER_TENANT, &api.id).await.unwrap(),
        restored
    );
    let unknown = publisher.deploy(edition(&api.id), "x".to_owned(), default_target());
    assert!(matches!(
        unknown.await,
        Err(PublisherError::NotFound { .. })
    ));
}

#[tokio::test]
async fn an_api_that_no_message_could_bring_to_a_gateway_is_not_deployed() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let mut new = new_api("Pizza", "1", "/pizza");
    let one = new.api.operations.remove(0);
    let long = "a".repeat(1_600);
    new.api.operations = (0..2_500)
        .map(|n| Operation {
            target: format!("/{n}/{long}"),
            ..one.clone()
        })
        .collect();
    let api = publisher.create(author(), new).await.unwrap().value;
    let revision = publisher.create_revision(edition(&api.id), String::new());
    let revision = revision.await.unwrap();
    let before = log(&bench).await;
    let deploy = publisher.deploy(edition(&api.id), revision.id, default_target());
    let Err(PublisherError::Invalid(faults)) = deploy.await else {
        panic!("it was deployed");
    };
    assert_eq!(faults[0].field, "operations");
    assert_eq!(log(&bench).await, before);
}

#[tokio::test]
async fn environments_are_named_once_and_as_they_are_and_left_only_when_deployed_to() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let api = deployed(&bench, new_api("Pizza", "1", "/pizza")).await;
    let revisions = publisher.revisions(SUPER_TENANT, &api.id).await.unwrap();
    let id = revisions[0].revision.id.clone();
    let before = log(&bench).await.len();
    let target = |change: fn(&mut Target)| {
        let mut targets = default_target();
        change(&mut targets[0]);
        targets
    };
    let refused = [
        (vec![default_target().remove(0); 1_200], "name"),
        (target(|one| one.environment = "Moon".to_owned()), "name"),
        (target(|one| one.vhost = Some("moon".to_owned())), "vhost"),
    ];
    for (targets, field) in refused {
        let deploy = publisher.deploy(edition(&api.id), id.clone(), targets.clone());
        let undeploy = publisher.undeploy(edition(&api.id), Some(id.clone()), Some(targets));
        for refused in [deploy.await, undeploy.await] {
            match refused {
                Err(PublisherError::Invalid(faults)) => assert_eq!(faults[0].field, field),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(log(&bench).await.len(), before, "nothing was written");
    let undeploy = || {
        let targets = Some(default_target());
        publisher.undeploy(edition(&api.id), Some(id.clone()), targets)
    };
    undeploy().await.unwrap();
    let again = undeploy().await;
    assert!(matches!(again, Err(PublisherError::NotFound { .. })));
}

#[tokio::test]
async fn an_api_with_an_unknown_plan_or_a_loopback_endpoint_is_refused_by_member() {
    let bench = bench().await;
    let mut plan = new_api("Pizza", "1", "/pizza");
    plan.api.policies = vec!["Platinum".to_owned()];
    let mut loopback = new_api("Pizza", "1", "/pizza");
    loopback.api.endpoints.production = Some("http://127.0.0.1:1".to_owned());
    for (new, field) in [(plan, "policies"), (loopback, "endpointConfig")] {
        match bench.publisher.create(author(), new).await {
            Err(PublisherError::Invalid(faults)) => assert_eq!(faults[0].field, field),
            other => panic!("{other:?}"),
        }
    }
}

/// Searches and how many APIs they find.
fn searches() -> Vec<(ApiSearch, usize)> {
    let with = |set: fn(&mut ApiSearch, Option<String>), wanted: &str| {
        let mut search = ApiSearch::default();
        set(&mut search, Some(wanted.to_owned()));
        search
    };
    vec![
        (with(|search, text| search.name = text, "pizza"), 2),
        (with(|search, text| search.name = text, "\"pizza\""), 1),
        (with(|search, text| search.name = text, "a_1"), 1),
        (with(|search, text| search.name = text, "%"), 0),
        (with(|search, text| search.tag = text, "\"oven\""), 3),
        (with(|search, text| search.tag = text, "\"ove\""), 0),
        (with(|search, text| search.free = text, "SHACK"), 1),
        (with(|search, text| search.context = text, "/past"), 1),
        (with(|search, text| search.state = text, "created"), 3),
        (with(|search, _| search.listed_only = true, ""), 0),
    ]
}

#[tokio::test]
async fn a_search_narrows_by_member_and_exactly_when_quoted() {
    let bench = bench().await;
    for (name, context) in [
        ("Pizza", "/pizza"),
        ("PizzaShack", "/shack"),
        ("Pasta_1", "/pasta"),
    ] {
        let new = new_api(name, "1", context);
        bench.publisher.create(author(), new).await.unwrap();
    }
    for (search, count) in searches() {
        let order = (SortBy::Name, true);
        let (rows, total) = bench
            .publisher
            .list(SUPER_TENANT, &search, order, (2, 0))
            .await
            .unwrap();
        assert_eq!((total, rows.len()), (count, count.min(2)), "{search:?}");
        assert!(rows.is_sorted_by(|a, b| a.name.to_lowercase() >= b.name.to_lowercase()));
    }
}
