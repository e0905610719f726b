//! Keys: the OAuth2 clients that serve applications.

use domain::application::{Application, KeyType, TokenType};
use domain::change::{Change, MarkedSubject};
use storage::apim::application_keys::{self, ApplicationKey};
use storage::apim::applications;
use storage::apim::oauth_clients::{self, OauthClient};
use storage::{StoreError, Write};

use super::api_keys::new_key;
use super::message::{DevPortalError, KeysMessage};
use super::writer::{Desk, Outcome, new_id};
use crate::change_feed::Committed;
use crate::key_manager::command::{Client, NewClient, Refused};
use crate::key_manager::{client_row, hash_hex};

/// The one key manager there is.
const RESIDENT: &str = "Resident Key Manager";

impl Desk {
    /// Makes one change of an application's keys and answers it.
    pub(super) async fn change_keys(&self, work: KeysMessage) {
        let feed = &self.0.feed;
        match work {
            KeysMessage::Create {
                application,
                key_type,
                client,
                properties,
                answer,
            } => {
                let made = self.create_keys(&application, key_type, client, properties);
                // One that was left by a crash gets a new secret, which ends what rests on the old one.
                feed.settle(made.await, answer);
            }
            KeysMessage::Update {
                key,
                client,
                as_read,
                answer,
            } => {
                let as_read = as_read.as_deref();
                feed.settle(self.update_keys(key, client, as_read).await, answer);
            }
            KeysMessage::Delete {
                key,
                as_read,
                answer,
            } => feed.settle(self.delete_keys(&key, as_read).await, answer),
        }
    }

