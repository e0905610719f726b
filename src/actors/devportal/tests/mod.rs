//! The portal over databases of its own, beside a publisher and a key manager: what holds when
//! several change the same at once, whose things are whose, and what ends with an application.

mod changes;
mod keys;
mod orders;
mod owners;

use cluster::{Clock, Root, System, start_root};
use domain::api::{Api, AuthType, Cors, Endpoints, Operation, SUPER_TENANT};
use domain::application::{Application, ApplicationStatus, KeyType, TokenType};
use domain::change::MarkedSubject;
use domain::lifecycle::LifecycleState;
use domain::policy::{Policy, PolicyLevel};
use domain::subscription::{Subscription, SubscriptionStatus};
use domain::validation::Verdict;
use storage::apim::{applications, policies, revocations, subscriptions};
use storage::{Database, StoreError};

use super::*;
use crate::admin::AdminHandle;
use crate::change_feed::FeedSettings;
use crate::key_manager::command::{
    Client, ClientSecret, GrantType, NewClient, NewUser, TokenRequest,
};
use crate::key_manager::{Desk, KeyManagerHandle, Keys, Passwords, Settings, SigningAlgorithm};
use crate::publisher::{Author, Edition, NewApi, PublisherHandle, PublisherSettings, Step, Target};
use changes::Waits;

struct Bench {
    portal: DevPortalHandle,
    publisher: PublisherHandle,
    admin: AdminHandle,
    clients: Clients,
    apim: Database,
    shared: Database,
    _root: Root,
    _dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    bench_waiting(None).await
}

/// A bench whose portal waits for its followers where these are counted.
async fn bench_waiting(waits: Option<Waits>) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
    let apim = storage::apim::open(&at("apim.db")).await.unwrap();
    let shared = storage::shared::open(&at("shared.db")).await.unwrap();
    seed(&apim).await;
    let system = System::new(Clock::system(), true);
    let (feed, feed_child) =
        crate::change_feed::component(&system, &apim, &shared, FeedSettings::default());
    let desk = Desk::new(
        (apim.clone(), shared.clone()),
        feed.clone(),
        system.clock.clone(),
        Settings {
            issuer: "https://localhost:9443/oauth2/token".to_owned(),
            access_token_seconds: 3_600,
            refresh_token_seconds: 86_400,
        },
        Keys::load(dir.path(), SigningAlgorithm::Es256).unwrap(),
        Passwords::new().unwrap(),
    );
    let (key_manager, key_manager_child) = crate::key_manager::component(&system, &desk);
    let settings = PublisherSettings::default();
    let stores = (apim.clone(), shared.clone());
    let (publisher, publisher_child) =
        crate::publisher::component(&system, stores.0, stores.1, feed.clone(), settings);
    let (waiting, waits) = match waits {
        Some(waits) => waits.in_front_of(&feed, &system),
        None => (feed.clone(), None),
    };
    let (portal, child) = component(&system, (&apim, &shared), &waiting, &key_manager);
    let (admin, admin_child) = crate::admin::component(&system, (&apim, &shared), &feed);
    let mut children = vec![
        feed_child,
        key_manager_child,
        publisher_child,
        child,
        admin_child,
    ];
    children.extend(waits);
    let root = start_root(&system, children).await.unwrap();
    make_owners(&key_manager).await;
    let clients = Clients {
        apim: apim.clone(),
        feed,
        key_manager,
        clock: system.clock.clone(),
    };
    Bench {
        portal,
        publisher,
        admin,
        clients,
        apim,
        shared,
        _root: root,
        _dir: dir,
    }
}

async fn seed(apim: &Database) {
    let mut write = apim.write("test.policies.seed").await.unwrap();
    let defaults = Policy::defaults(SUPER_TENANT, || uuid::Uuid::new_v4().to_string());
    policies::seed(&mut write, &defaults).await.unwrap();
    write.commit().await.unwrap();
}

async fn make_owners(key_manager: &KeyManagerHandle) {
    for name in ["ann", "bob"] {
        let user = NewUser {
            tenant: SUPER_TENANT.to_owned(),
            name: name.to_owned(),
            password: "sesame".to_owned(),
            email: String::new(),
            given_name: String::new(),
            family_name: String::new(),
            roles: Vec::new(),
        };
        key_manager.create_user(user).await.unwrap();
    }
}

