//! Certificates of nodes that are renewed while the nodes run: what goes on meanwhile, and who gets none any more.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::cluster::{CONTROL, Trio, members, options, set};
use crate::cluster_tls::{joining, metric, over_tls, token};
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::node::{Node, Options};
use crate::support::platform::text;
use crate::support::upstream::Upstream;

/// Seconds after which a certificate is in its last month.
const LATE: i64 = 340 * 24 * 60 * 60;
const ENDS: &str = "headgate_cluster_certificate_expires_seconds";

/// A node by the clock of these faults.
fn by(faults: &Faults, mut options: Options) -> Options {
    let environment = faults.options(Path::new("/")).environment;
    options.environment.extend(environment);
    options
}

/// Connections to the cluster ports of these nodes: the port that was dialed, and the one that it was dialed from.
fn connections(nodes: &[&Node]) -> BTreeSet<(u16, u16)> {
    let dialed = nodes.iter().map(|node| {
        let address = node.cluster_address();
        let (_, port) = address.rsplit_once(':').expect("a port");
        port.parse().expect("a port")
    });
    let dialed: BTreeSet<u16> = dialed.collect();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table");
    let open = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = |word: &str| u16::from_str_radix(word.rsplit_once(':')?.1, 16).ok();
        // 01: established.
        (words[3] == "01").then_some((port(words[1])?, port(words[2])?))
    });
    open.filter(|(own, _)| dialed.contains(own)).collect()
}

/// Turns of members' states that these nodes have seen.
async fn turns(nodes: &[&Node]) -> u64 {
    let mut all = 0;
    for node in nodes {
        for to in ["suspect", "down"] {
            let name = format!("headgate_cluster_transitions_total{{to=\"{to}\"}}");
            all += metric(node, &name).await;
        }
    }
    all
}

/// Nodes whose certificates are in their last month, and whose disks take no other as yet.
async fn late(faults: &Faults) -> Trio {
    let upstream = Upstream::start().await;
    let control = Node::start_with(by(faults, over_tls("cp1", CONTROL, ""))).await;
    let join = |name: &str, roles: &str, token: &str| {
        Node::start_with(by(faults, joining(name, roles, token)))
    };
    let tokens = [token(&control), token(&control)];
    let (traffic, gateway) = tokio::join!(
        join("tm1", "traffic-manager", &tokens[0]),
        join("gw1", "gateway", &tokens[1]),
    );
    faults.set_clock(LATE);
    let again = by(faults, options("cp1", CONTROL, ""));
    let control = control.crash_and_restart(again).await;
    let seed = control.cluster_address();
    // At first no disk takes what is renewed, so that connections are open and calls under way before.
    let again = |name: &str, roles: &str| {
        let mut options = by(faults, options(name, roles, &seed));
        faults.keep_certificates(&mut options);
        options
    };
    let (traffic, gateway) = tokio::join!(
        traffic.crash_and_restart(again("tm1", "traffic-manager")),
        gateway.crash_and_restart(again("gw1", "gateway")),
    );
    let admin = control.admin_token().await;
    let api = control
        .published(&admin, "Shop", "/shop", &upstream.url)
        .await;
    Trio {
        control,
        traffic,
        gateway,
        token: admin,
        api,
        upstream,
    }
}

/// Until this node shows a certificate that is as good as that of who signed it.
async fn until_renewed(node: &Node, in_a_year: u64) {
    eventually(90, "its certificate is good for a year", || async {
        let ends = metric(node, ENDS).await;
        (ends.abs_diff(in_a_year) < 3_600).then_some(())
    })
    .await;
}

