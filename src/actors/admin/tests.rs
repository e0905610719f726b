//! Removing policies, which looks through the documents of all APIs, leaves Shared to others.

use std::cell::RefCell;
use std::time::Duration;

use cluster::{Clock, Root, System, start_root};
use domain::api::SUPER_TENANT;
use domain::policy::{Policy, PolicyLevel};
use storage::apim::blob_references::Document;
use storage::apim::policies;
use storage::shared::blobs::{self, Blob};

use super::usage::Users;
use super::*;
use crate::change_feed::FeedSettings;
use crate::devportal::test_api;

struct Bench {
    admin: AdminHandle,
    shared: Database,
    plans: Vec<Policy>,
    _root: Root,
    _dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
    let apim = storage::apim::open(&at("apim.db")).await.unwrap();
    let shared = storage::shared::open(&at("shared.db")).await.unwrap();
    let mut plans = Policy::defaults(SUPER_TENANT, || uuid::Uuid::new_v4().to_string());
    let mut write = apim.write("test.policies.seed").await.unwrap();
    policies::seed(&mut write, &plans).await.unwrap();
    write.commit().await.unwrap();
    plans.retain(|plan| plan.level == PolicyLevel::Subscription && !plan.is_built_in());
    let system = System::new(Clock::system(), true);
    let (feed, feed_child) =
        crate::change_feed::component(&system, &apim, &shared, FeedSettings::default());
    let (admin, child) = component(&system, (&apim, &shared), &feed);
    let root = start_root(&system, vec![feed_child, child]).await.unwrap();
    Bench {
        admin,
        shared,
        plans,
        _root: root,
        _dir: dir,
    }
}

#[tokio::test]
async fn one_removal_at_a_time_looks_through_documents_and_who_waits_too_long_comes_again() {
    let mut bench = bench().await;
    bench.admin.patience = Duration::from_millis(1);
    let plan = bench.plans.remove(0);
    let turn = bench.admin.turns.acquire().await.unwrap();
    let refused = bench.admin.delete_policy(plan.clone()).await;
    assert!(matches!(refused, Err(AdminError::Busy)), "{refused:?}");
    drop(turn);
    bench.admin.delete_policy(plan).await.unwrap();
}

#[tokio::test]
async fn others_read_while_many_documents_are_looked_through() {
    let bench = bench().await;
    let bytes = serde_json::to_vec(&test_api("pizza")).unwrap();
    let mut write = bench.shared.write("test.blobs").await.unwrap();
    let mut documents = Vec::new();
    for n in 0..120 {
        let blob = Blob {
            id: format!("b{n}"),
            tenant: SUPER_TENANT.to_owned(),
            kind: "document".to_owned(),
            media_type: "application/json".to_owned(),
            bytes: bytes.clone(),
            created_at_ms: 1,
        };
        blobs::create(&mut write, &blob).await.unwrap();
        documents.push(Document {
            blob: blob.id,
            name: "pizza".to_owned(),
            version: "1".to_owned(),
        });
    }
    write.commit().await.unwrap();
    let mut plans = bench.plans.iter();
    let unused = plans.find(|plan| plan.name != "Gold").unwrap().clone();
    // One reader is left for the two of them.
    let mut readers = Vec::new();
    for _ in 0..7 {
        readers.push(bench.shared.read().await.unwrap());
    }
    let done = RefCell::new(Vec::new());
    let mut users = Users::of(unused);
    let looking = async {
        let looked = users.none_in(&bench.shared, documents, true).await;
        looked.unwrap();
        done.borrow_mut().push("looked");
    };
    let reading = async {
        let read = bench.shared.read().await.unwrap();
        done.borrow_mut().push("read");
        drop(read);
    };
    tokio::join!(looking, reading);
    assert_eq!(*done.borrow(), ["read", "looked"]);
}
