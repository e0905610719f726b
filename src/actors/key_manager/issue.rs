//! Issuing and revoking tokens (RFC 6749, 7009; PROTOCOLS M5, S4).

use std::net::IpAddr;

use uuid::{NoContext, Timestamp, Uuid};

use domain::application::{KeyType, TokenType};
use domain::change::MarkedSubject;
use domain::scope;
use domain::token::{Claims, TOKEN_LIMIT};
use serde_json::json;
use storage::apim::tokens::{AccessToken, RefreshToken};
use storage::apim::{oauth_clients, tokens};
use storage::shared::users::{self, User};
use subtle::ConstantTimeEq as _;

use super::attempts::Attempt;
use super::clients;
use super::command::{
    Client, ClientSecret, GrantType, Issued, OauthRefusal, Outcome, Refused, TokenRequest,
};
use super::desk::{Desk, after, bare_name, new_id, new_secret};
use super::handle::hash_hex;
use super::refresh_token;
use super::settled::{Done, Halt};

/// The key type of a client that serves no application.
pub(super) const UNMAPPED: KeyType = KeyType::Production;

/// As long as a hash, and none.
const NO_HASH: &str = "----------------------------------------------------------------";

/// What a token is made of.
pub(super) struct Ground {
    client: Client,
    /// The user, or the client's owner.
    user: String,
    /// Whether it stands for a user.
    for_user: bool,
    roles: Vec<String>,
    pub(super) session: String,
    /// The hash of the password that was right, where one was given.
    proof: Option<String>,
    /// The refresh token that is used up.
    used: Option<String>,
    /// Scopes that may be asked for at most; none for no bound.
    within: Option<Vec<String>>,
    /// When it was issued: from before the user's roles and marks were read, so that a mark set
    /// meanwhile covers it. Milliseconds since the epoch, by [`Desk::moment`].
    pub(super) issued_at_ms: i64,
    /// The same by the node's own clock: what it lives is counted from here.
    from_ms: i64,
}

// === impl Ground ===

impl Ground {
    fn access_row(&self, token: &str, scopes: &[String], life: i64) -> AccessToken {
        AccessToken {
            token_hash: hash_hex(token),
            tenant: self.client.details.tenant.clone(),
            consumer_key: self.client.consumer_key.clone(),
            session: self.session.clone(),
            username: self.user.clone(),
            user_type: kind(self.for_user).to_owned(),
            scopes: scopes.join(" "),
            issued_at_ms: self.issued_at_ms,
            expires_at_ms: after(self.from_ms, life),
        }
    }

    fn refresh_row(&self, token: &str, scopes: &[String], life: i64) -> RefreshToken {
        RefreshToken {
            token_hash: hash_hex(token),
            tenant: self.client.details.tenant.clone(),
            consumer_key: self.client.consumer_key.clone(),
            session: self.session.clone(),
            username: self.user.clone(),
            scopes: scopes.join(" "),
            used: false,
            issued_at_ms: self.issued_at_ms,
            expires_at_ms: after(self.from_ms, life),
        }
    }
}

// === impl Desk ===

impl Desk {
    /// Issues a token.
    pub(super) async fn issue(&self, request: TokenRequest) -> Result<Done, Halt> {
        let client = self.authenticated(&request.client).await?;
        let ground = self.ground(client, request.grant).await?;
        let asked = match &ground.within {
            Some(within) if request.scopes.is_empty() => within.clone(),
            Some(within) => {
                let may = |scope: &String| within.contains(scope);
                let asked: Vec<_> = request.scopes.into_iter().filter(may).collect();
                if asked.is_empty() {
                    let description = "none of the scopes belongs to the refresh token";
                    return Err(invalid_scope(description).into());
                }
                asked
            }
            None => request.scopes,
        };
        let scopes = self.granted(&ground, &asked).await?;
        let details = &ground.client.details;
        let chosen = if ground.for_user {
            details.user_token_seconds
        } else {
            details.access_token_seconds
        };
        let configured = self.settings.access_life(chosen);
        // What was configured for the client is its owner's bound: a request may only shorten it.
        let asked_life = request.validity_seconds.filter(|seconds| *seconds > 0);
        let life = asked_life.map_or(configured, |seconds| seconds.min(configured));
        self.write_tokens(&ground, scopes, life).await
    }

