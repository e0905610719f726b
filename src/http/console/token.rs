//! What signing in gets from our own OAuth server: a token for a client of this node's pages.
//!
//! It is what any client of the REST APIs does: a password is checked and counted as everywhere (threats 14, 15), the
//! client is registered in that person's name, as by `/client-registration`, and asks for a token by the password grant.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use actors::key_manager::command::{
    ClientSecret, GrantType, Issued, NewClient, OauthRefusal, Refused, TokenRequest,
};
use domain::application::TokenType;

use super::Console;
use super::session::LIFE;
use crate::services::Services;

/// The scope that pages need, as the JSON beside them does.
pub(super) const SCOPE: &str = "apim:admin";
/// People whose client's secret is remembered; it is registered again for the others.
const MOST: usize = 100;

/// The newest secrets of this node's clients, by their owners.
#[derive(Default)]
pub(super) struct Clients(BTreeMap<String, ClientSecret>);

/// Somebody who proved who they are.
pub(super) struct Proven {
    pub(super) user: String,
    pub(super) tenant: String,
    pub(super) token: String,
}

/// Why nobody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSignedIn {
    /// The name or the password is wrong, or whoever tries has to wait.
    Wrong,
    /// They may not see the pages.
    NotAllowed,
    /// No key manager answers.
    Unavailable,
}

// === impl Clients ===

impl Clients {
    pub(super) fn of(&self, user: &str) -> Option<ClientSecret> {
        self.0.get(user).cloned()
    }

    fn keep(&mut self, user: &str, client: ClientSecret) {
        if self.0.len() >= MOST && !self.0.contains_key(user) {
            self.0.pop_first();
        }
        self.0.insert(user.to_owned(), client);
    }
}

// === impl NotSignedIn ===

impl NotSignedIn {
    /// What the audit log says of it.
    pub(super) const fn outcome(self) -> &'static str {
        match self {
            Self::Wrong => "refused: wrong name or password, or too many attempts",
            Self::NotAllowed => "refused: no administrator",
            Self::Unavailable => "unknown: no key manager answers",
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
            _ => Self::Unavailable,
        }
    }
}

/// Gets a token for whoever this password belongs to.
pub(super) async fn get(
    services: &Services,
    console: &Console,
    (name, password): (&str, &str),
    address: IpAddr,
) -> Result<Proven, NotSignedIn> {
    // Where the password begins would not be clear.
    if name.contains(':') {
        return Err(NotSignedIn::Wrong);
    }
    // First alone: a client is registered for nobody who has not proved themselves, and what is
    // wrong costs one attempt and the same time, whether or not they have been here before.
    let credential = STANDARD.encode(format!("{name}:{password}"));
    let known = services.key_manager.basic(&credential, address).await;
    let known = known.map_err(|_| NotSignedIn::Unavailable)?;
    let (tenant, user) = known.ok_or(NotSignedIn::Wrong)?;
    let grant = || GrantType::Password {
        username: user.clone(),
        password: password.to_owned(),
        address,
    };
    let remembered = console.clients().of(&user);
    let issued = match remembered {
        Some(client) => match issue(services, client, grant()).await {
            // Somebody removed it, or registered it over and over.
            Err(Refused::Oauth(OauthRefusal::InvalidClient, _)) => None,
            issued => Some(issued?),
        },
        None => None,
    };
    let issued = match issued {
        Some(issued) => issued,
        None => {
            let client = register(services, console, &tenant, &user).await?;
            issue(services, client, grant()).await?
        }
    };
    if !issued.scopes.iter().any(|scope| scope == SCOPE) {
        return Err(NotSignedIn::NotAllowed);
    }
    let token = issued.access_token;
    Ok(Proven {
        user,
        tenant,
        token,
    })
}

async fn issue(
    services: &Services,
    client: ClientSecret,
    grant: GrantType,
) -> Result<Issued, Refused> {
    let request = TokenRequest {
        client,
        grant,
        scopes: vec![SCOPE.to_owned()],
        validity_seconds: i64::try_from(LIFE.as_secs()).ok(),
    };
    services.key_manager.issue(request).await
}

/// This node's client in a person's name. Nobody waits until gateways know of it: they never meet it.
async fn register(
    services: &Services,
    console: &Console,
    tenant: &str,
    user: &str,
) -> Result<ClientSecret, Refused> {
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
    let secret = ClientSecret {
        consumer_key: client.consumer_key,
        consumer_secret,
    };
    console.clients().keep(user, secret.clone());
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_bounded_number_of_clients_are_remembered() {
        let secret = |text: &str| ClientSecret {
            consumer_key: "key".to_owned(),
            consumer_secret: text.to_owned(),
        };
        let mut clients = Clients::default();
        for number in 0..=MOST {
            clients.keep(&format!("user{number:03}"), secret("old"));
        }
        assert_eq!(clients.0.len(), MOST);
        clients.keep("user100", secret("new"));
        assert_eq!(clients.0.len(), MOST);
        let known = clients.of("user100").map(|client| client.consumer_secret);
        assert_eq!(known.as_deref(), Some("new"));
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
    }
}
