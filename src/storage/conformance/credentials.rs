//! Conformance of API-M's clients, tokens, revocations and marks.

use domain::change::{Change, MarkedSubject};

use super::{Fresh, TENANT, everywhere, new_id};
use crate::StoreError;
use crate::apim::oauth_clients::{self, OauthClient};
use crate::apim::revocations::{self, Mark, Revocation};
use crate::apim::tokens::{self, AccessToken, RefreshToken};
use crate::apim::{grants, oauth_clients::find as find_client, verification_keys};
use crate::database_identity;

fn client(key: &str, name: &str) -> OauthClient {
    OauthClient {
        consumer_key: key.to_owned(),
        tenant: TENANT.to_owned(),
        name: name.to_owned(),
        owner: "ann".to_owned(),
        secret_hash: "hash".to_owned(),
        grant_types: vec!["password".to_owned(), "refresh_token".to_owned()],
        callback_url: String::new(),
        token_type: "JWT".to_owned(),
        access_token_seconds: None,
        refresh_token_seconds: Some(60),
        user_token_seconds: Some(50),
        id_token_seconds: Some(40),
        created_at_ms: 1,
    }
}

fn access(hash: &str, session: &str, expires_at_ms: i64) -> AccessToken {
    AccessToken {
        token_hash: hash.to_owned(),
        tenant: TENANT.to_owned(),
        consumer_key: "k".to_owned(),
        session: session.to_owned(),
        username: "ann".to_owned(),
        user_type: "APPLICATION_USER".to_owned(),
        scopes: "a b".to_owned(),
        issued_at_ms: 1,
        expires_at_ms,
    }
}

fn refresh(hash: &str, session: &str, expires_at_ms: i64) -> RefreshToken {
    RefreshToken {
        token_hash: hash.to_owned(),
        tenant: TENANT.to_owned(),
        consumer_key: "k".to_owned(),
        session: session.to_owned(),
        username: "ann".to_owned(),
        scopes: "a b".to_owned(),
        used: false,
        issued_at_ms: 1,
        expires_at_ms,
    }
}

