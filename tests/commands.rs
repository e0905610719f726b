//! Commands that reach a running node through its data directory, or by address and token.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::platform::PUBLISHER;

fn headgate(node: &Node, words: &[&str], input: &str) -> Output {
    let mut child = node
        .command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("standard input");
    stdin.write_all(input.as_bytes()).expect("input");
    drop(stdin);
    child.wait_with_output().expect("its end")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[tokio::test]
async fn people_are_added_listed_and_deleted_from_the_command_line() {
    let node = Node::start().await;
    let roles = "Internal/creator,Internal/publisher";
    let add = ["user", "add", "casey", "--roles", roles, "--output", "json"];
    let added = headgate(&node, &add, "");
    assert!(added.status.success());
    let added = json(&added);
    assert_eq!(added["roles"].as_array().expect("roles").len(), 2);
    assert!(added["password"].as_str().expect("a password").len() >= 32);
    let again = headgate(&node, &add, "");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("409"));
    let given = ["user", "add", "drew", "--password-stdin", "--roles", roles];
    let given = headgate(&node, &given, "open-sesame-1\n");
    assert!(given.status.success());
    assert!(!String::from_utf8_lossy(&given.stdout).contains("sesame"));
    // The roles are what a token of theirs is good for.
    let token = node.user_token("drew", "open-sesame-1", "apim:api_view");
    let apis = node.get(&format!("{PUBLISHER}/apis")).bearer(&token.await);
    apis.send().await.expect(200);
    let set = ["user", "password", "drew", "--password-stdin"];
    let set = headgate(&node, &set, "open-sesame-2\n");
    assert!(set.status.success());
    assert!(!String::from_utf8_lossy(&set.stdout).contains("sesame"));
    node.user_token("drew", "open-sesame-2", "apim:api_view")
        .await;
    let made = ["user", "password", "casey", "--output", "json"];
    let made = json(&headgate(&node, &made, ""));
    node.user_token("casey", made["password"].as_str().expect("one"), "")
        .await;
    let nobody = headgate(&node, &["user", "password", "nobody"], "");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("nobody"));
    assert!(
        headgate(&node, &["user", "delete", "casey"], "")
            .status
            .success()
    );
    let gone = headgate(&node, &["user", "delete", "casey"], "");
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("casey"));
    let people = json(&headgate(&node, &["user", "list", "--output", "json"], ""));
    let people = people.as_array().expect("a list").iter();
    let names: Vec<&str> = people
        .filter_map(|user| user["userName"].as_str())
        .collect();
    assert_eq!(names, ["admin", "drew"]);
}

#[tokio::test]
async fn status_and_actors_tell_about_the_node_and_exit_codes_tell_scripts() {
    let mut node = Node::start().await;
    let ready = headgate(&node, &["status", "--output", "json"], "");
    assert_eq!(ready.status.code(), Some(0));
    let ready = json(&ready);
    assert_eq!(ready["ready"], true);
    assert!(!ready["checks"].as_array().expect("checks").is_empty());
    let actors = json(&headgate(
        &node,
        &["actors", "admin", "--output", "json"],
        "",
    ));
    let actors = actors.as_array().expect("a list");
    assert!(!actors.is_empty());
    let named = |actor: &Value| {
        actor["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("admin"))
    };
    assert!(actors.iter().all(named));
    let management = node.management.clone();
    let wrong = [
        "actors",
        "--server",
        &management,
        "--token",
        "no-such-token",
    ];
    let wrong = headgate(&node, &wrong, "");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("401"));
    assert_eq!(node.terminate().await, Some(0));
    assert_eq!(headgate(&node, &["status"], "").status.code(), Some(3));
    let elsewhere = ["status", "--server", &management, "--token", "any"];
    assert_eq!(headgate(&node, &elsewhere, "").status.code(), Some(3));
}

#[tokio::test]
async fn commands_reach_a_node_at_a_certain_address_with_a_certificate_of_the_operators_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    std::fs::create_dir_all(data.join("tls")).expect("a directory");
    let own = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]);
    let own = own.expect("a certificate");
    std::fs::write(data.join("tls/server.pem"), own.cert.pem()).expect("written");
    let key = own.signing_key.serialize_pem();
    std::fs::write(data.join("tls/server-key.pem"), key).expect("written");
    let mut node = Command::new(env!("CARGO_BIN_EXE_headgate"))
        .args(["start", "--data-dir"])
        .arg(&data)
        .env("HEADGATE__LISTEN__MANAGEMENT", "127.0.0.9:0")
        .env("HEADGATE__LISTEN__INGRESS_HTTP", "off")
        .env("HEADGATE__LISTEN__INGRESS_HTTPS", "127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let status = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
        let command = command.args(["status", "--data-dir"]).arg(&data);
        command.output().expect("its end")
    };
    eventually(30, "the node is ready", || async {
        status().status.success().then_some(())
    })
    .await;
    // Where the node was told its directory by the environment, as in a container, commands are as well.
    let variable = data.to_str().expect("text");
    let found = alone(&["status"], &[("HEADGATE__NODE__DATA_DIR", variable)]);
    assert!(found.status.success(), "{found:?}");
    let kept = std::fs::read_to_string(data.join("tls/server.pem")).expect("a certificate");
    assert_eq!(kept, own.cert.pem());
    node.kill().expect("its end");
    node.wait().expect("its end");
}

