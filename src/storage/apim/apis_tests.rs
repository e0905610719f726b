//! Conformance of the APIs' rows, on SQLite and on the PostgreSQL of `HEADGATE_TEST_POSTGRES`.

use domain::lifecycle::LifecycleState;
use domain::policy::{Policy, PolicyLevel};

use super::apis::{self, ApiRow, ApiSearch, SortBy};
use super::{
    api_deployments, api_lifecycle, api_revisions, blob_references, policies, subscriptions,
};
use crate::StoreError;
use crate::conformance::apim_databases as databases;

const TENANT: &str = "carbon.super";

fn row(id: &str, name: &str, version: &str) -> ApiRow {
    ApiRow {
        id: id.to_owned(),
        tenant: TENANT.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        context: format!("/{name}"),
        full_context: format!("/{name}/{version}"),
        provider: "ann".to_owned(),
        description: "Bakes 100%".to_owned(),
        kind: "HTTP".to_owned(),
        state: LifecycleState::Created,
        is_default_version: true,
        serves_default: true,
        tags: vec!["Oven".to_owned()],
        policies: vec!["Gold".to_owned(), "Unlimited".to_owned()],
        document_blob: format!("document {id}"),
        definition_blob: format!("definition {id}"),
        created_at_ms: 1,
        updated_at_ms: 1,
        row_version: 1,
    }
}

fn revision(number: i64) -> api_revisions::RevisionRow {
    api_revisions::RevisionRow {
        id: format!("r{number}"),
        tenant: TENANT.to_owned(),
        api_id: "1".to_owned(),
        number,
        description: String::new(),
        document_blob: "d".to_owned(),
        definition_blob: "e".to_owned(),
        created_by: "ann".to_owned(),
        created_at_ms: 1,
    }
}

fn deployment(number: i64) -> api_deployments::DeploymentRow {
    api_deployments::DeploymentRow {
        id: format!("d{number}"),
        tenant: TENANT.to_owned(),
        api_id: "1".to_owned(),
        revision_id: format!("r{number}"),
        environment: "Default".to_owned(),
        vhost: "localhost".to_owned(),
        display_on_devportal: true,
        deployed_at_ms: number,
    }
}

#[tokio::test]
async fn equal_names_and_stale_rows_are_refused_on_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.apis").await.unwrap();
        apis::claim(&mut write, TENANT).await.unwrap();
        apis::claim(&mut write, TENANT).await.unwrap();
        apis::create(&mut write, &row("1", "Pizza", "1"))
            .await
            .unwrap();
        write.commit().await.unwrap();
        let mut write = database.write("test.apis").await.unwrap();
        let second = apis::create(&mut write, &row("2", "PIZZA", "1")).await;
        assert!(matches!(second, Err(StoreError::Duplicate(_))));
        drop(write);
        let mut write = database.write("test.apis").await.unwrap();
        let mut found = apis::lock(&mut write, TENANT, "1").await.unwrap();
        assert_eq!(found.tags, ["oven"]);
        found.state = LifecycleState::Published;
        assert_eq!(apis::save(&mut write, &found).await.unwrap(), 2);
        let stale = apis::save(&mut write, &found).await;
        assert!(matches!(stale, Err(StoreError::Stale)));
        assert_eq!(
            apis::versions(&mut write, TENANT, "pizza")
                .await
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            apis::at_context(&mut write, TENANT, "/PIZZA/2", "/PIZZA")
                .await
                .unwrap()
                .len(),
            1
        );
        let nobody = subscriptions::count_of_api(&mut write, TENANT, "1").await;
        assert_eq!(nobody.unwrap(), 0);
        write.commit().await.unwrap();
    }
}

#[tokio::test]
async fn searches_find_the_same_on_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.apis").await.unwrap();
        for (id, name) in [("1", "Pizza"), ("2", "pasta"), ("3", "Bread")] {
            apis::create(&mut write, &row(id, name, "1")).await.unwrap();
        }
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let free = |text: &str| ApiSearch {
            free: Some(text.to_owned()),
            ..ApiSearch::default()
        };
        let cases = [
            ("", 3),
            ("PI", 1),
            ("100%", 3),
            ("1_0", 0),
            ("oven", 3),
            ("\"/bread\"", 1),
        ];
        for (text, count) in cases {
            let order = (SortBy::Name, false);
            let found = apis::list(&mut read, TENANT, &free(text), order, (2, 0)).await;
            let (rows, total) = found.unwrap();
            assert_eq!((total, rows.len()), (count, count.min(2)), "{text}");
        }
        let order = (SortBy::Name, true);
        let all = ApiSearch::default();
        let found = apis::list(&mut read, TENANT, &all, order, (1, 1)).await;
        assert_eq!(found.unwrap().0[0].name, "pasta");
        let blobs = blob_references::list(&mut read).await.unwrap();
        assert_eq!(blobs.len(), 6);
    }
}

