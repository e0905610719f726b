//! Nodes that speak mutual TLS: who gets a certificate, who is taken by it, and who is not.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

use cluster::JoinToken;
use serde_json::Value;

use crate::cluster::{CONTROL, Trio, members, options, set};
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::node::{Node, Options};
use crate::support::stranger::{Stranger, hello};
use crate::support::upstream::Upstream;

/// A node that speaks TLS on loopback too.
pub fn over_tls(name: &str, roles: &str, seeds: &str) -> Options {
    let mut options = options(name, roles, seeds);
    set(&mut options, "HEADGATE__CLUSTER__TLS", "always");
    options
}

/// One that joins by a token.
pub fn joining(name: &str, roles: &str, token: &str) -> Options {
    let mut options = options(name, roles, "");
    set(&mut options, "HEADGATE__CLUSTER__JOIN", token);
    options
}

/// The same by the flag, as operators are told.
fn joining_by_flag(name: &str, roles: &str, token: &str) -> Options {
    let mut options = options(name, roles, "");
    let words = ["--config", "headgate.toml", "--join", token];
    options.flags = words.map(str::to_owned).to_vec();
    options
}

/// The first node of a cluster.
pub async fn founder(name: &str) -> Node {
    Node::start_with(over_tls(name, CONTROL, "")).await
}

fn asked(node: &Node, words: &[&str]) -> Output {
    let words: Vec<&str> = ["cluster", "token"].iter().chain(words).copied().collect();
    node.command(&words).output().expect("it runs")
}

