//! The control plane on several nodes over one PostgreSQL: any split of its roles, and two of all of
//! them.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{CONTROL, members, options, set};
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, PUBLISHER, Subscribed, text};
use crate::support::postgres;
use crate::support::upstream::Upstream;

async fn call(gateway: &Node, access: &str) -> u16 {
    let call = gateway.api("GET", "/shop/1.0.0/items").bearer(access);
    call.send().await.status.into()
}

#[tokio::test]
async fn each_role_works_on_a_node_of_its_own() {
    let Some(server) = postgres::server() else {
        return;
    };
    let upstream = Upstream::start().await;
    let apim = postgres::fresh_database(&server, "roles_apim");
    let shared = postgres::fresh_database(&server, "roles_shared");
    let starts = starts(apim, shared);
    let control = |role: &str, seeds: &str| starts(role, role, seeds);
    let keys = Node::start_with(control("key-manager", "")).await;
    let seed = keys.cluster_address();
    let (publisher, portal, admin, _traffic, gateway) = tokio::join!(
        Node::start_with(control("publisher", &seed)),
        Node::start_with(control("devportal", &seed)),
        Node::start_with(control("admin", &seed)),
        Node::start_with(options("tm1", "traffic-manager", &seed)),
        Node::start_with(options("gw1", "gateway", &seed)),
    );
    let token = keys.admin_token().await;
    let plan = json!({"policyName": "Four", "defaultLimit": {
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": 4},
    }});
    let path = format!("{ADMIN}/throttling/policies/application");
    let made = admin.post(&path).bearer(&token).json(&plan).send().await;
    made.expect(201);
    let api = publisher.published(&token, "Shop", "/shop", &upstream.url);
    let api = api.await;
    let application = portal.application(&token, "one", "Four", "JWT").await;
    portal
        .subscribe(&token, &api, &application, "Unlimited")
        .await;
    let (key, secret) = portal.keys(&token, &application, "PRODUCTION").await;
    let access = keys.client_token(&key, &secret).await;
    assert_eq!(call(&gateway, &access).await, 200);
    let deny = format!("{ADMIN}/throttling/deny-policies");
    let body = json!({"conditionType": "APPLICATION", "conditionValue": "admin:one"});
    let denied = admin.post(&deny).bearer(&token).json(&body).send().await;
    let denied = denied.expect(201);
    assert_eq!(denied.header("headgate-applied"), "2/2");
    assert_eq!(call(&gateway, &access).await, 403);
    let body = denied.json();
    let lift = format!(
        "{ADMIN}/throttling/deny-policy/{}",
        text(&body, "conditionId")
    );
    admin.delete(&lift).bearer(&token).send().await.expect(200);
    for _ in 0..3 {
        assert_eq!(call(&gateway, &access).await, 200);
    }
    assert_eq!(call(&gateway, &access).await, 429);
    let revoke = keys.post("/oauth2/revoke").basic(&key, &secret);
    let revoked = revoke.form(&[("token", &access)]).send().await.expect(200);
    assert_eq!(revoked.header("headgate-applied"), "2/2");
    assert_eq!(call(&gateway, &access).await, 401);
}

