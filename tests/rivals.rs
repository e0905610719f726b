//! Nodes that cannot both be members of one cluster, and newcomers among a crowd of strangers.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::cluster::{CONTROL, members, options};
use crate::support::eventually;
use crate::support::node::{Node, Options};

fn inside(dir: &Path, options: Options) -> Options {
    std::fs::create_dir_all(dir).expect("a directory");
    Options {
        dir: Some(dir.to_owned()),
        ..options
    }
}

/// All that a gateway needs.
fn counting() -> String {
    format!("{CONTROL},traffic-manager")
}

/// How many connections to this address of this machine are open, as the kernel tells it: also while the process that
/// listens there stands still.
fn connections_to(address: &str) -> usize {
    let port = address.rsplit_once(':').expect("a port").1;
    let port: u16 = port.parse().expect("a number");
    let to_port = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("linux tells it");
    let rows = table.lines().skip(1).map(|row| {
        let mut fields = row.split_whitespace().skip(2);
        (fields.next(), fields.next())
    });
    // `01` is ESTABLISHED; the third field is the far end of whoever dialled.
    rows.filter(|(to, state)| to.is_some_and(|to| to.ends_with(&to_port)) && *state == Some("01"))
        .count()
}

/// Starts two beside a seed that stands still for a moment, so that neither is a member before the other one asks; gives
/// the one that is left, and what the other one said.
async fn the_one_that_stays(seed: &Node, of: [Options; 2]) -> (Node, String) {
    seed.signal("-STOP");
    let both = async { tokio::join!(Node::start_or_end(&of[0]), Node::start_or_end(&of[1])) };
    let goes_on = async {
        let address = seed.cluster_address();
        eventually(30, "both ask it", || {
            let asked = connections_to(&address) >= 2;
            async move { asked.then_some(()) }
        })
        .await;
        seed.signal("-CONT");
    };
    let ((one, other), ()) = tokio::join!(both, goes_on);
    let mut started = [one, other];
    let ended = eventually(60, "one of the two ends", || {
        let gone = |node: &mut Option<Node>| node.as_mut().is_none_or(Node::has_ended);
        let mut nodes = started.iter_mut();
        let ended = nodes.position(gone);
        async move { ended }
    })
    .await;
    let dir = of[ended].dir.as_ref().expect("a directory");
    let said = std::fs::read_to_string(dir.join("log")).expect("a log");
    let left = started[1 - ended].take().expect("the other one runs");
    (left, said)
}

#[tokio::test]
async fn of_two_gateways_of_one_name_that_start_at_once_one_stays_and_the_other_says_why_it_ends() {
    let control = Node::start_with(options("cp1", &counting(), "")).await;
    let (seed, dir) = (control.cluster_address(), tempfile::tempdir().expect("one"));
    let of = ["a", "b"].map(|at| inside(&dir.path().join(at), options("gw", "gateway", &seed)));
    let (mut left, said) = the_one_that_stays(&control, of).await;
    assert!(
        said.contains("a node named gw is a member already"),
        "{said}"
    );
    left.until_ready().await;
    eventually(30, "both see each other alone", || async {
        let (of_control, of_gateway) = (members(&control).await, members(&left).await);
        (of_control.len() == 2 && of_gateway.len() == 2).then_some(())
    })
    .await;
    assert!(!left.has_ended());
}

#[tokio::test]
async fn of_two_control_planes_with_a_database_each_that_start_at_once_one_stays() {
    let founder = Options {
        unready: true,
        ..options("tm1", "traffic-manager", "")
    };
    let traffic = Node::start_with(founder).await;
    let (seed, dir) = (traffic.cluster_address(), tempfile::tempdir().expect("one"));
    let of = ["cp1", "cp2"].map(|at| inside(&dir.path().join(at), options(at, CONTROL, &seed)));
    let (mut left, said) = the_one_that_stays(&traffic, of).await;
    assert!(said.contains("has another API-M database"), "{said}");
    left.until_ready().await;
    traffic.until_ready().await;
    let control = eventually(30, "it has one control plane", || async {
        let up = members(&traffic).await;
        (up.len() == 2).then_some(up)
    });
    control.await;
    assert!(!left.has_ended());
    assert!(!traffic.log().contains("UuidMismatch"), "{}", traffic.log());
}

