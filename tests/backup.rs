//! What was backed up is there again in another data directory, or on another backend, and nothing else is written over.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cluster::{Trio, options, set};
use crate::support::faults::Faults;
use crate::support::node::{Node, Options};
use crate::support::platform::{PUBLISHER, text};
use crate::support::shop::Shop;
use crate::support::{eventually, postgres};

/// A backup of a node, which runs; gives where it lies.
fn backed_up(node: &Node) -> PathBuf {
    let file = node.dir.join("backup");
    let to = file.to_str().expect("a path");
    let said = succeeds(node.command(&["backup", "--to", to, "--output", "json"]));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let tables = said["tables"].as_array().expect("tables");
    let apis = tables.iter().find(|table| table["table"] == "apis");
    assert_eq!(apis.expect("a table")["rows"], 1, "{said}");
    file
}

/// The command that restores it into a data directory.
pub fn restore(file: &Path, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    command.arg("restore").arg("--from").arg(file);
    command.arg("--data-dir").arg(data);
    command
}

pub fn succeeds(mut command: Command) -> String {
    let ran = command.output().expect("the binary");
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{error}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn fails(mut command: Command) -> String {
    let ran = command.output().expect("the binary");
    assert!(
        !ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stdout)
    );
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

async fn call(node: &Node, path: &str, access: &str) -> u16 {
    node.api("GET", path)
        .bearer(access)
        .send()
        .await
        .status
        .into()
}

/// Everything that a person of the backup's time relies on is there, and what came later is not.
async fn is_as_it_was(node: &Node, shop: &Shop) {
    let (held, old) = (&shop.subscribed, &shop.subscribed.access);
    assert_eq!(node.admin_password, shop.node.admin_password);
    assert_eq!(
        call(node, "/shop/1.0.0/items", old).await,
        200,
        "a token of before"
    );
    let new = node.client_token(&held.key, &held.secret).await;
    assert_eq!(
        call(node, "/shop/1.0.0/items", &new).await,
        200,
        "a token of now"
    );
    let token = node.admin_token().await;
    let apis = node
        .get(&format!("{PUBLISHER}/apis"))
        .bearer(&token)
        .send()
        .await;
    assert_eq!(apis.expect(200).json()["count"], 1);
    node.published(&token, "Third", "/third", "http://localhost:1")
        .await;
    // The same authority: who trusted the node trusts it.
    let ca = |node: &Node| std::fs::read_to_string(node.dir.join("data/ca.pem")).expect("a file");
    assert_eq!(ca(node), ca(&shop.node));
}

#[tokio::test]
async fn a_node_that_is_lost_is_there_again_as_it_was_backed_up_while_it_ran() {
    let (mut shop, upstream) = Shop::start("").await;
    let file = backed_up(&shop.node);
    shop.node
        .published(&shop.token, "Later", "/later", &upstream.url)
        .await;
    shop.node.kill();
    let dir = tempfile::tempdir().expect("a directory");
    let said = succeeds(restore(&file, &dir.path().join("data")));
    assert!(said.contains("restored: start the node"), "{said}");
    let node = Node::start_with(Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    });
    is_as_it_was(&node.await, &shop).await;
}

#[tokio::test]
async fn a_backup_that_this_version_does_not_restore_is_told_to_be_one_when_it_is_checked() {
    let dir = tempfile::tempdir().expect("a directory");
    let check = |apim: &str| {
        let text = format!(
            "{{\"headgate_backup\":1,\"made_by\":\"9.9.9\",\"made_at_ms\":1}}\n\
             {{\"database\":\"apim\",\"migrations\":{apim}}}\n{{\"database\":\"shared\",\"migrations\":[1]}}\n"
        );
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let digest = digest.as_ref().iter();
        let digest: String = digest.map(|byte| format!("{byte:02x}")).collect();
        let file = dir.path().join("backup");
        let end = format!("{{\"lines\":3,\"sha256\":\"{digest}\"}}\n");
        std::fs::write(&file, text + &end).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
        let ran = command.args(["backup", "--check"]).arg(&file).output();
        let ran = ran.expect("the binary");
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8_lossy(&ran.stderr).into_owned()
    };
    let said = check("[1,9999]");
    assert!(
        said.contains("this version does not restore it") && said.contains("version 9.9.9"),
        "{said}"
    );
    let said = check("[1]");
    assert!(!said.contains("does not restore"), "{said}");
}

