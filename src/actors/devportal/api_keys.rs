//! API keys: opaque keys that open one API, known by their hashes alone.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use domain::change::Change;
use storage::apim::api_keys::{self, ApiKey};
use storage::apim::{apis, applications, subscriptions};
use storage::{StoreError, Write};

use super::message::{ApiKeyMessage, DevPortalError, NewApiKey};
use super::writer::{Desk, Outcome, new_id};
use crate::key_manager::command::Refused;
use crate::key_manager::hash_hex;

impl Desk {
    /// Makes one change of API keys and answers it.
    pub(super) async fn change_api_keys(&self, work: ApiKeyMessage) {
        let feed = &self.0.feed;
        match work {
            ApiKeyMessage::Create(new, answer) => {
                feed.settle_made(self.create_api_key(new).await, answer);
            }
            ApiKeyMessage::Regenerate {
                key,
                as_read,
                answer,
            } => feed.settle(self.regenerate_api_key(&key, as_read).await, answer),
            ApiKeyMessage::Revoke {
                key,
                as_read,
                answer,
            } => feed.settle(self.revoke_api_key(&key, as_read).await, answer),
            ApiKeyMessage::Associate {
                key,
                application_id,
                as_read,
                answer,
            } => {
                let bound = self.associate_api_key(&key, application_id, as_read);
                feed.settle(bound.await, answer);
            }
        }
    }

    async fn create_api_key(&self, new: NewApiKey) -> Outcome<String> {
        let text = new_key()?;
        let mut key = ApiKey {
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
            // Said by the database, when everything else is in order.
            issued_at_ms: 0,
            validity_seconds: new.validity_seconds,
            last_used_at_ms: None,
        };
        let mut write = self.0.apim.write("apim.api_keys.create").await?;
        if let Some(id) = &key.application_id {
            applications::lock(&mut write, &key.tenant, id).await?;
        }
        let row = apis::lock(&mut write, &key.tenant, &key.api_id).await?;
        if !row.state.is_listed() {
            return Err(StoreError::NotFound(format!("API {}", key.api_id)).into());
        }
        let application = key.application_id.as_deref();
        check_subscribed(&mut write, &key.tenant, application, &key.api_id).await?;
        key.issued_at_ms = self.moment(&mut write).await?;
        api_keys::create(&mut write, &key).await?;
        let changes = [key_changed(&key, false)];
        let done = self.commit(write, &key.tenant, &changes, text).await?;
        if let Some(error) = self.owner_gone(&key.tenant, &key.owner).await {
            let undone = self.revoke_api_key(&key, false).await?;
            self.0.feed.tell(undone.n);
            return Err(error);
        }
        Ok(done)
    }

    /// Replaces a key: the old one is revoked in the same transaction.
    async fn regenerate_api_key(&self, key: &ApiKey, as_read: bool) -> Outcome<String> {
        let text = new_key()?;
        let mut write = self.0.apim.write("apim.api_keys.regenerate").await?;
        // The hash as it is stored now: another regeneration may have come first.
        let old = lock_as_read(&mut write, key, as_read).await?;
        let hash = hash_hex(&text);
        let now = self.moment(&mut write).await?;
        api_keys::update_secret(&mut write, (&key.tenant, &key.id), &hash, now).await?;
        let new = ApiKey {
            key_hash: hash,
            ..old.clone()
        };
        let changes = [key_changed(&old, true), key_changed(&new, false)];
        self.commit(write, &key.tenant, &changes, text).await
    }

    async fn revoke_api_key(&self, key: &ApiKey, as_read: bool) -> Outcome<()> {
        let mut write = self.0.apim.write("apim.api_keys.delete").await?;
        let old = lock_as_read(&mut write, key, as_read).await?;
        api_keys::delete(&mut write, &key.tenant, &key.id).await?;
        let changes = [key_changed(&old, true)];
        self.commit(write, &key.tenant, &changes, ()).await
    }

    async fn associate_api_key(
        &self,
        key: &ApiKey,
        application_id: Option<String>,
        as_read: bool,
    ) -> Outcome<()> {
        let mut write = self.0.apim.write("apim.api_keys.associate").await?;
        let (tenant, application) = (key.tenant.as_str(), application_id.as_deref());
        if let Some(id) = application {
            applications::lock(&mut write, tenant, id).await?;
        }
        let old = lock_as_read(&mut write, key, as_read).await?;
        check_subscribed(&mut write, tenant, application, &old.api_id).await?;
        api_keys::update_application(&mut write, (tenant, &key.id), application).await?;
        let changes = [key_changed(&old, false)];
        self.commit(write, tenant, &changes, ()).await
    }
}

/// Locks a key; where `as_read` says so it must be what its reader has seen, but for when it was
/// used last: that is nobody's change.
async fn lock_as_read(
    write: &mut Write,
    key: &ApiKey,
    as_read: bool,
) -> Result<ApiKey, StoreError> {
    let stored = api_keys::lock(write, &key.tenant, &key.id).await?;
    let seen = ApiKey {
        last_used_at_ms: stored.last_used_at_ms,
        ..key.clone()
    };
    if as_read && stored != seen {
        return Err(StoreError::Stale);
    }
    Ok(stored)
}

/// An application uses keys of APIs that it subscribes to; it is locked already.
async fn check_subscribed(
    write: &mut Write,
    tenant: &str,
    application: Option<&str>,
    api_id: &str,
) -> Result<(), DevPortalError> {
    let Some(application) = application else {
        return Ok(());
    };
    if subscriptions::is_held(write, tenant, application, api_id).await? {
        return Ok(());
    }
    Err(DevPortalError::BadField {
        field: "applicationUUID",
        problem: "the application has no subscription to the API".to_owned(),
    })
}

fn key_changed(key: &ApiKey, revoked: bool) -> Change {
    Change::ApiKeyChanged {
        key_hash: key.key_hash.clone(),
        api_id: key.api_id.clone(),
        revoked,
    }
}

/// 256 random bits as 43 characters.
pub(super) fn new_key() -> Result<String, DevPortalError> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| Refused::Unavailable)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
