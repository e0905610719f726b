//! Roles on nodes of their own: a control plane, traffic managers and gateways that share no
//! database, joined by seeds.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
use crate::support::upstream::Upstream;

pub const CONTROL: &str = "publisher,devportal,admin,key-manager";

/// What a node of these roles is started with.
pub fn options(name: &str, roles: &str, seeds: &str) -> Options {
    let pairs = [
        ("HEADGATE__NODE__NAME", name),
        ("HEADGATE__NODE__ROLES", roles),
        ("HEADGATE__CLUSTER__LISTEN", "127.0.0.1:0"),
        ("HEADGATE__CLUSTER__SEEDS", seeds),
    ];
    Options {
        environment: pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        ..Options::default()
    }
}

/// With one variable more.
pub fn set(options: &mut Options, key: &str, value: &str) {
    let variable = (key.to_owned(), value.to_owned());
    options.environment.push(variable);
}

/// Whether its handles encode and decode each ask, also of its own components.
pub fn encode_asks(options: &mut Options, encode: bool) {
    set(options, "HEADGATE__NODE__ENCODE_ASKS", &encode.to_string());
}

/// Until these of a cluster's nodes do so, and no others, as one of them shows.
pub async fn until_encode(node: &Node, names: &[&str]) {
    let does = |row: &Value| {
        let settings = row["settings"].as_array();
        let set = |one: &Value| one["key"] == "node.encode_asks" && one["value"] == "true";
        settings.is_some_and(|all| all.iter().any(set))
    };
    eventually(10, "every second node encodes its asks", || async {
        let shown = node.get("/admin/config").bearer(&node.operator());
        let shown = shown.send().await.expect(200).json();
        let rows = shown["list"].as_array().expect("nodes").iter();
        let mut found: Vec<&str> = rows
            .filter(|row| does(row))
            .map(|row| text(row, "node"))
            .collect();
        found.sort_unstable();
        (found == names).then_some(())
    })
    .await;
}

/// One control plane, one traffic manager, one gateway, and an API that is called through them.
pub struct Trio {
    pub control: Node,
    pub traffic: Node,
    pub gateway: Node,
    pub token: String,
    pub api: String,
    pub upstream: Upstream,
}

impl Trio {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With a gateway that has these variables as well.
    pub async fn start_with(of_gateway: &[(&str, &str)]) -> Self {
        Self::start_both_with(&[], of_gateway).await
    }

    /// With a control plane and a gateway that have these variables as well.
    pub async fn start_both_with(of_control: &[(&str, &str)], of_gateway: &[(&str, &str)]) -> Self {
        Self::start_each(of_control, &[], of_gateway).await
    }

    /// Each with variables of its own.
    pub async fn start_each(
        of_control: &[(&str, &str)],
        of_traffic: &[(&str, &str)],
        of_gateway: &[(&str, &str)],
    ) -> Self {
        let upstream = Upstream::start().await;
        let node = |name, roles, seed: &str, more: &[(&str, &str)]| {
            let mut options = options(name, roles, seed);
            for (key, value) in more {
                set(&mut options, key, value);
            }
            Node::start_with(options)
        };
        let control = node("cp1", CONTROL, "", of_control).await;
        let seed = control.cluster_address();
        let (traffic, gateway) = tokio::join!(
            node("tm1", "traffic-manager", &seed, of_traffic),
            node("gw1", "gateway", &seed, of_gateway),
        );
        let token = control.admin_token().await;
        let api = control
            .published(&token, "Shop", "/shop", &upstream.url)
            .await;
        Self {
            control,
            traffic,
            gateway,
            token,
            api,
            upstream,
        }
    }