    /// Checks who asks, and on what ground.
    async fn ground(&self, client: Client, grant: GrantType) -> Result<Ground, Halt> {
        let wanted = match &grant {
            GrantType::ClientCredentials => "client_credentials",
            GrantType::Password { .. } => "password",
            GrantType::RefreshToken(_) => "refresh_token",
        };
        if !client
            .details
            .grant_types
            .iter()
            .any(|known| known == wanted)
        {
            let description = format!("the client may not use the grant type {wanted}");
            let refusal = OauthRefusal::UnauthorizedClient;
            return Err(Refused::Oauth(refusal, description).into());
        }
        // Before anything else is read, so that a mark set meanwhile covers the token.
        let (issued_at_ms, from_ms) = (self.moment().await?, self.clock.now_ms());
        self.require_owner(&client).await?;
        match grant {
            GrantType::ClientCredentials => Ok(Ground {
                user: client.details.owner.clone(),
                client,
                for_user: false,
                roles: Vec::new(),
                session: String::new(),
                proof: None,
                used: None,
                within: None,
                issued_at_ms,
                from_ms,
            }),
            GrantType::Password {
                username,
                password,
                address,
            } => {
                let tenant = client.details.tenant.clone();
                let user = self.checked_user(&tenant, &username, &password, address);
                Ok(self.signed_in(client, user.await?).await?)
            }
            GrantType::RefreshToken(text) => self.refreshed(client, &text).await,
        }
    }

    /// A client lives no longer than its owner.
    async fn require_owner(&self, client: &Client) -> Result<(), Refused> {
        let (tenant, owner) = (&client.details.tenant, &client.details.owner);
        match self.roles_of(tenant, owner).await? {
            Some(_) => Ok(()),
            None => Err(Refused::Oauth(
                OauthRefusal::InvalidClient,
                "the client's owner is gone".to_owned(),
            )),
        }
    }

    /// The ground of a user whose password was right, if it was.
    pub(super) async fn signed_in(
        &self,
        client: Client,
        user: Option<User>,
    ) -> Result<Ground, Refused> {
        let user = user.ok_or_else(|| invalid_grant("the user's credentials are wrong"))?;
        let (issued_at_ms, from_ms) = (self.moment().await?, self.clock.now_ms());
        let roles = self.roles_of(&client.details.tenant, &user.name).await?;
        Ok(Ground {
            roles: roles.ok_or_else(|| invalid_grant("the user is gone"))?,
            user: user.name,
            client,
            for_user: true,
            session: new_id(),
            proof: Some(user.password_hash),
            used: None,
            within: None,
            issued_at_ms,
            from_ms,
        })
    }

    pub(super) async fn refreshed(&self, client: Client, text: &str) -> Result<Ground, Halt> {
        let hash = hash_hex(text);
        let (issued_at_ms, from_ms) = (self.moment().await?, self.clock.now_ms());
        let gone = || invalid_grant("the refresh token is not valid");
        let mut read = self.apim.read().await?;
        let found = tokens::find_refresh(&mut read, &hash).await?;
        let found = found.filter(|found| found.consumer_key == client.consumer_key);
        let found = found.ok_or_else(gone)?;
        let tenant = found.tenant.clone();
        let ended = refresh_token::is_ended(&mut read, &found).await?;
        drop(read);
        if found.used {
            return Err(self.replayed(&client, &found.session).await);
        }
        if ended || found.expires_at_ms <= from_ms {
            return Err(gone().into());
        }
        let roles = self.roles_of(&tenant, &found.username).await?;
        Ok(Ground {
            roles: roles.ok_or_else(gone)?,
            user: found.username,
            client,
            for_user: true,
            session: found.session,
            proof: None,
            used: Some(hash),
            within: Some(found.scopes.split_whitespace().map(str::to_owned).collect()),
            issued_at_ms,
            from_ms,
        })
    }

    /// A refresh token came twice: somebody holds a copy, so nobody may go on with this session
    /// (threat 7, RFC 9700 §4.14.2). Gives the refusal.
    async fn replayed(&self, client: &Client, session: &str) -> Halt {
        tracing::warn!(client = %client.consumer_key,
            "refresh token was used twice, or while its session was ended: it is ended");
        let tenant = &client.details.tenant;
        let ended = self.end_access(tenant, MarkedSubject::Session, session);
        match ended.await {
            Ok(done) => Halt {
                refused: invalid_grant("the refresh token is not valid"),
                n: done.n,
            },
            Err(halt) => halt,
        }
    }

