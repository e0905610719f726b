//! Carbon as the place where the view register keeps its promises (PROTOCOLS W3): each is one transaction.

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

use cluster::{RegisterStore, Stored, Storing};
use storage::carbon::register::{self, Owner};
use storage::{Database, StoreError};

/// A node's promises as a voter, in its Carbon.
#[derive(Debug, Clone)]
pub struct CarbonRegister {
    carbon: Database,
    owner: Owner,
}

// === impl CarbonRegister ===

impl CarbonRegister {
    /// Those of this node in this cluster.
    #[must_use]
    pub fn new(carbon: Database, cluster_id: &str, node_id: &str) -> Self {
        let owner = Owner {
            cluster_id: cluster_id.to_owned(),
            node_id: node_id.to_owned(),
        };
        Self { carbon, owner }
    }

    async fn read(&self) -> Result<Stored, StoreError> {
        let mut read = self.carbon.read().await?;
        let found = register::find(&mut read, &self.owner).await?;
        let some = |bytes: Vec<u8>| (!bytes.is_empty()).then_some(bytes);
        Ok(Stored {
            vote: some(found.vote),
            committed: some(found.committed),
            purged: some(found.purged),
            entries: found.entries,
            snapshot: found.snapshot,
        })
    }
}

impl RegisterStore for CarbonRegister {
    fn load(&self) -> Storing<'_, Stored> {
        Box::pin(async move { Ok(self.read().await?) })
    }

    fn save_vote(&self, vote: Vec<u8>) -> Storing<'_, ()> {
        Box::pin(async move {
            let mut write = self.carbon.write("carbon.register.vote").await?;
            register::save_vote(&mut write, &self.owner, &vote).await?;
            Ok(write.commit().await?)
        })
    }

    fn save_committed(&self, committed: Vec<u8>) -> Storing<'_, ()> {
        Box::pin(async move {
            let mut write = self.carbon.write("carbon.register.committed").await?;
            register::save_committed(&mut write, &self.owner, &committed).await?;
            Ok(write.commit().await?)
        })
    }

    fn append(&self, entries: Vec<(u64, Vec<u8>)>) -> Storing<'_, ()> {
        Box::pin(async move {
            let mut write = self.carbon.write("carbon.register.append").await?;
            register::append(&mut write, &self.owner, &entries).await?;
            Ok(write.commit().await?)
        })
    }

    fn truncate(&self, from: u64) -> Storing<'_, ()> {
        Box::pin(async move {
            let mut write = self.carbon.write("carbon.register.truncate").await?;
            register::delete_from(&mut write, &self.owner, from).await?;
            Ok(write.commit().await?)
        })
    }

    fn purge(&self, through: u64, purged: Vec<u8>) -> Storing<'_, ()> {
        Box::pin(async move {
            let mut write = self.carbon.write("carbon.register.purge").await?;
            let through = (through, purged.as_slice());
            register::delete_through(&mut write, &self.owner, through).await?;
            Ok(write.commit().await?)
        })
    }

    fn save_snapshot(&self, snapshot: Vec<u8>) -> Storing<'_, ()> {
        Box::pin(async move {
            let mut write = self.carbon.write("carbon.register.snapshot").await?;
            register::save_snapshot(&mut write, &self.owner, &snapshot).await?;
            Ok(write.commit().await?)
        })
    }
}
