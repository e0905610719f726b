//! Starting and stopping a node.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::upstream::Upstream;
use crate::support::wire::Wire;

#[tokio::test]
async fn a_node_ends_with_status_zero_on_sigterm_and_starts_again_on_its_data() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let told = |node: &Node| node.log().matches("has the password").count();
    let mut first = Node::start_with(options()).await;
    assert_eq!(told(&first), 1);
    let upstream = Upstream::start().await;
    let token = first.admin_token().await;
    let mut callers = Vec::new();
    for (name, host) in [("address", "127.0.0.1"), ("name", "localhost")] {
        let url = upstream.url.replace("127.0.0.1", host);
        let context = format!("/{name}");
        let api = first.published(&token, name, &context, &url).await;
        callers.push((name, first.subscribed(&token, &api, name, "JWT").await));
    }
    assert_eq!(first.terminate().await, Some(0));
    let password = first.admin_password.clone();
    drop(first);
    let mut again = options();
    let own = "HEADGATE__GATEWAY__ALLOW_LOOPBACK_ENDPOINTS".to_owned();
    again.environment.push((own, "false".to_owned()));
    let second = Node::start_with(again).await;
    assert_eq!(second.admin_password, password);
    assert!(!second.admin_token().await.is_empty());
    assert_eq!(told(&second), 1, "a password is told once");
    // What was deployed before leads to this machine, by its address or by a name that means it.
    for (name, caller) in callers {
        let call = second.api("GET", &format!("/{name}/1.0.0/items"));
        let refused = call.bearer(&caller.access).send().await;
        let place = format!("{name}: {}", refused.text());
        assert_eq!(refused.status, 502, "{place}");
        assert_eq!(refused.json()["code"], "101503", "{place}");
        assert!(place.contains("does not call"), "{place}");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_management_request_that_is_open_when_the_node_is_stopped_gets_its_answer() {
    let mut node = Node::start_with(Options {
        environment: vec![(
            "HEADGATE__LISTEN__MANAGEMENT_HTTP".to_owned(),
            "127.0.0.1:0".to_owned(),
        )],
        ..Options::default()
    })
    .await;
    let address = node.management_http().replace("http://", "");
    let form = "grant_type=client_credentials&client_id=a&client_secret=b";
    let mut wire = Wire::open(&address).await;
    wire.send(format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    ))
    .await;
    assert_eq!(wire.reply().await.status, 100, "its handler reads the body");
    let answered = async {
        eventually(10, "no more connections", || async {
            let connected = tokio::net::TcpStream::connect(&address).await;
            connected.is_err().then_some(())
        })
        .await;
        wire.send(form).await;
        wire.reply().await
    };
    let (code, reply) = tokio::join!(node.terminate(), answered);
    assert_eq!(reply.status, 401, "{reply:?}");
    assert!(reply.body.contains("invalid_client"), "{reply:?}");
    assert_eq!(code, Some(0));
}