/// The binary alone, with these variables.
fn alone(words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    command.args(words).envs(variables.iter().copied());
    command.output().expect("its end")
}

#[test]
fn the_version_is_told_and_flags_count_more_than_the_environment_and_that_more_than_the_file() {
    let version = alone(&["version"], &[]);
    let told = String::from_utf8_lossy(&version.stdout).into_owned();
    assert_eq!(
        told.trim(),
        format!("headgate {}", env!("CARGO_PKG_VERSION"))
    );
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("headgate.toml");
    let text = "[node]\nname = \"file\"\nroles = \"all\"\n[listen]\nport_offset = 1\n[cluster]\n\
                listen = \"127.0.0.1:1\"\nprobe_ms = 600\nsuspect_ms = 3000\n";
    std::fs::write(&file, text).expect("written");
    let file = file.display().to_string();
    let variables = [
        ("HEADGATE__NODE__NAME", "environment"),
        ("HEADGATE__NODE__ROLES", "admin"),
        ("HEADGATE__LISTEN__PORT_OFFSET", "2"),
        ("HEADGATE__CLUSTER__LISTEN", "127.0.0.1:2"),
        ("HEADGATE__CLUSTER__ADVERTISE", "environment:2"),
        ("HEADGATE__CLUSTER__SEEDS", "environment:3"),
        ("HEADGATE__CLUSTER__PROBE_MS", "700"),
    ];
    let flags = [
        ("--node", "node.name", "flag"),
        ("--roles", "node.roles", "gateway"),
        ("--listen-cluster", "cluster.listen", "127.0.0.1:4"),
        ("--advertise", "cluster.advertise", "flag:4"),
        ("--seeds", "cluster.seeds", "flag:5"),
        ("--port-offset", "listen.port_offset", "9"),
    ];
    let mut words = vec!["check", "--output", "json", "--config", &file];
    words.extend(flags.iter().flat_map(|(flag, _, value)| [*flag, *value]));
    let checked = json(&alone(&words, &variables));
    let checked = checked.as_array().expect("a list");
    let of = |key: &str| {
        let found = checked.iter().find(|value| value["key"] == key);
        let found = found.unwrap_or_else(|| panic!("no {key}"));
        let [value, origin] = ["value", "origin"].map(|member| found[member].as_str());
        (value.expect("a text"), origin.expect("a text").to_owned())
    };
    for (flag, key, value) in flags {
        assert_eq!(of(key), (value, format!("flag {flag}")));
    }
    let probe = "environment HEADGATE__CLUSTER__PROBE_MS".to_owned();
    assert_eq!(of("cluster.probe_ms"), ("700", probe));
    assert_eq!(of("cluster.suspect_ms"), ("3000", format!("{file}:9")));
    // A start takes the same flags: each is named when what it says cannot be.
    for (flag, value) in [
        ("--node", ""),
        ("--roles", "emperor"),
        ("--listen-cluster", "nowhere"),
        ("--advertise", "no port"),
        ("--seeds", "no port"),
        ("--port-offset", "many"),
    ] {
        let data = dir.path().join("data").display().to_string();
        let refused = alone(&["start", "--data-dir", &data, flag, value], &[]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_ne!(refused.status.code(), Some(0), "{flag}: {said}");
        assert!(said.contains(flag), "{flag}: {said}");
        assert!(!Path::new(&data).exists(), "{flag}: nothing is begun");
    }
}

/// Runs a command whose output nobody reads: standard output is a pipe without a reader.
fn unread(mut command: Command) -> Output {
    let closed = std::io::pipe().expect("a pipe").1;
    let command = command.stdin(Stdio::null()).stdout(closed);
    command.stderr(Stdio::piped()).output().expect("its end")
}

/// It ended as if somebody had read it.
fn ended_quietly(ended: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), &*told), (Some(0), ""), "{words:?}");
}

