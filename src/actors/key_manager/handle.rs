//! The typed client of the key manager, the only door to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use domain::api::SUPER_TENANT;
use domain::change::MarkedSubject;

use cluster::{AskError, Cluster, Door};
use domain::validation::{Credential, Secret, Verdict};

use super::command::{
    Client, ClientSecret, Command, Issued, NewClient, NewUser, Outcome, PasswordChange, Refresh,
    Refused, TokenRequest, User,
};
use super::desk::{Desk, Settings};
use super::issuer::Issuer;
use super::keys::Keys;
use super::made::{applied, client, user, with_secret};
use super::message::{BasicChecked, CheckBasic, ValidateMany, Validated};
use crate::change_feed::{Applied, Saved};

/// The role of nodes that have a key manager.
const ROLE: &str = "key-manager";
/// After which silence another key manager is asked as well (DESIGN 5).
const HEDGE: Duration = Duration::from_millis(100);
/// The deadline of one question.
const DEADLINE: Duration = Duration::from_secs(3);
/// The deadline of a gateway's: calls wait for it.
const GATEWAY_DEADLINE: Duration = Duration::from_secs(2);
/// The deadline of a command: it may hash a password and wait for followers.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// Asks the key manager, wherever it lives.
#[derive(Debug, Clone)]
pub struct KeyManagerHandle {
    validate: Door<ValidateMany>,
    basic: Door<CheckBasic>,
    commands: Door<Command>,
    /// The keys of this node, where it has the role.
    keys: Option<Arc<Keys>>,
    issuer: Issuer,
    longest_ms: i64,
}

// === impl KeyManagerHandle ===

impl KeyManagerHandle {
    /// A handle that asks through these doors.
    #[must_use]
    pub(super) fn new(
        validate: Door<ValidateMany>,
        basic: Door<CheckBasic>,
        commands: Door<Command>,
        desk: &Desk,
    ) -> Self {
        Self {
            validate,
            basic,
            commands,
            keys: Some(Arc::clone(&desk.keys)),
            issuer: Issuer::new(&desk.settings.issuer),
            longest_ms: desk.everything_expired_by(0),
        }
    }

    /// Has this node's key manager answer others, and asks theirs where it is silent.
    #[must_use]
    pub fn joined(self, cluster: &Cluster) -> Self {
        cluster.serve(self.validate.clone());
        cluster.serve(self.basic.clone());
        cluster.serve(self.commands.clone());
        Self {
            validate: Door::anywhere(Some(self.validate), cluster, ROLE, HEDGE),
            ..self
        }
    }

    /// The key manager of whichever node answers.
    #[must_use]
    pub fn elsewhere(cluster: &Cluster, settings: &Settings) -> Self {
        Self {
            validate: Door::anywhere(None, cluster, ROLE, HEDGE),
            basic: Door::anywhere(None, cluster, ROLE, HEDGE),
            commands: Door::anywhere(None, cluster, ROLE, HEDGE),
            keys: None,
            issuer: Issuer::new(&settings.issuer),
            longest_ms: settings.everything_expired_by(0),
        }
    }

    /// The same handle with another way to those who validate.
    #[cfg(test)]
    pub(crate) fn answered_by(self, validate: Door<ValidateMany>) -> Self {
        Self { validate, ..self }
    }

    /// The published key set (RFC 7517) as JSON text.
    #[must_use]
    pub fn jwks(&self) -> String {
        let keys = self.keys.as_ref();
        keys.map_or_else(|| r#"{"keys":[]}"#.to_owned(), |keys| keys.jwks())
    }

    /// The algorithm that tokens are signed with.
    #[must_use]
    pub fn signing_algorithm(&self) -> &'static str {
        self.keys.as_ref().map_or("RS256", |keys| keys.algorithm())
    }

    /// `iss` of issued tokens.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The moment by which everything issued until now has expired, milliseconds since the epoch:
    /// how long an issued-before mark must last (S4).
    #[must_use]
    pub const fn everything_expired_by(&self, now_ms: i64) -> i64 {
        now_ms + self.longest_ms
    }

