//! Key managers on nodes of their own over one PostgreSQL: what one has issued the other ends, by
//! whichever clocks, what a portal makes bears the same clock's moments, and what a lost key signed
//! opens nothing anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::cluster::members;
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::node::{Node, Options};
use crate::support::platform::{DEVPORTAL, PUBLISHER, SCOPES, text};
use crate::support::postgres;
use crate::support::upstream::Upstream;

const CONTROL: &str = "publisher,devportal,admin,key-manager";

/// Databases of a test's own.
pub struct Databases([String; 2]);

// === impl Databases ===

impl Databases {
    pub fn fresh(server: &str, test: &str) -> Self {
        let fresh = |name| postgres::fresh_database(server, &format!("{test}_{name}"));
        Self(["apim", "shared"].map(fresh))
    }

    /// What a node over them is started with.
    fn node(&self, name: &str, seeds: &str, beside: Options) -> Options {
        self.under(named(name, CONTROL, seeds, beside))
    }

    /// The same for a node that is whatever these say.
    pub fn under(&self, mut options: Options) -> Options {
        let [apim, shared] = &self.0;
        for (key, value) in [
            ("HEADGATE__DATABASE__APIM__URL", apim.as_str()),
            ("HEADGATE__DATABASE__SHARED__URL", shared),
        ] {
            options.environment.push((key.to_owned(), value.to_owned()));
        }
        options
    }
}

/// What a node of these roles is started with.
pub fn named(name: &str, roles: &str, seeds: &str, mut options: Options) -> Options {
    for (key, value) in [
        ("HEADGATE__NODE__NAME", name),
        ("HEADGATE__NODE__ROLES", roles),
        ("HEADGATE__CLUSTER__LISTEN", "127.0.0.1:0"),
        ("HEADGATE__CLUSTER__SEEDS", seeds),
        // All nodes have one.
        (
            "HEADGATE__OAUTH2__ISSUER",
            "https://keys.example/oauth2/token",
        ),
    ] {
        options.environment.push((key.to_owned(), value.to_owned()));
    }
    options
}

/// Ann, her client and a session of hers.
struct Session {
    id: String,
    client: (String, String),
    tokens: Value,
}

// === impl Session ===

impl Session {
    async fn of_ann(node: &Node, admin: &str) -> Self {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ann", "password": "Open-sesame-1",
            "roles": [{"value": "Internal/subscriber"}],
        });
        let made = node.post("/scim2/Users").bearer(admin).json(&body).send();
        let made = made.await.expect(201).json();
        let grants = "password refresh_token";
        let asked = json!({"clientName": "of ann", "grantType": grants, "tokenType": "JWT"});
        let client = node.post("/client-registration/v0.17/register");
        let client = client.basic("ann", "Open-sesame-1").json(&asked).send();
        let client = client.await.expect(200).json();
        let client = ["clientId", "clientSecret"].map(|name| text(&client, name).to_owned());
        let [key, secret] = client;
        let mut session = Self {
            id: text(&made, "id").to_owned(),
            client: (key, secret),
            tokens: Value::Null,
        };
        session.log_in(node).await;
        session
    }

    /// Another session begins.
    async fn log_in(&mut self, node: &Node) {
        let form = [
            ("grant_type", "password"),
            ("username", "ann"),
            ("password", "Open-sesame-1"),
            ("scope", "apim:subscribe"),
        ];
        let (key, secret) = &self.client;
        let call = node.post("/oauth2/token").basic(key, secret);
        self.tokens = call.form(&form).send().await.expect(200).json();
    }

    /// What its tokens get at a node: the access token, and then the refresh token.
    async fn opens(&self, node: &Node) -> [u16; 2] {
        let list = node.get(&format!("{DEVPORTAL}/applications"));
        let list = list.bearer(text(&self.tokens, "access_token")).send().await;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", text(&self.tokens, "refresh_token")),
        ];
        let (key, secret) = &self.client;
        let call = node.post("/oauth2/token").basic(key, secret).form(&form);
        [list, call.send().await].map(|answer| answer.status.as_u16())
    }
}

#[tokio::test]
async fn a_session_of_a_key_manager_whose_clock_is_ahead_ends_with_the_password_all_the_same() {
    let Some(server) = postgres::server() else {
        return;
    };
    let databases = Databases::fresh(&server, "clocks");
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    faults.set_clock(20);
    let right = Node::start_with(databases.node("cp1", "", Options::default())).await;
    let seed = right.cluster_address();
    let ahead = databases.node("cp2", &seed, faults.options(dir.path()));
    let ahead = Node::start_with(ahead).await;
    let admin = right.admin_token().await;
    let mut session = Session::of_ann(&ahead, &admin).await;
    let mut opens = session.opens(&ahead).await;
    for _ in 0..5 {
        if opens == [200, 200] {
            break;
        }
        // A key manager that takes a tenth of a second on a busy machine has the other one asked, whose clock says that the
        // session has yet to begin.
        session.log_in(&ahead).await;
        opens = session.opens(&ahead).await;
    }
    assert_eq!(opens, [200, 200]);
    session.log_in(&ahead).await;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "password", "value": "Open-sesame-2"}],
    });
    let patch = right.call("PATCH", &format!("/scim2/Users/{}", session.id));
    patch.bearer(&admin).json(&body).send().await.expect(200);
    assert_eq!(session.opens(&ahead).await, [401, 400]);
}

