//! Applications: making, changing and removing them.

use domain::application::Application;
use domain::change::{Change, MarkedSubject};
use domain::policy::PolicyLevel;
use storage::apim::{applications, policies};

use super::message::DevPortalError;
use super::writer::Writer;
use crate::change_feed::Changed;

impl Writer {
    pub(super) async fn create_application(
        &self,
        new: Application,
    ) -> Result<Changed<Application>, DevPortalError> {
        self.check_policy(&new).await?;
        let mut write = self.0.apim.write("apim.applications.create").await?;
        applications::create(&mut write, &new).await?;
        let changes = [changed(&new)];
        let tenant = new.tenant.clone();
        self.commit(write, &tenant, &changes, new).await
    }

    pub(super) async fn update_application(
        &self,
        new: Application,
    ) -> Result<Changed<Application>, DevPortalError> {
        self.check_policy(&new).await?;
        let mut write = self.0.apim.write("apim.applications.update").await?;
        let application = applications::update(&mut write, &new).await?;
        let changes = [changed(&application)];
        self.commit(write, &new.tenant, &changes, application).await
    }

    /// Removes an application and all that rests on it; its clients go last, since a client
    /// without an application opens nothing.
    pub(super) async fn delete_application(
        &self,
        old: &Application,
    ) -> Result<Changed<()>, DevPortalError> {
        let mut write = self.0.apim.write("apim.applications.delete").await?;
        let keys = applications::delete(&mut write, &old.tenant, &old.id).await?;
        let changes = [Change::ApplicationRemoved {
            application_id: old.id.clone(),
        }];
        let done = self.commit(write, &old.tenant, &changes, ()).await?;
        let km = &self.0.key_manager;
        km.end_access(&old.tenant, MarkedSubject::Application, &old.id)
            .await?;
        km.delete_clients(keys).await?;
        Ok(done)
    }

    async fn check_policy(&self, new: &Application) -> Result<(), DevPortalError> {
        let (level, name) = (PolicyLevel::Application, &new.throttling_policy);
        let mut read = self.0.apim.read().await?;
        match policies::find(&mut read, &new.tenant, level, name).await? {
            Some(_) => Ok(()),
            None => Err(DevPortalError::BadField {
                field: "throttlingPolicy",
                problem: format!("application policy {name} does not exist"),
            }),
        }
    }
}

fn changed(application: &Application) -> Change {
    Change::ApplicationChanged {
        application_id: application.id.clone(),
    }
}