/// What a member prints for one that is to join.
pub fn token(node: &Node) -> String {
    let output = asked(node, &[]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

/// How a start ends that is refused, and what it says.
pub async fn refused(mut options: Options, dir: &Path) -> String {
    std::fs::create_dir_all(dir).expect("a directory");
    options.dir = Some(dir.to_owned());
    let before = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    assert_eq!(Node::ends(&options).await.code(), Some(1));
    let log = std::fs::read_to_string(dir.join("log")).expect("a log");
    log[before.len()..].to_owned()
}

pub async fn metric(node: &Node, name: &str) -> u64 {
    let metrics = node.get("/metrics").bearer(&node.operator()).send().await;
    let metrics = metrics.expect(200).text();
    let prefix = format!("{name} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
    let value = value.unwrap_or_else(|| panic!("no {name}"));
    value.trim().parse().expect("a number")
}

#[tokio::test]
async fn a_trio_over_tls_serves_calls_and_needs_no_token_at_its_next_start() {
    let upstream = Upstream::start().await;
    let control = founder("cp1").await;
    let tokens = [token(&control), token(&control)];
    let (traffic, gateway) = tokio::join!(
        Node::start_with(joining("tm1", "traffic-manager", &tokens[0])),
        Node::start_with(joining_by_flag("gw1", "gateway", &tokens[1])),
    );
    let admin = control.admin_token().await;
    let api = control
        .published(&admin, "Shop", "/shop", &upstream.url)
        .await;
    let mut trio = Trio {
        control,
        traffic,
        gateway,
        token: admin,
        api,
        upstream,
    };
    let (_, _, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    assert_eq!(trio.upstream.count(), 1);
    // A token that was used is not even looked at.
    for again in [
        options("gw1", "gateway", ""),
        joining("gw1", "gateway", &tokens[1]),
    ] {
        trio.gateway = trio.gateway.crash_and_restart(again).await;
        assert_eq!(trio.call(&access).await, 200);
    }
    let told = trio.gateway.log();
    assert!(told.contains("the join token is ignored"), "{told}");
    for node in [&trio.control, &trio.traffic, &trio.gateway] {
        assert_eq!(members(node).await.len(), 3);
        let log = node.log();
        for token in &tokens {
            assert!(!log.contains(token.as_str()), "a token is in a log");
        }
        let pem = node.dir.join("data/cluster/node.pem");
        let mode = std::fs::metadata(pem).expect("credentials").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let holds = node.dir.join("data/cluster/authority.pem").exists();
        assert_eq!(holds, std::ptr::eq(node, &raw const trio.control));
    }
    let ends = "headgate_cluster_certificate_expires_seconds";
    assert!(metric(&trio.gateway, ends).await > 1_700_000_000);
    let without = asked(&trio.gateway, &[]);
    let told = String::from_utf8_lossy(&without.stderr).into_owned();
    assert_eq!(without.status.code(), Some(1));
    assert!(told.contains("does not hold the authority"), "{told}");
}

#[tokio::test]
async fn a_token_admits_one_node_once_and_of_two_at_a_time_one() {
    let control = founder("cp1").await;
    let token = token(&control);
    let dir = tempfile::tempdir().expect("a directory");
    let joiner = |name: &str| {
        let dir = dir.path().join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        Options {
            dir: Some(dir),
            ..joining(name, "traffic-manager", &token)
        }
    };
    let (one, two) = (joiner("tm1"), joiner("tm2"));
    let both = tokio::join!(Node::start_or_end(&one), Node::start_or_end(&two));
    let (node, loser) = match both {
        (Some(node), None) => (node, "tm2"),
        (None, Some(node)) => (node, "tm1"),
        (one, two) => panic!("{} and {} came in", one.is_some(), two.is_some()),
    };
    let unknown = "the token is not known there: it was used already";
    let log = std::fs::read_to_string(dir.path().join(loser).join("log")).expect("a log");
    assert!(log.contains(unknown), "{log}");
    let late = refused(joiner("tm3"), &dir.path().join("tm3")).await;
    assert!(late.contains(unknown), "{late}");
    assert!(!late.contains(&token));
    eventually(10, "they meet", || async {
        (members(&control).await.len() == 2).then_some(())
    })
    .await;
    eventually(10, "it is told", || async {
        let told = control.log();
        told.contains("a node was admitted with a token")
            .then_some(())
    })
    .await;
    drop(node);
}

#[tokio::test]
async fn a_token_is_good_for_a_quarter_of_an_hour_where_nothing_else_is_asked_for() {
    let control = founder("cp1").await;
    #[allow(
        clippy::disallowed_methods,
        reason = "a token's end is the wall clock's"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    let output = asked(&control, &["--output", "json"]);
    let usual: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let good_for = usual["expires"].as_u64().expect("a time") - now;
    // A busy machine comes on top.
    assert!((900..=930).contains(&good_for), "{good_for} s");
}

#[tokio::test]
async fn a_token_that_is_late_mangled_or_of_another_cluster_is_refused_with_the_reason() {
    let control = founder("cp1").await;
    let plain = Node::start_with(options("other", CONTROL, "")).await;
    let dir = tempfile::tempdir().expect("a directory");
    let good = token(&control);
    let changed = |change: fn(&mut JoinToken)| {
        let mut token: JoinToken = good.parse().expect("a token");
        change(&mut token);
        token
    };
    let output = asked(&control, &["--ttl", "1s", "--output", "json"]);
    let late: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let address = control.cluster_address();
    assert_eq!(late["address"], address.as_str());
    let ends = late["expires"].as_i64().expect("a time");
    let in_the_clear = JoinToken {
        address: plain.cluster_address(),
        ..changed(|_| {})
    };
    let rows = [
        (good[..good.len() - 1].to_owned(), "is no join token"),
        (
            changed(|token| token.secret = [0; 32]).to_text(),
            "the token is not known there",
        ),
        (
            changed(|token| token.fingerprint = [0; 32]).to_text(),
            "has another fingerprint",
        ),
        (
            changed(|token| "127.0.0.1:1".clone_into(&mut token.address)).to_text(),
            "cannot be reached",
        ),
        (in_the_clear.to_text(), "does it speak TLS?"),
    ];
    for (n, (token, reason)) in rows.iter().enumerate() {
        let dir = dir.path().join(n.to_string());
        let told = refused(joining("tm1", "traffic-manager", token), &dir).await;
        assert!(told.contains(reason), "{told}");
        assert!(!told.contains(token.as_str()), "it is told");
    }
    eventually(10, "it is late", || async {
        let now = jsonwebtoken::get_current_timestamp();
        (i64::try_from(now).expect("a time") > ends).then_some(())
    })
    .await;
    let late = late["token"].as_str().expect("a token");
    let told = refused(
        joining("tm1", "traffic-manager", late),
        &dir.path().join("late"),
    )
    .await;
    assert!(told.contains("the token has expired"), "{told}");
    for words in [["--ttl", "25h"], ["--ttl", "soon"]] {
        assert_eq!(asked(&control, &words).status.code(), Some(2));
    }
    let told = asked(&plain, &[]);
    assert_eq!(told.status.code(), Some(1), "it has no authority");
    // All of that has cost the good one nothing.
    drop(Node::start_with(joining("tm1", "traffic-manager", &good)).await);
}

#[tokio::test]
async fn a_node_whose_clock_is_hours_behind_is_told_so_and_its_token_stays_good() {
    let control = founder("cp1").await;
    let good = token(&control);
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    faults.set_clock(-7_200);
    let mut behind = joining("tm1", "traffic-manager", &good);
    behind
        .environment
        .extend(faults.options(dir.path()).environment);
    let told = refused(behind, &dir.path().join("behind")).await;
    assert!(told.contains("is this machine's clock right?"), "{told}");
    drop(Node::start_with(joining("tm1", "traffic-manager", &good)).await);
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_in_the_handshake_and_both_go_on() {
    let one = founder("cp1").await;
    let other = founder("cp2").await;
    let again = options("cp2", CONTROL, &one.cluster_address());
    let mut other = other.crash_and_restart(again).await;
    let refused = "headgate_cluster_newcomers_refused_total";
    eventually(20, "it has tried", || async {
        (metric(&one, refused).await >= 3).then_some(())
    })
    .await;
    for (node, told) in [
        (&one, "a node of another authority was refused"),
        (&other, "no connection with a node of another authority"),
    ] {
        eventually(10, "it is told", || async {
            let count = node.log().matches(told).count();
            assert!(count <= 1, "told {count} times");
            (count == 1).then_some(())
        })
        .await;
    }
    for node in [&one, &other] {
        node.until_ready().await;
        assert_eq!(members(node).await.len(), 1);
    }
    // One that takes the other's authority is refused by its own certificate.
    other.kill();
    let before = metric(&one, refused).await;
    let address = one.cluster_address();
    let stranger = Stranger::over_tls(&address, &one.dir, Some(&other.dir)).await;
    if let Ok(mut stranger) = stranger {
        assert!(stranger.closed().await.is_empty());
    }
    eventually(10, "it is counted", || async {
        (metric(&one, refused).await > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_in_the_clear_and_one_over_tls_do_not_meet_and_neither_minds() {
    let encrypted = founder("cp1").await;
    let plain = Node::start_with(options("cp2", CONTROL, "")).await;
    let unready = |options: Options| Options {
        unready: true,
        ..options
    };
    let seed = encrypted.cluster_address();
    let lost = Node::start_with(unready(options("tm1", "traffic-manager", &seed))).await;
    let away = "headgate_cluster_turned_away_total";
    eventually(20, "it was turned away", || async {
        (metric(&encrypted, away).await >= 2).then_some(())
    })
    .await;
    let again = over_tls("cp1", CONTROL, &plain.cluster_address());
    let encrypted = encrypted.crash_and_restart(again).await;
    eventually(20, "it was turned away", || async {
        (metric(&plain, away).await >= 2).then_some(())
    })
    .await;
    for node in [&encrypted, &plain, &lost] {
        assert_eq!(members(node).await.len(), 1);
    }
}

#[tokio::test]
async fn a_node_that_says_it_is_another_than_its_certificate_is_refused() {
    let control = founder("cp1").await;
    let tokens = [token(&control), token(&control)];
    let join = |name: &str, token: &str| Node::start_with(joining(name, "traffic-manager", token));
    let (mut one, mut two) = tokio::join!(join("tm1", &tokens[0]), join("tm2", &tokens[1]));
    let address = control.cluster_address();
    let mut stranger = Stranger::over_tls(&address, &one.dir, Some(&one.dir))
        .await
        .expect("TLS");
    stranger.send(&hello("somebody-else", [1, 1])).await;
    let answer = stranger.closed().await;
    // Refused, and for the reason that comes eleventh.
    assert_eq!(answer.get(8..10), Some(&[1, 11][..]), "{answer:?}");
    eventually(10, "it is told", || async {
        let told = control.log();
        told.contains("its certificate is that of node")
            .then_some(())
    })
    .await;
    assert_eq!(one.terminate().await, Some(0));
    assert_eq!(two.terminate().await, Some(0));
    // With another's files it does not even start.
    let file = |node: &Node| node.dir.join("data/cluster/node.pem");
    std::fs::copy(file(&one), file(&two)).expect("copied");
    let told = refused(options("tm2", "traffic-manager", &address), &two.dir).await;
    assert!(told.contains("is that of node"), "{told}");
    assert!(told.contains("--join TOKEN"), "{told}");
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_told_of_and_renewed_by_whoever_can() {
    let control = founder("cp1").await;
    let joined = joining("tm1", "traffic-manager", &token(&control));
    let mut traffic = Node::start_with(joined).await;
    assert_eq!(traffic.terminate().await, Some(0));
    let file = |node: &Node| std::fs::read(node.dir.join("data/cluster/node.pem")).expect("a file");
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let later = |mut options: Options| {
        options
            .environment
            .extend(faults.options(dir.path()).environment);
        options
    };
    // In its last month it asks for another, also with a token that was used long ago: without, it
    // goes on by what it has.
    faults.set_clock(340 * 24 * 60 * 60);
    let stale = token(&control);
    let in_vain = joining("tm1", "traffic-manager", &stale);
    // A traffic manager beside the one that decides alone, and is away: it is admitted, and counts nothing yet.
    let second = Options {
        unready: true,
        ..joining("tm2", "traffic-manager", &stale)
    };
    drop(Node::start_with(second).await);
    let before = file(&traffic);
    let mut traffic = traffic.crash_and_restart(later(in_vain)).await;
    assert_eq!(file(&traffic), before);
    let told = traffic.log();
    assert!(
        told.contains("ends within a month, and it is not renewed"),
        "{told}"
    );
    assert!(told.contains("the token is not known there"), "{told}");
    assert_eq!(traffic.terminate().await, Some(0));
    faults.set_clock(366 * 24 * 60 * 60);
    let alone = later(options("tm1", "traffic-manager", ""));
    let told = refused(alone, &traffic.dir).await;
    assert!(told.contains("has ended"), "{told}");
    assert!(told.contains("--join TOKEN"), "{told}");
    // Who holds the authority signs for itself, a year on.
    let before = file(&control);
    let control = control
        .crash_and_restart(later(options("cp1", CONTROL, "")))
        .await;
    assert_ne!(file(&control), before);
    let output = control.command(&["cluster", "token"]);
    let output = { output }
        .envs(faults.options(dir.path()).environment)
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let again = later(joining("tm1", "traffic-manager", text.trim()));
    let before = file(&traffic);
    let traffic = traffic.crash_and_restart(again).await;
    assert_ne!(file(&traffic), before);
    assert_eq!(members(&traffic).await.len(), 2);
}

#[tokio::test]
async fn a_certificate_in_its_last_month_is_renewed_while_its_node_runs_and_needs_no_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let by_that_clock = |mut options: Options| {
        let environment = faults.options(dir.path()).environment;
        options.environment.extend(environment);
        options
    };
    let control = by_that_clock(over_tls("cp1", CONTROL, ""));
    let control = Node::start_with(control).await;
    let joined = joining("tm1", "traffic-manager", &token(&control));
    let traffic = Node::start_with(by_that_clock(joined)).await;
    let file = |node: &Node| std::fs::read(node.dir.join("data/cluster/node.pem")).expect("a file");
    let before = file(&traffic);
    faults.set_clock(340 * 24 * 60 * 60);
    let again = by_that_clock(options("cp1", CONTROL, ""));
    let control = control.crash_and_restart(again).await;
    let ends = "headgate_cluster_certificate_expires_seconds";
    let in_a_year = metric(&control, ends).await;
    let alone = by_that_clock(options(
        "tm1",
        "traffic-manager",
        &control.cluster_address(),
    ));
    let traffic = traffic.crash_and_restart(alone).await;
    eventually(20, "its certificate is good for a year", || async {
        let ends = metric(&traffic, ends).await;
        (ends.abs_diff(in_a_year) < 3_600).then_some(())
    })
    .await;
    assert_ne!(file(&traffic), before);
    let told = traffic.log();
    assert!(told.contains("was renewed, for a year"), "{told}");
    // Others see it, and the next start goes by it, also when the one before has ended.
    faults.set_clock(366 * 24 * 60 * 60);
    let address = control.cluster_address();
    let alone = by_that_clock(options("tm1", "traffic-manager", &address));
    let traffic = traffic.crash_and_restart(alone).await;
    assert_eq!(members(&traffic).await.len(), 2);
}

#[tokio::test]
async fn beyond_loopback_nobody_starts_in_the_clear_unasked() {
    let dir = tempfile::tempdir().expect("a directory");
    let beyond = |name: &str, roles: &str, seeds: &str| {
        let mut options = options(name, roles, seeds);
        set(&mut options, "HEADGATE__CLUSTER__LISTEN", "0.0.0.0:0");
        set(
            &mut options,
            "HEADGATE__CLUSTER__ADVERTISE",
            "localhost:4370",
        );
        options
    };
    let joins = beyond("tm1", "traffic-manager", "127.0.0.1:1");
    let told = refused(joins, &dir.path().join("joins")).await;
    assert!(told.contains("--join TOKEN"), "{told}");
    assert!(told.contains("cluster.plaintext"), "{told}");
    let first = beyond("tm1", "traffic-manager", "");
    let told = refused(first, &dir.path().join("first")).await;
    assert!(told.contains("has a role of the control plane"), "{told}");
    let founder = Node::start_with(beyond("cp1", CONTROL, "")).await;
    let told = founder.log();
    assert!(told.contains("made the authority of the cluster"), "{told}");
    let token: JoinToken = token(&founder).parse().expect("a token");
    assert_eq!(token.address, "localhost:4370");
    let mut plain = beyond("cp1", CONTROL, "");
    set(&mut plain, "HEADGATE__CLUSTER__PLAINTEXT", "true");
    let plain = Node::start_with(plain).await;
    assert!(!plain.dir.join("data/cluster/node.pem").exists());
}