#[test]
fn what_nobody_reads_ends_quietly_with_the_exit_code_of_what_was_done() {
    for words in [&["check"][..], &["check", "--output", "json"], &["version"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
        command.args(words);
        ended_quietly(&unread(command), words);
    }
    // Nor does a refusal that nobody reads end otherwise.
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    let command = command.args(["check", "--config", "not-there.toml"]);
    let closed = std::io::pipe().expect("a pipe").1;
    assert_eq!(
        command.stderr(closed).status().expect("its end").code(),
        Some(1)
    );
}

#[tokio::test]
async fn a_made_password_that_nobody_reads_is_an_error_and_nothing_else_is() {
    let node = Node::start().await;
    let unread = |words: &[&str]| unread(node.command(words));
    for words in [&["status"][..], &["user", "list", "--output", "json"]] {
        ended_quietly(&unread(words), words);
    }
    let roles = "Internal/creator";
    for output in ["table", "json"] {
        let name = format!("casey{output}");
        let add = ["user", "add", &name, "--roles", roles, "--output", output];
        let added = unread(&add);
        assert_eq!(added.status.code(), Some(1));
        let told = String::from_utf8_lossy(&added.stderr).into_owned();
        assert!(
            told.contains(&format!("headgate user password {name}")),
            "{told}"
        );
        assert_eq!(unread(&["user", "delete", &name]).status.code(), Some(0));
    }
    // What went wrong stays wrong, whoever reads.
    assert_eq!(unread(&["user", "delete", "nobody"]).status.code(), Some(1));
    let wrong = [
        "actors",
        "--server",
        &node.management,
        "--token",
        "no-such-token",
    ];
    assert_eq!(unread(&wrong).status.code(), Some(1));
}

#[tokio::test]
async fn a_command_that_watches_looks_again_waits_for_its_node_and_ends_with_its_reader() {
    use std::io::{BufRead as _, BufReader};
    let node = Node::start().await;
    let mut command = node.command(&["changes", "--watch=1", "--output", "table"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary");
    let stdout = child.stdout.take().expect("a pipe");
    let (tell, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        // Ends, and with it the pipe, when nobody hears of the lines any more.
        while let Some(Ok(line)) = lines.next() {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let until = |what: &str| {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = told.recv_timeout(left).expect(what);
            assert!(!line.contains('\u{1b}'), "it is no terminal: {line:?}");
            if line.contains(what) {
                return;
            }
        }
    };
    until("the change log is at");
    until("the change log is at");
    // The node goes and comes back, at other ports.
    let node = node.crash_and_restart(Options::default()).await;
    while told.try_recv().is_ok() {}
    until("the change log is at");
    drop(told);
    reader.join().expect("it reads");
    let ended = eventually(10, "it ends with its reader", || {
        let ended = child.try_wait().expect("wait");
        async move { ended }
    });
    assert_eq!(ended.await.code(), Some(0));
    let wrong = node.command(&["changes", "--watch=0"]).output();
    assert_eq!(wrong.expect("the binary").status.code(), Some(2));
}

#[tokio::test]
async fn an_administrators_token_commands_a_node_from_another_machine() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    // Nothing of the node is here but the authority that its certificate is checked by.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let ca = elsewhere.path().join("authority.pem");
    std::fs::copy(node.dir.join("data/ca.pem"), &ca).expect("an authority");
    let ca = ca.to_str().expect("a path");
    let remote = |words: &[&str], variable: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
        command.args(words).args(["--server", &node.management]);
        command.args(["--output", "json"]);
        command.current_dir(elsewhere.path());
        command.env_remove("HEADGATE__NODE__DATA_DIR");
        match variable {
            Some(token) => command.env("HEADGATE_TOKEN", token),
            None => command.env_remove("HEADGATE_TOKEN"),
        };
        command.output().expect("the binary")
    };
    for command in ["status", "actors", "shards", "changes"] {
        let by_flag = remote(&[command, "--cacert", ca, "--token", &token], None);
        let by_variable = remote(&[command, "--cacert", ca], Some(&token));
        // What is said counts before what is set.
        let both = [command, "--cacert", ca, "--token", &token];
        let both = remote(&both, Some("no-such-token"));
        for output in [by_flag, by_variable, both] {
            assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
            assert!(!json(&output).is_null(), "{command}: {output:?}");
        }
        // Of its health a node tells anybody.
        let refused = remote(&[command, "--cacert", ca], Some("no-such-token"));
        let code = i32::from(command != "status");
        assert_eq!(refused.status.code(), Some(code), "{command}: {refused:?}");
    }
    let anonymous = remote(&["status", "--cacert", ca], None);
    let told = String::from_utf8_lossy(&anonymous.stderr).into_owned();
    assert!(
        !anonymous.status.success() && told.contains("HEADGATE_TOKEN"),
        "{told}"
    );
    // A node that another authority vouches for is told nothing, least of all the token.
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let strange = elsewhere.path().join("strange.pem");
    std::fs::write(&strange, other.expect("a certificate").cert.pem()).expect("written");
    let strange = strange.to_str().expect("a path");
    for authority in [&["--cacert", strange][..], &[]] {
        let words = [&["status", "--token", &token], authority].concat();
        let untrusted = remote(&words, None);
        assert!(!untrusted.status.success(), "{authority:?}: {untrusted:?}");
    }
    let left = std::fs::read_dir(elsewhere.path()).expect("a directory");
    assert_eq!(left.count(), 2, "commands leave nothing where they are run");
}