/// A node that is started by hand: whatever it says goes to a file.
fn by_hand(dir: &Path) -> Command {
    let said = std::fs::File::create(dir.join("said")).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    command
        .args(["start", "--data-dir"])
        .arg(dir.join("data"))
        .env("HEADGATE__LISTEN__MANAGEMENT", "127.0.0.1:0")
        .env("HEADGATE__LISTEN__INGRESS_HTTP", "off")
        .env("HEADGATE__LISTEN__INGRESS_HTTPS", "127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(said);
    command
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_while_it_starts_ends_with_status_zero() {
    let dir = tempfile::tempdir().expect("a directory");
    // A database that takes the connection and says nothing: the start waits for it.
    let database = TcpListener::bind("127.0.0.1:0").expect("a port");
    database.set_nonblocking(true).expect("an option");
    let port = database.local_addr().expect("an address").port();
    let mut command = by_hand(dir.path());
    let url = format!("postgres://hg@127.0.0.1:{port}/apim");
    command.env("HEADGATE__DATABASE__APIM__URL", url);
    let mut child = command.spawn().expect("the binary");
    let _silent = eventually(30, "the start is under way", || async {
        database.accept().ok()
    })
    .await;
    let killed = Command::new("kill").arg(child.id().to_string()).status();
    assert!(killed.expect("kill").success());
    let status = child.wait().expect("its end");
    let said = std::fs::read_to_string(dir.path().join("said")).unwrap_or_default();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[tokio::test]
async fn who_interrupts_a_node_again_does_not_wait_for_open_requests() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = by_hand(dir.path());
    command.env("HEADGATE__LISTEN__MANAGEMENT_HTTP", "127.0.0.1:0");
    let mut child = command.spawn().expect("the binary");
    let address = eventually(30, "the node listens", || async {
        let ports = std::fs::read(dir.path().join("data/run/ports.json")).ok()?;
        let ports: serde_json::Value = serde_json::from_slice(&ports).ok()?;
        ports["management_http"].as_str().map(str::to_owned)
    })
    .await;
    let mut wire = Wire::open(&address).await;
    wire.send(
        "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\n",
    )
    .await;
    assert_eq!(wire.reply().await.status, 100, "its handler reads the body");
    let id = child.id().to_string();
    let status = eventually(10, "it ends", || {
        let sent = Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.expect("kill").success());
        let ended = child.try_wait().expect("its state");
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_second_process_on_a_data_directory_is_refused_and_names_it() {
    let node = Node::start().await;
    let mut second = by_hand(&node.dir);
    let status = second.status().expect("the binary");
    assert!(!status.success());
    let said = std::fs::read_to_string(node.dir.join("said")).expect("what it said");
    let named = node.dir.join("data").display().to_string();
    assert!(
        said.contains(&named) && said.contains("in use by another process"),
        "{said}"
    );
    node.get("/readyz").send().await.expect(200);
}

#[tokio::test]
async fn the_administrator_of_the_environment_is_made_once_and_ignored_from_then_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = |user: &str, password: &str| Options {
        dir: Some(dir.path().to_owned()),
        environment: vec![
            ("HEADGATE_ADMIN_USER".to_owned(), user.to_owned()),
            ("HEADGATE_ADMIN_PASSWORD".to_owned(), password.to_owned()),
        ],
        ..Options::default()
    };
    // With the tenant, as it is typed elsewhere.
    let mut first = Node::start_with(options("root@carbon.super", "open-sesame")).await;
    let token = first.user_token("root", "open-sesame", "apim:admin").await;
    assert!(!token.is_empty());
    assert!(!dir.path().join("data/admin-password").exists());
    assert_eq!(first.terminate().await, Some(0));
    drop(first);
    let second = Node::start_with(options("other", "another-word")).await;
    for (user, password, status) in [
        ("root", "open-sesame", 200),
        ("root", "another-word", 401),
        ("other", "another-word", 401),
    ] {
        let call = second.post("/client-registration/v0.17/register");
        let call = call.basic(user, password);
        let body = serde_json::json!({"clientName": "again"});
        call.json(&body).send().await.expect(status);
    }
    assert!(!dir.path().join("data/admin-password").exists());
}

#[tokio::test]
async fn no_secret_is_readable_by_others_and_none_is_in_the_log() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::start().await;
    let token = node.admin_token().await;
    let mut pending = vec![node.dir.join("data")];
    let mut secrets = 0;
    while let Some(path) = pending.pop() {
        let mode = path.metadata().expect("metadata").permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            let entries = path.read_dir().expect("a directory");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.to_string_lossy().contains("key") || path.ends_with("admin-password") {
            assert_eq!(mode, 0o600, "{}", path.display());
            secrets += 1;
        }
    }
    assert!(secrets >= 4, "found {secrets}");
    let log = node.log();
    assert!(!log.contains(&token));
    assert!(!log.contains(&node.operator()));
}

#[test]
fn a_busy_port_is_named_with_what_changes_it_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("a port");
    let output = Command::new(env!("CARGO_BIN_EXE_headgate"))
        .args(["start", "--data-dir"])
        .arg(dir.path().join("data"))
        .env("HEADGATE__LISTEN__MANAGEMENT", address.to_string())
        .env("HEADGATE__LISTEN__INGRESS_HTTP", "127.0.0.1:0")
        .env("HEADGATE__LISTEN__INGRESS_HTTPS", "127.0.0.1:0")
        .output()
        .expect("headgate runs");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&address.port().to_string()), "{error}");
    assert!(
        error.contains("listen.management") && error.contains("--port-offset"),
        "{error}"
    );
    assert!(!dir.path().join("data").exists());
}

#[test]
fn check_prints_each_value_with_its_origin_and_refuses_an_unknown_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("headgate.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).expect("written");
        Command::new(env!("CARGO_BIN_EXE_headgate"))
            .args(["check", "--output", "json", "--config"])
            .arg(&file)
            .env("HEADGATE__LOG__FILTER", "warn")
            .output()
            .expect("headgate runs")
    };
    let good = check("[node]\nname = \"gw1\"\n");
    assert!(good.status.success());
    let values: serde_json::Value = serde_json::from_slice(&good.stdout).expect("JSON");
    let of = |key: &str| {
        let list = values.as_array().expect("a list");
        list.iter()
            .find(|value| value["key"] == key)
            .cloned()
            .expect(key)
    };
    assert_eq!(
        of("log.filter")["origin"],
        "environment HEADGATE__LOG__FILTER"
    );
    assert!(
        of("node.name")["origin"]
            .as_str()
            .expect("text")
            .ends_with("headgate.toml:2")
    );
    let bad = check("[gatway]\nbody_limit = 1\n");
    assert!(!bad.status.success());
    let error = String::from_utf8_lossy(&bad.stderr);
    assert!(
        error.contains(":2:") && error.contains("gateway.body_limit"),
        "{error}"
    );
}

#[tokio::test]
async fn a_start_with_a_certificate_that_is_broken_names_the_file_and_what_to_do_which_helps() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let mut first = Node::start_with(options()).await;
    first.kill();
    let files = ["server.pem", "server-key.pem"].map(|name| dir.path().join("data/tls").join(name));
    std::fs::write(&files[0], b"\xff\xfe no certificate").expect("written");
    assert_eq!(Node::ends(&options()).await.code(), Some(1));
    let log = first.log();
    let why = ["tls/server.pem is ", "remove both and others are made"];
    assert!(why.iter().all(|why| log.contains(why)), "{log}");
    for file in files {
        std::fs::remove_file(file).expect("removed");
    }
    Node::start_with(options()).await;
}