fn application(name: &str, owner: &str) -> Application {
    Application {
        id: writer::new_id(),
        tenant: SUPER_TENANT.to_owned(),
        name: name.to_owned(),
        owner: owner.to_owned(),
        throttling_policy: "Unlimited".to_owned(),
        token_type: TokenType::Jwt,
        description: String::new(),
        status: ApplicationStatus::Approved,
        attributes: "{}".to_owned(),
        created_at_ms: 1,
        updated_at_ms: 1,
        row_version: 1,
    }
}

fn subscription(api: &str, application: &Application) -> Subscription {
    Subscription {
        id: writer::new_id(),
        tenant: SUPER_TENANT.to_owned(),
        api_id: api.to_owned(),
        application_id: application.id.clone(),
        policy: "Gold".to_owned(),
        requested_policy: "Gold".to_owned(),
        status: SubscriptionStatus::Unblocked,
        subscriber: application.owner.clone(),
        created_at_ms: 1,
    }
}

fn edition(api_id: &str) -> Edition {
    Edition {
        author: Author {
            tenant: SUPER_TENANT.to_owned(),
            user: "ann".to_owned(),
        },
        api_id: api_id.to_owned(),
        expected: Vec::new(),
    }
}

pub(crate) fn document(name: &str) -> Api {
    Api {
        id: String::new(),
        tenant: SUPER_TENANT.to_owned(),
        name: name.to_owned(),
        version: "1".to_owned(),
        context: format!("/{name}"),
        provider: "ann".to_owned(),
        description: String::new(),
        kind: "HTTP".to_owned(),
        state: LifecycleState::Created,
        is_default_version: false,
        transports: vec!["https".to_owned()],
        security_schemes: vec!["oauth2".to_owned()],
        authorization_header: String::new(),
        api_key_header: String::new(),
        audiences: Vec::new(),
        policies: vec!["Gold".to_owned()],
        api_throttling_policy: None,
        tags: Vec::new(),
        operations: vec![Operation {
            id: String::new(),
            target: "/menu".to_owned(),
            verb: "GET".to_owned(),
            auth_type: AuthType::Any,
            throttling_policy: "Unlimited".to_owned(),
            scopes: Vec::new(),
        }],
        scopes: Vec::new(),
        endpoints: Endpoints {
            production: Some("http://10.0.0.1".to_owned()),
            sandbox: None,
        },
        cors: Cors::default(),
        created_at_ms: 0,
        updated_at_ms: 0,
        row_version: 0,
        extra: "{}".to_owned(),
    }
}

async fn published(bench: &Bench, name: &str) -> String {
    let new = NewApi {
        api: document(name),
        definition: None,
    };
    let author = edition("").author;
    let api = bench.publisher.create(author, new).await.unwrap().value;
    let publisher = &bench.publisher;
    let revision = publisher.create_revision(edition(&api.id), String::new());
    let target = Target {
        environment: "Default".to_owned(),
        vhost: None,
        display_on_devportal: true,
    };
    let revision = revision.await.unwrap();
    let deployed = publisher.deploy(edition(&api.id), revision.id, vec![target]);
    deployed.await.unwrap();
    let step = Step {
        action: "Publish".to_owned(),
        deprecate_old_versions: false,
        require_resubscription: false,
    };
    let moved = bench.publisher.change_lifecycle(edition(&api.id), step);
    assert_eq!(moved.await.unwrap().value.state, LifecycleState::Published);
    api.id
}

fn client(application: &Application) -> NewClient {
    NewClient {
        tenant: SUPER_TENANT.to_owned(),
        name: format!("{}_{}_PRODUCTION", application.owner, application.id),
        owner: application.owner.clone(),
        grant_types: vec!["client_credentials".to_owned()],
        callback_url: String::new(),
        token_type: TokenType::Jwt,
        access_token_seconds: None,
        refresh_token_seconds: None,
        user_token_seconds: None,
        id_token_seconds: None,
    }
}

fn is_not_found<T: std::fmt::Debug>(result: &Result<T, DevPortalError>) -> bool {
    matches!(result, Err(DevPortalError::Store(StoreError::NotFound(_))))
}