#[tokio::test]
async fn a_users_tokens_go_up_to_a_moment_and_nobody_elses() {
    everywhere(async |fresh| {
        let mut write = fresh.apim.write("test.tokens").await.unwrap();
        for (hash, user, issued_at_ms) in [("1", "ann", 5), ("2", "ann", 6), ("3", "bob", 5)] {
            let token = AccessToken {
                username: user.to_owned(),
                issued_at_ms,
                ..access(hash, hash, 99)
            };
            tokens::create_access(&mut write, &token).await.unwrap();
            let token = RefreshToken {
                username: user.to_owned(),
                issued_at_ms,
                ..refresh(hash, hash, 99)
            };
            tokens::create_refresh(&mut write, &token).await.unwrap();
        }
        let gone = tokens::delete_of_user(&mut write, TENANT, "ann", 6).await;
        gone.unwrap();
        let other = tokens::delete_of_user(&mut write, "other.example", "bob", 99).await;
        other.unwrap();
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        for (hash, stays) in [("1", false), ("2", true), ("3", true)] {
            let access = tokens::find_access(&mut read, hash).await.unwrap();
            let refresh = tokens::find_refresh(&mut read, hash).await.unwrap();
            assert_eq!(
                (access.is_some(), refresh.is_some()),
                (stays, stays),
                "{hash}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_nodes_key_is_kept_once_and_a_database_knows_which_it_is() {
    everywhere(async |fresh| {
        let mut write = fresh.apim.write("test.keys").await.unwrap();
        for (node, kid, jwk) in [
            ("one", "gone", "0"),
            ("two", "b", "2"),
            ("two", "b", "other"),
        ] {
            let saved = verification_keys::save(&mut write, node, (kid, jwk), 1).await;
            saved.unwrap();
        }
        verification_keys::delete_of_node(&mut write, "one")
            .await
            .unwrap();
        for (kid, jwk, named_at_ms) in [("a", "1", 1), ("old", "3", 0)] {
            let saved = verification_keys::save(&mut write, "one", (kid, jwk), named_at_ms).await;
            saved.unwrap();
        }
        let old = verification_keys::delete_before(&mut write, 1).await;
        old.unwrap();
        let one = database_identity::ensure(&mut write, "one").await;
        let other = database_identity::ensure(&mut write, "other").await;
        assert_eq!(
            (one.unwrap(), other.unwrap()),
            ("one".to_owned(), "one".to_owned())
        );
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let keys = verification_keys::list(&mut read).await.unwrap();
        let texts: Vec<_> = keys.iter().map(|key| key.jwk.as_str()).collect();
        assert_eq!(texts, ["1", "2"]);
    })
    .await;
}

#[tokio::test]
async fn the_kind_of_tokens_of_a_client_changes_and_nothing_else() {
    everywhere(async |fresh| {
        let mut write = fresh.apim.write("test.clients").await.unwrap();
        let made = client("k", "shop");
        oauth_clients::create(&mut write, &made).await.unwrap();
        let set = oauth_clients::set_token_type(&mut write, "k", "OAUTH").await;
        set.unwrap();
        let unknown = oauth_clients::set_token_type(&mut write, "m", "OAUTH").await;
        assert!(matches!(unknown, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let changed = OauthClient {
            token_type: "OAUTH".to_owned(),
            ..made
        };
        assert_eq!(find_client(&mut read, "k").await.unwrap(), Some(changed));
    })
    .await;
}

async fn store(fresh: &Fresh, number: u32, expires_at_ms: i64) {
    let (hash, session) = (number.to_string(), format!("s{number}"));
    let mut write = fresh.apim.write("test.tokens").await.unwrap();
    tokens::create_access(&mut write, &access(&hash, &session, expires_at_ms))
        .await
        .unwrap();
    tokens::create_refresh(&mut write, &refresh(&hash, &session, expires_at_ms))
        .await
        .unwrap();
    let revocation = Revocation {
        tenant: TENANT.to_owned(),
        issuer: "i".to_owned(),
        token_id: hash.clone(),
        expires_at_ms,
    };
    revocations::save(&mut write, &revocation).await.unwrap();
    revocations::save(&mut write, &revocation).await.unwrap();
    let mark = Mark {
        tenant: TENANT.to_owned(),
        subject: MarkedSubject::Session,
        subject_id: session,
        before_ms: 1,
        until_ms: expires_at_ms,
    };
    revocations::save_mark(&mut write, &mark).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn clients_are_made_changed_and_removed_with_their_tokens() {
    everywhere(async |fresh| {
        let create = async |client: &OauthClient| {
            let mut write = fresh.apim.write("test.clients").await.unwrap();
            oauth_clients::create(&mut write, client).await?;
            write.commit().await
        };
        create(&client("k", "shop")).await.unwrap();
        let taken = create(&client("l", "shop")).await;
        assert!(matches!(taken, Err(StoreError::Duplicate(_))));
        store(&fresh, 1, 9).await;
        let changed = OauthClient {
            access_token_seconds: Some(5),
            refresh_token_seconds: None,
            user_token_seconds: None,
            id_token_seconds: Some(5),
            ..client("k", "shop")
        };
        let mut write = fresh.apim.write("test.clients").await.unwrap();
        oauth_clients::update(&mut write, &changed).await.unwrap();
        let unknown = oauth_clients::update(&mut write, &client("m", "x")).await;
        let locked = oauth_clients::lock_by_name(&mut write, TENANT, "ann", "shop").await;
        assert_eq!(locked.unwrap().as_deref(), Some("k"));
        let locked = oauth_clients::lock(&mut write, TENANT, "k").await.unwrap();
        assert_eq!(locked.as_ref(), Some(&changed));
        let locked = oauth_clients::lock(&mut write, "other.example", "k").await;
        assert_eq!(locked.unwrap(), None);
        assert!(matches!(unknown, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let found = find_client(&mut read, "k").await.unwrap();
        assert_eq!(found.as_ref(), Some(&changed));
        let named = oauth_clients::find_by_name(&mut read, TENANT, "ann", "shop").await;
        assert_eq!(named.unwrap(), found);
        assert_eq!(find_client(&mut read, "a\0b").await.unwrap(), None);
        let named = oauth_clients::find_by_name(&mut read, TENANT, "ann", "a\0b").await;
        assert_eq!(named.unwrap(), None);
        drop(read);
        let mut write = fresh.apim.write("test.clients").await.unwrap();
        oauth_clients::delete(&mut write, "k").await.unwrap();
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        assert_eq!(find_client(&mut read, "k").await.unwrap(), None);
        assert_eq!(tokens::find_access(&mut read, "1").await.unwrap(), None);
        assert_eq!(tokens::find_refresh(&mut read, "1").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_new_secret_leaves_the_one_before_for_as_long_as_it_is_told() {
    everywhere(async |fresh| {
        let mut write = fresh.apim.write("test.clients").await.unwrap();
        let made = client("k", "shop");
        oauth_clients::create(&mut write, &made).await.unwrap();
        let renewed = oauth_clients::update_secret(&mut write, "k", "second", Some(9)).await;
        renewed.unwrap();
        let unknown = oauth_clients::update_secret(&mut write, "m", "second", None).await;
        assert!(matches!(unknown, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
        let previous = async |now_ms| {
            let mut read = fresh.apim.read().await.unwrap();
            let found = oauth_clients::find_previous_secret(&mut read, "k", now_ms).await;
            found.unwrap()
        };
        assert_eq!(previous(8).await, Some(made.secret_hash));
        assert_eq!(previous(9).await, None);
        let mut write = fresh.apim.write("test.clients").await.unwrap();
        let replaced = oauth_clients::update_secret(&mut write, "k", "third", None).await;
        replaced.unwrap();
        write.commit().await.unwrap();
        assert_eq!(previous(8).await, None);
        let mut read = fresh.apim.read().await.unwrap();
        let found = find_client(&mut read, "k").await.unwrap().unwrap();
        assert_eq!(found.secret_hash, "third");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_a_session_ends_whole() {
    everywhere(async |fresh| {
        store(&fresh, 1, 9).await;
        store(&fresh, 2, 9).await;
        let spend = async || {
            let mut write = fresh.apim.write("test.tokens").await.unwrap();
            let first = tokens::use_refresh(&mut write, "1").await.unwrap();
            write.commit().await.unwrap();
            first
        };
        let (one, other) = tokio::join!(spend(), spend());
        assert!(one != other, "exactly one use wins");
        let mut read = fresh.apim.read().await.unwrap();
        let found = tokens::find_refresh(&mut read, "1").await.unwrap().unwrap();
        assert_eq!(
            found,
            RefreshToken {
                used: true,
                ..refresh("1", "s1", 9)
            }
        );
        drop(read);
        let mut write = fresh.apim.write("test.tokens").await.unwrap();
        tokens::delete_session(&mut write, "s1").await.unwrap();
        tokens::delete_access(&mut write, "2").await.unwrap();
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        assert_eq!(tokens::find_access(&mut read, "1").await.unwrap(), None);
        assert_eq!(tokens::find_access(&mut read, "2").await.unwrap(), None);
        assert_eq!(tokens::find_refresh(&mut read, "1").await.unwrap(), None);
        assert!(
            tokens::find_refresh(&mut read, "2")
                .await
                .unwrap()
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn a_purge_removes_what_has_expired_and_no_more_than_it_may() {
    everywhere(async |fresh| {
        for number in 0..5 {
            store(&fresh, number, 10).await;
        }
        store(&fresh, 9, 100).await;
        let mut removed = Vec::new();
        let week_later = 10 + tokens::REVOCATIONS_KEPT_MS;
        for now in [10, 10, 10, 10, week_later, week_later, week_later] {
            let mut write = fresh.apim.write("test.purge").await.unwrap();
            removed.push(tokens::delete_expired(&mut write, now, 2).await.unwrap());
            write.commit().await.unwrap();
            if now == 10 {
                // Perhaps the clock is ahead, and what they revoke is good again when it is right.
                let mut read = fresh.apim.read().await.unwrap();
                assert_eq!(revocations::list(&mut read, 9).await.unwrap().len(), 6);
                assert_eq!(
                    revocations::list_marks(&mut read, 9).await.unwrap().len(),
                    6
                );
                assert!(tokens::find_access(&mut read, "9").await.unwrap().is_some());
            }
        }
        assert_eq!(removed, [4, 4, 2, 0, 6, 4, 2], "two of each kind");
        let mut read = fresh.apim.read().await.unwrap();
        assert_eq!(tokens::find_access(&mut read, "0").await.unwrap(), None);
        assert_eq!(revocations::list(&mut read, 10).await.unwrap().len(), 1);
        assert_eq!(
            revocations::list_marks(&mut read, 10).await.unwrap().len(),
            1
        );
        assert_eq!(revocations::list_marks(&mut read, 100).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn marks_are_never_weakened_and_keys_of_a_marked_user_go() {
    everywhere(async |fresh| {
        let mut write = fresh.apim.write("test.marks").await.unwrap();
        for (before_ms, until_ms) in [(5, 50), (3, 90), (7, 40)] {
            let mark = Mark {
                tenant: TENANT.to_owned(),
                subject: MarkedSubject::User,
                subject_id: "ann".to_owned(),
                before_ms,
                until_ms,
            };
            revocations::save_mark(&mut write, &mark).await.unwrap();
        }
        for (hash, owner, issued_at_ms) in [("h", "ann", 1_i64), ("i", "bob", 1), ("j", "ann", 2)] {
            let query = sqlx::query(
                "INSERT INTO api_keys (id, tenant, name, key_hash, key_type, api_id, owner, \
                 permitted_ips, permitted_referers, issued_at_ms, validity_seconds) \
                 VALUES ($1, $2, $1, $1, 'PRODUCTION', 'a', $3, '', '', $4, -1)",
            )
            .bind(hash.to_owned())
            .bind(TENANT.to_owned())
            .bind(owner.to_owned())
            .bind(issued_at_ms);
            write.execute(query, "key").await.unwrap();
        }
        for (subject, id) in [(MarkedSubject::User, "ann"), (MarkedSubject::Client, "bob")] {
            let deleted = revocations::delete_api_keys(&mut write, TENANT, subject, id, 2);
            deleted.await.unwrap();
        }
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let mark = revocations::find_mark(&mut read, TENANT, MarkedSubject::User, "ann").await;
        assert_eq!(mark.unwrap(), Some(7));
        let mark = revocations::find_mark(&mut read, TENANT, MarkedSubject::Client, "ann").await;
        assert_eq!(mark.unwrap(), None);
        assert_eq!(
            revocations::list_marks(&mut read, 49).await.unwrap()[0].until_ms,
            50
        );
        assert_eq!(grants::api_key(&mut read, "h").await.unwrap(), None);
        for kept in ["i", "j"] {
            assert!(grants::api_key(&mut read, kept).await.unwrap().is_some());
        }
    })
    .await;
}

#[tokio::test]
async fn a_revocation_is_known_by_tenant_issuer_and_id() {
    everywhere(async |fresh| {
        store(&fresh, 1, 9).await;
        let mut read = fresh.apim.read().await.unwrap();
        for (tenant, issuer, id, revoked) in [
            (TENANT, "i", "1", true),
            ("other", "i", "1", false),
            (TENANT, "j", "1", false),
            (TENANT, "i", "2", false),
        ] {
            let found = revocations::is_revoked(&mut read, tenant, issuer, id).await;
            assert_eq!(found.unwrap(), revoked);
        }
    })
    .await;
}

#[tokio::test]
async fn a_relayed_change_is_found_by_its_source_and_never_stands_twice() {
    everywhere(async |fresh| {
        let change = Change::UserChanged {
            user: "ann".to_owned(),
            removed: true,
        };
        let source = new_id();
        let relay = async || {
            let write = fresh.apim.write("test.relay").await.unwrap();
            write
                .relay((TENANT, &source), &[], &change, new_id, 1)
                .await
        };
        let (one, other) = tokio::join!(relay(), relay());
        let outcomes = [&one, &other];
        let refused = outcomes
            .iter()
            .filter(|one| matches!(one, Err(StoreError::Duplicate(_))));
        assert_eq!(refused.count(), 1);
        let mut read = fresh.apim.read().await.unwrap();
        assert_eq!(grants::head(&mut read).await.unwrap(), 1);
        assert_eq!(
            grants::find_relayed(&mut read, &source).await.unwrap(),
            Some(1)
        );
        assert_eq!(grants::find_relayed(&mut read, "x").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_grant_is_read_with_its_application_and_subscriptions() {
    everywhere(async |fresh| {
        let mut write = fresh.apim.write("test.grants").await.unwrap();
        for statement in [
            "INSERT INTO applications (id, tenant, name, name_key, owner, throttling_policy, \
             token_type, description, status, attributes, created_at_ms, updated_at_ms, \
             row_version) VALUES ('1', 'carbon.super', 'Shop', 'shop', 'ann', 'Gold', 'JWT', '', \
             'APPROVED', '{}', 1, 1, 1)",
            "INSERT INTO application_keys (id, tenant, application_id, key_type, key_manager, \
             consumer_key, properties, created_at_ms) \
             VALUES ('m', 'carbon.super', '1', 'SANDBOX', 'Resident', 'k', '{}', 1)",
        ] {
            write.execute(sqlx::query(statement), "row").await.unwrap();
        }
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let mapped = grants::application_of_client(&mut read, "k").await.unwrap();
        let (id, kind) = mapped.unwrap();
        assert_eq!(
            (id.as_str(), kind),
            ("1", domain::application::KeyType::Sandbox)
        );
        let application = grants::application(&mut read, "1").await.unwrap().unwrap();
        assert_eq!(
            (application.name.as_str(), application.policy.as_str()),
            ("Shop", "Gold")
        );
        assert_eq!(grants::subscriptions(&mut read, "1").await.unwrap(), []);
        assert_eq!(grants::application(&mut read, "2").await.unwrap(), None);
        assert_eq!(
            grants::application_of_client(&mut read, "l").await.unwrap(),
            None
        );
    })
    .await;
}
