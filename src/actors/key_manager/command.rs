//! What may be asked of the key manager beside validation: tokens, clients, people. One request
//! of plain data, so that it may come from any node.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use cluster::Request;
use domain::change::MarkedSubject;

use crate::change_feed::Applied;

/// One question or order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Issues a token (RFC 6749).
    Issue(TokenRequest),
    /// Revokes a token of this client (RFC 7009).
    Revoke {
        /// The client, authenticated.
        client: ClientSecret,
        /// The token's text.
        token: String,
    },
    /// Whether a client's secret is right.
    Authenticate(ClientSecret),
    /// Makes a client.
    CreateClient(NewClient),
    /// A client by consumer key.
    FindClient(String),
    /// A client by owner and name.
    FindClientByName {
        /// Tenant domain.
        tenant: String,
        /// Owner.
        owner: String,
        /// Name.
        name: String,
    },
    /// Changes grant types, callback, token type and lifetimes of a client.
    UpdateClient(Client),
    /// Replaces a client's secret.
    RegenerateSecret(String),
    /// Ends everything issued to a subject until now.
    EndAccess {
        /// Tenant domain.
        tenant: String,
        /// Kind of subject.
        subject: MarkedSubject,
        /// Its id.
        id: String,
    },
    /// Makes a user.
    CreateUser(NewUser),
    /// A user by id.
    FindUser {
        /// Tenant domain.
        tenant: String,
        /// UUID.
        id: String,
    },
    /// A user by name.
    FindUserByName {
        /// Tenant domain.
        tenant: String,
        /// Name without tenant.
        name: String,
    },
    /// A page of users by name.
    ListUsers {
        /// Tenant domain.
        tenant: String,
        /// Most rows.
        limit: u32,
        /// Rows passed over.
        offset: u32,
    },
    /// Removes a user and ends what was issued to them.
    DeleteUser {
        /// Tenant domain.
        tenant: String,
        /// UUID.
        id: String,
    },
    /// Replaces a user's password and ends the user's sessions.
    SetPassword {
        /// Tenant domain.
        tenant: String,
        /// UUID.
        id: String,
        /// The new password.
        password: String,
    },
    /// Whether a tenant has an active administrator.
    HasAdministrator(String),
    /// A refresh token by its text, looked at without using it.
    FindRefresh(String),
    /// Makes a client, or changes the owner's one of that name; a new secret either way.
    RegisterClient(NewClient),
    /// Replaces a user's password by the current one and ends the user's sessions.
    ChangePassword(PasswordChange),
}

// === impl Command ===

impl Command {
    /// Whether it takes access away, and tells its asker nothing that would be lost.
    pub(super) const fn ends_access(&self) -> bool {
        matches!(
            self,
            Self::Revoke { .. } | Self::EndAccess { .. } | Self::DeleteUser { .. }
        )
    }
}

/// What comes of a [`Command`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A token.
    Issued(Issued),
    /// A client, and its secret where it was just made.
    Client {
        /// The client.
        client: Client,
        /// The secret, shown this once.
        secret: Option<String>,
    },
    /// A user.
    User(User),
    /// A page of users.
    Users {
        /// The page.
        users: Vec<User>,
        /// Users in all.
        total: u32,
    },
    /// Done, and who has applied it.
    Applied(Applied),
    /// Done, or yes.
    Yes,
    /// No.
    No,
    /// A refresh token that would work now.
    Refresh(Refresh),
    /// What a change made, and who has applied it.
    Changed(Box<Self>, Applied),
}

/// Why a [`Command`] was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// An OAuth2 error (RFC 6749 §5.2).
    #[error("{0}")]
    Oauth(OauthRefusal, String),
    /// A member is wrong.
    #[error("{field}: {problem}")]
    BadField {
        /// The member.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// The name is taken.
    #[error("{0} exists already")]
    Duplicate(String),
    /// It is not there.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The key manager cannot tell now.
    #[error("the key manager is not available")]
    Unavailable,
}