/// The same, with the databases of another data directory.
fn restore_over(file: &Path, data: &Path, databases: &Path) -> Command {
    let mut command = restore(file, data);
    for name in ["apim", "shared"] {
        let at = databases.join(format!("{name}.db"));
        let variable = format!("HEADGATE__DATABASE__{}__URL", name.to_uppercase());
        command.env(variable, format!("sqlite:{}", at.display()));
    }
    command
}

#[tokio::test]
async fn a_restore_that_is_made_up_for_writes_over_no_other_keys_but_those_of_a_start_in_vain() {
    let (mut shop, _upstream) = Shop::start("").await;
    let file = backed_up(&shop.node);
    shop.node.kill();
    let dir = tempfile::tempdir().expect("a directory");
    let first = dir.path().join("first");
    let mut ended = restore(&file, &first);
    ended.env("HEADGATE_CRASH_AT", "backup.restore.shared.begin:1");
    let ended = ended.output().expect("the binary");
    assert_eq!(ended.status.code(), None, "{ended:?}");
    // The keys of another node, in the data directory that is named this time.
    let other = dir.path().join("other");
    let key = other.join("keys/rs256.pem");
    std::fs::create_dir_all(other.join("keys")).expect("made");
    std::fs::write(&key, "another one's").expect("written");
    let said = fails(restore_over(&file, &other, &first));
    assert!(said.contains("has other keys or authorities"), "{said}");
    let kept = std::fs::read_to_string(&key).expect("a file");
    assert_eq!(kept, "another one's");
    // A node that was started too early makes an authority before it sees what it starts on.
    let mut early = Command::new(env!("CARGO_BIN_EXE_headgate"));
    early.arg("start").arg("--data-dir").arg(&first);
    let ports = ["MANAGEMENT", "INGRESS_HTTP", "INGRESS_HTTPS"];
    early.envs(ports.map(|port| (format!("HEADGATE__LISTEN__{port}"), "127.0.0.1:0")));
    let said = fails(early);
    assert!(said.contains("holds half of a backup"), "{said}");
    let authority = |data: &Path| std::fs::read(data.join("ca.pem")).expect("a file");
    let lost = shop.node.dir.join("data");
    assert_ne!(authority(&first), authority(&lost));
    succeeds(restore(&file, &first));
    assert_eq!(authority(&first), authority(&lost));
    assert!(!first.join("restore-under-way").exists());
}

#[tokio::test]
async fn a_backup_is_written_where_there_are_no_hard_links_and_not_over_another_file() {
    let (shop, _upstream) = Shop::start("").await;
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let file = dir.path().join("backup");
    let to = file.to_str().expect("a path");
    let backup = || {
        let mut command = shop.node.command(&["backup", "--to", to]);
        faults.below(&mut command);
        command.env("FAULTS_NO_LINKS", "1");
        command
    };
    succeeds(backup());
    succeeds(shop.node.command(&["backup", "--check", to]));
    let said = fails(backup());
    assert!(said.contains("is there already"), "{said}");
    let left = std::fs::read_dir(dir.path()).expect("a directory");
    let left = left.map(|entry| entry.expect("an entry").file_name());
    let part = left.filter(|name| name.to_string_lossy().ends_with(".part"));
    assert_eq!(part.count(), 0);
}