    /// Whether there is a key manager to ask, here or on a node that is connected.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.validate.is_there()
    }

    /// Validates several credentials as one question of a gateway (V1); of none, asks whether there
    /// is somebody who can.
    ///
    /// # Errors
    /// When no key manager answers in time.
    pub async fn validate_many(
        &self,
        applied: u64,
        credentials: Vec<Credential>,
    ) -> Result<Validated, AskError> {
        let request = ValidateMany {
            applied,
            credentials,
        };
        self.validate.ask(request, GATEWAY_DEADLINE).await
    }

    /// Validates one bearer token as it came, for the management APIs: nothing is cached, so
    /// that a revoked token is refused at once.
    ///
    /// # Errors
    /// When no key manager answers in time.
    pub async fn validate(&self, token: &str) -> Result<Verdict, AskError> {
        // The management APIs are those of the one tenant that is served.
        let credential = Credential {
            tenant: SUPER_TENANT.to_owned(),
            secret: bearer(token),
        };
        let request = ValidateMany {
            applied: 0,
            credentials: vec![credential],
        };
        match self.validate.ask(request, DEADLINE).await? {
            Validated::Verdicts(verdicts) => {
                verdicts.into_iter().next().ok_or(AskError::Unsupported)
            }
            Validated::Behind { .. } | Validated::Unavailable => Err(AskError::Unavailable),
        }
    }

    /// Whose HTTP Basic credential this is: tenant and user, none when it is nobody's or its
    /// `address` has failed too often.
    ///
    /// # Errors
    /// When no key manager answers in time.
    pub async fn basic(
        &self,
        credential: &str,
        address: IpAddr,
    ) -> Result<Option<(String, String)>, AskError> {
        let asked = CheckBasic {
            credential: credential.to_owned(),
            address,
        };
        match self.basic.ask(asked, DEADLINE).await? {
            BasicChecked::User { tenant, name } => Ok(Some((tenant, name))),
            BasicChecked::Refused => Ok(None),
            BasicChecked::Unavailable => Err(AskError::Unavailable),
        }
    }
}

// Commands: each is one question to a clerk and gives what it asks for.
impl KeyManagerHandle {
    async fn command(&self, command: Command) -> Result<Outcome, Refused> {
        let answered = self.commands.ask(command, COMMAND_DEADLINE).await;
        answered.map_err(|_| Refused::Unavailable)?
    }

    /// Issues a token.
    ///
    /// # Errors
    /// [`Refused::Oauth`] as RFC 6749 §5.2.
    pub async fn issue(&self, request: TokenRequest) -> Result<Issued, Refused> {
        match self.command(Command::Issue(request)).await? {
            Outcome::Issued(issued) => Ok(issued),
            _ => Err(Refused::Unavailable),
        }
    }

    /// Revokes a token; gives who has applied it. One that is revoked already waits for everything
    /// until now: it may be the revocation that is asked for again. A text that was never a token of
    /// the client's waits for nothing.
    ///
    /// # Errors
    /// [`Refused::Oauth`] when the client is not authenticated.
    pub async fn revoke(
        &self,
        client: ClientSecret,
        token: String,
    ) -> Result<Option<Applied>, Refused> {
        Ok(applied(
            self.command(Command::Revoke { client, token }).await?,
        ))
    }

    /// The client, when its secret is right.
    ///
    /// # Errors
    /// [`Refused::Oauth`] when it is not.
    pub async fn authenticate(&self, secret: ClientSecret) -> Result<Client, Refused> {
        Ok(client(self.command(Command::Authenticate(secret)).await?)?
            .value
            .0)
    }

    /// Makes a client; gives it with its secret, which is shown this once.
    ///
    /// # Errors
    /// [`Refused::Duplicate`] when the owner has one of that name.
    pub async fn create_client(&self, new: NewClient) -> Result<(Client, String), Refused> {
        Ok(with_secret(self.command(Command::CreateClient(new)).await?)?.value)
    }

    /// Makes a client, or changes the owner's one of that name; gives it with a new secret, which is
    /// shown this once. The secret before goes on for a day.
    ///
    /// # Errors
    /// [`Refused::BadField`], [`Refused::NotFound`] when the owner is gone.
    pub async fn register_client(
        &self,
        wanted: NewClient,
    ) -> Result<Saved<(Client, String)>, Refused> {
        with_secret(self.command(Command::RegisterClient(wanted)).await?)
    }

