//! The key manager's actors: validators, clerks and doorkeepers answer questions, the keeper does
//! what no one asks for (relaying what a crash left in the outbox, purging what has expired).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use cluster::{Actor, Address, Asked, BoxError, Ticker};
use domain::api::SUPER_TENANT;
use storage::StoreError;
use storage::apim::tokens;

use super::command::{Command, Outcome};
use super::desk::Desk;
use super::message::{BasicChecked, CheckBasic, ValidateMany};
use super::settled::{self, Done, Halt};

/// Rows removed by one purge statement.
const PURGE_BATCH: i64 = 500;
/// Purge statements of one round: what is left waits for the next one.
const PURGES: u32 = 100;
/// How often the keeper looks.
const ROUND: Duration = Duration::from_secs(30);
/// How often it notes which API keys were used, and makes up for a relay that failed.
const NOTES: Duration = Duration::from_secs(2);

/// Answers questions about credentials.
pub(super) struct Validator(Desk);

/// Carries out commands.
pub(super) struct Clerk(Desk);

/// Does what costs a password hash: HTTP Basic, password grants, new users.
pub(super) struct DoorKeeper(Desk);

/// What a doorkeeper understands.
pub(super) enum DoorMessage {
    Command(Asked<Command>),
    Basic(Asked<CheckBasic>),
}

/// Relays and purges.
pub(super) struct Keeper {
    desk: Desk,
    _tickers: [Ticker; 2],
}

/// What the keeper understands.
pub(super) enum KeeperMessage {
    Round,
    Notes,
}

// === impl Validator ===

impl Actor for Validator {
    type Message = Asked<ValidateMany>;
    type Arguments = Desk;
    const KIND: &'static str = "key_manager.validator";

    async fn start(desk: Desk, _me: Address<Self::Message>) -> Result<Self, BoxError> {
        Ok(Self(desk))
    }

    async fn handle(&mut self, asked: Self::Message) -> Result<(), BoxError> {
        if !asked.reply.is_abandoned() {
            let (answer, used) = self.0.validate_many(asked.request).await;
            asked.reply.send(answer);
            self.0.used_keys.add(used);
        }
        Ok(())
    }
}

// === impl Clerk ===

impl Actor for Clerk {
    type Message = Asked<Command>;
    type Arguments = Desk;
    const KIND: &'static str = "key_manager.clerk";

    async fn start(desk: Desk, _me: Address<Self::Message>) -> Result<Self, BoxError> {
        Ok(Self(desk))
    }

    // Whoever gave up would never learn of a secret or a token, and has asked again meanwhile: a
    // refresh token that is used up for nobody ends the session at the retry. Access that was to
    // end ends all the same.
    async fn handle(&mut self, asked: Self::Message) -> Result<(), BoxError> {
        if !asked.reply.is_abandoned() || asked.request.ends_access() {
            self.0.attend(asked).await;
        }
        Ok(())
    }
}

// === impl DoorKeeper ===

impl Actor for DoorKeeper {
    type Message = DoorMessage;
    type Arguments = Desk;
    const KIND: &'static str = "key_manager.door";

    async fn start(desk: Desk, _me: Address<Self::Message>) -> Result<Self, BoxError> {
        Ok(Self(desk))
    }

    // Whoever gave up waiting costs no hash: a flood is worked off at the speed of its refusals.
    async fn handle(&mut self, message: DoorMessage) -> Result<(), BoxError> {
        match message {
            DoorMessage::Command(asked) if !asked.reply.is_abandoned() => {
                self.0.attend(asked).await;
            }
            DoorMessage::Basic(asked) if !asked.reply.is_abandoned() => {
                let checked = self.0.basic(&asked.request).await;
                asked.reply.send(checked);
            }
            DoorMessage::Command(_) | DoorMessage::Basic(_) => {}
        }
        Ok(())
    }
}

// === impl Keeper ===

impl Actor for Keeper {
    type Message = KeeperMessage;
    type Arguments = Desk;
    const KIND: &'static str = "key_manager.keeper";

    async fn start(desk: Desk, me: Address<KeeperMessage>) -> Result<Self, BoxError> {
        // What a crash left behind is relayed before anybody asks.
        desk.sweep_outbox().await;
        Ok(Self {
            desk,
            _tickers: [
                Ticker::start(me.clone(), ROUND, || KeeperMessage::Round),
                Ticker::start(me, NOTES, || KeeperMessage::Notes),
            ],
        })
    }