#[tokio::test]
async fn an_environment_serves_one_revision_and_all_goes_with_the_api() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.apis").await.unwrap();
        apis::create(&mut write, &row("1", "Pizza", "1"))
            .await
            .unwrap();
        for number in 1..=2 {
            let revision = revision(number);
            api_revisions::create(&mut write, &revision).await.unwrap();
            let deployment = deployment(number);
            api_deployments::save(&mut write, &deployment)
                .await
                .unwrap();
        }
        let step = api_lifecycle::LifecycleRow {
            id: "s".to_owned(),
            tenant: TENANT.to_owned(),
            api_id: "1".to_owned(),
            previous: None,
            post: LifecycleState::Created,
            changed_by: "ann".to_owned(),
            changed_at_ms: 1,
        };
        api_lifecycle::create(&mut write, &step).await.unwrap();
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let deployed = api_deployments::list(&mut read, TENANT, "1").await.unwrap();
        assert_eq!(
            (deployed.len(), deployed[0].revision_id.as_str()),
            (1, "r2")
        );
        assert_eq!(
            api_revisions::list(&mut read, TENANT, "1")
                .await
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            api_lifecycle::list(&mut read, TENANT, "1").await.unwrap(),
            [step]
        );
        drop(read);
        let mut write = database.write("test.apis").await.unwrap();
        apis::delete(&mut write, TENANT, "1").await.unwrap();
        let left = api_revisions::list_for_change(&mut write, TENANT, "1").await;
        assert_eq!(left.unwrap(), []);
        let gone = apis::lock(&mut write, TENANT, "1").await;
        assert!(matches!(gone, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_search_ignores_case_beyond_ascii() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.apis").await.unwrap();
        let mut api = row("1", "Pizza", "É1");
        api.provider = "ÅSA".to_owned();
        api.description = "ÖFEN".to_owned();
        apis::create(&mut write, &api).await.unwrap();
        write.commit().await.unwrap();
        let found = async |search: ApiSearch| {
            let mut read = database.read().await.unwrap();
            let order = (SortBy::Name, false);
            let found = apis::list(&mut read, TENANT, &search, order, (10, 0)).await;
            found.unwrap().1
        };
        let with = |set: fn(&mut ApiSearch, Option<String>), wanted: &str| {
            let mut search = ApiSearch::default();
            set(&mut search, Some(wanted.to_owned()));
            search
        };
        assert_eq!(
            found(with(|one, text| one.version = text, "\"é1\"")).await,
            1
        );
        assert_eq!(found(with(|one, text| one.provider = text, "Åsa")).await, 1);
        assert_eq!(
            found(with(|one, text| one.description = text, "öfen")).await,
            1
        );
        assert_eq!(found(with(|one, text| one.free = text, "Öfen")).await, 1);
        let mut write = database.write("test.apis").await.unwrap();
        api.description = "ÄPFEL".to_owned();
        apis::save(&mut write, &api).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(found(with(|one, text| one.free = text, "öfen")).await, 0);
        assert_eq!(found(with(|one, text| one.free = text, "äpfel")).await, 1);
    }
}

#[tokio::test]
async fn the_history_of_an_api_is_in_the_order_of_its_steps_whatever_the_clock_says() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.lifecycle").await.unwrap();
        apis::create(&mut write, &row("1", "Pizza", "1"))
            .await
            .unwrap();
        for (id, at) in [("z", 20), ("y", 10), ("x", 10)] {
            let step = api_lifecycle::LifecycleRow {
                id: id.to_owned(),
                tenant: TENANT.to_owned(),
                api_id: "1".to_owned(),
                previous: None,
                post: LifecycleState::Created,
                changed_by: "ann".to_owned(),
                changed_at_ms: at,
            };
            api_lifecycle::create(&mut write, &step).await.unwrap();
        }
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let steps = api_lifecycle::list(&mut read, TENANT, "1").await.unwrap();
        let ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["z", "y", "x"]);
    }
}

