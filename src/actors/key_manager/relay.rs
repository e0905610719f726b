//! From Shared's outbox into the change log of API-M (C5). Any clerk of any node relays whatever it
//! finds; the entry's source makes a second relay of the same row harmless.

use domain::change::{Change, MarkedSubject};
use storage::StoreError;
use storage::apim::{grants, revocations};
use storage::shared::outbox::{self, Pending};

use super::command::Refused;
use super::desk::{Desk, new_id};

/// Changes relayed in one go.
const RELAY_BATCH: i64 = 100;

impl Desk {
    /// Relays everything pending, oldest first; gives the last entry, of the outbox rows `own`
    /// whoever relayed them: the answer leaves after their entries, not before.
    pub(super) async fn relay(&self, own: &[String]) -> Result<Option<u64>, Refused> {
        let mut last = None;
        loop {
            let mut read = self.shared.read().await?;
            let pending = outbox::list(&mut read, RELAY_BATCH).await?;
            drop(read);
            if pending.is_empty() {
                break;
            }
            for one in pending {
                last = last.max(self.relay_one(one).await?);
            }
        }
        if !own.is_empty() {
            // A row that is gone from the outbox was relayed: it is removed after its entry.
            let mut read = self.apim.read().await?;
            for row in own {
                last = last.max(grants::find_relayed(&mut read, row).await?);
            }
            if last.is_none() {
                last = Some(grants::head(&mut read).await?);
            }
        }
        Ok(last)
    }

    async fn relay_one(&self, one: Pending) -> Result<Option<u64>, Refused> {
        let now = self.clock.now_ms();
        let change = self.not_before(one.change, now);
        let mut write = self.apim.write("apim.outbox.relay").await?;
        let mut with_it = Vec::new();
        if let Change::UserChanged {
            user,
            removed: true,
        } = &change
        {
            with_it = self.clear(&mut write, &one.tenant, user, now).await?;
        }
        if let Change::IssuedBefore {
            subject,
            id,
            before_ms,
            until_ms,
        } = &change
        {
            let mark = revocations::Mark {
                tenant: one.tenant.clone(),
                subject: *subject,
                subject_id: id.clone(),
                before_ms: *before_ms,
                until_ms: *until_ms,
            };
            revocations::save_mark(&mut write, &mark).await?;
            revocations::delete_api_keys(&mut write, &one.tenant, *subject, id).await?;
        }
        let relayed = write
            .relay((&one.tenant, &one.id), &with_it, &change, new_id, now)
            .await;
        let n = match relayed {
            Ok(n) => Some(n),
            // Relayed by another clerk, or before a crash kept the row from being removed.
            Err(StoreError::Duplicate(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let mut write = self.shared.write("shared.outbox.delete").await?;
        outbox::delete(&mut write, &one.id).await?;
        write.commit().await?;
        Ok(n)
    }

    /// A user's mark counts from now: its moment was chosen before the user was gone, and whoever
    /// read the user's roles in between has issued a token that bears a later one.
    fn not_before(&self, change: Change, now_ms: i64) -> Change {
        match change {
            Change::IssuedBefore {
                subject: subject @ (MarkedSubject::User | MarkedSubject::Login),
                id,
                before_ms,
                until_ms,
            } => Change::IssuedBefore {
                subject,
                id,
                before_ms: before_ms.max(now_ms + 1),
                until_ms: until_ms.max(self.everything_expired_by(now_ms)),
            },
            other => other,
        }
    }
}
