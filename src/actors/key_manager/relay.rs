//! From Shared's outbox into the change log of API-M (C5). Any clerk of any node relays whatever it
//! finds; the entry's source makes a second relay of the same row harmless.

use std::sync::atomic::Ordering;

use domain::change::{Change, MarkedSubject};
use storage::apim::{grants, revocations, tokens};
use storage::shared::outbox::{self, Pending};
use storage::shared::users;
use storage::{StoreError, Write};

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
        let mut write = self.apim.write("apim.outbox.relay").await?;
        let tenant = one.tenant.as_str();
        let (change, with_it) = match one.change {
            Change::UserChanged {
                user,
                removed: true,
            } => {
                let older = self.namesake_since(tenant, &user).await?;
                let whose = (user.as_str(), older);
                let now = write.moment_ms(self.clock.now_ms()).await?;
                let with_it = self.clear(&mut write, tenant, whose, now).await?;
                let removed = true;
                (Change::UserChanged { user, removed }, with_it)
            }
            Change::IssuedBefore {
                subject,
                id,
                before_ms,
                until_ms,
            } => {
                let mark = revocations::Mark {
                    tenant: tenant.to_owned(),
                    subject,
                    subject_id: id,
                    before_ms,
                    until_ms,
                };
                (self.end_issued(&mut write, mark).await?, Vec::new())
            }
            other => (other, Vec::new()),
        };
        let now = self.clock.now_ms();
        let relayed = write
            .relay((tenant, &one.id), &with_it, &change, new_id, now)
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

    /// Sets a mark on a user or a user's logins as of now, and gives the entry that says so. It was
    /// asked for before the user was gone or the password another: whoever read the roles in
    /// between has issued a token that bears a later moment.
    async fn end_issued(
        &self,
        write: &mut Write,
        mut mark: revocations::Mark,
    ) -> Result<Change, Refused> {
        let (tenant, subject) = (mark.tenant.as_str(), mark.subject);
        let newer = match subject {
            MarkedSubject::User => self.namesake_since(tenant, &mark.subject_id).await?,
            _ => i64::MAX,
        };
        // Before the moment is read: a refresh that is under way commits before this, and bears an
        // earlier one, or not at all.
        if subject == MarkedSubject::Login {
            tokens::delete_logins(write, tenant, &mark.subject_id).await?;
        }
        revocations::delete_api_keys(write, tenant, subject, &mark.subject_id, newer).await?;
        let own = self.clock.now_ms();
        // One more: what was issued within this very millisecond ends as well.
        let now = write.moment_ms(own).await? + 1;
        mark.before_ms = mark.before_ms.max(now).min(newer);
        mark.until_ms = mark.until_ms.max(self.everything_expired_by(own));
        let until_ms = revocations::save_mark(write, &mark).await?;
        Ok(Change::IssuedBefore {
            subject,
            id: mark.subject_id,
            before_ms: mark.before_ms,
            until_ms,
        })
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
}
