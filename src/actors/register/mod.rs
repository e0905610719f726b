//! Carbon as the place where the view register keeps its promises (PROTOCOLS W3): each is one transaction.

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::belong;

use std::time::Duration;

use cluster::{RegisterStore, Stored, Storing};
use storage::carbon::identity;
use storage::carbon::register::{self, Owner};
use storage::{Database, StoreError, Write};
use tokio::time::Instant;

/// A node that is about to promise something is told so long at most which cluster it is in: what others ask of it may
/// come before that is on disk.
const BELONGING: Duration = Duration::from_secs(5);
/// It looks again after so long.
const AGAIN: Duration = Duration::from_millis(20);

/// A node's promises as a voter, in its Carbon, for the cluster that it belongs to by the same Carbon.
#[derive(Debug, Clone)]
pub struct CarbonRegister {
    carbon: Database,
    node_id: String,
    /// How long a promise waits for the node's cluster.
    patience: Duration,
}

// === impl CarbonRegister ===

impl CarbonRegister {
    /// Those of this node. It need not be in a cluster yet; it promises nothing before it is.
    #[must_use]
    pub fn new(carbon: Database, node_id: &str) -> Self {
        Self {
            carbon,
            node_id: node_id.to_owned(),
            patience: BELONGING,
        }
    }

    fn owner(&self, cluster_id: String) -> Owner {
        Owner {
            cluster_id,
            node_id: self.node_id.clone(),
        }
    }

    async fn read(&self) -> Result<Stored, StoreError> {
        let mut read = self.carbon.read().await?;
        let identity = identity::find(&mut read).await?;
        // Of a node in no cluster there are none; those of any are another's.
        let owner = self.owner(identity.map_or_else(String::new, |me| me.cluster_id));
        let found = register::find(&mut read, &owner).await?;
        let some = |bytes: Vec<u8>| (!bytes.is_empty()).then_some(bytes);
        Ok(Stored {
            vote: some(found.vote),
            committed: some(found.committed),
            purged: some(found.purged),
            entries: found.entries,
            snapshot: found.snapshot,
        })
    }

    /// Begins a write, once it is known which cluster the node is in, as it is within that write.
    async fn write(&self, name: &'static str) -> Result<(Write, Owner), StoreError> {
        let until = Instant::now() + self.patience;
        loop {
            let mut write = self.carbon.write(name).await?;
            let cluster_id = identity::cluster_in(&mut write).await?;
            if !cluster_id.is_empty() {
                return Ok((write, self.owner(cluster_id)));
            }
            // Whoever keeps the id has to come in between.
            drop(write);
            if Instant::now() >= until {
                return Err(StoreError::Forbidden(
                    "this node belongs to no cluster yet, so it votes in none".to_owned(),
                ));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl RegisterStore for CarbonRegister {
    fn load(&self) -> Storing<'_, Stored> {
        Box::pin(async move { Ok(self.read().await?) })
    }

    fn save_vote(&self, vote: Vec<u8>) -> Storing<'_, ()> {
        Box::pin(async move {
            let (mut write, owner) = self.write("carbon.register.vote").await?;
            register::save_vote(&mut write, &owner, &vote).await?;
            Ok(write.commit().await?)
        })
    }

    fn save_committed(&self, committed: Vec<u8>) -> Storing<'_, ()> {
        Box::pin(async move {
            let (mut write, owner) = self.write("carbon.register.committed").await?;
            register::save_committed(&mut write, &owner, &committed).await?;
            Ok(write.commit().await?)
        })
    }

    fn append(&self, entries: Vec<(u64, Vec<u8>)>) -> Storing<'_, ()> {
        Box::pin(async move {
            let (mut write, owner) = self.write("carbon.register.append").await?;
            register::append(&mut write, &owner, &entries).await?;
            Ok(write.commit().await?)
        })
    }

    fn truncate(&self, from: u64) -> Storing<'_, ()> {
        Box::pin(async move {
            let (mut write, owner) = self.write("carbon.register.truncate").await?;
            register::delete_from(&mut write, &owner, from).await?;
            Ok(write.commit().await?)
        })
    }

    fn purge(&self, through: u64, purged: Vec<u8>) -> Storing<'_, ()> {
        Box::pin(async move {
            let (mut write, owner) = self.write("carbon.register.purge").await?;
            let through = (through, purged.as_slice());
            register::delete_through(&mut write, &owner, through).await?;
            Ok(write.commit().await?)
        })
    }

    fn save_snapshot(&self, snapshot: Vec<u8>) -> Storing<'_, ()> {
        Box::pin(async move {
            let (mut write, owner) = self.write("carbon.register.snapshot").await?;
            register::save_snapshot(&mut write, &owner, &snapshot).await?;
            Ok(write.commit().await?)
        })
    }
}
