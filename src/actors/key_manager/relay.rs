//! From Shared's outbox into the change log of API-M (C5). Any clerk of any node relays whatever it
//! finds; the entry's source makes a second relay of the same row harmless.

use std::sync::atomic::Ordering;

use domain::change::{Change, MarkedSubject};
use storage::StoreError;
use storage::apim::{grants, revocations};
use storage::shared::outbox::{self, Pending};
use storage::shared::users;

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
            let older = self.namesake_since(&one.tenant, user).await?;
            let whose = (user.as_str(), older);
            with_it = self.clear(&mut write, &one.tenant, whose, now).await?;
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

    /// When whoever bears this name now began; the end of time when nobody does. A removal may be
    /// relayed late, and what a namesake has made meanwhile is none of it. Asked while API-M is
    /// locked: a namesake that comes after has made nothing there yet.
    async fn namesake_since(&self, tenant: &str, name: &str) -> Result<i64, Refused> {
        let mut read = self.shared.read().await?;
        let user = users::find_by_name(&mut read, tenant, name).await?;
        Ok(user.map_or(i64::MAX, |user| user.created_at_ms))
    }

    /// Whether a change of Shared still waits because API-M could not be written; asked once.
    pub(super) fn owes_relay(&self) -> bool {
        self.relay_owed.swap(false, Ordering::Relaxed)
    }

    /// Relays what others have left, before a change of one's own: where API-M cannot be written
    /// it is refused without a trace, and a change that was refused late is finished by the retry.
    /// Gives the last entry.
    pub(super) async fn settle(&self) -> Result<Option<u64>, Refused> {
        self.relay_or_owe(&[]).await
    }

    /// Relays, and has the keeper try again soon when that fails.
    pub(super) async fn relay_or_owe(&self, own: &[String]) -> Result<Option<u64>, Refused> {
        let relayed = self.relay(own).await;
        if relayed.is_err() {
            self.relay_owed.store(true, Ordering::Relaxed);
        }
        relayed
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
