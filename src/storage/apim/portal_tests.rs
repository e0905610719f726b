//! Conformance of the portal's and the administration's rows: applications, their keys, API keys,
//! subscriptions, throttling and deny policies, on SQLite and on the PostgreSQL of
//! `HEADGATE_TEST_POSTGRES`.

use domain::application::{Application, ApplicationStatus, KeyType, TokenType};
use domain::deny_policy::{DenyPolicy, DenyTarget};
use domain::policy::{
    Limit, Mode, Policy, PolicyLevel, PolicyOptions, QuotaUnit, TimeUnit, WindowKind,
};
use domain::subscription::{Subscription, SubscriptionStatus};

use super::api_keys::{self, ApiKey};
use super::application_keys::{self, ApplicationKey};
use super::oauth_clients::{self, OauthClient};
use super::{applications, belongings, deny_policies, policies, subscriptions};
use crate::StoreError;
use crate::conformance::apim_databases as databases;

#[path = "api_key_tests.rs"]
mod api_keys_of_all;
#[path = "crossing_tests.rs"]
mod crossings;
#[path = "policy_tests.rs"]
mod policies_and_denials;

const TENANT: &str = "carbon.super";
const OTHER: &str = "other.example";
const ID: &str = "0b8c2a52-7d4e-4a58-9a53-0d8f6b1f2c11";

fn application(id: &str, name: &str, owner: &str) -> Application {
    Application {
        id: id.to_owned(),
        tenant: TENANT.to_owned(),
        name: name.to_owned(),
        owner: owner.to_owned(),
        throttling_policy: "10PerMin".to_owned(),
        token_type: TokenType::Jwt,
        description: String::new(),
        status: ApplicationStatus::Approved,
        attributes: "{}".to_owned(),
        created_at_ms: 1,
        updated_at_ms: 1,
        row_version: 1,
    }
}

fn subscription(id: &str, api: &str, application: &str) -> Subscription {
    Subscription {
        id: id.to_owned(),
        tenant: TENANT.to_owned(),
        api_id: api.to_owned(),
        application_id: application.to_owned(),
        policy: "Gold".to_owned(),
        requested_policy: "Gold".to_owned(),
        status: SubscriptionStatus::Unblocked,
        subscriber: "ann".to_owned(),
        created_at_ms: 1,
    }
}

fn client(key: &str, name: &str, created_at_ms: i64) -> OauthClient {
    OauthClient {
        consumer_key: key.to_owned(),
        tenant: TENANT.to_owned(),
        name: name.to_owned(),
        owner: "ann".to_owned(),
        secret_hash: "h".to_owned(),
        grant_types: Vec::new(),
        callback_url: String::new(),
        token_type: "JWT".to_owned(),
        access_token_seconds: None,
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
        created_at_ms,
    }
}

fn mapping(id: &str, consumer_key: &str, key_type: KeyType) -> ApplicationKey {
    ApplicationKey {
        id: id.to_owned(),
        tenant: TENANT.to_owned(),
        application_id: ID.to_owned(),
        key_type,
        key_manager: "resident".to_owned(),
        consumer_key: consumer_key.to_owned(),
        properties: "{}".to_owned(),
        created_at_ms: 1,
    }
}

fn api_key(id: &str, application_id: Option<&str>) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        tenant: TENANT.to_owned(),
        name: format!("key {id}"),
        key_hash: format!("hash {id}"),
        key_type: KeyType::Sandbox,
        api_id: "api".to_owned(),
        application_id: application_id.map(str::to_owned),
        owner: "ann".to_owned(),
        permitted_ips: String::new(),
        permitted_referers: String::new(),
        issued_at_ms: 1,
        validity_seconds: -1,
        last_used_at_ms: None,
    }
}

fn policy(name: &str, level: PolicyLevel) -> Policy {
    Policy {
        id: format!("id of {name}"),
        tenant: TENANT.to_owned(),
        level,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: String::new(),
        limit: Some(Limit {
            units: 10,
            quota: QuotaUnit::Requests,
            unit_time: 1,
            time_unit: TimeUnit::Min,
        }),
        burst: None,
        stop_on_quota_reach: true,
        groups: Vec::new(),
        options: PolicyOptions {
            mode: Mode::Share,
            window: WindowKind::Sliding,
        },
        extra: "{}".to_owned(),
        row_version: 1,
    }
}

