//! Keys of applications, and API keys.

use domain::application::{Application, KeyType};
use storage::StoreError;
use storage::apim::api_keys::{self, ApiKey};
use storage::apim::application_keys::{self, ApplicationKey};

use super::{DevPortalHandle, Outcome};
use crate::change_feed::Changed;
use crate::devportal::message::{ApiKeyMessage, KeysMessage, NewApiKey, PortalMessage};
use crate::key_manager::command::{Client, NewClient, Refused};

impl DevPortalHandle {
    /// An application's keys, each with its client; those whose client is gone are left out.
    ///
    /// # Errors
    /// [`DevPortalError::Store`], [`DevPortalError::KeyManager`].
    pub async fn keys(&self, application: &Application) -> Outcome<Vec<(ApplicationKey, Client)>> {
        let mut read = self.apim.read().await?;
        let keys = application_keys::list(&mut read, &application.tenant, &application.id).await?;
        drop(read);
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            match self.key_manager.find_client(&key.consumer_key).await {
                Ok(client) => found.push((key, client)),
                // Cleaned up since the mappings were read.
                Err(Refused::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// Makes keys; gives the secret, shown this once.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the application has keys of that type.
    pub async fn create_keys(
        &self,
        application: Application,
        key_type: KeyType,
        client: NewClient,
        properties: String,
    ) -> Outcome<Changed<(ApplicationKey, Client, String)>> {
        let id = application.id.clone();
        self.change(&id, |answer| {
            PortalMessage::Keys(KeysMessage::Create {
                application,
                key_type,
                client,
                properties,
                answer,
            })
        })
        .await
    }

    /// Changes what may be chosen of keys. What is stored must be `as_read` where that is given.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn update_keys(
        &self,
        key: ApplicationKey,
        client: Client,
        as_read: Option<(ApplicationKey, Client)>,
    ) -> Outcome<Changed<(ApplicationKey, Client)>> {
        let id = key.application_id.clone();
        self.change(&id, |answer| {
            PortalMessage::Keys(KeysMessage::Update {
                key,
                client,
                as_read: as_read.map(Box::new),
                answer,
            })
        })
        .await
    }

    /// Removes keys; what was issued to them ends. What is stored must be as it was read where
    /// `as_read` says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn delete_keys(&self, key: ApplicationKey, as_read: bool) -> Outcome<Changed<()>> {
        let id = key.application_id.clone();
        self.change(&id, |answer| {
            PortalMessage::Keys(KeysMessage::Delete {
                key,
                as_read,
                answer,
            })
        })
        .await
    }

    /// A user's API keys for an API.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn api_keys(&self, tenant: &str, api_id: &str, owner: &str) -> Outcome<Vec<ApiKey>> {
        let mut read = self.apim.read().await?;
        Ok(api_keys::list_by_api(&mut read, tenant, api_id, owner).await?)
    }

    /// The API keys that are associated with an application.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn api_keys_of_application(
        &self,
        tenant: &str,
        application_id: &str,
    ) -> Outcome<Vec<ApiKey>> {
        let mut read = self.apim.read().await?;
        Ok(api_keys::list_by_application(&mut read, tenant, application_id).await?)
    }

    /// A user's API key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] also for another's.
    pub async fn api_key(&self, tenant: &str, owner: &str, id: &str) -> Outcome<ApiKey> {
        let mut read = self.apim.read().await?;
        let found = api_keys::find(&mut read, tenant, id).await?;
        let found = found.filter(|key| key.owner == owner);
        Ok(found.ok_or_else(|| StoreError::NotFound(format!("API key {id}")))?)
    }

    /// Makes an API key; gives it, shown this once.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`].
    pub async fn create_api_key(&self, new: NewApiKey) -> Outcome<Changed<String>> {
        let key = new.api_id.clone();
        self.change(&key, |answer| {
            PortalMessage::ApiKeys(ApiKeyMessage::Create(new, answer))
        })
        .await
    }

    /// Replaces an API key; gives the new one, shown this once. What is stored must be as it was
    /// read where `as_read` says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn regenerate_api_key(&self, key: ApiKey, as_read: bool) -> Outcome<Changed<String>> {
        let id = key.api_id.clone();
        self.change(&id, |answer| {
            PortalMessage::ApiKeys(ApiKeyMessage::Regenerate {
                key,
                as_read,
                answer,
            })
        })
        .await
    }

    /// Revokes an API key; what is stored must be as it was read where `as_read` says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn revoke_api_key(&self, key: ApiKey, as_read: bool) -> Outcome<Changed<()>> {
        let id = key.api_id.clone();
        self.change(&id, |answer| {
            PortalMessage::ApiKeys(ApiKeyMessage::Revoke {
                key,
                as_read,
                answer,
            })
        })
        .await
    }

    /// Associates an API key with an application, or with none; what is stored must be as it was
    /// read where `as_read` says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn associate_api_key(
        &self,
        key: ApiKey,
        application_id: Option<String>,
        as_read: bool,
    ) -> Outcome<Changed<()>> {
        let id = key.api_id.clone();
        self.change(&id, |answer| {
            PortalMessage::ApiKeys(ApiKeyMessage::Associate {
                key,
                application_id,
                as_read,
                answer,
            })
        })
        .await
    }
}
