//! What commits beside a write: on a server others' transactions go on meanwhile, on a file they
//! wait.

use std::time::Duration;

use domain::application::KeyType;

use super::{Fresh, TENANT, everywhere};
use crate::Write;
use crate::apim::api_keys::{self, ApiKey};
use crate::apim::application_keys::{self, ApplicationKey};
use crate::apim::cluster_identity;
use crate::apim::oauth_clients::{self, OauthClient};
use crate::apim::tokens::{self, RefreshToken};
use crate::apim::verification_keys;
use crate::database::Backend;
use crate::database_identity;

fn refresh(hash: &str, username: &str, session: &str) -> RefreshToken {
    RefreshToken {
        token_hash: hash.to_owned(),
        tenant: TENANT.to_owned(),
        consumer_key: "k".to_owned(),
        session: session.to_owned(),
        username: username.to_owned(),
        scopes: String::new(),
        used: false,
        issued_at_ms: 1,
        expires_at_ms: 9,
    }
}

impl Fresh {
    /// Waits until a transaction waits for a row; at once on a file, where there is one at a time.
    pub(super) async fn until_one_waits(&self) {
        if self.apim.backend() == Backend::Sqlite {
            return;
        }
        let waiting = "SELECT pid::BIGINT AS pid FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let seen = async {
            loop {
                let mut read = self.apim.read().await.unwrap();
                if read.optional(sqlx::query(waiting)).await.unwrap().is_some() {
                    return;
                }
                drop(read);
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
        seen.expect("somebody waits");
    }
}

/// A refresh is under way when sessions are ended, and commits meanwhile: gives the refresh tokens
/// that are left.
async fn left_of(fresh: &Fresh, end: impl AsyncFn(&mut Write)) -> Vec<&'static str> {
    let mut write = fresh.apim.write("test.tokens").await.unwrap();
    for token in [
        refresh("before", "ann", "s"),
        refresh("bob's", "bob", "t"),
        refresh("of no session", "ann", ""),
    ] {
        tokens::create_refresh(&mut write, &token).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut refreshing = fresh.apim.write("test.refresh").await.unwrap();
    let used = tokens::use_refresh(&mut refreshing, "before").await;
    assert!(used.unwrap());
    let after = refresh("after", "ann", "s");
    let stored = tokens::create_refresh(&mut refreshing, &after).await;
    stored.unwrap();
    let ended = async {
        let mut write = fresh.apim.write("test.end").await.unwrap();
        end(&mut write).await;
        write.commit().await.unwrap();
    };
    let committed = async {
        fresh.until_one_waits().await;
        refreshing.commit().await.unwrap();
    };
    tokio::join!(ended, committed);
    let mut read = fresh.apim.read().await.unwrap();
    let mut left = Vec::new();
    for hash in ["before", "after", "bob's", "of no session"] {
        let found = tokens::find_refresh(&mut read, hash).await.unwrap();
        left.extend(found.map(|_| hash));
    }
    left
}

#[tokio::test]
async fn a_refresh_beside_the_end_of_a_users_logins_leaves_nothing_to_go_on_with() {
    everywhere(async |fresh| {
        let left = left_of(&fresh, async |write| {
            tokens::delete_logins(write, TENANT, "ann").await.unwrap();
        });
        assert_eq!(left.await, ["bob's", "of no session"]);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_beside_the_end_of_its_session_leaves_nothing_to_go_on_with() {
    everywhere(async |fresh| {
        let left = left_of(&fresh, async |write| {
            tokens::delete_session(write, "s").await.unwrap();
        });
        assert_eq!(left.await, ["bob's", "of no session"]);
    })
    .await;
}

fn api_key(hash: &str) -> ApiKey {
    ApiKey {
        id: hash.to_owned(),
        tenant: TENANT.to_owned(),
        name: hash.to_owned(),
        key_hash: hash.to_owned(),
        key_type: KeyType::Production,
        api_id: "api".to_owned(),
        application_id: None,
        owner: "ann".to_owned(),
        permitted_ips: String::new(),
        permitted_referers: String::new(),
        issued_at_ms: 1,
        validity_seconds: -1,
        last_used_at_ms: None,
    }
}

#[tokio::test]
async fn who_notes_the_use_of_keys_blocks_nobody_who_takes_them_in_another_order() {
    everywhere(async |fresh| {
        let hashes = ["a", "b"].map(str::to_owned);
        let mut write = fresh.apim.write("test.keys").await.unwrap();
        for hash in &hashes {
            let created = api_keys::create(&mut write, &api_key(hash)).await;
            created.unwrap();
        }
        write.commit().await.unwrap();
        let mut other = fresh.apim.write("test.other").await.unwrap();
        let taken = api_keys::lock(&mut other, TENANT, "b").await;
        assert_eq!(taken.unwrap().last_used_at_ms, None);
        let noted = async {
            let noted = api_keys::note_used(&fresh.apim, &hashes, 100, 40).await;
            noted.unwrap();
        };
        let taken = async {
            fresh.until_one_waits().await;
            api_keys::lock(&mut other, TENANT, "a").await.unwrap();
            other.commit().await.unwrap();
        };
        tokio::join!(noted, taken);
        let mut read = fresh.apim.read().await.unwrap();
        for hash in ["a", "b"] {
            let key = api_keys::find(&mut read, TENANT, hash).await.unwrap();
            assert_eq!(key.unwrap().last_used_at_ms, Some(100), "{hash}");
        }
    })
    .await;
}

async fn make_client(fresh: &Fresh) {
    let client = OauthClient {
        consumer_key: "k".to_owned(),
        tenant: TENANT.to_owned(),
        name: "shop".to_owned(),
        owner: "ann".to_owned(),
        secret_hash: "first".to_owned(),
        grant_types: Vec::new(),
        callback_url: String::new(),
        token_type: "JWT".to_owned(),
        access_token_seconds: None,
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
        created_at_ms: 1,
    };
    let mut write = fresh.apim.write("test.client").await.unwrap();
    oauth_clients::create(&mut write, &client).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn who_maps_a_client_beside_another_who_takes_it_over_sees_the_others_secret() {
    everywhere(async |fresh| {
        make_client(&fresh).await;
        let mut taking = fresh.apim.write("test.taking").await.unwrap();
        let found = oauth_clients::lock_by_name(&mut taking, TENANT, "ann", "shop").await;
        assert_eq!(found.unwrap().as_deref(), Some("k"));
        let other = oauth_clients::update_secret(&mut taking, "k", "second", None);
        other.await.unwrap();
        let mapping = async {
            let mut write = fresh.apim.write("test.mapping").await.unwrap();
            let found = oauth_clients::lock(&mut write, TENANT, "k").await.unwrap();
            found.unwrap().secret_hash
        };
        let committed = async {
            fresh.until_one_waits().await;
            taking.commit().await.unwrap();
        };
        let (secret, ()) = tokio::join!(mapping, committed);
        assert_eq!(secret, "second");
    })
    .await;
}

#[tokio::test]
async fn who_takes_a_client_over_beside_another_who_maps_it_sees_that_it_is_mapped() {
    everywhere(async |fresh| {
        make_client(&fresh).await;
        let mut mapping = fresh.apim.write("test.mapping").await.unwrap();
        let found = oauth_clients::lock(&mut mapping, TENANT, "k")
            .await
            .unwrap();
        assert_eq!(found.unwrap().secret_hash, "first");
        let key = ApplicationKey {
            id: "m".to_owned(),
            tenant: TENANT.to_owned(),
            application_id: "shop".to_owned(),
            key_type: KeyType::Production,
            key_manager: String::new(),
            consumer_key: "k".to_owned(),
            properties: "{}".to_owned(),
            created_at_ms: 1,
        };
        application_keys::create(&mut mapping, &key).await.unwrap();
        let taking = async {
            let mut write = fresh.apim.write("test.taking").await.unwrap();
            let found = oauth_clients::lock_by_name(&mut write, TENANT, "ann", "shop").await;
            let key = found.unwrap().unwrap();
            application_keys::is_mapped(&mut write, TENANT, &key).await
        };
        let committed = async {
            fresh.until_one_waits().await;
            mapping.commit().await.unwrap();
        };
        let (mapped, ()) = tokio::join!(taking, committed);
        assert!(mapped.unwrap());
    })
    .await;
}

#[tokio::test]
async fn the_first_to_name_a_cluster_and_an_issuer_is_who_all_others_go_by() {
    everywhere(async |fresh| {
        let mut read = fresh.apim.read().await.unwrap();
        let found = cluster_identity::find(&mut read).await.unwrap();
        assert_eq!((found.cluster_id.as_str(), found.issuer.as_str()), ("", ""));
        drop(read);
        let mut first = fresh.apim.write("test.cluster").await.unwrap();
        let named = cluster_identity::ensure_cluster(&mut first, "one").await;
        assert_eq!(named.unwrap(), "one");
        let said = cluster_identity::ensure_issuer(&mut first, "a").await;
        assert_eq!(said.unwrap(), "a");
        let second = async {
            let mut write = fresh.apim.write("test.cluster").await.unwrap();
            let named = cluster_identity::ensure_cluster(&mut write, "two").await;
            let said = cluster_identity::ensure_issuer(&mut write, "b").await;
            write.commit().await.unwrap();
            (named.unwrap(), said.unwrap())
        };
        let committed = async {
            fresh.until_one_waits().await;
            first.commit().await.unwrap();
        };
        let (told, ()) = tokio::join!(second, committed);
        assert_eq!(told, ("one".to_owned(), "a".to_owned()));
        let mut write = fresh.apim.write("test.cluster").await.unwrap();
        cluster_identity::save_issuer(&mut write, "c")
            .await
            .unwrap();
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let found = cluster_identity::find(&mut read).await.unwrap();
        assert_eq!(
            (found.cluster_id.as_str(), found.issuer.as_str()),
            ("one", "c")
        );
    })
    .await;
}

#[tokio::test]
async fn who_changes_the_keys_of_nodes_sees_what_those_before_have_made_of_them() {
    everywhere(async |fresh| {
        let mut write = fresh.apim.write("test.identity").await.unwrap();
        let named = database_identity::ensure(&mut write, "one").await;
        assert_eq!(named.unwrap(), "one");
        write.commit().await.unwrap();
        let mut first = fresh.apim.write("test.keys").await.unwrap();
        verification_keys::lock(&mut first).await.unwrap();
        let saved = verification_keys::save(&mut first, "one", ("a", "1"), 1).await;
        saved.unwrap();
        let second = async {
            let mut write = fresh.apim.write("test.keys").await.unwrap();
            verification_keys::lock(&mut write).await.unwrap();
            let seen = verification_keys::list_locked(&mut write).await;
            seen.unwrap().len()
        };
        let committed = async {
            fresh.until_one_waits().await;
            first.commit().await.unwrap();
        };
        let (seen, ()) = tokio::join!(second, committed);
        assert_eq!(seen, 1);
    })
    .await;
}

#[tokio::test]
async fn all_who_share_a_server_go_by_its_clock_and_who_has_a_file_by_their_own() {
    everywhere(async |fresh| {
        let first = fresh.apim.moment_ms(5).await.unwrap();
        let mut write = fresh.apim.write("test.moment").await.unwrap();
        let second = write.moment_ms(6).await.unwrap();
        write.commit().await.unwrap();
        match fresh.apim.backend() {
            Backend::Sqlite => assert_eq!((first, second), (5, 6)),
            // Some time after this was written.
            Backend::Postgres => assert!(1_700_000_000_000 < first && first <= second),
        }
    })
    .await;
}
