//! The sweeper: removes blobs that nothing points at and that are older than an hour, and the
//! bindings of scopes that came with them (C5).
//!
//! A blob that something will point at is younger, or something points at it already and is
//! locked while a new row takes it over; so what is unreferenced after an hour stays so. Who read
//! the row that pointed at it may still be about to load it: a blob goes when two sweeps in a row
//! found it unreferenced.

use std::collections::HashSet;
use std::time::Duration;

use cluster::{Actor, Address, BoxError, SelfReport};
use storage::StoreError;
use storage::apim::blob_references;
use storage::shared::{blobs, scope_roles};

use super::Stores;
use crate::ticker::{Ticker, ticker};

/// Time between two sweeps.
const PERIOD: Duration = Duration::from_secs(600);
/// Age from which an unreferenced blob is removed, milliseconds.
const AGE_MS: i64 = 3_600_000;
/// Blobs looked at in one go.
const BATCH: i64 = 500;

/// Asks for a sweep.
pub(crate) struct Sweep;

/// Sweeps when asked.
pub(crate) struct Sweeper {
    stores: Stores,
    /// What the last sweep found unreferenced.
    suspects: HashSet<String>,
    _ticker: Ticker,
}

// === impl Sweeper ===

impl Actor for Sweeper {
    type Message = Sweep;
    type Arguments = Stores;
    const KIND: &'static str = "publisher.sweeper";

    async fn start(stores: Stores, me: Address<Sweep>) -> Result<Self, BoxError> {
        Ok(Self {
            stores,
            suspects: HashSet::new(),
            _ticker: ticker("publisher.sweep", PERIOD, me, || Sweep),
        })
    }

    async fn handle(&mut self, Sweep: Sweep) -> Result<(), BoxError> {
        let before = self.stores.system.clock.now_ms() - AGE_MS;
        match sweep_before(&self.stores, before, &mut self.suspects).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "unreferenced blobs removed"),
            Err(error) => tracing::warn!(%error, "blobs could not be swept, trying again later"),
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        SelfReport::default()
            .with("orphans suspected", self.suspects.len())
            .linked("API-M database")
    }
}

/// Removes the blobs made before a moment that nothing points at, now and at the last sweep; gives
/// their number. What is unreferenced for the first time is suspected until the next sweep.
pub(super) async fn sweep_before(
    stores: &Stores,
    before: i64,
    suspects: &mut HashSet<String>,
) -> Result<usize, StoreError> {
    let last_time = std::mem::take(suspects);
    let mut cursor = String::new();
    let mut removed = 0;
    loop {
        let mut read = stores.shared.read().await?;
        let old = blobs::list_before(&mut read, before, &cursor, BATCH).await?;
        drop(read);
        let Some(last) = old.last() else {
            return Ok(removed);
        };
        cursor.clone_from(last);
        let mut read = stores.apim.read().await?;
        let referenced = blob_references::list(&mut read).await?;
        drop(read);
        let unreferenced = old.into_iter().filter(|id| !referenced.contains(id));
        let (garbage, new): (Vec<_>, Vec<_>) = unreferenced.partition(|id| last_time.contains(id));
        suspects.extend(new);
        if garbage.is_empty() {
            continue;
        }
        let mut write = stores.shared.write("shared.blobs.sweep").await?;
        for id in &garbage {
            blobs::delete(&mut write, id).await?;
            scope_roles::delete(&mut write, id).await?;
        }
        write.commit().await?;
        removed += garbage.len();
    }
}
