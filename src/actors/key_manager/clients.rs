//! OAuth2 clients: making, changing and removing them.

use domain::application::TokenType;
use domain::change::{Change, MarkedSubject};
use storage::StoreError;
use storage::apim::oauth_clients::{self, OauthClient};

use super::command::{Client, NewClient, Outcome, Refused};
use super::desk::{Desk, new_id, new_secret};
use super::handle::hash_hex;
use super::settled::{Done, Halt};

/// How long the secret before goes on when a client is registered again, milliseconds: whoever else
/// goes by that registration has a day to fetch the new one.
const PREVIOUS_SECRET_MS: i64 = 24 * 3_600 * 1_000;

impl Desk {
    /// Makes a client with a secret that is shown this once.
    pub(super) async fn create_client(&self, details: NewClient) -> Result<Done, Halt> {
        if details.name.contains(char::is_control) {
            let problem = "must not hold control characters".to_owned();
            let field = "name".to_owned();
            return Err(Refused::BadField { field, problem }.into());
        }
        let secret = new_secret()?;
        let client = Client {
            // A consumer key is public and only has to be unique.
            consumer_key: new_secret()?
                .chars()
                .filter(|c| c.is_ascii_alphanumeric())
                .take(28)
                .collect(),
            details,
        };
        let mut write = self.apim.write("apim.clients.create").await?;
        let made_at = write.moment_ms(self.clock.now_ms()).await?;
        let row = stored(&client, hash_hex(&secret), made_at);
        oauth_clients::create(&mut write, &row).await?;
        let n = self.commit_client(write, &client).await?;
        // Asked after the commit: a removal of the owner that came before it has not seen the
        // client, and any later one will (S3). What cannot be asked undoes nothing.
        let owner = &client.details.owner;
        if let Ok(None) = self.roles_of(&row.tenant, owner).await {
            let n = self.take_back(&client).await;
            return Err(Halt {
                refused: Refused::NotFound(format!("user {owner}")),
                n: Some(n.map_err(Refused::from)?),
            });
        }
        Ok(with_secret(client, secret, n))
    }

    /// Makes a client, or changes the owner's one of that name, in one transaction with a new
    /// secret: of two that register at once, each is told a secret that works.
    pub(super) async fn register_client(&self, details: NewClient) -> Result<Done, Halt> {
        match self.renew_client(&details).await? {
            Some(done) => Ok(done),
            None => match self.create_client(details.clone()).await {
                // Another node registered the same name in between.
                Err(Halt {
                    refused: Refused::Duplicate(_),
                    ..
                }) => {
                    let renewed = self.renew_client(&details).await?;
                    renewed.ok_or_else(|| Refused::Unavailable.into())
                }
                created => created,
            },
        }
    }

    /// Changes the client of that name and gives it a new secret; none when there is none.
    async fn renew_client(&self, details: &NewClient) -> Result<Option<Done>, Halt> {
        let (tenant, owner, name) = (&details.tenant, &details.owner, &details.name);
        let mut read = self.apim.read().await?;
        let known = oauth_clients::find_by_name(&mut read, tenant, owner, name).await?;
        drop(read);
        if known.is_none() {
            return Ok(None);
        }
        let secret = new_secret()?;
        let mut write = self.apim.write("apim.clients.register").await?;
        let known = oauth_clients::lock_by_name(&mut write, tenant, owner, name).await?;
        let Some(consumer_key) = known else {
            return Ok(None);
        };
        let client = Client {
            consumer_key,
            details: details.clone(),
        };
        let (key, now) = (client.consumer_key.as_str(), self.clock.now_ms());
        oauth_clients::update(&mut write, &stored(&client, String::new(), now)).await?;
        let until = Some(now.saturating_add(PREVIOUS_SECRET_MS));
        oauth_clients::update_secret(&mut write, key, &hash_hex(&secret), until).await?;
        let n = self.commit_client(write, &client).await?;
        Ok(Some(with_secret(client, secret, n)))
    }

    /// A client by consumer key.
    pub(super) async fn find_client(&self, key: &str) -> Result<Outcome, Refused> {
        let mut read = self.apim.read().await?;
        found(oauth_clients::find(&mut read, key).await?)
    }

    /// A client by owner and name.
    pub(super) async fn find_client_by_name(
        &self,
        tenant: &str,
        owner: &str,
        name: &str,
    ) -> Result<Outcome, Refused> {
        let mut read = self.apim.read().await?;
        found(oauth_clients::find_by_name(&mut read, tenant, owner, name).await?)
    }