#[tokio::test]
async fn what_a_removed_key_has_signed_opens_nothing_on_any_node() {
    let Some(server) = postgres::server() else {
        return;
    };
    let upstream = Upstream::start().await;
    let databases = Databases::fresh(&server, "removed_keys");
    let dir = tempfile::tempdir().expect("a directory");
    let in_dir = || Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let one = Node::start_with(databases.node("cp1", "", Options::default())).await;
    let seed = one.cluster_address();
    let (mut two, traffic, gateway) = tokio::join!(
        Node::start_with(databases.node("cp2", &seed, in_dir())),
        Node::start_with(named("tm1", "traffic-manager", &seed, Options::default())),
        Node::start_with(named("gw1", "gateway", &seed, Options::default())),
    );
    let token = one.admin_token().await;
    let api = one.published(&token, "Shop", "/shop", &upstream.url).await;
    let held = two.subscribed(&token, &api, "holder", "JWT").await;
    let call = || {
        let call = gateway.api("GET", "/shop/1.0.0/items");
        call.bearer(&held.access).send()
    };
    call().await.expect(200);
    // The first node to start has made the administrator.
    let signed = two.user_token("admin", &one.admin_password, SCOPES).await;
    let list = || {
        let list = one.get(&format!("{DEVPORTAL}/applications"));
        list.bearer(&signed).send()
    };
    list().await.expect(200);
    assert_eq!(two.terminate().await, Some(0));
    std::fs::remove_dir_all(dir.path().join("data/keys")).expect("removed");
    let two = Node::start_with(databases.node("cp2", &seed, in_dir())).await;
    // The gateway had cached what it may do.
    let refused = || async { (call().await.status == 401).then_some(()) };
    eventually(10, "what was cached has ended", refused).await;
    let refused = || async { (list().await.status == 401).then_some(()) };
    eventually(10, "the other control plane takes it no more", refused).await;
    drop((two, traffic));
}

/// What a portal makes and ends, each with its moment.
const MOMENTS: &str = "SELECT 'application' AS what, created_at_ms AS at FROM applications \
    UNION ALL SELECT 'client', created_at_ms FROM oauth_clients \
    UNION ALL SELECT 'API key', issued_at_ms FROM api_keys \
    UNION ALL SELECT 'mark of ' || subject, before_ms FROM issued_before_marks";

/// Makes a user who subscribes; gives their token.
async fn subscriber(node: &Node, admin: &str, name: &str) -> String {
    let body = json!({
        "userName": name, "password": "Open-sesame-1",
        "roles": [{"value": "Internal/subscriber"}],
    });
    let made = node.post("/scim2/Users").bearer(admin).json(&body).send();
    made.await.expect(201);
    let scopes = "apim:subscribe apim:app_manage apim:sub_manage apim:api_key";
    node.user_token(name, "Open-sesame-1", scopes).await
}

/// Makes a user's API key; gives it.
async fn api_key(node: &Node, token: &str, api: &str) -> String {
    let body = json!({"keyName": "first", "keyType": "PRODUCTION", "validityPeriod": -1});
    let made = node.post(&format!("{DEVPORTAL}/apis/{api}/api-keys/generate"));
    let made = made.bearer(token).json(&body).send().await.expect(200);
    text(&made.json(), "apikey").to_owned()
}

/// An API that API keys open, published.
async fn keyed(node: &Node, admin: &str, backend: &str) -> String {
    let api = node.import(admin, "Shop", "/shop", backend).await;
    let path = format!("{PUBLISHER}/apis/{api}");
    let read = node.get(&path).bearer(admin).send().await;
    let mut document = read.expect(200).json();
    document["securityScheme"] = json!(["oauth2", "api_key"]);
    let put = node.put(&path).bearer(admin).json(&document).send();
    put.await.expect(200);
    node.deploy(admin, &api).await;
    node.lifecycle(admin, &api, "Publish").await;
    api
}