    async fn granted(&self, ground: &Ground, asked: &[String]) -> Result<Vec<String>, Refused> {
        let tenant = &ground.client.details.tenant;
        let of_apis = self.roles_of_api_scopes(tenant, asked).await?;
        let asked = asked.iter().map(String::as_str);
        Ok(scope::grant(asked, &ground.roles, |scope| {
            of_apis.get(scope).cloned().flatten()
        }))
    }

    pub(super) async fn write_tokens(
        &self,
        ground: &Ground,
        scopes: Vec<String>,
        life: i64,
    ) -> Result<Done, Halt> {
        let details = &ground.client.details;
        let opaque = details.token_type == TokenType::Oauth;
        let access_token = if opaque {
            new_secret()?
        } else {
            self.access_token(ground, &scopes, life).await?
        };
        let refresh_token = (ground.for_user
            && details
                .grant_types
                .iter()
                .any(|known| known == "refresh_token"))
        .then(new_secret)
        .transpose()?;
        // All that can fail beside the store comes first: a refresh token is used up for an answer.
        let wants_identity = ground.for_user && scopes.iter().any(|scope| scope == scope::OPENID);
        let id_token = if wants_identity {
            let life = self.settings.identity_life(details.id_token_seconds, life);
            Some(self.identity(ground, life).await?)
        } else {
            None
        };
        if opaque || refresh_token.is_some() || ground.used.is_some() {
            let mut write = self.apim.write("apim.tokens.issue").await?;
            if let Some(used) = &ground.used
                && !tokens::use_refresh(&mut write, used).await?
            {
                // Another node was faster with the same token, or its session was ended.
                drop(write);
                return Err(self.replayed(&ground.client, &ground.session).await);
            }
            if opaque {
                let token = ground.access_row(&access_token, &scopes, life);
                tokens::create_access(&mut write, &token).await?;
            }
            if let Some(refresh) = &refresh_token {
                let life = self.settings.refresh_life(details.refresh_token_seconds);
                // As much as the one before, however little was asked for this time (RFC 6749 §6).
                let kept = ground.within.as_ref().unwrap_or(&scopes);
                let token = ground.refresh_row(refresh, kept, life);
                tokens::create_refresh(&mut write, &token).await?;
            }
            write.commit().await?;
        }
        self.require_proof(ground).await?;
        Ok(Outcome::Issued(Issued {
            access_token,
            refresh_token,
            id_token,
            scopes,
            expires_in: life,
        })
        .into())
    }

    /// A password that was changed while its hash was computed opens nothing: asked after the
    /// tokens are stored, so that a change that comes later has a mark that covers them.
    async fn require_proof(&self, ground: &Ground) -> Result<(), Halt> {
        let Some(proof) = &ground.proof else {
            return Ok(());
        };
        let tenant = &ground.client.details.tenant;
        let mut read = self.shared.read().await?;
        let user = users::find_by_name(&mut read, tenant, &ground.user).await?;
        drop(read);
        if user.is_some_and(|user| user.password_hash == *proof) {
            return Ok(());
        }
        let ended = self.end_access(tenant, MarkedSubject::Session, &ground.session);
        Err(Halt {
            refused: invalid_grant("the user's credentials are wrong"),
            n: ended.await?.n,
        })
    }

    async fn access_token(
        &self,
        ground: &Ground,
        scopes: &[String],
        life: i64,
    ) -> Result<String, Refused> {
        let details = &ground.client.details;
        let (issued_at_ms, from_ms) = (ground.issued_at_ms, ground.from_ms);
        let since = Timestamp::from_unix(
            NoContext,
            u64::try_from(issued_at_ms / 1_000).unwrap_or(0),
            u32::try_from(issued_at_ms % 1_000 * 1_000_000).unwrap_or(0),
        );
        let claims = Claims {
            iss: self.settings.issuer.clone(),
            sub: format!("{}@{}", ground.user, details.tenant),
            aut: kind(ground.for_user).to_owned(),
            aud: vec![ground.client.consumer_key.clone()],
            azp: ground.client.consumer_key.clone(),
            scope: scopes.join(" "),
            // Version 7: it carries the milliseconds that `iat` cannot, for issued-before marks.
            jti: Uuid::new_v7(since).to_string(),
            sid: ground.session.clone(),
            iat: from_ms / 1_000,
            nbf: Some(from_ms / 1_000),
            exp: (from_ms / 1_000).saturating_add(life),
        };
        let token = self.sign("at+jwt", claims.write()).await?;
        if token.len() > TOKEN_LIMIT {
            // Nobody would take it.
            return Err(invalid_scope("the scopes do not fit into a token"));
        }
        Ok(token)
    }

