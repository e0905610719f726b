//! Starting and stopping a node.

use std::net::TcpListener;
use std::process::Command;

use crate::support::node::{Node, Options};

#[tokio::test]
async fn a_node_ends_with_status_zero_on_sigterm_and_starts_again_on_its_data() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let mut first = Node::start_with(options()).await;
    assert_eq!(first.terminate().await, Some(0));
    let password = first.admin_password.clone();
    drop(first);
    let second = Node::start_with(options()).await;
    assert_eq!(second.admin_password, password);
    assert!(!second.admin_token().await.is_empty());
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
