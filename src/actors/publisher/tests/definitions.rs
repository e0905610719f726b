//! Definitions: kept byte for byte, and never at odds with the operations.

use domain::openapi::{self, Limits};

use super::*;
use crate::publisher::sweeper::sweep_before;

const UPLOADED: &str = r#"{"openapi":"3.0.1","info":{"title":"Pizza","version":"1"},
    "paths":{"/a":{"get":{"summary":"As it came","responses":{}}},"/b":{"get":{"responses":{}}}}}"#;

/// An API that came with a definition.
fn uploaded() -> NewApi {
    let mut new = new_api("Pizza", "1", "/pizza");
    new.api.operations = described(UPLOADED);
    new.definition = Some(document(UPLOADED).into());
    new
}

fn document(text: &str) -> DefinitionDocument {
    DefinitionDocument {
        bytes: text.as_bytes().to_vec(),
        media_type: "application/json".to_owned(),
        generated: false,
    }
}

fn described(text: &str) -> Vec<Operation> {
    let definition = openapi::read(text.as_bytes(), &Limits::default()).unwrap();
    definition.operations.iter().map(Into::into).collect()
}

async fn kept(bench: &Bench, id: &str) -> String {
    let (_, kept) = bench.publisher.definition(SUPER_TENANT, id).await.unwrap();
    String::from_utf8(kept.bytes).unwrap()
}

fn targets(operations: &[Operation]) -> Vec<&str> {
    operations.iter().map(|one| one.target.as_str()).collect()
}

#[tokio::test]
async fn a_definition_comes_back_byte_for_byte_and_the_sweeper_leaves_it_alone() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let bytes = b"openapi: 3.0.1 # as it came\n".to_vec();
    let mut new = new_api("Pizza", "1", "/pizza");
    let yaml = DefinitionDocument {
        bytes: bytes.clone(),
        media_type: "application/yaml".to_owned(),
        generated: false,
    };
    new.definition = Some(yaml.into());
    let api = publisher.create(author(), new).await.unwrap().value;
    publisher
        .update(edition(&api.id), wanted(&api))
        .await
        .unwrap();
    let far = bench.stores.system.clock.now_ms() + 1;
    let mut suspects = std::collections::HashSet::new();
    // Who read the row before the update may still load its blobs: the next sweep removes them.
    let mut sweep = async || {
        sweep_before(&bench.stores, far, &mut suspects)
            .await
            .unwrap()
    };
    assert_eq!(sweep().await, 0);
    // The document of before the update, and nothing else: the definition stayed.
    assert_eq!(sweep().await, 1);
    let (_, kept) = publisher.definition(SUPER_TENANT, &api.id).await.unwrap();
    assert_eq!(
        (kept.bytes, kept.media_type.as_str()),
        (bytes, "application/yaml")
    );
    publisher.delete(edition(&api.id)).await.unwrap();
    assert_eq!((sweep().await, sweep().await), (0, 2));
}

#[tokio::test]
async fn other_operations_are_written_into_the_uploaded_definition() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let api = publisher.create(author(), uploaded()).await.unwrap().value;
    let mut words = api.clone();
    words.description = "Bakes well".to_owned();
    let saved = publisher.update(edition(&api.id), wanted(&words));
    saved.await.unwrap();
    assert_eq!(
        kept(&bench, &api.id).await,
        UPLOADED,
        "nothing of it changed"
    );
    let mut changed = api.clone();
    changed.operations[1].target = "/zzz".to_owned();
    let saved = publisher.update(edition(&api.id), wanted(&changed));
    let saved = saved.await.unwrap().value;
    let text = kept(&bench, &api.id).await;
    assert_eq!(targets(&described(&text)), ["/a", "/zzz"]);
    assert_eq!(targets(&saved.operations), ["/a", "/zzz"]);
    assert!(text.contains("As it came"));
}

#[tokio::test]
async fn a_change_carries_a_definition_only_with_a_place_and_none_when_it_stays() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let api = publisher.create(author(), uploaded()).await.unwrap().value;
    let before = publisher.row(SUPER_TENANT, &api.id).await.unwrap();
    let reading = &publisher.stores.reading;
    let free = reading.places.available_permits();
    let places = u32::try_from(free).unwrap();
    let places = reading.places.acquire_many(places).await.unwrap();
    let mut words = api.clone();
    words.description = "Bakes well".to_owned();
    let saved = publisher.update(edition(&api.id), wanted(&words));
    saved.await.unwrap();
    let after = publisher.row(SUPER_TENANT, &api.id).await.unwrap();
    assert_ne!(after.document_blob, before.document_blob);
    assert_eq!(after.definition_blob, before.definition_blob);
    let mut changed = api.clone();
    changed.operations[1].target = "/zzz".to_owned();
    let full = publisher.update(edition(&api.id), wanted(&changed)).await;
    assert!(matches!(full, Err(PublisherError::Busy)), "{full:?}");
    drop(places);
    let edition = edition(&api.id);
    let change = edit::work_out(&publisher.stores, &edition, wanted(&changed));
    let change = change.await.unwrap();
    assert_eq!(reading.places.available_permits(), free - 1);
    let updated = edit::update(&publisher.stores, &edition, change).await;
    assert!(updated.unwrap().value.is_some());
    assert_eq!(reading.places.available_permits(), free);
    assert_eq!(
        targets(&described(&kept(&bench, &api.id).await)),
        ["/a", "/zzz"]
    );
}