#[tokio::test]
async fn control_planes_that_share_one_of_their_databases_alone_are_refused_and_told_which_differs()
{
    let Some(server) = postgres::server() else {
        return;
    };
    let fresh = |name: &str| postgres::fresh_database(&server, name);
    let (apim, shared) = (fresh("alike_apim"), fresh("alike_shared"));
    let one = Node::start_with(starts(apim.clone(), shared.clone())("cp1", CONTROL, "")).await;
    let seed = one.cluster_address();
    for (apim, shared, differs) in [
        (apim, fresh("other_shared"), "Shared"),
        (fresh("other_apim"), shared, "API-M"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut two = starts(apim, shared)("cp2", CONTROL, &seed);
        two.dir = Some(dir.path().to_owned());
        assert_eq!(Node::ends(&two).await.code(), Some(1));
        let log = std::fs::read_to_string(dir.path().join("log")).expect("a log");
        let told = format!("cp1 has another {differs} database: give both the same one");
        assert!(log.contains(&told), "{log}");
    }
    assert_eq!(members(&one).await.len(), 1);
}

/// Tokens that each of the two revokes while the other does so too.
const EACH: usize = 30;

/// Every answer says that all have applied it, and then nothing of it is let in.
async fn both_revoke_at_once(nodes: [&Node; 2], held: &Subscribed, gateway: &Node) {
    let mut tokens = Vec::new();
    for _ in 0..2 * EACH {
        tokens.push(nodes[0].client_token(&held.key, &held.secret).await);
    }
    for access in &tokens {
        assert_eq!(call(gateway, access).await, 200);
    }
    let (of_one, of_two) = tokens.split_at(EACH);
    let revoke = async |node: &Node, tokens: &[String]| {
        for access in tokens {
            let revoke = node.post("/oauth2/revoke").basic(&held.key, &held.secret);
            let revoked = revoke.form(&[("token", access)]).send().await.expect(200);
            assert_eq!(revoked.header("headgate-applied"), "2/2");
            assert_eq!(call(gateway, access).await, 401);
        }
    };
    tokio::join!(revoke(nodes[0], of_one), revoke(nodes[1], of_two));
    for access in &tokens {
        assert_eq!(call(gateway, access).await, 401);
    }
}

/// Whoever needs a key manager is answered by the other, and soon.
async fn one_stands_still(nodes: [&Node; 2], held: &Subscribed, gateway: &Node) {
    let [one, two] = nodes;
    let mut fresh = Vec::new();
    for _ in 0..10 {
        fresh.push(one.client_token(&held.key, &held.secret).await);
    }
    two.signal("-STOP");
    let mut slowest = Duration::ZERO;
    for access in &fresh {
        let began = Instant::now();
        assert_eq!(call(gateway, access).await, 200);
        slowest = slowest.max(began.elapsed());
    }
    two.signal("-CONT");
    // A question is given up after two seconds.
    assert!(slowest < Duration::from_millis(1_500), "{slowest:?}");
}

/// How a control plane of these databases is started, by its name, its roles and its seeds.
pub fn starts(apim: String, shared: String) -> impl Fn(&str, &str, &str) -> Options {
    move |name, roles, seeds| {
        let mut options = options(name, roles, seeds);
        set(&mut options, "HEADGATE__DATABASE__APIM__URL", &apim);
        set(&mut options, "HEADGATE__DATABASE__SHARED__URL", &shared);
        options
    }
}

#[tokio::test]
async fn two_control_planes_share_their_databases_each_knows_what_the_other_did_and_none_is_needed()
{
    let Some(server) = postgres::server() else {
        return;
    };
    let upstream = Upstream::start().await;
    let apim = postgres::fresh_database(&server, "cluster_apim");
    let shared = postgres::fresh_database(&server, "cluster_shared");
    let issuer = "https://keys.example/oauth2/token";
    let starts = starts(apim, shared);
    let control = |name: &str, seeds: &str| {
        let mut options = starts(name, CONTROL, seeds);
        set(&mut options, "HEADGATE__OAUTH2__ISSUER", issuer);
        options
    };
    let one = Node::start_with(control("cp1", "")).await;
    let seed = one.cluster_address();
    let mut of_gateway = options("gw1", "gateway", &seed);
    set(&mut of_gateway, "HEADGATE__OAUTH2__ISSUER", issuer);
    let (two, traffic, gateway) = tokio::join!(
        Node::start_with(control("cp2", &seed)),
        Node::start_with(options("tm1", "traffic-manager", &seed)),
        Node::start_with(of_gateway),
    );
    let token = one.admin_token().await;
    let api = one.published(&token, "Shop", "/shop", &upstream.url).await;
    // What one has signed opens the other.
    let held = two.subscribed(&token, &api, "holder", "JWT").await;
    assert_eq!(call(&gateway, &held.access).await, 200);
    // What either changes is so on the gateway, whichever of them it follows.
    for node in [&one, &two] {
        let path = |verb: &str| {
            let id = &held.subscription;
            format!("{PUBLISHER}/subscriptions/{verb}-subscription?subscriptionId={id}")
        };
        let block = format!("{}&blockState=BLOCKED", path("block"));
        let blocked = node.post(&block).bearer(&token).send().await.expect(200);
        assert_eq!(blocked.header("headgate-applied"), "2/2");
        assert_eq!(call(&gateway, &held.access).await, 401);
        let unblock = node.post(&path("unblock")).bearer(&token).send().await;
        assert_eq!(unblock.expect(200).header("headgate-applied"), "2/2");
        assert_eq!(call(&gateway, &held.access).await, 200);
    }
    both_revoke_at_once([&one, &two], &held, &gateway).await;
    one_stands_still([&one, &two], &held, &gateway).await;
    drop(traffic);
    let dir = tempfile::tempdir().expect("a directory");
    let mut third = control("cp3", &seed);
    third.dir = Some(dir.path().to_owned());
    set(&mut third, "HEADGATE__OAUTH2__REFRESH_TOKEN_SECONDS", "60");
    assert_eq!(Node::ends(&third).await.code(), Some(1));
    let log = std::fs::read_to_string(dir.path().join("log")).expect("a log");
    assert!(
        log.contains("has another oauth2.refresh_token_seconds: give both the same one"),
        "{log}"
    );
}