#[tokio::test]
async fn an_application_is_its_owners_and_its_tenants_and_a_stale_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        for new in [
            application(ID, "Shop", "ann"),
            application("2", "Shop", "bob"),
        ] {
            applications::create(&mut write, &new).await.unwrap();
        }
        write.commit().await.unwrap();
        let mut write = database.write("test.portal").await.unwrap();
        let again = applications::create(&mut write, &application("3", "SHOP", "ann")).await;
        assert!(matches!(again, Err(StoreError::Duplicate(_))));
        drop(write);
        let mut write = database.write("test.portal").await.unwrap();
        let foreign = applications::lock(&mut write, OTHER, ID).await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        let mut changed = application(ID, "Store", "ann");
        let (saved, before) = applications::update(&mut write, &changed).await.unwrap();
        assert_eq!((saved.name.as_str(), saved.row_version), ("Store", 2));
        assert_eq!(before.as_deref(), Some("Shop"));
        let stale = applications::delete(&mut write, TENANT, (ID, 1)).await;
        assert!(matches!(stale, Err(StoreError::Stale)));
        let stale = applications::update(&mut write, &changed).await;
        assert!(matches!(stale, Err(StoreError::Stale)));
        changed.tenant = OTHER.to_owned();
        let gone = applications::update(&mut write, &changed).await;
        assert!(matches!(gone, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        for (tenant, owner, part, count) in [
            (TENANT, "ann", "sto", 1),
            (TENANT, "ann", "%", 0),
            (TENANT, "bob", "", 1),
            (OTHER, "ann", "", 0),
        ] {
            let found = applications::list(
                &mut read,
                tenant,
                owner,
                applications::Listing {
                    part,
                    limit: 10,
                    ..applications::Listing::default()
                },
            )
            .await;
            assert_eq!(found.unwrap().1, count, "{tenant} {owner} {part}");
        }
    }
}

#[tokio::test]
async fn nothing_that_rests_on_an_application_outlives_it() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let new = application(ID, "Shop", "ann");
        applications::create(&mut write, &new).await.unwrap();
        let held = subscription("s", "api", ID);
        subscriptions::create(&mut write, &held).await.unwrap();
        let key = mapping("m", "ck", KeyType::Production);
        application_keys::create(&mut write, &key).await.unwrap();
        api_keys::create(&mut write, &api_key("k", Some(ID)))
            .await
            .unwrap();
        let foreign = applications::delete(&mut write, OTHER, (ID, 0)).await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        let is_held = subscriptions::is_held(&mut write, TENANT, ID, "api").await;
        assert!(is_held.unwrap());
        let removed = applications::delete(&mut write, TENANT, (ID, 0))
            .await
            .unwrap();
        assert_eq!(removed.consumer_keys, ["ck"]);
        let freed = ("hash k".to_owned(), "api".to_owned());
        assert_eq!(removed.api_keys, [freed]);
        let again = applications::delete(&mut write, TENANT, (ID, 0)).await;
        assert!(matches!(again, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let held = subscriptions::list_by_application(&mut read, TENANT, ID).await;
        assert_eq!(held.unwrap(), []);
        let keys = application_keys::list(&mut read, TENANT, ID).await;
        assert_eq!(keys.unwrap(), []);
        let kept = api_keys::find(&mut read, TENANT, "k").await.unwrap();
        assert_eq!(kept, Some(api_key("k", None)));
    }
}

