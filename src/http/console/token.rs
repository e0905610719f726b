//! What signing in gets from our own OAuth server: a token for a client of this node's pages.
//!
//! It is what any client of the REST APIs does: a password is checked and counted as everywhere (threats 14, 15), the
//! client is registered in that person's name, as by `/client-registration`, and asks for a token by the password grant.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use actors::key_manager::command::{
    ClientSecret, GrantType, Issued, NewClient, OauthRefusal, Refused, TokenRequest,
};
use domain::application::TokenType;
use domain::scope;

use super::Console;
use super::session::{LIFE, Session};
use crate::services::Services;

/// The scope that pages need, as the JSON beside them does.
pub(super) const SCOPE: &str = "apim:admin";

/// An administrator who proved who they are.
pub(super) struct Proven {
    /// User name without tenant.
    pub(super) user: String,
    /// Tenant domain.
    pub(super) tenant: String,
    password: String,
    address: IpAddr,
}

/// Why nobody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotSignedIn {
    /// The name or the password is wrong, or whoever tries has to wait.
    Wrong,
    /// They may not see the pages.
    NotAllowed,
    /// A key manager answers, and issues nothing: what it says.
    Refused(String),
    /// No key manager answers.
    Unavailable,
}

// === impl NotSignedIn ===

impl NotSignedIn {
    /// What the audit log says of it.
    pub(super) fn outcome(&self) -> String {
        match self {
            Self::Wrong => "refused: wrong name or password, or too many attempts".to_owned(),
            Self::NotAllowed => "refused: no administrator".to_owned(),
            Self::Refused(why) => format!("refused by the key manager: {why}"),
            Self::Unavailable => "unknown: no key manager answers".to_owned(),
        }
    }
}

impl From<Refused> for NotSignedIn {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Oauth(OauthRefusal::InvalidGrant, _) => Self::Wrong,
            Refused::Oauth(OauthRefusal::InvalidScope, _) => Self::NotAllowed,
            // They were removed between two questions.
            Refused::NotFound(_) => Self::Wrong,
            Refused::Unavailable => Self::Unavailable,
            Refused::Oauth(kind, why) => Self::Refused(format!("{kind}: {why}")),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Whoever this password belongs to, if they may see the pages: nothing is registered or issued before that is clear.
pub(super) async fn prove(
    services: &Services,
    (name, password): (&str, String),
    address: IpAddr,
) -> Result<Proven, NotSignedIn> {
    // Where the password begins would not be clear.
    if name.contains(':') {
        return Err(NotSignedIn::Wrong);
    }
    // What is wrong costs one attempt and the same time, whether or not they have been here before.
    let credential = STANDARD.encode(format!("{name}:{password}"));
    let known = services.key_manager.basic(&credential, address).await;
    let known = known.map_err(|_| NotSignedIn::Unavailable)?;
    let (tenant, user) = known.ok_or(NotSignedIn::Wrong)?;
    let roles = services
        .key_manager
        .find_user_by_name(&tenant, &user)
        .await?;
    if !may_administer(&roles.roles) {
        return Err(NotSignedIn::NotAllowed);
    }
    Ok(Proven {
        user,
        tenant,
        password,
        address,
    })
}

fn may_administer(roles: &[String]) -> bool {
    let granted = scope::grant([SCOPE].into_iter(), roles, |_| None);
    granted.iter().any(|scope| scope == SCOPE)
}

/// Begins a session of theirs, which a cookie of this value stands for; gives how long it lasts.
pub(super) async fn begin(
    services: &Services,
    console: &Console,
    proven: &Proven,
    cookie: &str,
) -> Result<Duration, NotSignedIn> {
    let _turn = console.turn.lock().await;
    let (issued, client) = get(services, console, proven).await?;
    if !issued.scopes.iter().any(|scope| scope == SCOPE) {
        return Err(NotSignedIn::NotAllowed);
    }
    let life = Duration::from_secs(u64::try_from(issued.expires_in).unwrap_or_default()).min(LIFE);
    let now = services.system.clock.monotonic();
    let session = Session {
        token: issued.access_token,
        client,
        user: proven.user.clone(),
        tenant: proven.tenant.clone(),
        until: now.saturating_add(life),
    };
    console.sessions().begin(cookie, session, now);
    Ok(life)
}

/// A token, and the client that it is issued to: the one of their sessions, where that is still good.
async fn get(
    services: &Services,
    console: &Console,
    proven: &Proven,
) -> Result<(Issued, ClientSecret), Refused> {
    let (tenant, user) = (&proven.tenant, &proven.user);
    let now = services.system.clock.monotonic();
    let known = console.sessions().client_of(tenant, user, now);
    if let Some(client) = known {
        match issue(services, &client, proven).await {
            // Somebody removed it, or registered it over and over.
            Err(Refused::Oauth(OauthRefusal::InvalidClient, _)) => {}
            issued => return Ok((issued?, client)),
        }
    }
    let client = register(services, tenant, user).await?;
    console.sessions().renew(tenant, user, &client);
    Ok((issue(services, &client, proven).await?, client))
}

async fn issue(
    services: &Services,
    client: &ClientSecret,
    proven: &Proven,
) -> Result<Issued, Refused> {
    let request = TokenRequest {
        client: client.clone(),
        grant: GrantType::Password {
            username: proven.user.clone(),
            password: proven.password.clone(),
            address: proven.address,
        },
        scopes: vec![SCOPE.to_owned()],
        validity_seconds: i64::try_from(LIFE.as_secs()).ok(),
    };
    services.key_manager.issue(request).await
}

/// This node's client in a person's name. Nobody waits until gateways know of it: they never meet it.
async fn register(services: &Services, tenant: &str, user: &str) -> Result<ClientSecret, Refused> {
    let wanted = NewClient {
        tenant: tenant.to_owned(),
        name: format!("headgate-pages-{}", services.cluster.me().id),
        owner: user.to_owned(),
        grant_types: vec!["password".to_owned()],
        callback_url: String::new(),
        // One that means nothing to whoever has it, and ends everywhere at once.
        token_type: TokenType::Oauth,
        access_token_seconds: None,
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
    };
    let made = cluster::hastily(services.key_manager.register_client(wanted)).await?;
    let (client, consumer_secret) = made.value;
    Ok(ClientSecret {
        consumer_key: client.consumer_key,
        consumer_secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_is_told_by_their_roles() {
        let may = |role: &str| may_administer(&[role.to_owned()]);
        assert!(may("admin"));
        assert!(!may("Internal/creator") && !may("Internal/subscriber") && !may("apim:admin"));
    }

    #[test]
    fn who_may_not_administer_is_told_so_and_a_wrong_password_tells_nothing_more() {
        let refused = |why| NotSignedIn::from(Refused::Oauth(why, String::new()));
        assert_eq!(refused(OauthRefusal::InvalidGrant), NotSignedIn::Wrong);
        assert_eq!(refused(OauthRefusal::InvalidScope), NotSignedIn::NotAllowed);
        assert_eq!(
            NotSignedIn::from(Refused::Unavailable),
            NotSignedIn::Unavailable
        );
        let outcome = refused(OauthRefusal::UnauthorizedClient).outcome();
        assert!(
            outcome.starts_with("refused by the key manager: unauthorized_client"),
            "{outcome}"
        );
    }
}
