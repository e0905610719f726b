//! The databases of a node, opened and migrated together: two of its own, and the control plane's
//! where it has a role in that.

use anyhow::Context as _;

use storage::Database;

use crate::config::{self, Config};
use crate::data_dir::DataDir;

/// Open and migrated.
pub(crate) struct Databases {
    pub(crate) control: Option<Control>,
    pub(crate) carbon: Database,
    pub(crate) broker: Database,
}

/// What the nodes of the control plane share.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) apim: Database,
    pub(crate) shared: Database,
}

// === impl Databases ===

impl Databases {
    /// Opens them; each that cannot be is named with what to look at.
    pub(crate) async fn open(config: &Config, data: &DataDir) -> anyhow::Result<Self> {
        let control = async {
            match &config.databases {
                None => Ok(None),
                Some(urls) => Control::open(urls).await.map(Some),
            }
        };
        // First: where it cannot be, nothing is made beside it.
        let control = control.await?;
        let (carbon, broker) = tokio::join!(
            storage::carbon::open(data.path()),
            storage::broker::open(data.path()),
        );
        Ok(Self {
            control,
            carbon: carbon.context("see node.data_dir")?,
            broker: broker.context("see node.data_dir")?,
        })
    }

    /// When the last change was logged, or applied on this node, if there was one; milliseconds since
    /// the epoch.
    pub(crate) async fn last_change_ms(&self) -> anyhow::Result<Option<i64>> {
        let mut read = self.carbon.read().await?;
        let applied = storage::carbon::projection::applied(&mut read).await?;
        let applied_ms = applied.map(|applied| applied.at_ms);
        drop(read);
        let Some(control) = &self.control else {
            return Ok(applied_ms);
        };
        let mut read = control.apim.read().await?;
        let logged_ms = storage::apim::change_log::last_at_ms(&mut read).await?;
        Ok(logged_ms.max(applied_ms))
    }

    /// Closes them all.
    pub(crate) async fn close(self) {
        let control = self.control.map(|control| [control.apim, control.shared]);
        let control = control.into_iter().flatten();
        for database in control.chain([self.carbon, self.broker]) {
            database.close().await;
        }
    }
}

// === impl Control ===

impl Control {
    async fn open(urls: &config::Databases) -> anyhow::Result<Self> {
        // In this order: a restore that was cut short has marked API-M first, and the other one may still be empty. Were that
        // migrated it would be taken for somebody's.
        let apim = storage::apim::open(&urls.apim).await;
        let apim = apim.context("see database.apim.url")?;
        let shared = storage::shared::open(&urls.shared).await;
        Ok(Self {
            apim,
            shared: shared.context("see database.shared.url")?,
        })
    }
}
