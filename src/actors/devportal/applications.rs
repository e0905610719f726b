//! Applications: making, changing and removing them.

use domain::application::Application;
use domain::change::{Change, MarkedSubject};
use domain::policy::PolicyLevel;
use storage::apim::revocations::{self, Mark};
use storage::apim::{applications, deny_policies, policies};
use storage::{StoreError, Write};

use super::message::DevPortalError;
use super::writer::{Desk, Outcome};

impl Desk {
    pub(super) async fn create_application(&self, mut new: Application) -> Outcome<Application> {
        let mut write = self.0.apim.write("apim.applications.create").await?;
        lock_policy(&mut write, &new).await?;
        new.created_at_ms = self.moment(&mut write).await?;
        new.updated_at_ms = new.created_at_ms;
        applications::create(&mut write, &new).await?;
        let changes = [changed(&new)];
        let tenant = new.tenant.clone();
        let done = self.commit(write, &tenant, &changes, new).await?;
        if let Some(error) = self.owner_gone(&tenant, &done.value.owner).await {
            let made = Application {
                row_version: 0,
                ..done.value
            };
            let undone = self.delete_application(&made).await?;
            self.0.feed.tell(undone.n);
            return Err(error);
        }
        Ok(done)
    }

    pub(super) async fn update_application(&self, new: Application) -> Outcome<Application> {
        let mut write = self.0.apim.write("apim.applications.update").await?;
        lock_policy(&mut write, &new).await?;
        let (application, before) = applications::update(&mut write, &new).await?;
        let mut changes = vec![changed(&application)];
        if let Some(before) = before {
            // Deny policies hold for the application, whatever it is called.
            let carried = deny_policies::carry(&mut write, &application, &before).await?;
            let saved = carried.into_iter();
            changes.extend(saved.map(|policy| Change::DenyPolicySaved { policy }));
        }
        self.commit(write, &new.tenant, &changes, application).await
    }

    /// Removes an application with all that rests on it and ends what was issued to it (S4), in
    /// one transaction; its clients go after, since a client without an application opens
    /// nothing. What a crash leaves of them goes with the sweeper.
    pub(super) async fn delete_application(&self, old: &Application) -> Outcome<()> {
        let mut write = self.0.apim.write("apim.applications.delete").await?;
        let removed =
            applications::delete(&mut write, &old.tenant, (&old.id, old.row_version)).await?;
        // One more: what was issued within this very millisecond ends as well.
        let before_ms = self.moment(&mut write).await? + 1;
        let mark = Mark {
            tenant: old.tenant.clone(),
            subject: MarkedSubject::Application,
            subject_id: old.id.clone(),
            before_ms,
            until_ms: self.0.key_manager.everything_expired_by(before_ms),
        };
        let until_ms = revocations::save_mark(&mut write, &mark).await?;
        let mut changes = vec![
            Change::ApplicationRemoved {
                application_id: old.id.clone(),
            },
            Change::IssuedBefore {
                subject: MarkedSubject::Application,
                id: old.id.clone(),
                before_ms,
                until_ms,
            },
        ];
        let freed = removed.api_keys.into_iter();
        changes.extend(freed.map(|(key_hash, api_id)| Change::ApiKeyChanged {
            key_hash,
            api_id,
            revoked: false,
        }));
        let mut done = self.commit(write, &old.tenant, &changes, ()).await?;
        for key in &removed.consumer_keys {
            let gone = self.0.clients.remove_or_leave(&old.tenant, key).await;
            done.n = gone.map_or(done.n, |n| n.max(done.n));
        }
        Ok(done)
    }
}

/// The policy that an application names must be there and stay there.
async fn lock_policy(write: &mut Write, new: &Application) -> Result<(), DevPortalError> {
    let (level, name) = (PolicyLevel::Application, &new.throttling_policy);
    match policies::lock(write, &new.tenant, level, name).await {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound(_)) => Err(DevPortalError::BadField {
            field: "throttlingPolicy",
            problem: format!("application policy {name} does not exist"),
        }),
        Err(error) => Err(error.into()),
    }
}

fn changed(application: &Application) -> Change {
    Change::ApplicationChanged {
        application_id: application.id.clone(),
    }
}