    async fn identity(&self, ground: &Ground, life: i64) -> Result<String, Refused> {
        let from = ground.from_ms / 1_000;
        let claims = json!({
            "iss": self.settings.issuer,
            "sub": format!("{}@{}", ground.user, ground.client.details.tenant),
            "aud": [ground.client.consumer_key], "azp": ground.client.consumer_key,
            "iat": from, "exp": from.saturating_add(life), "jti": new_id(),
        });
        self.sign("JWT", claims).await
    }

    /// Signs off the runtime's threads: RSA takes about a millisecond.
    async fn sign(&self, kind: &'static str, claims: serde_json::Value) -> Result<String, Refused> {
        let keys = std::sync::Arc::clone(&self.keys);
        let signed = tokio::task::spawn_blocking(move || keys.sign(kind, &claims)).await;
        match signed {
            Ok(Ok(token)) => Ok(token),
            _ => Err(Refused::Unavailable),
        }
    }

    /// The client, when its secret is right.
    pub(super) async fn authenticated(&self, secret: &ClientSecret) -> Result<Client, Refused> {
        let mut read = self.apim.read().await?;
        let found = oauth_clients::find(&mut read, &secret.consumer_key).await?;
        let given = hash_hex(&secret.consumer_secret);
        // The same work for a client that is not there (threats 13, 15).
        let known = found.as_ref().map_or(NO_HASH, |client| &client.secret_hash);
        let mut right = bool::from(known.as_bytes().ct_eq(given.as_bytes()));
        if !right {
            let (key, now) = (&secret.consumer_key, self.clock.now_ms());
            let previous = oauth_clients::find_previous_secret(&mut read, key, now).await?;
            let known = previous.as_deref().unwrap_or(NO_HASH);
            right = bool::from(known.as_bytes().ct_eq(given.as_bytes()));
        }
        match found {
            Some(client) if right => Ok(clients::shown(&client)),
            _ => Err(Refused::Oauth(
                OauthRefusal::InvalidClient,
                "the client is unknown or its secret is wrong".to_owned(),
            )),
        }
    }

    /// The user's own spelling of the name, when the password is right.
    pub(super) async fn checked_user(
        &self,
        tenant: &str,
        name: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<Option<User>, Refused> {
        let name = bare_name(name);
        let mut read = self.shared.read().await?;
        let user = users::find_by_name(&mut read, tenant, name).await?;
        drop(read);
        let user = user.filter(|user| user.active);
        let hash = user.as_ref().map(|user| user.password_hash.as_str());
        let account = format!("{tenant}/{}", name.to_lowercase());
        let attempt = Attempt::new(&account, address);
        let now = self.clock.now_ms();
        let right = self.passwords.check(&attempt, password, hash, now).await;
        Ok(user.filter(|_| right))
    }

    /// An active user's roles; none when there is no such user.
    pub(super) async fn roles_of(
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<Option<Vec<String>>, Refused> {
        let mut read = self.shared.read().await?;
        match users::find_by_name(&mut read, tenant, name).await? {
            Some(user) if user.active => Ok(Some(users::roles(&mut read, tenant, &user.id).await?)),
            _ => Ok(None),
        }
    }
}

const fn kind(for_user: bool) -> &'static str {
    if for_user {
        "APPLICATION_USER"
    } else {
        "APPLICATION"
    }
}

fn invalid_scope(description: &str) -> Refused {
    Refused::Oauth(OauthRefusal::InvalidScope, description.to_owned())
}

fn invalid_grant(description: &str) -> Refused {
    Refused::Oauth(OauthRefusal::InvalidGrant, description.to_owned())
}
