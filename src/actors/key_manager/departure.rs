//! A user's departure in API-M (S3): applications, clients and API keys go in the transaction that
//! puts the removal into the change log, and a later person of that name inherits nothing.

use domain::change::{Change, MarkedSubject};
use storage::apim::belongings;
use storage::apim::revocations::{self, Mark};
use storage::{StoreError, Write};

use super::desk::Desk;

impl Desk {
    /// Removes what bears a user's name and was there before a moment, and ends what was issued
    /// to it; gives the entries that say so.
    pub(super) async fn clear(
        &self,
        write: &mut Write,
        tenant: &str,
        (user, before_ms): (&str, i64),
        now_ms: i64,
    ) -> Result<Vec<Change>, StoreError> {
        let gone = belongings::delete(write, tenant, user, before_ms).await?;
        let mut changes = Vec::new();
        for application_id in gone.applications {
            let ended = MarkedSubject::Application;
            let mark = self.mark(write, (tenant, ended, &application_id), now_ms);
            changes.push(mark.await?);
            changes.push(Change::ApplicationRemoved { application_id });
        }
        for consumer_key in gone.clients {
            let ended = MarkedSubject::Client;
            let mark = self.mark(write, (tenant, ended, &consumer_key), now_ms);
            changes.push(mark.await?);
            changes.push(Change::ClientChanged {
                consumer_key,
                application_id: None,
            });
        }
        let own = gone.api_keys.into_iter().map(|key| (key, true));
        let freed = gone.freed_keys.into_iter().map(|key| (key, false));
        changes.extend(own.chain(freed).map(|((key_hash, api_id), revoked)| {
            Change::ApiKeyChanged {
                key_hash,
                api_id,
                revoked,
            }
        }));
        Ok(changes)
    }

    /// Ends what was issued to a subject until now; gives the entry that says so.
    pub(super) async fn mark(
        &self,
        write: &mut Write,
        (tenant, subject, id): (&str, MarkedSubject, &str),
        now_ms: i64,
    ) -> Result<Change, StoreError> {
        let mark = Mark {
            tenant: tenant.to_owned(),
            subject,
            subject_id: id.to_owned(),
            // One more: what was issued within this very millisecond ends as well.
            before_ms: now_ms + 1,
            until_ms: self.everything_expired_by(now_ms),
        };
        let until_ms = revocations::save_mark(write, &mark).await?;
        Ok(Change::IssuedBefore {
            subject,
            id: mark.subject_id,
            before_ms: mark.before_ms,
            until_ms,
        })
    }
}