#[tokio::test]
async fn an_orphan_is_an_old_client_named_for_an_application_that_nothing_maps() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let named = |word: &str| format!("ann_{ID}_{word}");
        for (key, name, made) in [
            ("mapped", named("PRODUCTION"), 1),
            ("orphan", named("SANDBOX"), 1),
            ("somebodys", "ann_shop_PRODUCTION".to_owned(), 1),
            ("young", format!("ann_{}_SANDBOX", ID.replace('0', "1")), 10),
        ] {
            let client = client(key, &name, made);
            oauth_clients::create(&mut write, &client).await.unwrap();
        }
        let key = mapping("m", "mapped", KeyType::Production);
        application_keys::create(&mut write, &key).await.unwrap();
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let page = application_keys::list_orphans(&mut read, 10, "").await;
        let (orphans, _) = page.unwrap();
        let orphans: Vec<_> = orphans.iter().map(|o| o.consumer_key.as_str()).collect();
        assert_eq!(orphans, ["orphan"]);
        drop(read);
        let mut write = database.write("test.portal").await.unwrap();
        for (tenant, key, there, mapped) in [
            (TENANT, "mapped", true, true),
            (TENANT, "orphan", true, false),
            (OTHER, "mapped", false, false),
        ] {
            let locked = application_keys::lock_client(&mut write, tenant, key).await;
            assert_eq!(locked.unwrap(), there, "{tenant} {key}");
            let is_mapped = application_keys::is_mapped(&mut write, tenant, key).await;
            assert_eq!(is_mapped.unwrap(), mapped, "{tenant} {key}");
        }
        let foreign = application_keys::delete(&mut write, OTHER, "m").await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        application_keys::update(&mut write, TENANT, "m", "{\"a\":1}")
            .await
            .unwrap();
        let second = mapping("n", "orphan", KeyType::Production);
        let second = application_keys::create(&mut write, &second).await;
        assert!(matches!(second, Err(StoreError::Duplicate(_))));
    }
}

#[tokio::test]
async fn a_subscription_is_found_by_the_owner_of_its_application() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        for (id, owner) in [("a", "ann"), ("b", "bob")] {
            let new = application(id, "Shop", owner);
            applications::create(&mut write, &new).await.unwrap();
            let new = subscription(&format!("s{id}"), "api", id);
            subscriptions::create(&mut write, &new).await.unwrap();
        }
        let moved = subscriptions::update_policy(&mut write, TENANT, "sa", "Silver").await;
        assert_eq!(moved.unwrap().policy, "Silver");
        let foreign = subscriptions::update_policy(&mut write, OTHER, "sa", "Gold").await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        for (owner, id) in [("ann", "sa"), ("bob", "sb")] {
            let held = subscriptions::list_by_owner(&mut read, TENANT, "api", owner).await;
            let held = held.unwrap();
            let ids: Vec<_> = held.iter().map(|held| held.id.as_str()).collect();
            assert_eq!(ids, [id]);
        }
        drop(read);
        let mut write = database.write("test.portal").await.unwrap();
        let twice = subscriptions::create(&mut write, &subscription("t", "api", "a")).await;
        assert!(matches!(twice, Err(StoreError::Duplicate(_))));
    }
}

#[tokio::test]
async fn what_a_user_owned_goes_and_a_key_of_theirs_is_told_of_once() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let app = application(ID, "Shop", "ann");
        applications::create(&mut write, &app).await.unwrap();
        let own = api_key("k", Some(ID));
        let other = ApiKey {
            owner: "bob".to_owned(),
            ..api_key("o", Some(ID))
        };
        for key in [&own, &other] {
            api_keys::create(&mut write, key).await.unwrap();
        }
        let gone = belongings::delete(&mut write, TENANT, &own.owner, 1).await;
        assert_eq!(
            gone.unwrap(),
            belongings::Belongings::default(),
            "none of it is older"
        );
        let gone = belongings::delete(&mut write, TENANT, &own.owner, 2).await;
        let gone = gone.unwrap();
        assert_eq!(gone.applications, [ID]);
        let told = |key: &ApiKey| (key.key_hash.clone(), key.api_id.clone());
        assert_eq!(gone.api_keys, [told(&own)]);
        assert_eq!(gone.freed_keys, [told(&other)]);
    }
}