    /// Blocks all subscriptions, which refuses this token's calls when the answers leave, and lifts that again.
    async fn block(&self, access: &str) {
        let list = format!("{PUBLISHER}/subscriptions?apiId={}", self.api);
        let list = self.control.get(&list).bearer(&self.token).send().await;
        let list = list.expect(200).json();
        let all = list["list"].as_array().expect("subscriptions");
        assert!(!all.is_empty());
        for (word, then) in [("block", 401), ("unblock", 200)] {
            for one in all {
                let id = text(one, "subscriptionId");
                let state = if word == "block" {
                    "&blockState=BLOCKED"
                } else {
                    ""
                };
                let path = format!(
                    "{PUBLISHER}/subscriptions/{word}-subscription?subscriptionId={id}{state}"
                );
                let done = self.control.post(&path).bearer(&self.token).send().await;
                assert_eq!(done.expect(200).header("headgate-applied"), "2/2");
            }
            assert_eq!(self.call(access).await, then, "{word}");
        }
    }

    /// An access token of a new application whose plan lets `units` calls a day through.
    pub async fn subscriber(&self, name: &str, units: u64) -> (String, String, String) {
        let limit = json!({
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": units},
        });
        self.limited(name, &limit).await
    }

    /// The same under any limit.
    pub async fn limited(&self, name: &str, limit: &Value) -> (String, String, String) {
        self.chosen(name, limit, &json!([])).await
    }

    /// The same with attributes that choose something of the plan.
    pub async fn chosen(
        &self,
        name: &str,
        limit: &Value,
        attributes: &Value,
    ) -> (String, String, String) {
        let body = json!({
            "policyName": name, "defaultLimit": limit, "customAttributes": attributes,
        });
        let path = format!("{ADMIN}/throttling/policies/application");
        let made = self.control.post(&path).bearer(&self.token).json(&body);
        made.send().await.expect(201);
        let (node, token) = (&self.control, &self.token);
        let application = node.application(token, name, name, "JWT").await;
        node.subscribe(token, &self.api, &application, "Unlimited")
            .await;
        let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
        let access = node.client_token(&key, &secret).await;
        (key, secret, access)
    }

    pub async fn call(&self, access: &str) -> u16 {
        let call = self.gateway.api("GET", "/shop/1.0.0/items").bearer(access);
        call.send().await.status.into()
    }
}

pub async fn members(node: &Node) -> Vec<(String, String)> {
    let path = "/admin/cluster";
    let answer = node
        .get(path)
        .bearer(&node.operator())
        .send()
        .await
        .expect(200);
    let list = answer.json()["list"].as_array().cloned().expect("a list");
    let read = |member: &Value| {
        (
            text(member, "name").to_owned(),
            text(member, "health").to_owned(),
        )
    };
    list.iter().map(read).collect()
}

#[tokio::test]
async fn an_api_is_called_and_throttled_through_nodes_that_have_no_database() {
    let trio = Trio::start().await;
    let (_, _, access) = trio.subscriber("Three", 3).await;
    for _ in 0..3 {
        assert_eq!(trio.call(&access).await, 200);
    }
    assert_eq!(trio.call(&access).await, 429);
    assert_eq!(trio.upstream.count(), 3);
    for node in [&trio.traffic, &trio.gateway] {
        for database in ["apim.db", "shared.db"] {
            assert!(!node.dir.join("data").join(database).exists());
        }
        assert_eq!(members(node).await.len(), 3);
    }
}

#[tokio::test]
async fn a_portal_without_a_gateway_of_its_own_names_where_gateways_are_reached() {
    let mut options = options("cp1", CONTROL, "");
    for (key, value) in [
        ("GATEWAY__HTTPS_ENDPOINT", "https://apis.example.com"),
        ("LISTEN__INGRESS_HTTP", "127.0.0.1:8280"),
    ] {
        let pair = (format!("HEADGATE__{key}"), value.to_owned());
        options.environment.push(pair);
    }
    let node = Node::start_with(options).await;
    let token = node.admin_token().await;
    let api = node
        .published(&token, "Shop", "/shop", "http://127.0.0.1:1")
        .await;
    let read = async |path: String| {
        node.get(&path)
            .bearer(&token)
            .send()
            .await
            .expect(200)
            .json()
    };
    let shown = read(format!("{DEVPORTAL}/apis/{api}")).await;
    let urls = json!({
        "https": "https://apis.example.com/shop/1.0.0",
        "http": "http://localhost:8280/shop/1.0.0",
    });
    assert_eq!(shown["endpointURLs"][0]["URLs"], urls);
    let text = read(format!("{DEVPORTAL}/apis/{api}/swagger")).await;
    assert_eq!(text["servers"][0]["url"], urls["https"]);
    assert_eq!(text["servers"][1]["url"], urls["http"]);
    let settings = read(format!("{PUBLISHER}/settings")).await;
    let environment = &settings["environment"][0];
    assert_eq!(environment["vhosts"][0]["httpsPort"], 443);
    assert_eq!(environment["vhosts"][0]["httpPort"], 8280);
    let uri = json!({"protocol": "https", "endpointURI": "https://apis.example.com"});
    assert_eq!(environment["endpointURIs"], json!([uri]));
}