#[tokio::test]
async fn what_a_portal_makes_or_ends_bears_the_databases_moment_and_a_namesakes_key_is_good() {
    let Some(server) = postgres::server() else {
        return;
    };
    for seconds in [-120, 120] {
        let upstream = Upstream::start().await;
        let name = format!("moments_{}", seconds > 0);
        let databases = Databases::fresh(&server, &name);
        let dir = tempfile::tempdir().expect("a directory");
        let faults = Faults::in_directory(dir.path());
        faults.set_clock(seconds);
        let node = Node::start_with(databases.under(faults.options(dir.path()))).await;
        let admin = node.admin_token().await;
        let api = keyed(&node, &admin, &upstream.url).await;
        let bob = subscriber(&node, &admin, "bob").await;
        let held = node.subscribed(&bob, &api, "removed", "JWT").await;
        let gone = node.delete(&format!("{DEVPORTAL}/applications/{}", held.application));
        gone.bearer(&bob).send().await.expect(200);
        node.subscribed(&bob, &api, "kept", "JWT").await;
        api_key(&node, &bob, &api).await;
        let [apim, _] = &databases.0;
        let now = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)";
        let strange = format!("SELECT * FROM ({MOMENTS}) AS made WHERE ABS({now} - at) > 60000");
        assert_eq!(postgres::ask(apim, &strange), "", "{seconds}");
        let marks = format!("SELECT COUNT(*) FROM ({MOMENTS}) AS made WHERE what LIKE 'mark%'");
        assert_eq!(
            postgres::ask(apim, &marks),
            "2",
            "of application and client"
        );
        let list = node
            .get("/scim2/Users?startIndex=1&count=99")
            .bearer(&admin);
        let list = list.send().await.expect(200).json();
        let users = list["Resources"].as_array().expect("users").iter();
        let mut bobs = users.filter(|user| user["userName"] == "bob");
        let id = text(bobs.next().expect("bob"), "id");
        let gone = node.delete(&format!("/scim2/Users/{id}")).bearer(&admin);
        gone.send().await.expect(204);
        let namesake = subscriber(&node, &admin, "bob").await;
        let key = api_key(&node, &namesake, &api).await;
        let held = node.subscribed(&namesake, &api, "anew", "JWT").await;
        let keys = format!("{DEVPORTAL}/apis/{api}/api-keys");
        let list = node.get(&keys).bearer(&namesake).send().await;
        let id = list.expect(200).json()["list"][0]["keyUUID"].clone();
        let body = json!({"keyUUID": id, "applicationUUID": held.application});
        let bound = node.post(&format!("{keys}/associate")).bearer(&namesake);
        bound.json(&body).send().await.expect(200);
        let call = node.api("GET", "/shop/1.0.0/items").header("apikey", &key);
        call.send().await.expect(200);
    }
}

/// A known consumer's calls, one after the other, without a pause: each of its tokens ten times.
struct Load {
    calls: AtomicUsize,
    ends: AtomicBool,
    tokens: Vec<String>,
}

// === impl Load ===

impl Load {
    async fn run(&self, gateway: &Node) {
        while !self.ends.load(Ordering::Relaxed) {
            let n = self.calls.fetch_add(1, Ordering::Relaxed) / 10;
            let token = &self.tokens[n % self.tokens.len()];
            let call = gateway.api("GET", "/shop/1.0.0/items").bearer(token);
            call.send().await.expect(200);
        }
    }

    /// So many more calls were answered, and so a tenth as many tokens asked about.
    async fn goes_on(&self, more: usize) {
        let until = self.calls.load(Ordering::Relaxed) + more;
        eventually(60, "calls are answered", || async {
            (self.calls.load(Ordering::Relaxed) >= until).then_some(())
        })
        .await;
    }
}

/// A gateway sees a member like this.
async fn sees(gateway: &Node, name: &str, health: &str) {
    let wanted = (name.to_owned(), health.to_owned());
    eventually(30, "a member is seen as it is", || async {
        members(gateway).await.contains(&wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn any_key_manager_killed_under_load_fails_no_request_of_a_known_consumer() {
    let Some(server) = postgres::server() else {
        return;
    };
    let upstream = Upstream::start().await;
    let databases = Databases::fresh(&server, "killed");
    let dir = tempfile::tempdir().expect("a directory");
    let in_dir = || Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let mut one = Node::start_with(databases.node("cp1", "", Options::default())).await;
    let seed = one.cluster_address();
    let (mut two, _traffic, gateway) = tokio::join!(
        Node::start_with(databases.node("cp2", &seed, in_dir())),
        Node::start_with(named("tm1", "traffic-manager", &seed, Options::default())),
        Node::start_with(named("gw1", "gateway", &seed, Options::default())),
    );
    let token = one.admin_token().await;
    let api = one.published(&token, "Shop", "/shop", &upstream.url).await;
    let held = one.subscribed(&token, &api, "holder", "JWT").await;
    let mut tokens = Vec::new();
    for node in (0..100).flat_map(|_| [&one, &two]) {
        tokens.push(node.client_token(&held.key, &held.secret).await);
    }
    let load = Arc::new(Load {
        calls: AtomicUsize::new(0),
        ends: AtomicBool::new(false),
        tokens,
    });
    let killing = async {
        load.goes_on(100).await;
        two.kill();
        sees(&gateway, "cp2", "down").await;
        load.goes_on(100).await;
        let _two = two
            .crash_and_restart(databases.node("cp2", &seed, in_dir()))
            .await;
        sees(&gateway, "cp2", "up").await;
        load.goes_on(100).await;
        one.kill();
        sees(&gateway, "cp1", "down").await;
        load.goes_on(100).await;
        load.ends.store(true, Ordering::Relaxed);
    };
    tokio::join!(killing, load.run(&gateway), load.run(&gateway));
    assert!(upstream.count() >= 400);
}
