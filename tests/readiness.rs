//! `/readyz?verbose`: each check fails it alone, is named, and passes again when its cause is gone.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::node::{Node, Options};
use crate::support::platform::text;
use crate::support::postgres;
use crate::support::upstream::Upstream;

/// Names of the checks whose lines begin with a mark.
pub fn marked(answer: &Answer, mark: &str) -> Vec<String> {
    let text = answer.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
    let names = lines.filter_map(|line| line.split_once(": "));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Waits until exactly these checks fail.
pub async fn until_fails(node: &Node, check: &str) {
    eventually(40, check, || async {
        let answer = node.get("/readyz?verbose").send().await;
        let alone = answer.status == 503 && marked(&answer, "[-] ") == [check];
        alone.then_some(())
    })
    .await;
}

/// What `headgate status` ends with.
/// What `headgate status` ends with, whoever reads what it prints.
fn status(node: &Node) -> Option<i32> {
    let output = node.command(&["status"]).output();
    let code = output.expect("the binary").status.code();
    let nobody = std::io::pipe().expect("a pipe").1;
    let unread = node.command(&["status"]).stdout(nobody).status();
    assert_eq!(unread.expect("the binary").code(), code, "nobody reads it");
    code
}

#[tokio::test]
async fn a_ready_node_names_every_check_and_a_lost_database_fails_alone_until_it_is_back() {
    let node = Node::start().await;
    let answer = node.get("/readyz?verbose").send().await.expect(200);
    let all = [
        "configuration",
        "database.apim",
        "database.shared",
        "database.carbon",
        "database.broker",
        "cluster",
        "change log",
        "policies",
        "agreed view",
        "staying",
        "listeners",
    ];
    assert_eq!(marked(&answer, "[+] "), all);
    assert_eq!(status(&node), Some(0));
    for name in ["apim", "shared", "carbon", "broker"] {
        let file = node.dir.join(format!("data/{name}.db"));
        let aside = node.dir.join("aside");
        std::fs::rename(&file, &aside).expect("moved");
        until_fails(&node, &format!("database.{name}")).await;
        assert_eq!(status(&node), Some(4));
        assert!(!file.exists(), "no other one is made in its place");
        std::fs::rename(&aside, &file).expect("moved back");
        node.until_ready().await;
    }
    assert_eq!(status(&node), Some(0));
}

#[tokio::test]
async fn databases_that_refuse_and_a_log_that_cannot_be_read_fail_alone_on_postgresql() {
    // Runs where a server is named; the same promise holds on SQLite above.
    let Some(server) = postgres::server() else {
        return;
    };
    let urls =
        ["readiness_apim", "readiness_shared"].map(|name| postgres::fresh_database(&server, name));
    let [apim, shared] = &urls;
    let node = Node::start_with(Options {
        toml: format!("[database.apim]\nurl = \"{apim}\"\n[database.shared]\nurl = \"{shared}\"\n"),
        ..Options::default()
    })
    .await;
    for (check, url) in [("database.apim", apim), ("database.shared", shared)] {
        let (_, name) = url.rsplit_once('/').expect("a database");
        let accept = |word| {
            postgres::run(
                &server,
                &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {word}"),
            )
        };
        accept("false");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity";
        postgres::run(&server, &format!("{end} WHERE datname = '{name}'"));
        until_fails(&node, check).await;
        accept("true");
        node.until_ready().await;
    }
    postgres::run(apim, "ALTER TABLE change_log RENAME TO elsewhere");
    until_fails(&node, "change log").await;
    assert_eq!(status(&node), Some(4));
    let ingress = node.api("GET", "/_headgate/readyz").send().await;
    assert_eq!(ingress.status, 200, "calls are served from what is known");
    postgres::run(apim, "ALTER TABLE elsewhere RENAME TO change_log");
    node.until_ready().await;
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_is_not_ready_on_either_port_and_serves_on() {
    let delay = ("HEADGATE__NODE__DRAIN_DELAY_MS", "3600000");
    let node = Node::start_with(Options {
        environment: vec![(delay.0.to_owned(), delay.1.to_owned())],
        ..Options::default()
    })
    .await;
    let ingress = || async { node.api("GET", "/_headgate/readyz").send().await.status };
    assert_eq!(ingress().await, 200);
    node.signal("-TERM");
    until_fails(&node, "staying").await;
    assert_eq!(ingress().await, 503, "a balancer has to see it there");
    node.api("GET", "/_headgate/livez").send().await.expect(200);
}

#[tokio::test]
async fn policies_that_cannot_be_read_at_the_start_fail_alone_and_calls_are_told_to_come_back() {
    // Runs where a server is named: only there a test can damage a row and mend it.
    let Some(server) = postgres::server() else {
        return;
    };
    let [apim, shared] =
        ["unread_apim", "unread_shared"].map(|name| postgres::fresh_database(&server, name));
    let options = |unready| Options {
        toml: format!("[database.apim]\nurl = \"{apim}\"\n[database.shared]\nurl = \"{shared}\"\n"),
        unready,
        ..Options::default()
    };
    let mut node = Node::start_with(options(false)).await;
    let upstream = Upstream::start().await;
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let plans = ("50PerMin", "Unlimited");
    let caller = node.subscribed_under(&token, &api, plans, "one", "JWT");
    let caller = caller.await;
    let call = |node: &Node| {
        let call = node.api("GET", "/shop/1.0.0/items");
        call.bearer(&caller.access).send()
    };
    call(&node).await.expect(200);
    assert_eq!(node.terminate().await, Some(0));
    let gold = "WHERE level = 'subscription' AND name = 'Gold'";
    let damage = format!("UPDATE policies SET document = '!' || document {gold}");
    postgres::run(&apim, &damage);
    let node = node.crash_and_restart(options(true)).await;
    until_fails(&node, "policies").await;
    assert_eq!(status(&node), Some(4));
    let refused = call(&node).await.expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(text(&refused.json(), "code"), "900900");
    let mend = format!("UPDATE policies SET document = substr(document, 2) {gold}");
    postgres::run(&apim, &mend);
    node.until_ready().await;
    call(&node).await.expect(200);
}

#[tokio::test]
async fn a_listener_that_cannot_accept_fails_alone_until_it_can() {
    let listens = ("HEADGATE__CLUSTER__LISTEN", "127.0.0.1:0");
    let node = Node::start_with(Options {
        environment: vec![(listens.0.to_owned(), listens.1.to_owned())],
        ..Options::default()
    })
    .await;
    let pid = i32::try_from(node.pid()).expect("a pid");
    let limit = |current| {
        let before = getrlimit(Resource::Nofile);
        let limit = Rlimit {
            current,
            maximum: before.maximum,
        };
        prlimit(Pid::from_raw(pid), Resource::Nofile, limit).expect("a limit");
        before.current
    };
    let gateway = node.http.replace("http://localhost", "127.0.0.1");
    for (setting, address) in [
        ("listen.ingress_http", gateway),
        ("cluster.listen", node.cluster_address()),
    ] {
        // The node keeps what it has open, and this connection to ask it; it gets no descriptor more.
        let before = limit(Some(3));
        let waiting = std::net::TcpStream::connect(address).expect("the machine takes it in");
        until_fails(&node, "listeners").await;
        let told = node.get("/readyz").send().await.text();
        assert!(told.contains(&format!("{setting}: ")), "{told}");
        assert_eq!(told.matches("could not be accepted").count(), 1, "{told}");
        limit(before);
        node.until_ready().await;
        drop(waiting);
    }
}

#[tokio::test]
async fn an_expired_certificate_fails_alone_until_it_is_replaced() {
    let node = Node::start_with(Options {
        environment: vec![(
            "HEADGATE__LISTEN__MANAGEMENT_HTTP".to_owned(),
            "127.0.0.1:0".to_owned(),
        )],
        ..Options::default()
    })
    .await;
    let ready = || async {
        let url = format!("{}/readyz?verbose", node.management_http());
        node.client.call("GET", &url).send().await
    };
    let files = ["server.pem", "server-key.pem"].map(|name| node.dir.join("data/tls").join(name));
    let first = files
        .each_ref()
        .map(|file| std::fs::read(file).expect("a file"));
    let soon = short_lived(&node.dir.join("data"), Duration::from_secs(5));
    for (file, pem) in files.iter().zip(&soon) {
        std::fs::write(file, pem).expect("written");
    }
    eventually(40, "configuration", || async {
        let answer = ready().await;
        let alone = answer.status == 503 && marked(&answer, "[-] ") == ["configuration"];
        alone.then_some(())
    })
    .await;
    let fresh = node
        .client_without_connections()
        .call("GET", &node.management);
    assert!(fresh.try_send().await.is_err(), "clients refuse it");
    let port = node.management_http();
    let output = Command::new(env!("CARGO_BIN_EXE_headgate"))
        .args(["status", "--token", "any", "--server", &port])
        .output();
    assert_eq!(output.expect("the binary").status.code(), Some(4));
    for (file, pem) in files.iter().zip(&first) {
        std::fs::write(file, pem).expect("written");
    }
    eventually(40, "ready again", || async {
        ready().await.status.is_success().then_some(())
    })
    .await;
    let fresh = node.client_without_connections();
    let answer = fresh.call("GET", &format!("{}/livez", node.management));
    answer.send().await.expect(200);
}

/// A certificate of the node's own authority for localhost, and its key.
#[allow(
    clippy::disallowed_methods,
    reason = "a certificate's time is the machine's"
)]
fn short_lived(data: &Path, life: Duration) -> [String; 2] {
    let read = |name: &str| std::fs::read_to_string(data.join(name)).expect("a file");
    let authority = rcgen::KeyPair::from_pem(&read("tls/ca-key.pem")).expect("a key");
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.pem"), &authority).expect("an issuer");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(60)).into();
    params.not_after = (now + life).into();
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    [certificate.pem(), key.serialize_pem()]
}