/// The checks of `/readyz` that fail.
async fn failing(node: &Node) -> String {
    let answer = node.get("/readyz?verbose").send().await;
    match answer.status.as_u16() {
        200 => String::new(),
        _ => answer.text(),
    }
}

#[tokio::test]
async fn a_gateway_that_stood_still_until_another_of_its_name_was_there_is_unready_and_says_why() {
    let control = Node::start_with(options("cp1", &counting(), "")).await;
    let dir = tempfile::tempdir().expect("a directory");
    let seeds = |more: &str| format!("{}{more}", control.cluster_address());
    let of_first = inside(&dir.path().join("a"), options("gw", "gateway", &seeds("")));
    let first = Node::start_with(of_first).await;
    // Longer than a place is new.
    tokio::time::sleep(Duration::from_secs(11)).await;
    first.signal("-STOP");
    eventually(30, "it is given up", || async {
        let members = members(&control).await;
        let down = members
            .iter()
            .any(|(name, health)| name == "gw" && health == "down");
        down.then_some(())
    })
    .await;
    let all = seeds(&format!(",{}", first.cluster_address()));
    let of_second = inside(&dir.path().join("b"), options("gw", "gateway", &all));
    let mut second = Node::start_with(of_second).await;
    first.signal("-CONT");
    eventually(40, "it hears of the other one", || async {
        failing(&first)
            .await
            .contains("refuse this node")
            .then_some(())
    })
    .await;
    // They dial each other every five seconds, and what is said for three counts.
    for _ in 0..100 {
        assert_eq!(failing(&second).await, "", "{}", second.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    second.kill();
    eventually(60, "it has its place again", || async {
        failing(&first).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_of_another_cluster_that_asks_again_and_again_is_told_of_once_at_both_ends() {
    let control = Node::start_with(options("cp1", CONTROL, "")).await;
    let dir = tempfile::tempdir().expect("a directory");
    let founds = inside(dir.path(), options("cp2", CONTROL, ""));
    let mut other = Node::start_with(founds).await;
    assert_eq!(other.terminate().await, Some(0));
    let seed = control.cluster_address();
    let before = other.log().len();
    let astray = Options {
        unready: true,
        ..inside(dir.path(), options("cp2", CONTROL, &seed))
    };
    let other = Node::start_with(astray).await;
    let counted = "headgate_cluster_newcomers_refused_total ";
    eventually(60, "it has asked often", || async {
        let metrics = control.get("/metrics").bearer(&control.operator()).send();
        let metrics = metrics.await.expect(200).text();
        let count = metrics.lines().find_map(|line| line.strip_prefix(counted));
        let count: u64 = count?.trim().parse().ok()?;
        (count >= 5).then_some(())
    })
    .await;
    let lines = |log: &str, what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines(&control.log(), "a node was refused"), 1);
    let log = other.log();
    assert_eq!(
        lines(&log[before..], "no connection with a node"),
        1,
        "{log}"
    );
}

#[tokio::test]
async fn a_node_comes_in_while_its_own_address_is_full_of_strangers_that_say_nothing() {
    let control = Node::start_with(options("cp1", &counting(), "")).await;
    let seed = control.cluster_address();
    let mut strangers = JoinSet::new();
    for _ in 0..60 {
        let address = seed.clone();
        strangers.spawn(async move {
            loop {
                if let Ok(mut stranger) = TcpStream::connect(&address).await {
                    // Until it is closed; then the next one is there at once.
                    let _ = stranger.read(&mut [0]).await;
                }
            }
        });
    }
    let gateway = Node::start_with(options("gw1", "gateway", &seed)).await;
    assert_eq!(members(&gateway).await.len(), 2);
    strangers.shutdown().await;
}