#[tokio::test]
async fn a_status_a_count_and_a_name_are_their_tenants() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        for id in [ID, "idle"] {
            let new = application(id, id, "ann");
            applications::create(&mut write, &new).await.unwrap();
        }
        for (id, api) in [("s", "one"), ("t", "two")] {
            let new = subscription(id, api, ID);
            subscriptions::create(&mut write, &new).await.unwrap();
        }
        let blocked = SubscriptionStatus::Blocked;
        for (tenant, status) in [(OTHER, SubscriptionStatus::Unblocked), (TENANT, blocked)] {
            let set = subscriptions::set_status(&mut write, tenant, "s", blocked).await;
            set.unwrap();
            let one = subscriptions::lock(&mut write, TENANT, "s").await.unwrap();
            assert_eq!(one.status, status, "{tenant}");
        }
        let gold = policy("Gold", PolicyLevel::Subscription);
        policies::create(&mut write, &gold).await.unwrap();
        let level = PolicyLevel::Subscription;
        for (tenant, level, names) in [
            (TENANT, level, vec!["Gold"]),
            (OTHER, level, vec![]),
            (TENANT, PolicyLevel::Application, vec![]),
        ] {
            let found = policies::names(&mut write, tenant, level).await.unwrap();
            assert_eq!(found, names, "{tenant} {level:?}");
        }
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        for (tenant, id, count) in [
            (TENANT, ID, Some(2)),
            (TENANT, "idle", Some(0)),
            (OTHER, ID, None),
        ] {
            let found = applications::find_counted(&mut read, tenant, id).await;
            let found = found.unwrap().map(|found| found.subscriptions);
            assert_eq!(found, count, "{tenant} {id}");
        }
        for (tenant, level, found) in [
            (TENANT, level, Some(gold.clone())),
            (OTHER, level, None),
            (TENANT, PolicyLevel::Application, None),
        ] {
            let by_id = policies::find_by_id(&mut read, tenant, level, &gold.id).await;
            assert_eq!(by_id.unwrap(), found, "{tenant} {level:?}");
        }
    }
}

#[tokio::test]
async fn what_is_found_by_its_id_is_found_in_its_tenant_alone() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let shop = application(ID, "Shop", "ann");
        applications::create(&mut write, &shop).await.unwrap();
        let held = subscription("s", "api", ID);
        subscriptions::create(&mut write, &held).await.unwrap();
        let key = mapping("m", "ck", KeyType::Production);
        application_keys::create(&mut write, &key).await.unwrap();
        let locked = application_keys::lock(&mut write, TENANT, "m").await;
        assert_eq!(locked.unwrap(), key);
        let foreign = application_keys::lock(&mut write, OTHER, "m").await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        let listed = subscriptions::list_for_change(&mut write, TENANT, "api").await;
        assert_eq!(listed.unwrap(), std::slice::from_ref(&held));
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let found = applications::find(&mut read, TENANT, ID).await.unwrap();
        assert_eq!(found, Some(shop));
        let found = subscriptions::find(&mut read, TENANT, "s").await.unwrap();
        assert_eq!(found.as_ref(), Some(&held));
        let foreign = applications::find(&mut read, OTHER, ID).await.unwrap();
        assert_eq!(foreign, None);
        let foreign = subscriptions::find(&mut read, OTHER, "s").await.unwrap();
        assert_eq!(foreign, None);
        for (api, words, count) in [
            ("api", "", 1),
            ("", "shop", 1),
            ("", "GOLD", 1),
            ("", "an", 1),
            ("another", "", 0),
            ("api", "ba%", 0),
        ] {
            let listed = subscriptions::list_by_api(&mut read, TENANT, api, words, (9, 0));
            let (listed, total) = listed.await.unwrap();
            assert_eq!((listed.len(), total), (count, count), "{api} {words}");
            assert!(listed.iter().all(|one| one.application == "Shop"));
        }
        drop(read);
        let mut write = database.write("test.portal").await.unwrap();
        let foreign = subscriptions::delete(&mut write, OTHER, "s").await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        let gone = subscriptions::delete(&mut write, TENANT, "s").await;
        assert_eq!(gone.unwrap(), held);
        let again = subscriptions::delete(&mut write, TENANT, "s").await;
        assert!(matches!(again, Err(StoreError::NotFound(_))));
    }
}