#[tokio::test]
async fn the_names_of_what_was_written_are_on_disk_before_a_backup_or_a_restore_says_that_it_is_there()
 {
    let (shop, _upstream) = Shop::start("").await;
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().canonicalize().expect("a directory");
    let faults = Faults::in_directory(&place);
    let synced = |name: &str, mut command: Command| {
        let list = place.join(name);
        faults.below(&mut command);
        command.env("FAULTS_SYNCED", &list);
        let _ = command.output().expect("the binary");
        let list = std::fs::read_to_string(list).unwrap_or_default();
        list.lines().map(PathBuf::from).collect::<Vec<_>>()
    };
    let to = place.join("backups");
    std::fs::create_dir(&to).expect("made");
    let file = to.join("backup");
    let shown = file.to_str().expect("a path");
    let seen = synced("a", shop.node.command(&["backup", "--to", shown]));
    assert!(seen.contains(&to), "{seen:?}");
    // Ended before the first of the databases says so.
    let data = place.join("data");
    let mut command = restore(&file, &data);
    command.env("HEADGATE_CRASH_AT", "backup.restore.shared.written:1");
    let seen = synced("b", command);
    assert!(data.join("keys/rs256.pem").exists());
    for directory in [data.join("keys"), data.join("tls"), data.clone(), place] {
        assert!(seen.contains(&directory), "{directory:?}: {seen:?}");
    }
}

/// Neither what a node uses, nor what lies beside a restore that was cut short.
fn nothing_is_written_over(server: &str, into: impl Fn(&str) -> Command) {
    let said = fails(into("in use"));
    assert!(
        said.contains("database apim is in use: stop the nodes"),
        "{said}"
    );
    let half = postgres::fresh_database(server, "half_restored");
    postgres::run(
        &half,
        "CREATE TABLE restore_under_way (id TEXT NOT NULL, written BIGINT NOT NULL)",
    );
    let full = postgres::fresh_database(server, "full");
    postgres::run(
        &full,
        "CREATE TABLE users (kept BIGINT); INSERT INTO users VALUES (1)",
    );
    let mut beside = into("beside");
    beside.env("HEADGATE__DATABASE__APIM__URL", &half);
    beside.env("HEADGATE__DATABASE__SHARED__URL", &full);
    let said = fails(beside);
    assert!(said.contains("database shared is not empty"), "{said}");
    assert_eq!(postgres::ask(&full, "SELECT kept FROM users"), "1");
}

#[tokio::test]
async fn a_backup_of_files_is_restored_into_a_server() {
    let Some(server) = postgres::server() else {
        return;
    };
    let (mut shop, _upstream) = Shop::start("").await;
    let file = backed_up(&shop.node);
    let seen = shop
        .node
        .get("/admin/cluster")
        .bearer(&shop.node.operator());
    let seen = seen.send().await.expect(200).json();
    let founder = text(&seen["list"][0], "id").to_owned();
    shop.node.kill();
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    for name in ["APIM", "SHARED"] {
        let database = format!("restored_{}", name.to_lowercase());
        let url = postgres::fresh_database(&server, &database);
        set(
            &mut options,
            &format!("HEADGATE__DATABASE__{name}__URL"),
            &url,
        );
    }
    let environment = options.environment.clone();
    let into = |data: &str| {
        let mut command = restore(&file, &dir.path().join(data));
        command.envs(environment.clone());
        command
    };
    succeeds(into("data"));
    let said = fails(into("again"));
    assert!(said.contains("database apim is not empty"), "{said}");
    options.unready = true;
    let node = Node::start_with(options).await;
    // Over a server the one that decided alone may be there yet: an operator says that it is not, and nothing else does, for
    // over its file it never said for how long it goes on.
    eventually(60, "it says what it waits for", || async {
        node.log().contains("nothing else ends this").then_some(())
    })
    .await;
    assert!(!node.log().contains("or wait until"), "{}", node.log());
    succeeds(node.command(&["cluster", "forget", &founder, "--yes"]));
    node.until_ready().await;
    is_as_it_was(&node, &shop).await;
    nothing_is_written_over(&server, into);
    // What is on the server by now can be backed up from there.
    let again = dir.path().join("again.backup");
    let again = again.to_str().expect("a path");
    let mut command = node.command(&["backup", "--to", again]);
    succeeds({
        command.envs(environment.clone());
        command
    });
}

