//! Peers that die, stand still, or are cut off in one way or another: suspected, evicted, and back by
//! themselves, while nobody waits for them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{CONTROL, members, options, set};
use crate::cluster_tls::metric;
use crate::support::eventually;
use crate::support::http::Call;
use crate::support::net::{Fault, Net};
use crate::support::node::{Node, Options};
use crate::support::peak::Peak;
use crate::support::upstream::Upstream;

/// Less than a member may be silent before it is evicted.
const WAITED_MOST: Duration = Duration::from_secs(4);

/// Asks of a node that are under way.
const IN_FLIGHT: &str = "headgate_cluster_asks_in_flight";
/// Its probes that got no answer.
pub const FAILED: &str = "headgate_cluster_probes_failed_total";

/// How far its followers are behind.
const BEHIND: &str = "headgate_follower_behind_changes{";

/// A control plane, a traffic manager and a gateway that reach each other through `net` alone.
struct Meshed {
    net: Net,
    /// Where the control plane is reached.
    seed: String,
    control: Node,
    traffic: Node,
    gateway: Node,
}

impl Meshed {
    async fn start(with: impl Fn(&mut Options)) -> Self {
        let net = Net::start();
        let start = async |name: &str, roles: &str, seed: &str| {
            let mut options = options(name, roles, seed);
            with(&mut options);
            net.node(name, options).await
        };
        let (control, seed) = start("cp1", CONTROL, "").await;
        let ((traffic, _), (gateway, _)) = tokio::join!(
            start("tm1", "traffic-manager", &seed),
            start("gw1", "gateway", &seed)
        );
        let meshed = Self {
            control,
            traffic,
            gateway,
            net,
            seed,
        };
        meshed.until_whole(40).await;
        meshed.gateway.until_ready().await;
        meshed
    }

    fn nodes(&self) -> [&Node; 3] {
        [&self.control, &self.traffic, &self.gateway]
    }

    async fn until_whole(&self, seconds: u64) {
        for node in self.nodes() {
            eventually(seconds, "all see each other", || async {
                let members = members(node).await;
                let up = members.iter().filter(|(_, health)| health == "up");
                (up.count() == 3).then_some(())
            })
            .await;
        }
    }

    /// The key and secret of an application that may call an API, under a plan.
    async fn subscriber(&self, plan: &str) -> (Upstream, String, String) {
        let upstream = Upstream::start().await;
        let (control, token) = (&self.control, self.control.admin_token().await);
        let api = control
            .published(&token, "Shop", "/shop", &upstream.url)
            .await;
        let application = control.application(&token, "app", plan, "JWT").await;
        control
            .subscribe(&token, &api, &application, "Unlimited")
            .await;
        let (key, secret) = control.keys(&token, &application, "PRODUCTION").await;
        (upstream, key, secret)
    }

    fn call(&self, access: &str) -> Call {
        self.gateway.api("GET", "/shop/1.0.0/items").bearer(access)
    }
}

async fn health(node: &Node, of: &str) -> String {
    let members = members(node).await;
    let found = members.into_iter().find(|(name, _)| name == of);
    found.map_or_else(String::new, |(_, health)| health)
}

async fn until(node: &Node, of: &str, wanted: &str, seconds: u64) {
    let what = format!("{of} is {wanted}");
    eventually(seconds, &what, || async {
        (health(node, of).await == wanted).then_some(())
    })
    .await;
}

/// The states that a node's log tells of another since a length of it, in order.
fn turns(log: &str, of: &str) -> Vec<String> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let turns = lines.filter_map(|line: Value| {
        let fields = line.get("fields").unwrap_or(&line);
        let text = |name: &str| fields.get(name)?.as_str().map(str::to_owned);
        (text("member")? == of).then(|| text("to")).flatten()
    });
    turns.collect()
}

