//! Keys: the OAuth2 clients that serve applications.

use domain::application::{Application, KeyType, TokenType};
use domain::change::{Change, MarkedSubject};
use storage::apim::application_keys::{self, ApplicationKey};
use storage::apim::{applications, oauth_clients};
use storage::{StoreError, Write};

use super::message::{DevPortalError, KeysMessage};
use super::writer::{Desk, Outcome, new_id};
use crate::change_feed::Committed;
use crate::key_manager::client_row;
use crate::key_manager::command::{Client, NewClient, Refused};

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
                feed.settle(made.await, answer);
            }
            KeysMessage::Update {
                key,
                client,
                answer,
            } => feed.settle(self.update_keys(key, client).await, answer),
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
        match self.map_client(&key).await {
            Ok(Committed { value, n }) => {
                client.details.token_type = value;
                Ok(Committed {
                    value: (key, client, secret),
                    n,
                })
            }
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
    /// `taken` for whoever orders it.
    async fn adopt(
        &self,
        wanted: NewClient,
        taken: String,
    ) -> Result<(Client, String), DevPortalError> {
        let km = &self.0.key_manager;
        let (owner, name) = (&wanted.owner, &wanted.name);
        let left = km.find_client_by_name(&wanted.tenant, owner, name).await?;
        let mut write = self.0.apim.write("apim.clients.adopt").await?;
        let (tenant, key) = (&wanted.tenant, &left.consumer_key);
        application_keys::lock_client(&mut write, tenant, key).await?;
        if application_keys::is_mapped(&mut write, tenant, key).await? {
            return Err(StoreError::Duplicate(taken).into());
        }
        drop(write);
        let secret = km.regenerate_secret(&left.consumer_key).await?;
        // After the secret, with which more might be issued until then.
        km.end_access(&wanted.tenant, MarkedSubject::Client, &left.consumer_key)
            .await?;
        let client = Client {
            consumer_key: left.consumer_key,
            details: wanted,
        };
        Ok((km.update_client(client).await?, secret))
    }

    /// Maps a client to its application; both are there and stay there. From then on the client
    /// issues the application's kind of tokens, which this gives: it may be another one than when
    /// the client was ordered.
    async fn map_client(&self, key: &ApplicationKey) -> Outcome<TokenType> {
        let mut write = self.0.apim.write("apim.application_keys.create").await?;
        let kind = lock_kind(&mut write, key).await?;
        let client = &key.consumer_key;
        if !application_keys::lock_client(&mut write, &key.tenant, client).await? {
            // Swept while it was taken; the next try makes another.
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
    ) -> Outcome<(ApplicationKey, Client)> {
        let mut write = self.0.apim.write("apim.application_keys.update").await?;
        client.details.token_type = lock_kind(&mut write, &key).await?;
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

fn client_changed(key: &ApplicationKey) -> Change {
    Change::ClientChanged {
        consumer_key: key.consumer_key.clone(),
        application_id: Some(key.application_id.clone()),
    }
}