    /// Changes what may be chosen of a client; its secret stays.
    pub(super) async fn update_client(&self, client: Client) -> Result<Done, Halt> {
        let row = stored(&client, String::new(), self.clock.now_ms());
        let mut write = self.apim.write("apim.clients.update").await?;
        oauth_clients::update(&mut write, &row).await?;
        let n = self.commit_client(write, &client).await?;
        Ok(Done {
            outcome: Outcome::Client {
                client,
                secret: None,
            },
            n: Some(n),
            of_others: None,
        })
    }

    /// Replaces a client's secret, and with it the one before; tokens that were issued go on.
    pub(super) async fn regenerate_secret(&self, key: &str) -> Result<Done, Halt> {
        let mut read = self.apim.read().await?;
        let known = oauth_clients::find(&mut read, key).await?;
        drop(read);
        let client = known.as_ref().map(shown);
        let client = client.ok_or_else(|| Refused::NotFound("client".to_owned()))?;
        let secret = new_secret()?;
        let mut write = self.apim.write("apim.clients.regenerate_secret").await?;
        oauth_clients::update_secret(&mut write, key, &hash_hex(&secret), None).await?;
        let n = self.commit_client(write, &client).await?;
        Ok(with_secret(client, secret, n))
    }

    /// Removes a client that was just made, with what was issued to it meanwhile.
    pub(super) async fn take_back(&self, client: &Client) -> Result<u64, StoreError> {
        let (tenant, key) = (&client.details.tenant, &client.consumer_key);
        let mut write = self.apim.write("apim.clients.take_back").await?;
        oauth_clients::delete(&mut write, key).await?;
        let own = self.clock.now_ms();
        let now = write.moment_ms(own).await?;
        let ended = self.mark(&mut write, (tenant, MarkedSubject::Client, key), now);
        let changes = [
            Change::ClientChanged {
                consumer_key: key.clone(),
                application_id: None,
            },
            ended.await?,
        ];
        write.commit_with(tenant, &changes, new_id, own).await
    }

    async fn commit_client(&self, write: storage::Write, client: &Client) -> Result<u64, Refused> {
        let change = Change::ClientChanged {
            consumer_key: client.consumer_key.clone(),
            application_id: None,
        };
        let (tenant, now) = (&client.details.tenant, self.clock.now_ms());
        Ok(write.commit_with(tenant, &[change], new_id, now).await?)
    }
}

fn with_secret(client: Client, secret: String, n: u64) -> Done {
    Done {
        outcome: Outcome::Client {
            client,
            secret: Some(secret),
        },
        n: Some(n),
        of_others: None,
    }
}

fn found(client: Option<OauthClient>) -> Result<Outcome, Refused> {
    match client {
        Some(client) => Ok(Outcome::Client {
            client: shown(&client),
            secret: None,
        }),
        None => Err(Refused::NotFound("client".to_owned())),
    }
}

/// A stored client without what nobody may see.
pub(super) fn shown(client: &OauthClient) -> Client {
    Client {
        consumer_key: client.consumer_key.clone(),
        details: NewClient {
            tenant: client.tenant.clone(),
            name: client.name.clone(),
            owner: client.owner.clone(),
            grant_types: client.grant_types.clone(),
            callback_url: client.callback_url.clone(),
            token_type: TokenType::parse(&client.token_type).unwrap_or_default(),
            access_token_seconds: client.access_token_seconds,
            refresh_token_seconds: client.refresh_token_seconds,
            user_token_seconds: client.user_token_seconds,
            id_token_seconds: client.id_token_seconds,
        },
    }
}

/// A client as it is stored.
pub(crate) fn stored(client: &Client, secret_hash: String, created_at_ms: i64) -> OauthClient {
    let details = &client.details;
    OauthClient {
        consumer_key: client.consumer_key.clone(),
        tenant: details.tenant.clone(),
        name: details.name.clone(),
        owner: details.owner.clone(),
        secret_hash,
        grant_types: details.grant_types.clone(),
        callback_url: details.callback_url.clone(),
        token_type: details.token_type.as_str().to_owned(),
        access_token_seconds: details.access_token_seconds,
        refresh_token_seconds: details.refresh_token_seconds,
        user_token_seconds: details.user_token_seconds,
        id_token_seconds: details.id_token_seconds,
        created_at_ms,
    }
}