#[tokio::test]
async fn what_is_revoked_blocked_or_undeployed_is_refused_on_other_nodes_when_the_answer_leaves() {
    let trio = Trio::start().await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    let revoke = trio.control.post("/oauth2/revoke").basic(&key, &secret);
    let revoked = revoke.form(&[("token", &access)]).send().await.expect(200);
    assert_eq!(revoked.header("headgate-applied"), "2/2");
    assert_eq!(trio.call(&access).await, 401);
    let access = trio.control.client_token(&key, &secret).await;
    assert_eq!(trio.call(&access).await, 200);
    trio.block(&access).await;
    let list = format!(
        "{PUBLISHER}/apis/{}/revisions?query=deployed:true",
        trio.api
    );
    let list = trio
        .control
        .get(&list)
        .bearer(&trio.token)
        .send()
        .await
        .json();
    let undeploy = format!(
        "{PUBLISHER}/apis/{}/undeploy-revision?revisionId={}",
        trio.api,
        text(&list["list"][0], "id")
    );
    let undeploy = trio
        .control
        .post(&undeploy)
        .bearer(&trio.token)
        .json(&json!([{"name": "Default", "vhost": "localhost"}]));
    assert_eq!(
        undeploy.send().await.expect(201).header("headgate-applied"),
        "2/2"
    );
    assert_eq!(trio.call(&access).await, 404);
}