/// Until so many more calls went through.
async fn until_more(calls: &Cell<u64>) {
    let before = calls.get();
    eventually(30, "calls go through", || async {
        (calls.get() > before + 10).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_and_the_connections_that_they_go_over_survive_the_renewal_of_certificates() {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let trio = late(&faults).await;
    let nodes = [&trio.control, &trio.traffic, &trio.gateway];
    let in_a_year = metric(&trio.control, ENDS).await;
    for node in [&trio.traffic, &trio.gateway] {
        assert!(metric(node, ENDS).await < in_a_year - 3_600);
    }
    let (key, secret, _) = trio.subscriber("Many", 1_000_000).await;
    let (calls, is_over) = (Cell::new(0), Cell::new(false));
    // A token that the gateway has not seen is asked for at the key manager.
    let calling = async {
        while !is_over.get() {
            let access = trio.control.client_token(&key, &secret).await;
            assert_eq!(trio.call(&access).await, 200);
            calls.set(calls.get() + 1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let renewing = async {
        until_more(&calls).await;
        let (open, turned) = (connections(&nodes), turns(&nodes).await);
        assert!(open.len() >= 3, "{open:?}");
        faults.take_certificates();
        for node in [&trio.traffic, &trio.gateway] {
            until_renewed(node, in_a_year).await;
        }
        until_more(&calls).await;
        let still = connections(&nodes);
        // One for what is large that nobody has used for a minute is closed; each two nodes have theirs for all else.
        let kept = open.intersection(&still).count();
        assert!(kept >= 3, "{open:?}, then {still:?}");
        assert_eq!(turns(&nodes).await, turned, "a member was lost");
        is_over.set(true);
    };
    tokio::join!(calling, renewing);
}

async fn id(node: &Node, name: &str) -> String {
    let answer = node.get("/admin/cluster").bearer(&node.operator()).send();
    let answer = answer.await.expect(200).json();
    let list = answer["list"].as_array().cloned().expect("a list");
    let found = list.iter().find(|member| member["name"] == name);
    text(found.expect("it is there"), "id").to_owned()
}

/// A token of this node by the clock of these faults.
fn token_by(faults: &Faults, control: &Node) -> String {
    let mut command = control.command(&["cluster", "token"]);
    command.envs(by(faults, Options::default()).environment);
    let printed = command.output().expect("it runs");
    let text = String::from_utf8(printed.stdout).expect("text");
    text.trim().to_owned()
}

/// A traffic manager that was killed and forgotten, the one in its place, and the id of the first.
async fn forgotten(faults: &Faults, control: &Node) -> (Node, Node, String) {
    let join = |token: &str| by(faults, joining("tm1", "traffic-manager", token));
    let mut first = Node::start_with(join(&token(control))).await;
    let retired = id(control, "tm1").await;
    first.kill();
    let unready = true;
    let second = Options {
        unready,
        ..join(&token(control))
    };
    let second = Node::start_with(second).await;
    let mut forget = second.command(&["cluster", "forget", &retired, "--yes"]);
    let told = forget.output().expect("the command");
    assert!(told.status.success(), "{told:?}");
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(!said.contains("renewed yet"), "{said}");
    second.until_ready().await;
    (first, second, retired)
}

#[tokio::test]
async fn a_node_that_was_forgotten_gets_no_certificate_until_it_joins_with_a_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let control = Node::start_with(by(&faults, over_tls("cp1", CONTROL, ""))).await;
    let (first, second, retired) = forgotten(&faults, &control).await;
    faults.set_clock(LATE);
    let again = by(&faults, options("cp1", CONTROL, ""));
    let control = control.crash_and_restart(again).await;
    // What it was is another's by now; its certificate is good as yet.
    let seed = control.cluster_address();
    let mut back = by(&faults, options("gw1", "gateway", &seed));
    set(&mut back, "HEADGATE__LOG__FILTER", "debug");
    back.unready = true;
    let back = first.crash_and_restart(back).await;
    let file = |node: &Node| std::fs::read(node.dir.join("data/cluster/node.pem")).expect("a file");
    let before = file(&back);
    eventually(30, "it is told why", || async {
        let told = "is not renewed yet: cp1: it was forgotten (headgate cluster forget)";
        back.log().contains(told).then_some(())
    })
    .await;
    assert_eq!(file(&back), before);
    assert_eq!(id(&control, "gw1").await, retired);
    // Others get theirs.
    let in_a_year = metric(&control, ENDS).await;
    let again = by(&faults, options("tm1", "traffic-manager", &seed));
    let second = second.crash_and_restart(again).await;
    until_renewed(&second, in_a_year).await;
    // A token makes it one of them again, and the next one needs none.
    let token = token_by(&faults, &control);
    let mut with_token = by(&faults, joining("gw1", "gateway", &token));
    with_token.unready = true;
    let back = back.crash_and_restart(with_token).await;
    assert_ne!(file(&back), before);
    let before = file(&back);
    faults.set_clock(2 * LATE);
    let again = by(&faults, options("cp1", CONTROL, ""));
    let control = control.crash_and_restart(again).await;
    let mut again = by(
        &faults,
        options("gw1", "gateway", &control.cluster_address()),
    );
    again.unready = true;
    let back = back.crash_and_restart(again).await;
    eventually(30, "it is renewed", || async {
        (file(&back) != before).then_some(())
    })
    .await;
    assert!(members(&control).await.len() >= 2);
}
