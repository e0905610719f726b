//! The four databases of a node, opened and migrated together.

use anyhow::Context as _;

use storage::Database;

use crate::config::Config;
use crate::data_dir::DataDir;

/// Open and migrated.
pub(crate) struct Databases {
    pub(crate) apim: Database,
    pub(crate) shared: Database,
    pub(crate) carbon: Database,
    pub(crate) broker: Database,
}

// === impl Databases ===

impl Databases {
    /// Opens all four; each that cannot be is named with what to look at.
    pub(crate) async fn open(config: &Config, data: &DataDir) -> anyhow::Result<Self> {
        let urls = &config.databases;
        let (apim, shared, carbon, broker) = tokio::join!(
            storage::apim::open(&urls.apim),
            storage::shared::open(&urls.shared),
            storage::carbon::open(data.path()),
            storage::broker::open(data.path()),
        );
        Ok(Self {
            apim: apim.context("see database.apim.url")?,
            shared: shared.context("see database.shared.url")?,
            carbon: carbon.context("see node.data_dir")?,
            broker: broker.context("see node.data_dir")?,
        })
    }

    /// When the last change was logged, if there was one; milliseconds since the epoch.
    pub(crate) async fn last_change_ms(&self) -> anyhow::Result<Option<i64>> {
        let mut read = self.apim.read().await?;
        Ok(storage::apim::change_log::last_at_ms(&mut read).await?)
    }

    /// Closes all four.
    pub(crate) async fn close(self) {
        for database in [self.apim, self.shared, self.carbon, self.broker] {
            database.close().await;
        }
    }
}