#[tokio::test]
async fn a_policy_of_the_start_that_was_removed_stays_away() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let seed = async || {
            let mut ids = 0;
            let defaults = Policy::defaults(TENANT, || {
                ids += 1;
                format!("p{ids}")
            });
            let mut write = database.write("test.policies").await.unwrap();
            policies::seed(&mut write, &defaults).await.unwrap();
            write.commit().await.unwrap();
        };
        let names = async || {
            let mut read = database.read().await.unwrap();
            let level = PolicyLevel::Subscription;
            policies::list(&mut read, TENANT, level).await.unwrap()
        };
        seed().await;
        let before = names().await;
        let removed = before.iter().find(|one| !one.is_built_in()).unwrap();
        let mut write = database.write("test.policies").await.unwrap();
        policies::delete(&mut write, removed).await.unwrap();
        write.commit().await.unwrap();
        seed().await;
        let after = names().await;
        assert_eq!(after.len(), before.len() - 1);
        assert!(after.iter().all(|one| one.name != removed.name));
    }
}

#[tokio::test]
async fn documents_in_use_are_those_of_apis_and_of_deployed_revisions_alone() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.apis").await.unwrap();
        let pizza = row("1", "Pizza", "1");
        apis::create(&mut write, &pizza).await.unwrap();
        for (number, document) in [(1, "deployed"), (2, "idle")] {
            let revision = api_revisions::RevisionRow {
                document_blob: document.to_owned(),
                ..revision(number)
            };
            api_revisions::create(&mut write, &revision).await.unwrap();
        }
        let deployment = deployment(1);
        api_deployments::save(&mut write, &deployment)
            .await
            .unwrap();
        let document = |blob: &str| blob_references::Document {
            blob: blob.to_owned(),
            name: "Pizza".to_owned(),
            version: "1".to_owned(),
        };
        let wanted = [document("deployed"), document("document 1")];
        let used = blob_references::documents_for_change(&mut write, TENANT).await;
        assert_eq!(used.unwrap(), wanted);
        for (blob, name, owner) in [
            ("idle", "pasta", Some("Pizza")),
            ("document 1", "pasta", Some("Pizza")),
            ("idle", "PIZZA", None),
            ("nowhere", "pasta", None),
        ] {
            let found = blob_references::owner_of_another_name(&mut write, TENANT, blob, name);
            let found = found.await.unwrap();
            assert_eq!(found.as_deref(), owner, "{blob} {name}");
        }
        let listed = api_deployments::list_for_change(&mut write, TENANT, "1").await;
        assert_eq!(listed.unwrap(), [deployment]);
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let used = blob_references::documents(&mut read, TENANT).await;
        assert_eq!(used.unwrap(), wanted);
        let foreign = blob_references::documents(&mut read, "other.example").await;
        assert_eq!(foreign.unwrap(), []);
        let found = apis::find(&mut read, TENANT, "1").await.unwrap().unwrap();
        assert_eq!(found.document_blob, pizza.document_blob);
        let document = apis::document(&mut read, TENANT, "1").await.unwrap();
        let wanted = ("pizza".to_owned(), "document 1".to_owned());
        assert_eq!(document, Some(wanted));
        for (tenant, id) in [("other.example", "1"), (TENANT, "2")] {
            assert_eq!(apis::find(&mut read, tenant, id).await.unwrap(), None);
            assert_eq!(apis::document(&mut read, tenant, id).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn no_number_of_a_revision_comes_twice_though_revisions_go() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.apis").await.unwrap();
        let pizza = row("1", "Pizza", "1");
        apis::create(&mut write, &pizza).await.unwrap();
        for wanted in 1..=3 {
            let number = api_revisions::next_number(&mut write, TENANT, "1").await;
            assert_eq!(number.unwrap(), wanted);
            let revision = revision(wanted);
            api_revisions::create(&mut write, &revision).await.unwrap();
            let id = revision.id.as_str();
            let foreign = api_revisions::delete(&mut write, "other.example", id).await;
            assert!(matches!(foreign, Err(StoreError::NotFound(_))));
            api_revisions::delete(&mut write, TENANT, id).await.unwrap();
            let again = api_revisions::delete(&mut write, TENANT, id).await;
            assert!(matches!(again, Err(StoreError::NotFound(_))));
        }
        let nobody = api_revisions::next_number(&mut write, TENANT, "2").await;
        assert!(matches!(nobody, Err(StoreError::NotFound(_))));
        let deployment = deployment(3);
        api_deployments::save(&mut write, &deployment)
            .await
            .unwrap();
        for environment in ["Elsewhere", "Default"] {
            let left = api_deployments::list_for_change(&mut write, TENANT, "1").await;
            assert_eq!(left.unwrap().len(), 1);
            api_deployments::delete(&mut write, TENANT, "1", environment)
                .await
                .unwrap();
        }
        let left = api_deployments::list_for_change(&mut write, TENANT, "1").await;
        assert_eq!(left.unwrap(), []);
    }
}