    /// A client by consumer key.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub async fn find_client(&self, consumer_key: &str) -> Result<Client, Refused> {
        let command = Command::FindClient(consumer_key.to_owned());
        Ok(client(self.command(command).await?)?.value.0)
    }

    /// A client by owner and name.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub async fn find_client_by_name(
        &self,
        tenant: &str,
        owner: &str,
        name: &str,
    ) -> Result<Client, Refused> {
        let command = Command::FindClientByName {
            tenant: tenant.to_owned(),
            owner: owner.to_owned(),
            name: name.to_owned(),
        };
        Ok(client(self.command(command).await?)?.value.0)
    }

    /// Changes what may be chosen of a client (not key, tenant, owner or name).
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub async fn update_client(&self, changed: Client) -> Result<Client, Refused> {
        Ok(client(self.command(Command::UpdateClient(changed)).await?)?
            .value
            .0)
    }

    /// Replaces a client's secret; gives the new one, shown this once.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub async fn regenerate_secret(&self, consumer_key: &str) -> Result<Saved<String>, Refused> {
        let command = Command::RegenerateSecret(consumer_key.to_owned());
        let made = with_secret(self.command(command).await?)?;
        Ok(Saved {
            value: made.value.1,
            applied: made.applied,
        })
    }

    /// Ends everything issued to a subject until now (S4).
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn end_access(
        &self,
        tenant: &str,
        subject: MarkedSubject,
        id: &str,
    ) -> Result<Option<Applied>, Refused> {
        let command = Command::EndAccess {
            tenant: tenant.to_owned(),
            subject,
            id: id.to_owned(),
        };
        Ok(applied(self.command(command).await?))
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`Refused::Duplicate`], [`Refused::BadField`].
    pub async fn create_user(&self, new: NewUser) -> Result<Saved<User>, Refused> {
        user(self.command(Command::CreateUser(new)).await?)
    }

    /// A refresh token that would work now, looked at without using it.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub async fn find_refresh(&self, token: &str) -> Result<Refresh, Refused> {
        match self.command(Command::FindRefresh(token.to_owned())).await? {
            Outcome::Refresh(refresh) => Ok(refresh),
            _ => Err(Refused::Unavailable),
        }
    }

    /// A user by id.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub async fn find_user(&self, tenant: &str, id: &str) -> Result<User, Refused> {
        let (tenant, id) = (tenant.to_owned(), id.to_owned());
        Ok(user(self.command(Command::FindUser { tenant, id }).await?)?.value)
    }

    /// A user by name, ignoring case.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub async fn find_user_by_name(&self, tenant: &str, name: &str) -> Result<User, Refused> {
        let (tenant, name) = (tenant.to_owned(), name.to_owned());
        let command = Command::FindUserByName { tenant, name };
        Ok(user(self.command(command).await?)?.value)
    }

    /// A page of users by name, and how many there are in all.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn list_users(
        &self,
        tenant: &str,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<User>, u32), Refused> {
        let tenant = tenant.to_owned();
        let command = Command::ListUsers {
            tenant,
            limit,
            offset,
        };
        match self.command(command).await? {
            Outcome::Users { users, total } => Ok((users, total)),
            _ => Err(Refused::Unavailable),
        }
    }

    /// Removes a user and ends what was issued to them.
    ///
    /// # Errors
    /// [`Refused::NotFound`]; [`Refused::BadField`] for the last administrator.
    pub async fn delete_user(&self, tenant: &str, id: &str) -> Result<Option<Applied>, Refused> {
        let (tenant, id) = (tenant.to_owned(), id.to_owned());
        Ok(applied(
            self.command(Command::DeleteUser { tenant, id }).await?,
        ))
    }

    /// Replaces a user's password and ends the user's sessions.
    ///
    /// # Errors
    /// [`Refused::NotFound`]; [`Refused::BadField`] for a password that is too short or long.
    pub async fn set_password(
        &self,
        tenant: &str,
        id: &str,
        password: String,
    ) -> Result<Option<Applied>, Refused> {
        let (tenant, id) = (tenant.to_owned(), id.to_owned());
        let command = Command::SetPassword {
            tenant,
            id,
            password,
        };
        Ok(applied(self.command(command).await?))
    }

    /// Replaces a user's password by the current one and ends the user's sessions.
    ///
    /// # Errors
    /// [`Refused::BadField`] for `current`, wrong or no longer right, and for a `new` one that is
    /// too short or long.
    pub async fn change_password(
        &self,
        change: PasswordChange,
    ) -> Result<Option<Applied>, Refused> {
        Ok(applied(
            self.command(Command::ChangePassword(change)).await?,
        ))
    }

    /// Whether a tenant has an active administrator.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn has_administrator(&self, tenant: &str) -> Result<bool, Refused> {
        let command = Command::HasAdministrator(tenant.to_owned());
        Ok(self.command(command).await? == Outcome::Yes)
    }
}

/// What kind of bearer token a text is: three parts with dots are a signed one.
#[must_use]
pub fn bearer(token: &str) -> Secret {
    if token.split('.').count() == 3 {
        Secret::Jwt(token.to_owned())
    } else {
        Secret::Opaque(hash_hex(token))
    }
}

/// The SHA-256 of a secret, lower-case hex: the only form in which one is kept.
#[must_use]
pub fn hash_hex(secret: &str) -> String {
    let hash = digest(&SHA256, secret.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