#[tokio::test]
async fn gateways_that_know_more_than_a_restored_control_plane_go_back_to_what_it_knows() {
    let mut trio = Trio::start().await;
    let held = trio
        .control
        .subscribed(&trio.token, &trio.api, "one", "JWT")
        .await;
    let file = backed_up(&trio.control);
    let later = trio
        .control
        .published(&trio.token, "Later", "/later", &trio.upstream.url)
        .await;
    let application = trio
        .control
        .application(&trio.token, "two", "Unlimited", "JWT")
        .await;
    trio.control
        .subscribe(&trio.token, &later, &application, "Unlimited")
        .await;
    let (key, secret) = trio
        .control
        .keys(&trio.token, &application, "PRODUCTION")
        .await;
    let of_later = trio.control.client_token(&key, &secret).await;
    assert_eq!(
        call(&trio.gateway, "/later/1.0.0/items", &of_later).await,
        200
    );
    let address = trio.control.cluster_address();
    trio.control.kill();
    let dir = tempfile::tempdir().expect("a directory");
    succeeds(restore(&file, &dir.path().join("data")));
    let mut options = options("cp1", crate::cluster::CONTROL, "");
    set(&mut options, "HEADGATE__CLUSTER__LISTEN", &address);
    options.dir = Some(dir.path().to_owned());
    let control = Node::start_with(options).await;
    eventually(
        30,
        "the gateway forgets what was published later",
        || async {
            let status = call(&trio.gateway, "/later/1.0.0/items", &of_later).await;
            (status == 404).then_some(())
        },
    )
    .await;
    assert_eq!(
        call(&trio.gateway, "/shop/1.0.0/items", &held.access).await,
        200
    );
    // Numbers that the gateway has seen come again, and are not taken for those of before.
    let token = control.admin_token().await;
    let api = control
        .published(&token, "Other", "/other", &trio.upstream.url)
        .await;
    let held = control.subscribed(&token, &api, "three", "JWT").await;
    assert_eq!(
        call(&trio.gateway, "/other/1.0.0/items", &held.access).await,
        200
    );
}

#[tokio::test]
async fn what_cannot_be_backed_up_or_restored_is_said_and_nothing_is_written_over() {
    let (shop, _upstream) = Shop::start("").await;
    let node = &shop.node;
    let file = backed_up(node);
    let to = file.to_str().expect("a path");
    let said = fails(node.command(&["backup", "--to", to]));
    assert!(
        said.contains("is there already: name another file"),
        "{said}"
    );
    let said = fails(node.command(&["backup", "--to", "/nowhere/b"]));
    assert!(said.contains(".part cannot be made"), "{said}");
    let said = fails(restore(&file, &node.dir.join("data")));
    assert!(said.contains("is in use by another process"), "{said}");
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut nowhere = Command::new(env!("CARGO_BIN_EXE_headgate"));
    nowhere.args(["backup", "--to"]).arg(dir.path().join("b"));
    nowhere.arg("--data-dir").arg(&data);
    let said = fails(nowhere);
    assert!(
        said.contains("is no node's: its keys belong to a backup"),
        "{said}"
    );
    assert!(!data.exists() && !dir.path().join("b").exists());
    let mut gateway = restore(&file, &data);
    gateway.env("HEADGATE__NODE__ROLES", "gateway");
    gateway.env("HEADGATE__CLUSTER__SEEDS", "127.0.0.1:1");
    let said = fails(gateway);
    assert!(said.contains("no databases of the control plane"), "{said}");
    // Cut off, as a copy over a line that broke.
    let whole = std::fs::read(&file).expect("a file");
    let half = dir.path().join("half");
    std::fs::write(&half, &whole[..whole.len() / 2]).expect("written");
    let said = fails(restore(&half, &data));
    assert!(said.contains("is cut off at line"), "{said}");
    assert!(!data.exists(), "nothing was begun");
    succeeds(restore(&file, &data));
    let said = fails(restore(&file, &data));
    assert!(said.contains("database apim is not empty"), "{said}");
    let secret = shop.subscribed.secret.as_bytes();
    assert!(
        !whole.windows(secret.len()).any(|part| part == secret),
        "a secret in clear"
    );
}