/// Waits until so many are on their way.
async fn until_placed(bench: &Bench, free: usize) {
    let places = &bench.publisher.stores.reading.places;
    while places.available_permits() != free {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_uploaded_definition_has_its_place_until_it_is_stored_whoever_gave_up_on_it() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let api = publisher.create(author(), uploaded()).await.unwrap().value;
    let reading = &publisher.stores.reading;
    let free = reading.places.available_permits();
    let read = || publisher.read_definition(SUPER_TENANT, UPLOADED.as_bytes().to_vec());
    let mut new = new_api("Pasta", "1", "/pasta");
    let busy = bench.stores.shared.write("test.busy").await.unwrap();
    let (definition, placed) = read().await.unwrap();
    let described = definition.operations;
    let save = publisher.save_definition(edition(&api.id), placed, described, Vec::new());
    let mut save = Box::pin(save);
    orders::sent(&mut save).await;
    new.definition = Some(read().await.unwrap().1);
    let mut create = Box::pin(publisher.create(author(), new));
    orders::sent(&mut create).await;
    assert_eq!(reading.places.available_permits(), free - 2);
    let others = u32::try_from(free - 2).unwrap();
    let others = reading.places.acquire_many(others).await.unwrap();
    let full = read().await;
    assert!(matches!(full, Err(PublisherError::Busy)), "{full:?}");
    drop(others);
    drop(busy);
    let (saved, created) = tokio::join!(save, create);
    assert!(saved.is_ok() && created.is_ok());
    assert_eq!(reading.places.available_permits(), free);
    let (definition, placed) = read().await.unwrap();
    let described = definition.operations;
    let save = publisher.save_definition(edition(&api.id), placed, described, Vec::new());
    let mut given_up = Box::pin(save);
    orders::sent(&mut given_up).await;
    drop(given_up);
    assert_eq!(reading.places.available_permits(), free - 1);
    until_placed(&bench, free).await;
}

#[tokio::test]
async fn an_update_without_operations_and_a_new_definition_at_once_agree_in_the_end() {
    let bench = bench().await;
    let publisher = &bench.publisher;
    let api = publisher.create(author(), uploaded()).await.unwrap().value;
    for round in 0..8 {
        let text = UPLOADED.replace("/b", &format!("/round{round}"));
        let definition = openapi::read(text.as_bytes(), &Limits::default()).unwrap();
        let none = Wanted {
            api: Api {
                operations: Vec::new(),
                description: format!("round {round}"),
                ..api.clone()
            },
            has_operations: false,
        };
        let save = publisher.save_definition(
            edition(&api.id),
            document(&text).into(),
            definition.operations,
            Vec::new(),
        );
        let (saved, updated) = tokio::join!(save, publisher.update(edition(&api.id), none));
        assert!(saved.is_ok() && updated.is_ok());
        let now = publisher.get(SUPER_TENANT, &api.id).await.unwrap();
        let said = kept(&bench, &api.id).await;
        assert_eq!(targets(&now.operations), targets(&described(&said)));
        assert_eq!(now.operations[1].target, format!("/round{round}"));
        assert_eq!(now.description, format!("round {round}"));
    }
}

#[tokio::test]
async fn an_unknown_throttling_policy_is_refused_where_it_stands_by_import_and_validation() {
    let bench = bench().await;
    let text = UPLOADED.replace(
        "\"summary\":\"As it came\"",
        "\"x-throttling-tier\":\"Nope\"",
    );
    let pointer = "/paths/~1a/get/x-throttling-tier";
    let read = bench
        .publisher
        .read_definition(SUPER_TENANT, text.clone().into_bytes());
    match read.await {
        Err(PublisherError::Definition(faults)) => assert_eq!(faults[0].pointer, pointer),
        other => panic!("{other:?}"),
    }
    let report = bench
        .publisher
        .validate_definition(SUPER_TENANT, text.into_bytes());
    let report = report.await.unwrap();
    assert!(!report.valid && report.errors[0].pointer == pointer);
}
