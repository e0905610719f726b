//! The key manager over databases of its own: what no credential can be made to say, what ends
//! access, and what several nodes do at once.

mod behind;
mod clients;
mod crashes;
mod forgery;
mod interrupted;
mod new_passwords;
mod people;
pub(super) mod sessions;
mod shared_keys;

use std::net::{IpAddr, Ipv4Addr};

use cluster::{Child, Clock, Root, System, start_root};
use domain::api::SUPER_TENANT;
use domain::application::TokenType;
use domain::role;
use domain::serving_lease::{FollowerKind, WhenCutOff};
use domain::validation::{RefusalReason, Verdict};
use storage::shared::users;

use super::command::{
    Client, ClientSecret, GrantType, Issued, NewClient, NewUser, Refused, TokenRequest, User,
};
use super::*;
use crate::change_feed::FeedSettings;
use crate::change_feed::message::Heartbeat;

/// A key manager, and the means to start it anew or beside itself over the same databases.
struct Bench {
    km: KeyManagerHandle,
    desk: Desk,
    system: System,
    _root: Root,
    _dir: tempfile::TempDir,
}

const PASSWORD: &str = "sesame";
/// Where everybody signs in from.
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

async fn bench(algorithm: SigningAlgorithm) -> Bench {
    let (desk, system, feed, dir) = desk(algorithm).await;
    let (km, child) = component(&system, &desk);
    let root = start_root(&system, vec![feed, child]).await.unwrap();
    Bench {
        km,
        desk,
        system,
        _root: root,
        _dir: dir,
    }
}

/// What key managers work at, over databases of its own.
pub(crate) async fn desk(algorithm: SigningAlgorithm) -> (Desk, System, Child, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (desk, system, child) = desk_in(dir.path(), algorithm).await;
    (desk, system, child, dir)
}

/// The same over the databases of a directory.
async fn desk_in(dir: &std::path::Path, algorithm: SigningAlgorithm) -> (Desk, System, Child) {
    let at = |name: &str| format!("sqlite:{}", dir.join(name).display());
    let apim = storage::apim::open(&at("apim.db")).await.unwrap();
    let shared = storage::shared::open(&at("shared.db")).await.unwrap();
    let mut write = shared.write("test.seed").await.unwrap();
    users::seed(&mut write, SUPER_TENANT, &role::BUILT_IN, 1)
        .await
        .unwrap();
    write.commit().await.unwrap();
    let system = System::new(Clock::system(), true);
    let (feed, child) =
        crate::change_feed::component(&system, &apim, &shared, FeedSettings::default());
    let settings = Settings {
        issuer: "https://keys.example/oauth2/token".to_owned(),
        access_token_seconds: 3_600,
        refresh_token_seconds: 86_400,
    };
    let keys = Keys::load(dir, algorithm).unwrap();
    let passwords = Passwords::new().unwrap();
    let clock = system.clock.clone();
    let desk = Desk::new((apim, shared), feed, clock, settings, keys, passwords);
    (desk, system, child)
}

impl Bench {
    /// A follower that lives and does not get on.
    async fn follower_that_stays_behind(&self) {
        let heartbeat = Heartbeat {
            follower: "gateway".to_owned(),
            incarnation: 1,
            kind: FollowerKind::Calls(WhenCutOff::Serve),
            n: 0,
            uuid: String::new(),
            leaves: false,
        };
        self.desk.feed.heartbeat(heartbeat).await.unwrap();
    }

    /// A second node over the same databases.
    async fn beside(&self) -> (KeyManagerHandle, Root) {
        let system = System::new(Clock::system(), true);
        let (km, child) = component(&system, &self.desk);
        (km, start_root(&system, vec![child]).await.unwrap())
    }

    async fn user(&self, name: &str, roles: &[&str]) -> User {
        let new = NewUser {
            tenant: SUPER_TENANT.to_owned(),
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
            email: String::new(),
            given_name: String::new(),
            family_name: String::new(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
        };
        self.km.create_user(new).await.unwrap().value
    }

    /// A client of Olga, who is made when she is missing.
    async fn client(&self, token_type: TokenType) -> (Client, ClientSecret) {
        if self
            .km
            .find_user_by_name(SUPER_TENANT, "olga")
            .await
            .is_err()
        {
            self.user("olga", &[role::SUBSCRIBER]).await;
        }
        let grants = ["password", "refresh_token", "client_credentials"];
        self.client_of("olga", token_type, &grants).await
    }

    /// A client of somebody's, named after its token type.
    async fn client_of(
        &self,
        owner: &str,
        token_type: TokenType,
        grants: &[&str],
    ) -> (Client, ClientSecret) {
        let new = NewClient {
            tenant: SUPER_TENANT.to_owned(),
            name: format!("shop {}", token_type.as_str()),
            owner: owner.to_owned(),
            grant_types: grants.iter().map(|&grant| grant.to_owned()).collect(),
            callback_url: String::new(),
            token_type,
            access_token_seconds: None,
            refresh_token_seconds: None,
            user_token_seconds: None,
            id_token_seconds: None,
        };
        let (client, secret) = self.km.create_client(new).await.unwrap();
        let secret = ClientSecret {
            consumer_key: client.consumer_key.clone(),
            consumer_secret: secret,
        };
        (client, secret)
    }

    async fn log_in(&self, client: &ClientSecret, password: &str) -> Result<Issued, Refused> {
        let grant = GrantType::Password {
            username: "ann@carbon.super".to_owned(),
            password: password.to_owned(),
            address: HOME,
        };
        self.km.issue(request(client, grant, "")).await
    }

    async fn is_good(&self, token: &str) -> bool {
        matches!(self.km.validate(token).await.unwrap(), Verdict::Granted(_))
    }

    async fn refusal(&self, token: &str) -> Option<RefusalReason> {
        match self.km.validate(token).await.unwrap() {
            Verdict::Granted(_) => None,
            Verdict::Refused { reason, .. } => Some(reason),
        }
    }
}

fn request(client: &ClientSecret, grant: GrantType, scopes: &str) -> TokenRequest {
    TokenRequest {
        client: client.clone(),
        grant,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        validity_seconds: None,
    }
}

fn refresh(client: &ClientSecret, issued: &Issued) -> TokenRequest {
    let token = issued.refresh_token.clone().unwrap();
    request(client, GrantType::RefreshToken(token), "")
}