    async fn handle(&mut self, message: KeeperMessage) -> Result<(), BoxError> {
        match message {
            KeeperMessage::Notes => {
                if self.desk.owes_relay() {
                    self.desk.sweep_outbox().await;
                }
                self.desk.begin_noting();
                if let Err(error) = self.desk.learn_news().await {
                    tracing::debug!(%error, "the other nodes' keys could not be read");
                }
            }
            KeeperMessage::Round => {
                self.desk.sweep_outbox().await;
                // Whatever a node that starts without its keys has signed before is over.
                if let Err(error) = self.desk.keep_keys().await {
                    tracing::warn!(%error, "the nodes' keys could not be looked through, trying again later");
                }
                // Databases come and go; the next round looks again.
                if let Err(error) = self.desk.purge(PURGES).await {
                    tracing::warn!(%error, "expired tokens could not be removed, trying again later");
                }
            }
        }
        Ok(())
    }
}

impl Desk {
    async fn sweep_outbox(&self) {
        match self.relay_or_owe(&[]).await {
            Ok(None) => {}
            // Nobody is answered, so nobody waits for those who follow.
            Ok(Some(n)) => self.feed.tell(n),
            Err(error) => {
                tracing::warn!(%error, "outbox could not be relayed, trying again later");
            }
        }
    }

    /// Removes what has expired, in at most `most` small transactions.
    pub(super) async fn purge(&self, most: u32) -> Result<(), StoreError> {
        let now = self.clock.now_ms();
        for _ in 0..most {
            let mut write = self.apim.write("apim.tokens.purge").await?;
            let removed = tokens::delete_expired(&mut write, now, PURGE_BATCH).await?;
            write.commit().await?;
            if removed < PURGE_BATCH.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }

    async fn attend(&self, asked: Asked<Command>) {
        let Asked { request, reply } = asked;
        settled::answer(&self.feed, reply, self.carry_out(request).await);
    }

    async fn carry_out(&self, command: Command) -> Result<Done, Halt> {
        let outcome = match command {
            Command::Issue(request) => return self.issue(request).await,
            Command::Revoke { client, token } => return self.revoke(&client, &token).await,
            Command::CreateClient(client) => return self.create_client(client).await,
            Command::RegisterClient(client) => return self.register_client(client).await,
            Command::UpdateClient(client) => return self.update_client(client).await,
            Command::RegenerateSecret(key) => return self.regenerate_secret(&key).await,
            Command::EndAccess {
                tenant,
                subject,
                id,
            } => return self.end_access(&tenant, subject, &id).await,
            Command::CreateUser(user) => return self.create_user(user).await,
            Command::DeleteUser { tenant, id } => return self.delete_user(&tenant, &id).await,
            Command::SetPassword {
                tenant,
                id,
                password,
            } => return self.set_password(&tenant, &id, &password).await,
            Command::ChangePassword(change) => return self.change_password(change).await,
            Command::Authenticate(secret) => Outcome::Client {
                client: self.authenticated(&secret).await?,
                secret: None,
            },
            Command::FindClient(key) => self.find_client(&key).await?,
            Command::FindClientByName {
                tenant,
                owner,
                name,
            } => self.find_client_by_name(&tenant, &owner, &name).await?,
            Command::FindUser { tenant, id } => self.find_user(&tenant, &id).await?,
            Command::FindUserByName { tenant, name } => {
                self.find_user_by_name(&tenant, &name).await?
            }
            Command::ListUsers {
                tenant,
                limit,
                offset,
            } => self.list_users(&tenant, limit, offset).await?,
            Command::HasAdministrator(tenant) => self.has_administrator(&tenant).await?,
            Command::FindRefresh(token) => self.find_refresh(&token).await?,
        };
        Ok(outcome.into())
    }

    async fn basic(&self, asked: &CheckBasic) -> BasicChecked {
        let text = STANDARD.decode(&asked.credential).ok();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((name, password)) = text.as_deref().and_then(|text| text.split_once(':')) else {
            return BasicChecked::Refused;
        };
        let checked = self.checked_user(SUPER_TENANT, name, password, asked.address);
        match checked.await {
            Ok(Some(user)) => BasicChecked::User {
                tenant: SUPER_TENANT.to_owned(),
                name: user.name,
            },
            Ok(None) => BasicChecked::Refused,
            Err(_) => BasicChecked::Unavailable,
        }
    }
}
