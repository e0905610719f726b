//! A process that ends at any statement of a sweep.

use std::collections::HashSet;
use std::path::Path;

use domain::api::SUPER_TENANT;
use storage::crash_sweep::{Swept, sweep};
use storage::shared::blobs::{self, Blob};
use storage::shared::scope_roles;

use super::super::sweeper::sweep_before;
use super::*;

/// Blobs that nothing points at.
const UNREFERENCED: [&str; 2] = ["first", "second"];
/// Later than anything here was made, milliseconds.
const LATER_MS: i64 = 2;

struct Sweeping(Stores);

impl Swept for Sweeping {
    const SWEPT: &'static [&'static str] = &["shared.blobs.sweep"];

    async fn open(directory: &Path) -> Self {
        Self(stores(directory).await.0)
    }

    async fn prepare(&self) {
        let mut write = self.0.shared.write("test.crashes").await.unwrap();
        for id in UNREFERENCED {
            let blob = Blob {
                id: id.to_owned(),
                tenant: SUPER_TENANT.to_owned(),
                kind: "document".to_owned(),
                media_type: "application/json".to_owned(),
                bytes: b"{}".to_vec(),
                created_at_ms: 1,
            };
            blobs::create(&mut write, &blob).await.unwrap();
            let scopes = [(id.to_owned(), Vec::new())];
            let made = scope_roles::create(&mut write, SUPER_TENANT, "api", id, &scopes);
            made.await.unwrap();
        }
        write.commit().await.unwrap();
    }

    async fn work(&self, _write: &str) {
        let mut suspects = HashSet::new();
        // What it finds unreferenced twice goes.
        for _ in 0..2 {
            let swept = sweep_before(&self.0, LATER_MS, &mut suspects).await;
            swept.unwrap();
        }
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.0.shared.read().await.unwrap();
        let old = blobs::list_before(&mut read, LATER_MS, "", 9).await;
        let bound = scope_roles::list(&mut read, SUPER_TENANT, &UNREFERENCED).await;
        let mut state = old.unwrap();
        state.push(format!("{:?}", bound.unwrap().keys()));
        state
    }
}

#[tokio::test]
async fn a_crash_at_any_statement_of_a_sweep_leaves_blobs_with_their_bindings_or_neither() {
    let root = tempfile::tempdir().unwrap();
    let test = "publisher::tests::crashes::\
                a_crash_at_any_statement_of_a_sweep_leaves_blobs_with_their_bindings_or_neither";
    sweep::<Sweeping>(test, root.path()).await.unwrap();
}