#[tokio::test]
async fn of_two_equal_names_at_once_one_wins() {
    let bench = bench().await;
    let create = |name: &str| bench.portal.create_application(application(name, "ann"));
    let (first, second) = tokio::join!(create("Shop"), create("SHOP"));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let lost = if first.is_ok() { second } else { first };
    assert!(matches!(
        lost,
        Err(DevPortalError::Store(StoreError::Duplicate(_)))
    ));
    let other = bench.portal.create_application(application("Shop", "bob"));
    assert!(other.await.is_ok());
}

#[tokio::test]
async fn a_subscription_and_the_removal_of_its_api_or_application_do_not_cross() {
    let bench = bench().await;
    let portal = &bench.portal;
    for round in 0..8 {
        let api = published(&bench, &format!("api{round}")).await;
        let made = application(&format!("App {round}"), "ann");
        let made = portal.create_application(made).await.unwrap().value;
        let subscribe = portal.create_subscription(subscription(&api, &made));
        let (held, removed) = if round % 2 == 0 {
            let remove = bench.publisher.delete(edition(&api));
            let (held, removed) = tokio::join!(subscribe, remove);
            assert!(held.is_ok() != removed.is_ok(), "{held:?} {removed:?}");
            (held, removed.is_ok())
        } else {
            let (held, removed) = tokio::join!(subscribe, portal.delete_application(made.clone()));
            assert!(removed.is_ok(), "{removed:?}");
            (held, true)
        };
        assert!(held.is_ok() || is_not_found(&held), "{held:?}");
        let mut read = bench.apim.read().await.unwrap();
        let left = subscriptions::list_by_application(&mut read, SUPER_TENANT, &made.id).await;
        assert_eq!(left.unwrap().is_empty(), removed);
    }
}

/// An application with keys: its client, and the secret.
async fn with_keys(portal: &DevPortalHandle) -> (Application, Client, String) {
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    let wanted = client(&made);
    let keys = portal.create_keys(made.clone(), KeyType::Production, wanted, "{}".to_owned());
    let (_, client, secret) = keys.await.unwrap().value;
    (made, client, secret)
}

#[tokio::test]
async fn removing_an_application_ends_its_tokens_and_leaves_no_client() {
    let bench = bench().await;
    let portal = &bench.portal;
    let (made, client, secret) = with_keys(portal).await;
    let request = TokenRequest {
        client: ClientSecret {
            consumer_key: client.consumer_key.clone(),
            consumer_secret: secret,
        },
        grant: GrantType::ClientCredentials,
        scopes: Vec::new(),
        validity_seconds: None,
    };
    let key_manager = portal.key_manager();
    let token = key_manager.issue(request).await.unwrap().access_token;
    let before = key_manager.validate(&token).await.unwrap();
    assert!(matches!(before, Verdict::Granted(_)), "{before:?}");
    portal.delete_application(made.clone()).await.unwrap();
    let after = key_manager.validate(&token).await.unwrap();
    assert!(matches!(after, Verdict::Refused { .. }), "{after:?}");
    assert!(key_manager.find_client(&client.consumer_key).await.is_err());
    let mut read = bench.apim.read().await.unwrap();
    for (subject, id) in [
        (MarkedSubject::Application, &made.id),
        (MarkedSubject::Client, &client.consumer_key),
    ] {
        let mark = revocations::find_mark(&mut read, SUPER_TENANT, subject, id).await;
        assert!(mark.unwrap().is_some(), "{subject:?}");
    }
    drop(read);
    let again = portal.delete_application(made.clone()).await;
    assert!(is_not_found(&again), "{again:?}");
    let late = portal.create_keys(
        made.clone(),
        KeyType::Production,
        self::client(&made),
        "{}".to_owned(),
    );
    let late = late.await;
    assert!(is_not_found(&late));
    let name = self::client(&made).name;
    let left = key_manager.find_client_by_name(SUPER_TENANT, "ann", &name);
    assert!(left.await.is_err());
}