/// OAuth2's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OauthRefusal {
    /// The client is unknown or its secret wrong.
    InvalidClient,
    /// The user's credentials or the refresh token are not valid.
    InvalidGrant,
    /// The client may not use this grant type.
    UnauthorizedClient,
    /// None of the scopes may be had.
    InvalidScope,
}

/// A client and its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// Consumer key.
    pub consumer_key: String,
    /// Consumer secret.
    pub consumer_secret: String,
}

/// A request for a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The client.
    pub client: ClientSecret,
    /// On what ground.
    pub grant: GrantType,
    /// Scopes asked for; the refresh token's own when empty.
    pub scopes: Vec<String>,
    /// Life of the access token in seconds, when the default does not suit.
    pub validity_seconds: Option<i64>,
}

/// On what ground a token is asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantType {
    /// The client for itself.
    ClientCredentials,
    /// A user's password.
    Password {
        /// Name, with or without tenant.
        username: String,
        /// Password.
        password: String,
        /// Where it was given, by the connection or a trusted proxy.
        address: IpAddr,
    },
    /// A refresh token.
    RefreshToken(String),
}

/// An issued token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Access token.
    pub access_token: String,
    /// Refresh token, for users.
    pub refresh_token: Option<String>,
    /// Identity token, when `openid` was granted to a user.
    pub id_token: Option<String>,
    /// Scopes granted.
    pub scopes: Vec<String>,
    /// Seconds until it expires.
    pub expires_in: i64,
}

/// A refresh token, as introspection shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// The client it was issued to.
    pub consumer_key: String,
    /// Tenant domain.
    pub tenant: String,
    /// The user it stands for.
    pub user: String,
    /// Scopes, separated by spaces.
    pub scopes: String,
    /// Milliseconds since the epoch.
    pub issued_at_ms: i64,
    /// Milliseconds since the epoch.
    pub expires_at_ms: i64,
}

/// A client to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewClient {
    /// Tenant domain.
    pub tenant: String,
    /// Unique per owner.
    pub name: String,
    /// The user it belongs to.
    pub owner: String,
    /// Grant types it may use.
    pub grant_types: Vec<String>,
    /// Where codes may be sent.
    pub callback_url: String,
    /// Kind of access tokens.
    pub token_type: domain::application::TokenType,
    /// Life of the client's own access tokens, seconds.
    pub access_token_seconds: Option<i64>,
    /// Life of refresh tokens, seconds.
    pub refresh_token_seconds: Option<i64>,
    /// Life of users' access tokens, seconds.
    pub user_token_seconds: Option<i64>,
    /// Life of identity tokens, seconds; that of the access token when none.
    pub id_token_seconds: Option<i64>,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Consumer key.
    pub consumer_key: String,
    /// Everything that may be chosen.
    pub details: NewClient,
}

/// A user to be made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUser {
    /// Tenant domain.
    pub tenant: String,
    /// Unique, ignoring case.
    pub name: String,
    /// Password.
    pub password: String,
    /// Mail address, may be empty.
    pub email: String,
    /// May be empty.
    pub given_name: String,
    /// May be empty.
    pub family_name: String,
    /// Roles; each must exist.
    pub roles: Vec<String>,
}

/// A password to be changed by whoever has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChange {
    /// Tenant domain.
    pub tenant: String,
    /// The user's name, without tenant.
    pub name: String,
    /// The password until now.
    pub current: String,
    /// The one from now on.
    pub new: String,
    /// Where it was given, by the connection or a trusted proxy.
    pub address: IpAddr,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// UUID.
    pub id: String,
    /// Name without tenant.
    pub name: String,
    /// Mail address, may be empty.
    pub email: String,
    /// May be empty.
    pub given_name: String,
    /// May be empty.
    pub family_name: String,
    /// Whether the user may sign in.
    pub active: bool,
    /// Roles, the stored ones.
    pub roles: Vec<String>,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Milliseconds since the epoch.
    pub updated_at_ms: i64,
}

impl Request for Command {
    type Reply = Result<Outcome, Refused>;
    const KIND: u16 = 0x0103;
    const VERSION: u16 = 1;
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command")
    }
}

impl std::fmt::Display for OauthRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::InvalidScope => "invalid_scope",
        })
    }
}
