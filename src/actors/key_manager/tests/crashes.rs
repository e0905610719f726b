//! A process that ends at any statement of what the key manager writes unasked, or takes back.

use std::path::Path;

use domain::change::MarkedSubject;
use storage::apim::revocations::{self, Mark, Revocation};
use storage::apim::tokens::{self, AccessToken, RefreshToken};
use storage::apim::{api_keys, change_log, oauth_clients};
use storage::crash_sweep::{Swept, sweep};

use super::super::clients::stored;
use super::sessions::key;
use super::*;

/// What the writes are about: several of each, so that a part of them could be left.
const BOTH: [&str; 2] = ["first", "second"];

struct Unasked(Desk);

fn client(name: &str) -> Client {
    let details = NewClient {
        tenant: SUPER_TENANT.to_owned(),
        name: name.to_owned(),
        owner: "olga".to_owned(),
        grant_types: vec!["password".to_owned()],
        callback_url: String::new(),
        token_type: TokenType::Jwt,
        access_token_seconds: None,
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
    };
    Client {
        consumer_key: name.to_owned(),
        details,
    }
}

/// Whatever expires, of each kind, at the beginning of time.
async fn expired(write: &mut storage::Write, name: &str) {
    let (hash, tenant) = (name.to_owned(), SUPER_TENANT.to_owned());
    let access = AccessToken {
        token_hash: hash.clone(),
        tenant: tenant.clone(),
        consumer_key: String::new(),
        session: String::new(),
        username: "ann".to_owned(),
        user_type: "APPLICATION".to_owned(),
        scopes: String::new(),
        issued_at_ms: 0,
        expires_at_ms: 1,
    };
    tokens::create_access(write, &access).await.unwrap();
    let refresh = RefreshToken {
        token_hash: hash.clone(),
        tenant: tenant.clone(),
        consumer_key: String::new(),
        session: String::new(),
        username: "ann".to_owned(),
        scopes: String::new(),
        used: false,
        issued_at_ms: 0,
        expires_at_ms: 1,
    };
    tokens::create_refresh(write, &refresh).await.unwrap();
    let revocation = Revocation {
        tenant: tenant.clone(),
        issuer: String::new(),
        token_id: hash.clone(),
        expires_at_ms: 1,
    };
    revocations::save(write, &revocation).await.unwrap();
    let mark = Mark {
        tenant,
        subject: MarkedSubject::User,
        subject_id: hash,
        before_ms: 1,
        until_ms: 1,
    };
    revocations::save_mark(write, &mark).await.unwrap();
}

impl Swept for Unasked {
    const SWEPT: &'static [&'static str] = &[
        "apim.tokens.purge",
        "apim.api_keys.note_used",
        "apim.clients.update",
        "apim.clients.take_back",
    ];

    async fn open(directory: &Path) -> Self {
        Self(desk_in(directory, SigningAlgorithm::Es256).await.0)
    }

    async fn prepare(&self) {
        let mut write = self.0.apim.write("test.crashes").await.unwrap();
        for name in BOTH {
            expired(&mut write, name).await;
            let of_key = key(name, -1, None);
            api_keys::create(&mut write, &of_key).await.unwrap();
            let row = stored(&client(name), "hash".to_owned(), 1);
            oauth_clients::create(&mut write, &row).await.unwrap();
        }
        write.commit().await.unwrap();
    }

    async fn work(&self, write: &str) {
        let desk = &self.0;
        match write {
            "apim.tokens.purge" => desk.purge(1).await.unwrap(),
            "apim.api_keys.note_used" => {
                desk.used_keys.add(BOTH.map(str::to_owned).to_vec());
                desk.note_used().await;
            }
            "apim.clients.update" => {
                let mut changed = client("second");
                changed.details.callback_url = "https://there.example".to_owned();
                assert!(desk.update_client(changed).await.is_ok());
            }
            "apim.clients.take_back" => {
                let n = desk.take_back(&client("first")).await.unwrap();
                assert!(n > 0);
            }
            other => panic!("nobody writes {other}"),
        }
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.0.apim.read().await.unwrap();
        let mut state = Vec::new();
        for name in BOTH {
            let access = tokens::find_access(&mut read, name).await.unwrap();
            let refresh = tokens::find_refresh(&mut read, name).await.unwrap();
            let kept = (access.is_some(), refresh.is_some());
            let key = api_keys::find(&mut read, SUPER_TENANT, name).await.unwrap();
            let noted = key.unwrap().last_used_at_ms.is_some();
            let client = oauth_clients::find(&mut read, name).await.unwrap();
            let callback = client.map(|client| client.callback_url);
            state.push(format!("{name}: {kept:?} {noted} {callback:?}"));
        }
        let revoked = revocations::list(&mut read, 0).await.unwrap().len();
        let marks = revocations::list_marks(&mut read, 0).await.unwrap();
        let marks: Vec<&str> = marks.iter().map(|mark| mark.subject_id.as_str()).collect();
        let head = change_log::find(&mut read, 0).await.unwrap().head;
        state.push(format!(
            "{revoked} revoked, marks {marks:?}, {head} changes"
        ));
        state
    }
}

#[tokio::test]
async fn a_crash_at_any_statement_of_what_nobody_asks_for_leaves_all_of_it_or_nothing() {
    let root = tempfile::tempdir().unwrap();
    let test = "key_manager::tests::crashes::\
                a_crash_at_any_statement_of_what_nobody_asks_for_leaves_all_of_it_or_nothing";
    sweep::<Unasked>(test, root.path()).await.unwrap();
}
