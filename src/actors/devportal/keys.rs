//! Keys: the OAuth2 clients that serve applications.

use domain::application::{Application, KeyType};
use domain::change::Change;
use storage::StoreError;
use storage::apim::application_keys::{self, ApplicationKey};
use storage::apim::applications;

use super::message::DevPortalError;
use super::writer::{Writer, new_id};
use crate::change_feed::Changed;
use crate::key_manager::command::{Client, NewClient, Refused};

/// The one key manager there is.
const RESIDENT: &str = "Resident Key Manager";

impl Writer {
    /// Makes a client and maps it. A crash in between leaves a client that nothing maps: the next
    /// try finds it by its name and takes it with a new secret, or the sweeper removes it.
    pub(super) async fn create_keys(
        &self,
        application: &Application,
        key_type: KeyType,
        wanted: NewClient,
        properties: String,
    ) -> Result<(ApplicationKey, Client, String), DevPortalError> {
        let mut read = self.0.apim.read().await?;
        let known = application_keys::list(&mut read, &application.tenant, &application.id).await?;
        drop(read);
        if known.iter().any(|key| key.key_type == key_type) {
            let what = format!("a {} key of this application", key_type.as_str());
            return Err(StoreError::Duplicate(what).into());
        }
        let km = &self.0.key_manager;
        let (client, secret) = match km.create_client(wanted.clone()).await {
            Err(Refused::Duplicate(_)) => {
                let (owner, name) = (&wanted.owner, &wanted.name);
                let left = km.find_client_by_name(&wanted.tenant, owner, name).await?;
                let client = Client {
                    consumer_key: left.consumer_key,
                    details: wanted,
                };
                let client = km.update_client(client).await?;
                let secret = km.regenerate_secret(&client.consumer_key).await?;
                (client, secret)
            }
            made => made?,
        };
        let key = ApplicationKey {
            id: new_id(),
            tenant: application.tenant.clone(),
            application_id: application.id.clone(),
            key_type,
            key_manager: RESIDENT.to_owned(),
            consumer_key: client.consumer_key.clone(),
            properties,
            created_at_ms: self.0.clock.now_ms(),
        };
        if let Err(error) = self.map_client(&key).await {
            // Not for a duplicate of this very client: what is mapped stays.
            let clients = &self.0.clients;
            clients
                .remove_or_leave(&key.tenant, &key.consumer_key)
                .await;
            return Err(error);
        }
        Ok((key, client, secret))
    }

    /// Maps a client to its application; both are there and stay there.
    async fn map_client(&self, key: &ApplicationKey) -> Result<(), DevPortalError> {
        let mut write = self.0.apim.write("apim.application_keys.create").await?;
        applications::lock(&mut write, &key.tenant, &key.application_id).await?;
        let client = &key.consumer_key;
        if !application_keys::lock_client(&mut write, &key.tenant, client).await? {
            // Swept while it was taken; the next try makes another.
            return Err(Refused::Unavailable.into());
        }
        application_keys::create(&mut write, key).await?;
        let changes = [client_changed(key)];
        self.commit(write, &key.tenant, &changes, ()).await?;
        Ok(())
    }

    pub(super) async fn update_keys(
        &self,
        key: ApplicationKey,
        client: Client,
    ) -> Result<(ApplicationKey, Client), DevPortalError> {
        let client = self.0.key_manager.update_client(client).await?;
        let mut write = self.0.apim.write("apim.application_keys.update").await?;
        application_keys::update(&mut write, &key.tenant, &key.id, &key.properties).await?;
        let changes = [client_changed(&key)];
        self.commit(write, &key.tenant, &changes, ()).await?;
        Ok((key, client))
    }

    /// Unmaps a client in one transaction; the client and what was issued to it go in the next,
    /// or with the sweeper. Without its mapping it opens nothing.
    pub(super) async fn delete_keys(
        &self,
        key: &ApplicationKey,
    ) -> Result<Changed<()>, DevPortalError> {
        let mut write = self.0.apim.write("apim.application_keys.delete").await?;
        application_keys::delete(&mut write, &key.tenant, &key.id).await?;
        let changes = [client_changed(key)];
        let mut done = self.commit(write, &key.tenant, &changes, ()).await?;
        let clients = &self.0.clients;
        let gone = clients.remove_or_leave(&key.tenant, &key.consumer_key);
        if let Some(applied) = gone.await {
            done.applied = applied;
        }
        Ok(done)
    }
}

fn client_changed(key: &ApplicationKey) -> Change {
    Change::ClientChanged {
        consumer_key: key.consumer_key.clone(),
        application_id: Some(key.application_id.clone()),
    }
}