#[tokio::test]
async fn the_sweeper_removes_what_a_crash_left_and_nothing_else() {
    let bench = bench().await;
    let portal = &bench.portal;
    let key_manager = portal.key_manager();
    let (made, mapped, _) = with_keys(portal).await;
    let (orphan, _) = key_manager
        .create_client(client(&application("Gone", "ann")))
        .await
        .unwrap();
    let registered = NewClient {
        name: "somebody's own".to_owned(),
        ..client(&made)
    };
    let (registered, _) = key_manager.create_client(registered).await.unwrap();
    assert_eq!(bench.clients.sweep().await.unwrap(), 0, "too young");
    let swept = bench.clients.sweep_before(i64::MAX).await;
    assert_eq!(swept.unwrap(), 1);
    for (client, stays) in [(mapped, true), (orphan, false), (registered, true)] {
        let found = key_manager.find_client(&client.consumer_key).await;
        assert_eq!(found.is_ok(), stays, "{}", client.details.name);
    }
}

#[tokio::test]
async fn a_key_is_associated_only_with_an_application_that_subscribes() {
    let bench = bench().await;
    let portal = &bench.portal;
    let api = published(&bench, "pizza").await;
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    let new = |api: &str| NewApiKey {
        tenant: SUPER_TENANT.to_owned(),
        name: "mine".to_owned(),
        key_type: KeyType::Production,
        api_id: api.to_owned(),
        application_id: None,
        owner: "ann".to_owned(),
        permitted_ips: String::new(),
        permitted_referers: String::new(),
        validity_seconds: -1,
    };
    let orphan = portal.create_api_key(new("no API")).await;
    assert!(is_not_found(&orphan), "{orphan:?}");
    portal.create_api_key(new(&api)).await.unwrap();
    let keys = portal.api_keys(SUPER_TENANT, &api, "ann").await.unwrap();
    let key = keys[0].clone();
    let bind = || portal.associate_api_key(key.clone(), Some(made.id.clone()), false);
    let refused = bind().await;
    assert!(matches!(
        refused,
        Err(DevPortalError::BadField {
            field: "applicationUUID",
            ..
        })
    ));
    let held = portal.create_subscription(subscription(&api, &made)).await;
    held.unwrap();
    bind().await.unwrap();
    portal.delete_application(made.clone()).await.unwrap();
    let late = bind().await;
    assert!(is_not_found(&late), "{late:?}");
    let keys = portal.api_keys(SUPER_TENANT, &api, "ann").await.unwrap();
    assert_eq!(keys[0].application_id, None);
}

#[tokio::test]
async fn a_policy_that_something_names_cannot_be_removed() {
    let bench = bench().await;
    published(&bench, "pizza").await;
    let mut read = bench.apim.read().await.unwrap();
    let level = PolicyLevel::Subscription;
    let gold = policies::find(&mut read, SUPER_TENANT, level, "Gold").await;
    let seeded = Policy::defaults(SUPER_TENANT, String::new);
    let built_in: Vec<_> = seeded
        .into_iter()
        .filter(Policy::is_built_in)
        .map(|policy| (policy.level, policy.name))
        .collect();
    assert_eq!(built_in.len(), 5, "{built_in:?}");
    for (level, name) in built_in {
        let policy = policies::find(&mut read, SUPER_TENANT, level, &name).await;
        let removed = bench.admin.delete_policy(policy.unwrap().unwrap()).await;
        let problem = removed.unwrap_err().to_string();
        assert!(problem.contains("built in"), "{problem}");
    }
    let level = PolicyLevel::Application;
    let ten = policies::find(&mut read, SUPER_TENANT, level, "10PerMin").await;
    drop(read);
    let (gold, ten) = (gold.unwrap().unwrap(), ten.unwrap().unwrap());
    let used = bench.admin.delete_policy(gold).await;
    let problem = used.unwrap_err().to_string();
    assert!(problem.contains("used by API pizza:1"), "{problem}");
    let new = Application {
        throttling_policy: ten.name.clone(),
        ..application("Shop", "ann")
    };
    let (made, removed) = tokio::join!(
        bench.portal.create_application(new.clone()),
        bench.admin.delete_policy(ten),
    );
    assert!(made.is_ok() != removed.is_ok(), "{made:?} {removed:?}");
    let mut read = bench.apim.read().await.unwrap();
    let found = applications::find(&mut read, SUPER_TENANT, &new.id).await;
    assert_eq!(found.unwrap().is_some(), made.is_ok());
}
