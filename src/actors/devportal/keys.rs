//! Keys: the OAuth2 clients of applications, and API keys.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use domain::application::{Application, KeyType};
use domain::change::Change;
use storage::StoreError;
use storage::apim::api_keys::{self, ApiKey};
use storage::apim::application_keys::{self, ApplicationKey};

use super::message::{DevPortalError, NewApiKey};
use super::writer::{Writer, new_id};
use crate::change_feed::Changed;
use crate::key_manager::command::{Client, NewClient, Refused};
use crate::key_manager::hash_hex;

/// The one key manager there is.
const RESIDENT: &str = "Resident Key Manager";

impl Writer {
    /// Makes a client and maps it. A crash in between leaves a client that nothing maps; the next
    /// try finds it by its name and takes it with a new secret.
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
        let mut write = self.0.apim.write("apim.application_keys.create").await?;
        application_keys::create(&mut write, &key).await?;
        let changes = [client_changed(&key)];
        self.commit(write, &key.tenant, &changes, ()).await?;
        Ok((key, client, secret))
    }

    pub(super) async fn update_keys(
        &self,
        key: ApplicationKey,
        client: Client,
    ) -> Result<(ApplicationKey, Client), DevPortalError> {
        let client = self.0.key_manager.update_client(client).await?;
        let mut write = self.0.apim.write("apim.application_keys.update").await?;
        application_keys::update(&mut write, &key.id, &key.properties).await?;
        let changes = [client_changed(&key)];
        self.commit(write, &key.tenant, &changes, ()).await?;
        Ok((key, client))
    }

    pub(super) async fn delete_keys(&self, key: &ApplicationKey) -> Result<(), DevPortalError> {
        let mut write = self.0.apim.write("apim.application_keys.delete").await?;
        application_keys::delete(&mut write, &key.id).await?;
        let changes = [client_changed(key)];
        self.commit(write, &key.tenant, &changes, ()).await?;
        let keys = vec![key.consumer_key.clone()];
        self.0.key_manager.delete_clients(keys).await?;
        Ok(())
    }

    pub(super) async fn create_api_key(
        &self,
        new: NewApiKey,
    ) -> Result<Changed<String>, DevPortalError> {
        let text = new_key()?;
        let key = ApiKey {
            id: new_id(),
            tenant: new.tenant,
            name: new.name,
            key_hash: hash_hex(&text),
            key_type: new.key_type,
            api_id: new.api_id,
            application_id: new.application_id,
            owner: new.owner,
            permitted_ips: new.permitted_ips,
            permitted_referers: new.permitted_referers,
            issued_at_ms: self.0.clock.now_ms(),
            validity_seconds: new.validity_seconds,
            last_used_at_ms: None,
        };
        let mut write = self.0.apim.write("apim.api_keys.create").await?;
        api_keys::create(&mut write, &key).await?;
        let changes = [key_changed(&key, false)];
        self.commit(write, &key.tenant, &changes, text).await
    }

    /// Replaces a key: the old one is revoked in the same transaction.
    pub(super) async fn regenerate_api_key(
        &self,
        key: &ApiKey,
    ) -> Result<Changed<String>, DevPortalError> {
        let text = new_key()?;
        let new = ApiKey {
            key_hash: hash_hex(&text),
            ..key.clone()
        };
        let now = self.0.clock.now_ms();
        let mut write = self.0.apim.write("apim.api_keys.regenerate").await?;
        api_keys::update_secret(&mut write, &key.id, &new.key_hash, now).await?;
        let changes = [key_changed(key, true), key_changed(&new, false)];
        self.commit(write, &key.tenant, &changes, text).await
    }

    pub(super) async fn revoke_api_key(&self, key: &ApiKey) -> Result<Changed<()>, DevPortalError> {
        let mut write = self.0.apim.write("apim.api_keys.delete").await?;
        api_keys::delete(&mut write, &key.id).await?;
        let changes = [key_changed(key, true)];
        self.commit(write, &key.tenant, &changes, ()).await
    }

    pub(super) async fn associate_api_key(
        &self,
        key: &ApiKey,
        application_id: Option<String>,
    ) -> Result<Changed<()>, DevPortalError> {
        let mut write = self.0.apim.write("apim.api_keys.associate").await?;
        api_keys::update_application(&mut write, &key.id, application_id.as_deref()).await?;
        let changes = [key_changed(key, false)];
        self.commit(write, &key.tenant, &changes, ()).await
    }
}

fn client_changed(key: &ApplicationKey) -> Change {
    Change::ClientChanged {
        consumer_key: key.consumer_key.clone(),
        application_id: Some(key.application_id.clone()),
    }
}

fn key_changed(key: &ApiKey, revoked: bool) -> Change {
    Change::ApiKeyChanged {
        key_hash: key.key_hash.clone(),
        api_id: key.api_id.clone(),
        revoked,
    }
}

/// 256 random bits as 43 characters.
fn new_key() -> Result<String, DevPortalError> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| Refused::Unavailable)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