#[tokio::test]
async fn known_consumers_are_served_on_while_the_control_plane_is_gone_and_changes_come_after_it() {
    let mut trio = Trio::start().await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    trio.control.kill();
    eventually(10, "the gateway sees that it is gone", || async {
        let members = members(&trio.gateway).await;
        members
            .contains(&("cp1".to_owned(), "down".to_owned()))
            .then_some(())
    })
    .await;
    for _ in 0..20 {
        assert_eq!(trio.call(&access).await, 200);
    }
    // At another address, and without a seed: it remembers where the others were.
    let again = options("cp1", CONTROL, "");
    trio.control = trio.control.crash_and_restart(again).await;
    eventually(20, "all see each other", || async {
        let members = members(&trio.control).await;
        let up = members.iter().filter(|(_, health)| health == "up");
        (up.count() == 3).then_some(())
    })
    .await;
    let revoke = trio.control.post("/oauth2/revoke").basic(&key, &secret);
    let revoke = revoke.form(&[("token", &access)]);
    revoke.try_patiently().await.expect("an answer").expect(200);
    eventually(20, "the gateway hears of what is revoked now", || async {
        (trio.call(&access).await == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_namesake_a_second_control_plane_on_sqlite_and_another_issuer_are_refused_and_say_so() {
    let control = Node::start_with(options("cp1", CONTROL, "")).await;
    let seed = control.cluster_address();
    let other = tempfile::tempdir().expect("a directory");
    let default = "https://localhost:9443/oauth2/token";
    let another = "https://localhost:9446/oauth2/token";
    for (name, roles, issuer, reason) in [
        (
            "cp1",
            "gateway",
            default,
            "a node named cp1 is a member already",
        ),
        ("cp2", CONTROL, default, "cp1 has another API-M database"),
        ("cp2", CONTROL, default, "give both one on PostgreSQL"),
        ("gw1", "gateway", another, "cp1 has another oauth2.issuer"),
    ] {
        let dir = other.path().join(name).join(reason.len().to_string());
        std::fs::create_dir_all(&dir).expect("a directory");
        let mut options = Options {
            dir: Some(dir.clone()),
            ..options(name, roles, &seed)
        };
        set(&mut options, "HEADGATE__OAUTH2__ISSUER", issuer);
        assert_eq!(Node::ends(&options).await.code(), Some(1), "{name}");
        let log = std::fs::read_to_string(dir.join("log")).expect("a log");
        assert!(log.contains(reason), "{log}");
        let password = dir.join("data/admin-password");
        assert!(
            !password.exists(),
            "nobody administers a node that is not taken"
        );
    }
    // By the defaults of two that know nothing of each other their issuers differ too; the database is what is told.
    let dir = other.path().join("defaults");
    std::fs::create_dir_all(&dir).expect("a directory");
    let mut by_default = Options {
        dir: Some(dir.clone()),
        ..options("cp2", CONTROL, &seed)
    };
    set(&mut by_default, "HEADGATE__LISTEN__PORT_OFFSET", "7");
    assert_eq!(Node::ends(&by_default).await.code(), Some(1));
    let log = std::fs::read_to_string(dir.join("log")).expect("a log");
    assert!(log.contains("cp1 has another API-M database"), "{log}");
    assert!(log.contains("give both one on PostgreSQL"), "{log}");
    assert_eq!(members(&control).await.len(), 1);
    let metrics = control.get("/metrics").bearer(&control.operator()).send();
    let metrics = metrics.await.expect(200).text();
    let refused = "headgate_cluster_newcomers_refused_total ";
    let counted = metrics.lines().find_map(|line| line.strip_prefix(refused));
    let counted: u64 = counted
        .expect("a counter")
        .trim()
        .parse()
        .expect("a number");
    // Who is slow to end asks again.
    assert!(counted >= 4, "{counted}");
    assert!(
        control.log().contains("a node was refused"),
        "told where it was"
    );
}

#[tokio::test]
async fn gateways_and_traffic_managers_that_are_told_of_the_control_planes_databases_refuse_them() {
    let dir = tempfile::tempdir().expect("a directory");
    for (roles, database) in [
        ("gateway", "APIM"),
        ("gateway", "SHARED"),
        ("traffic-manager", "APIM"),
        ("traffic-manager", "SHARED"),
        ("gateway,traffic-manager", "SHARED"),
    ] {
        let dir = dir.path().join(roles).join(database);
        std::fs::create_dir_all(&dir).expect("a directory");
        let mut options = Options {
            dir: Some(dir.clone()),
            ..options("one", roles, "127.0.0.1:1")
        };
        let key = format!("HEADGATE__DATABASE__{database}__URL");
        set(&mut options, &key, "sqlite:elsewhere.db");
        assert_eq!(Node::ends(&options).await.code(), Some(1));
        let log = std::fs::read_to_string(dir.join("log")).expect("a log");
        assert!(
            log.contains("work without the control plane's databases")
                && log.contains(&key.to_lowercase().replace("__", ".")["headgate.".len()..]),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_traffic_manager_that_stands_still_is_evicted_and_comes_back_by_itself() {
    let trio = Trio::start().await;
    let health = |wanted: &'static str| {
        let gateway = &trio.gateway;
        async move {
            let members = members(gateway).await;
            let wanted = ("tm1".to_owned(), wanted.to_owned());
            members.contains(&wanted).then_some(())
        }
    };
    trio.traffic.signal("-STOP");
    // Suspected at first; whoever looks rarely meets what follows.
    eventually(15, "it is avoided", || async {
        let suspect = health("suspect").await;
        suspect.or(health("down").await)
    })
    .await;
    eventually(10, "it is evicted", || health("down")).await;
    trio.traffic.signal("-CONT");
    eventually(15, "it is back", || health("up")).await;
    let (_, _, access) = trio.subscriber("Three", 3).await;
    // Whoever is up again may still be catching up with what it missed.
    let call = || async { (trio.call(&access).await == 200).then_some(()) };
    eventually(20, "a call gets its unit", call).await;
    for _ in 0..2 {
        assert_eq!(trio.call(&access).await, 200);
    }
    assert_eq!(trio.call(&access).await, 429);
}