    /// Makes a client and maps it. A crash in between leaves a client that nothing maps: the next
    /// try finds it by its name and takes it with a new secret, or the sweeper removes it.
    async fn create_keys(
        &self,
        application: &Application,
        key_type: KeyType,
        wanted: NewClient,
        properties: String,
    ) -> Outcome<(ApplicationKey, Client, String)> {
        let mut read = self.0.apim.read().await?;
        let known = application_keys::list(&mut read, &application.tenant, &application.id).await?;
        drop(read);
        let taken = format!("a {} key of this application", key_type.as_str());
        if known.iter().any(|key| key.key_type == key_type) {
            return Err(StoreError::Duplicate(taken).into());
        }
        let km = &self.0.key_manager;
        let (mut client, secret) = match km.create_client(wanted.clone()).await {
            Err(Refused::Duplicate(_)) => self.adopt(wanted, taken).await?,
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
        match self.map_client(&key, &secret).await {
            Ok(Committed { value, n }) => {
                client.details.token_type = value;
                Ok(Committed {
                    value: (key, client, secret),
                    n,
                })
            }
            // Somebody else's by now, or gone.
            Err(error @ DevPortalError::KeyManager(Refused::Unavailable)) => Err(error),
            Err(error) => {
                // Not for a duplicate of this very client: what is mapped stays.
                let clients = &self.0.clients;
                let gone = clients.remove_or_leave(&key.tenant, &key.consumer_key);
                if let Some(n) = gone.await {
                    self.0.feed.tell(n);
                }
                Err(error)
            }
        }
    }

    /// Takes a client that a crash left, with a new secret; what was issued to whoever held the
    /// old one ends. One that is mapped was not left: it is somebody's, who has its secret, and
    /// `taken` for whoever orders it. Whoever made the one that is taken and has not mapped it yet,
    /// in another process, cannot any more: its secret is another.
    pub(super) async fn adopt(
        &self,
        wanted: NewClient,
        taken: String,
    ) -> Result<(Client, String), DevPortalError> {
        let secret = new_key()?;
        let hash = hash_hex(&secret);
        let mut write = self.0.apim.write("apim.clients.adopt").await?;
        let (tenant, owner, name) = (&wanted.tenant, &wanted.owner, &wanted.name);
        let left = oauth_clients::lock_by_name(&mut write, tenant, owner, name).await?;
        // Swept since its name was found taken; the next try makes another.
        let consumer_key = left.ok_or(Refused::Unavailable)?;
        if application_keys::is_mapped(&mut write, tenant, &consumer_key).await? {
            return Err(StoreError::Duplicate(taken).into());
        }
        let client = Client {
            consumer_key,
            details: wanted,
        };
        let row = client_row(&client, String::new(), self.0.clock.now_ms());
        oauth_clients::update(&mut write, &row).await?;
        oauth_clients::update_secret(&mut write, &row.consumer_key, &hash, None).await?;
        let change = Change::ClientChanged {
            consumer_key: row.consumer_key.clone(),
            application_id: None,
        };
        self.commit(write, &row.tenant, &[change], ()).await?;
        // After the secret, with which more might be issued until then.
        let km = &self.0.key_manager;
        km.end_access(&row.tenant, MarkedSubject::Client, &row.consumer_key)
            .await?;
        Ok((client, secret))
    }

    /// Maps a client to its application; both are there and stay there. From then on the client
    /// issues the application's kind of tokens, which this gives: it may be another one than when
    /// the client was ordered. A client that was swept meanwhile, or has another secret than the one
    /// that is to be told, is not mapped: a next try takes or makes one.
    pub(super) async fn map_client(
        &self,
        key: &ApplicationKey,
        secret: &str,
    ) -> Outcome<TokenType> {
        let mut write = self.0.apim.write("apim.application_keys.create").await?;
        let kind = lock_kind(&mut write, key).await?;
        let client = &key.consumer_key;
        let stored = oauth_clients::lock(&mut write, &key.tenant, client).await?;
        if stored.is_none_or(|stored| stored.secret_hash != hash_hex(secret)) {
            return Err(Refused::Unavailable.into());
        }
        oauth_clients::set_token_type(&mut write, client, kind.as_str()).await?;
        application_keys::create(&mut write, key).await?;
        let changes = [client_changed(key)];
        self.commit(write, &key.tenant, &changes, kind).await
    }

    /// Changes client and mapping at once: the mapping's properties repeat what the client goes by.
    async fn update_keys(
        &self,
        key: ApplicationKey,
        mut client: Client,
        as_read: Option<&(ApplicationKey, Client)>,
    ) -> Outcome<(ApplicationKey, Client)> {
        let mut write = self.0.apim.write("apim.application_keys.update").await?;
        client.details.token_type = lock_kind(&mut write, &key).await?;
        if let Some(as_read) = as_read {
            lock_as_read(&mut write, as_read).await?;
        }
        application_keys::update(&mut write, &key.tenant, &key.id, &key.properties).await?;
        let row = client_row(&client, String::new(), key.created_at_ms);
        oauth_clients::update(&mut write, &row).await?;
        let changes = [client_changed(&key)];
        let tenant = key.tenant.clone();
        self.commit(write, &tenant, &changes, (key, client)).await
    }

    /// Unmaps a client in one transaction; the client and what was issued to it go in the next,
    /// or with the sweeper. Without its mapping it opens nothing.
    async fn delete_keys(&self, key: &ApplicationKey, as_read: bool) -> Outcome<()> {
        let mut write = self.0.apim.write("apim.application_keys.delete").await?;
        let stored = application_keys::lock(&mut write, &key.tenant, &key.id).await?;
        if as_read && stored != *key {
            return Err(StoreError::Stale.into());
        }
        application_keys::delete(&mut write, &key.tenant, &key.id).await?;
        let changes = [client_changed(key)];
        let mut done = self.commit(write, &key.tenant, &changes, ()).await?;
        let clients = &self.0.clients;
        let gone = clients.remove_or_leave(&key.tenant, &key.consumer_key);
        done.n = gone.await.map_or(done.n, |n| n.max(done.n));
        Ok(done)
    }
}

/// The kind of tokens that the clients of a key's application issue; nobody changes it until this
/// transaction ends.
async fn lock_kind(write: &mut Write, key: &ApplicationKey) -> Result<TokenType, StoreError> {
    let application = applications::lock(write, &key.tenant, &key.application_id).await?;
    Ok(application.token_type)
}

/// Refuses when key and client are not what their reader has seen; nobody changes them until this
/// transaction ends.
async fn lock_as_read(
    write: &mut Write,
    (key, client): &(ApplicationKey, Client),
) -> Result<(), StoreError> {
    if application_keys::lock(write, &key.tenant, &key.id).await? != *key {
        return Err(StoreError::Stale);
    }
    let stored = oauth_clients::lock(write, &key.tenant, &key.consumer_key).await?;
    let is_as_read = |stored: OauthClient| {
        let seen = client_row(client, stored.secret_hash.clone(), stored.created_at_ms);
        stored == seen
    };
    if stored.is_some_and(is_as_read) {
        Ok(())
    } else {
        Err(StoreError::Stale)
    }
}

fn client_changed(key: &ApplicationKey) -> Change {
    Change::ClientChanged {
        consumer_key: key.consumer_key.clone(),
        application_id: Some(key.application_id.clone()),
    }
}
