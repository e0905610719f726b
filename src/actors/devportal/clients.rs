//! Clients that serve no application any more, or none yet: removing them, with what was issued to
//! them, unless something maps them. Writers use it after a change, the sweeper after a crash.

use cluster::Clock;
use domain::change::{Change, MarkedSubject};
use storage::apim::revocations::{self, Mark};
use storage::apim::{application_keys, oauth_clients};
use storage::{Database, StoreError};

use super::writer::new_id;
use crate::change_feed::ChangeFeedHandle;
use crate::key_manager::KeyManagerHandle;

/// Age from which a client without an application is taken for an orphan, milliseconds: far more
/// than the deadline of the change that makes a client and maps it.
const AGE_MS: i64 = 60_000;

/// The tools, cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    pub(super) apim: Database,
    pub(super) feed: ChangeFeedHandle,
    pub(super) key_manager: KeyManagerHandle,
    pub(super) clock: Clock,
}

// === impl Clients ===

impl Clients {
    /// Removes a client that serves no application and ends what was issued to it (S4), in one
    /// transaction. Gives the entry that tells of it; none when there is nothing to remove or something
    /// maps it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn remove(
        &self,
        tenant: &str,
        consumer_key: &str,
    ) -> Result<Option<u64>, StoreError> {
        let mut write = self.apim.write("apim.clients.remove").await?;
        if !application_keys::lock_client(&mut write, tenant, consumer_key).await?
            || application_keys::is_mapped(&mut write, tenant, consumer_key).await?
        {
            return Ok(None);
        }
        oauth_clients::delete(&mut write, consumer_key).await?;
        // By the clock that what was issued bears, and one more: what was issued within this very
        // millisecond ends as well.
        let own = self.clock.now_ms();
        let before_ms = write.moment_ms(own).await? + 1;
        let mark = Mark {
            tenant: tenant.to_owned(),
            subject: MarkedSubject::Client,
            subject_id: consumer_key.to_owned(),
            before_ms,
            until_ms: self.key_manager.everything_expired_by(before_ms),
        };
        let until_ms = revocations::save_mark(&mut write, &mark).await?;
        let changes = [
            Change::ClientChanged {
                consumer_key: consumer_key.to_owned(),
                application_id: None,
            },
            Change::IssuedBefore {
                subject: MarkedSubject::Client,
                id: consumer_key.to_owned(),
                before_ms,
                until_ms,
            },
        ];
        Ok(Some(
            write.commit_with(tenant, &changes, new_id, own).await?,
        ))
    }

    /// Removes a client after a change that is committed already: a failure does not undo that
    /// change, so it is not the caller's, and the sweeper tries again.
    pub(super) async fn remove_or_leave(&self, tenant: &str, consumer_key: &str) -> Option<u64> {
        match self.remove(tenant, consumer_key).await {
            Ok(n) => n,
            Err(error) => {
                tracing::warn!(%error, consumer_key, "client stays until the next sweep");
                None
            }
        }
    }

    /// Removes every orphan that is old enough; gives how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn sweep(&self) -> Result<usize, StoreError> {
        let now = self.apim.moment_ms(self.clock.now_ms()).await?;
        self.sweep_before(now - AGE_MS).await
    }

    /// Removes the orphans made before a moment.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn sweep_before(&self, before_ms: i64) -> Result<usize, StoreError> {
        let (mut removed, mut last) = (0, None);
        let mut after = Some(String::new());
        while let Some(from) = after {
            // A view for each page: none stays open for as long as there are pages.
            let mut read = self.apim.read().await?;
            let page = application_keys::list_orphans(&mut read, before_ms, &from).await?;
            drop(read);
            for orphan in page.0 {
                let gone = self.remove(&orphan.tenant, &orphan.consumer_key).await?;
                removed += usize::from(gone.is_some());
                last = last.max(gone);
            }
            after = page.1;
        }
        if let Some(n) = last {
            self.feed.committed(n).await;
        }
        Ok(removed)
    }
}