/// Waits until this is what a node's log tells of another last, since a length of it.
async fn until_told(node: &Node, length: usize, of: &str, wanted: &[&str]) {
    eventually(10, "the log tells of it", || async {
        let told = turns(&since(node, length), of);
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        told.ends_with(wanted).then_some(())
    })
    .await;
}

/// For how long members had been silent when a log told of it, milliseconds.
fn silences(log: &str) -> Vec<u64> {
    let told = log.split("silent for ").skip(1);
    let told = told.filter_map(|rest| rest.split(' ').next()?.parse().ok());
    told.collect()
}

fn since(node: &Node, length: usize) -> String {
    node.log().get(length..).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn silence_one_way_or_both_is_suspected_then_evicted_at_both_ends_and_over_by_itself() {
    let meshed = Meshed::start(|_| {}).await;
    let ends = [(&meshed.control, "tm1"), (&meshed.traffic, "cp1")];
    for (from, to) in [("cp1", "tm1"), ("tm1", "cp1"), ("both", "ways")] {
        let logs = ends.map(|(node, _)| node.log().len());
        let third = meshed.gateway.log().len();
        if from == "both" {
            meshed.net.both_ways("cp1", "tm1", Fault::Lost);
        } else {
            meshed.net.one_way(from, to, Fault::Lost);
        }
        for (node, of) in ends {
            until(node, of, "down", 30).await;
        }
        for ((node, of), length) in ends.into_iter().zip(logs) {
            let told = turns(&since(node, length), of);
            assert!(!told.is_empty(), "{from} {to}: {of}");
            let lines = since(node, length);
            assert!(
                lines.contains("silent for") || lines.contains("connection lost"),
                "why: {lines}"
            );
        }
        // Of the two at least one had to find out by itself, first suspecting the other.
        let found_out = ends.into_iter().zip(logs).any(|((node, of), length)| {
            let told = turns(&since(node, length), of);
            told.windows(2).any(|two| two == ["Suspect", "Down"])
        });
        assert!(found_out, "{from} {to}");
        meshed.net.both_ways("cp1", "tm1", Fault::None);
        meshed.until_whole(60).await;
        // A busy machine may make one look silent for a moment.
        let blamed = turns(&since(&meshed.gateway, third), "cp1");
        assert!(!blamed.contains(&"Down".to_owned()), "others go on");
    }
}

#[tokio::test]
async fn a_connection_that_one_end_has_lost_is_replaced() {
    let meshed = Meshed::start(|_| {}).await;
    for deaf in ["cp1", "tm1"] {
        let other = if deaf == "cp1" { "tm1" } else { "cp1" };
        let before = meshed.net.connections();
        assert!(meshed.net.half_open(deaf, other) > 0, "there was one");
        // One end hears of it; the other one suspects in two seconds and evicts in five, and the next connection is up within
        // three more. A busy machine comes on top.
        eventually(15, "another connection", || async {
            (meshed.net.connections() > before).then_some(())
        })
        .await;
        meshed.until_whole(60).await;
    }
    assert!(meshed.net.close("cp1", "tm1") > 0, "there is one");
    let again = meshed.net.connections();
    eventually(60, "another connection", || async {
        (meshed.net.connections() > again).then_some(())
    })
    .await;
    meshed.until_whole(60).await;
}

#[tokio::test]
async fn no_call_waits_until_a_peer_that_stands_still_is_evicted_and_the_end_of_one_is_heard_of() {
    let mut meshed = Meshed::start(|_| {}).await;
    let (_upstream, key, secret) = meshed.subscriber("Unlimited").await;
    // With a token that the gateway has not seen a call needs the control plane, and no plan's owner. That one which needs
    // the peer itself goes to another one is for clusters that have another: `control_planes`, `key_managers`, `exact`.
    let call = async |meshed: &Meshed| {
        let access = meshed.control.client_token(&key, &secret).await;
        let call = meshed.call(&access).send();
        let answer = tokio::time::timeout(WAITED_MOST, call).await;
        u16::from(answer.expect("before the peer is evicted").status)
    };
    assert_eq!(call(&meshed).await, 200);
    let length = meshed.gateway.log().len();
    meshed.traffic.signal("-STOP");
    let mut answered = 0;
    while health(&meshed.gateway, "tm1").await != "down" {
        assert_eq!(call(&meshed).await, 200);
        answered += 1;
    }
    assert!(answered > 2, "{answered} until it was evicted");
    // As it is suspected after two seconds and evicted after five; ticks and a busy machine come on top.
    let silent = silences(&since(&meshed.gateway, length));
    let bounds = [2_000..3_500, 5_000..6_500];
    let is_in_time = silent.len() == 2
        && silent
            .iter()
            .zip(&bounds)
            .all(|(ms, bounds)| bounds.contains(ms));
    assert!(is_in_time, "{silent:?} of {bounds:?}");
    until_told(&meshed.gateway, length, "tm1", &["Suspect", "Down"]).await;
    meshed.traffic.signal("-CONT");
    until(&meshed.gateway, "tm1", "up", 60).await;
    meshed.until_whole(60).await;
    let length = meshed.gateway.log().len();
    meshed.traffic.kill();
    until(&meshed.gateway, "tm1", "down", 30).await;
    // Its end is heard of, not waited for.
    until_told(&meshed.gateway, length, "tm1", &["Down"]).await;
}

#[tokio::test]
async fn the_times_of_suspicion_and_eviction_are_configured() {
    let meshed = Meshed::start(|options| {
        for (key, value) in [("PROBE", "200"), ("SUSPECT", "1000"), ("EVICT", "600000")] {
            set(options, &format!("HEADGATE__CLUSTER__{key}_MS"), value);
        }
    })
    .await;
    let length = meshed.gateway.log().len();
    meshed
        .net
        .both_ways("gw1", "tm1", Fault::Delayed(Duration::from_secs(3)));
    until(&meshed.gateway, "tm1", "suspect", 30).await;
    are_silent(&meshed.gateway, length, &[(1_000, 1_900)]).await;
    meshed.net.both_ways("gw1", "tm1", Fault::None);
    until(&meshed.gateway, "tm1", "up", 60).await;
    let told = turns(&meshed.gateway.log(), "tm1");
    assert!(!told.contains(&"Down".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_peer_is_evicted_as_soon_as_is_configured() {
    let meshed = Meshed::start(|options| {
        for (key, value) in [("PROBE", "200"), ("SUSPECT", "1000"), ("EVICT", "1500")] {
            set(options, &format!("HEADGATE__CLUSTER__{key}_MS"), value);
        }
    })
    .await;
    let length = meshed.gateway.log().len();
    meshed.net.both_ways("gw1", "tm1", Fault::Lost);
    until(&meshed.gateway, "tm1", "down", 30).await;
    are_silent(&meshed.gateway, length, &[(1_000, 1_900), (1_500, 2_400)]).await;
}

/// A log tells, since a length of it, of members that were silent for so long and less than so long, milliseconds.
async fn are_silent(node: &Node, length: usize, bounds: &[(u64, u64)]) {
    let silent = eventually(10, "the log tells of it", || async {
        let silent = silences(&since(node, length));
        (silent.len() >= bounds.len()).then_some(silent)
    })
    .await;
    let mut all = silent.iter().zip(bounds);
    let is_in_time = all.all(|(ms, (least, most))| (least..most).contains(&ms));
    assert!(is_in_time, "{silent:?} of {bounds:?}");
}

#[tokio::test]
async fn calls_that_are_held_for_a_traffic_manager_that_takes_nothing_cost_little_memory() {
    let meshed = Meshed::start(|_| {}).await;
    let (_upstream, key, secret) = meshed.subscriber("50PerMin").await;
    let access = meshed.control.client_token(&key, &secret).await;
    for _ in 0..10 {
        meshed.call(&access).send().await.expect(200);
    }
    let peak = Peak::of(&meshed.gateway);
    assert_eq!(metric(&meshed.gateway, FAILED).await, 0);
    for (from, to) in [("gw1", "tm1"), ("tm1", "gw1")] {
        meshed.net.one_way(from, to, Fault::Held);
    }
    // What asks the peer in vain is held for a while and told so. That asks without end stay within a bound is for `path` and
    // `answering` in the cluster's crate, and for `hostile_cluster`.
    let (mut calls, seen) = (JoinSet::new(), AtomicU64::new(0));
    eventually(60, "it is evicted", || {
        for _ in 0..10 {
            let call = meshed.call(&access);
            calls.spawn(async move { call.send().await.status });
        }
        let (gateway, seen) = (&meshed.gateway, &seen);
        async move {
            seen.fetch_max(metric(gateway, IN_FLIGHT).await, Ordering::Relaxed);
            (health(gateway, "tm1").await == "down").then_some(())
        }
    })
    .await;
    while calls.join_next().await.is_some() {}
    let told = seen.load(Ordering::Relaxed);
    assert!(told > 0, "asks that nobody answers are under way");
    assert!(metric(&meshed.gateway, FAILED).await > 0);
    // Pages of code that runs for the first time count as well.
    peak.is_within(24 * 1024);
    meshed.net.both_ways("gw1", "tm1", Fault::None);
    meshed.until_whole(60).await;
}

/// Deploys an API whose operations have these paths.
pub async fn deploy_wide(control: &Node, token: &str, number: usize, paths: Vec<String>) {
    let operations = paths.into_iter();
    let operations = operations.map(|path| json!({"verb": "GET", "target": path}));
    let wide = json!({
        "name": format!("Wide{number}"), "context": format!("/wide{number}"),
        "version": "1.0.0", "operations": operations.collect::<Vec<_>>(),
        "endpointConfig": {
            "endpoint_type": "http",
            "production_endpoints": {"url": "http://127.0.0.1:1"},
        },
    });
    let path = format!("{}/apis", crate::support::platform::PUBLISHER);
    let made = control.post(&path).bearer(token).json(&wide);
    let made = made.send().await.expect(201).json();
    let id = made["id"].as_str().expect("an id").to_owned();
    control.deploy(token, &id).await;
}

/// Deploys so many APIs of some ten KiB, and lets the log forget how they came to be. Each of
/// them sends one of them.
async fn deploy_large(Meshed { control, net, .. }: &Meshed, count: usize) {
    let token = control.admin_token().await;
    let mut sent = Vec::new();
    for number in 0..count {
        let before = net.bytes("cp1", "gw1");
        let paths = (0..500).map(|index| format!("/things/{index}/parts"));
        deploy_wide(control, &token, number, paths.collect()).await;
        sent.push(net.bytes("cp1", "gw1") - before);
    }
    // The answer waited for the gateway, so it is all there by now.
    let (least, most) = (sent.iter().min(), sent.iter().max());
    assert!(least.is_some_and(|least| *least > 16 * 1024), "{sent:?}");
    assert!(most < least.map(|least| least * 2).as_ref(), "{sent:?}");
    let file = control.dir.join("data/apim.db");
    let apim = storage::apim::open(&format!("sqlite:{}", file.display())).await;
    let apim = apim.expect("its database");
    let mut read = apim.read().await.expect("a read");
    let head = storage::apim::change_log::head(&mut read).await;
    let mut write = apim.write("test.prune").await.expect("a write");
    let from = head.expect("a head").n;
    let pruned = storage::apim::change_log::delete_before(&mut write, from).await;
    assert!(pruned.expect("pruned") > 0);
    write.commit().await.expect("a commit");
}

#[tokio::test]
async fn one_api_among_many_sends_one_and_bulk_over_a_slow_link_holds_up_nobody() {
    let mut meshed = Meshed::start(|_| {}).await;
    deploy_large(&meshed, 16).await;
    // It knows nothing any more, and takes everything over a link of some hundred KiB a second.
    let dir = meshed.gateway.dir.clone();
    assert_eq!(meshed.gateway.terminate().await, Some(0));
    std::fs::remove_file(dir.join("data/carbon.db")).expect("removed");
    let told = |node: &Node| turns(&node.log(), "gw1").len();
    let before = (told(&meshed.control), meshed.net.bytes("cp1", "gw1"));
    meshed.net.both_ways("cp1", "gw1", Fault::Slow(192 * 1024));
    let mut again = options("gw1", "gateway", &meshed.seed);
    again.dir = Some(dir);
    again.unready = true;
    let (gateway, _) = meshed.net.node("gw1", again).await;
    until(&gateway, "cp1", "up", 30).await;
    // What is told of members is asked of each of them, beside what is large.
    let (began, mut times) = (Instant::now(), Vec::new());
    while !gateway.get("/readyz").send().await.status.is_success() {
        assert!(began.elapsed() < Duration::from_secs(120), "it takes all");
        let asked = Instant::now();
        members(&gateway).await;
        times.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let bulk = meshed.net.bytes("cp1", "gw1") - before.1;
    assert!(bulk > 512 * 1024, "{bulk} bytes");
    // Behind a piece each of them would take more than a second.
    times.sort();
    let most = times[times.len() * 9 / 10];
    assert!(
        times.len() > 10 && most < Duration::from_millis(600),
        "{times:?}"
    );
    let metrics = gateway.get("/metrics").bearer(&gateway.operator());
    let metrics = metrics.send().await.expect(200).text();
    let beside = "headgate_cluster_bulk_asks_beside_probes_total 0";
    assert!(metrics.lines().any(|line| line == beside), "{metrics}");
    let suspected = turns(&gateway.log(), "cp1").contains(&"Suspect".to_owned());
    assert!(!suspected, "{}", gateway.log());
    let log = meshed.control.log();
    let told = turns(&log, "gw1");
    assert!(
        !told[before.0..].contains(&"Suspect".to_owned()),
        "{told:?}"
    );
}

#[tokio::test]
async fn one_change_that_is_large_reaches_all_over_a_slow_link_once_and_nobody_is_suspected() {
    let meshed = Meshed::start(|_| {}).await;
    let Meshed { net, control, .. } = &meshed;
    let token = control.admin_token().await;
    let far = [("gw1", &meshed.gateway), ("tm1", &meshed.traffic)];
    let before = far.map(|(name, node)| {
        net.both_ways("cp1", name, Fault::Slow(192 * 1024));
        (
            net.bytes("cp1", name),
            node.log().len(),
            control.log().len(),
        )
    });
    // All were at the head, and waited for the next change.
    let paths = (0..3_000).map(|index| format!("/things/{index}/{}", "x".repeat(300)));
    deploy_wide(control, &token, 0, paths.collect()).await;
    eventually(60, "the gateway serves it", || async {
        let path = format!("/wide0/1.0.0/things/0/{}", "x".repeat(300));
        let call = meshed.gateway.api("GET", &path).send().await;
        (call.status == 401).then_some(())
    })
    .await;
    eventually(60, "both have applied all", || async {
        let metrics = control.get("/metrics").bearer(&control.operator());
        let metrics = metrics.send().await.expect(200).text();
        let behind = metrics.lines().filter(|line| line.starts_with(BEHIND));
        let level = behind.filter(|line| line.ends_with(" 0")).count();
        (level == far.len()).then_some(())
    })
    .await;
    for ((name, node), (bytes, at_it, at_control)) in far.into_iter().zip(before) {
        let sent = net.bytes("cp1", name) - bytes;
        assert!(
            (1_000_000..1_700_000).contains(&sent),
            "{name}: {sent} bytes"
        );
        for (told, of) in [
            (since(node, at_it), "cp1"),
            (since(control, at_control), name),
        ] {
            assert_eq!(turns(&told, of), Vec::<String>::new(), "{of}: {told}");
        }
    }
}
