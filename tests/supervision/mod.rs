//! A component whose actors end under load comes back by itself; its neighbours notice nothing.

mod cluster;
mod load;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, PUBLISHER, text};
use crate::support::upstream::Upstream;
use load::{Load, World, policy};

/// Calls of each kind that succeed while actors end, at least.
const CALLS: usize = 20;
/// Longer than that takes anywhere; a component that never works again never gets there.
const ENDING: Duration = Duration::from_secs(300);
/// What the half-used plan lets through in a day, and how much of it is used at first.
const PLAN: u32 = 40;
const USED: u32 = 10;

async fn actors(node: &Node) -> Vec<Value> {
    let answer = node
        .get("/admin/actors")
        .bearer(&node.operator())
        .send()
        .await
        .expect(200);
    answer.json()["list"].as_array().expect("a list").clone()
}

fn number(actors: &[Value], name: &str, member: &str) -> u64 {
    let found = actors.iter().find(|actor| actor["name"] == name);
    found.expect(name)[member].as_u64().expect("a number")
}

fn restarts(actors: &[Value], name: &str) -> u64 {
    number(actors, name, "restarts")
}

async fn restart(node: &Node, name: &str) {
    let restart = node.post(&format!("/admin/actors/restart?name={name}"));
    restart.bearer(&node.operator()).send().await.expect(200);
}

/// Whether an actor is the component itself or one of its actors.
fn is_of(component: &str, actor: &str) -> bool {
    let rest = actor.strip_prefix(component);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Ends every actor of a component once and waits until all run again; no other one restarts. By
/// turns they panic at their next message and are killed. Gives how many were ended.
async fn end_all(node: &Node, component: &str) -> usize {
    let before = actors(node).await;
    let mine: Vec<&str> = before
        .iter()
        .filter(|actor| actor["kind"] != "supervisor")
        .filter_map(|actor| actor["name"].as_str())
        .filter(|name| is_of(component, name))
        .collect();
    assert!(!mine.is_empty(), "{component} has no actors");
    for name in &mine {
        restart(node, name).await;
        // Spread over a while, so that calls meet every one of the restarts.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    kill_the_idle(node, &mine, &before).await;
    eventually(20, "every ended actor runs again", || async {
        let now = actors(node).await;
        let back = mine
            .iter()
            .all(|name| restarts(&now, name) > restarts(&before, name));
        back.then_some(())
    })
    .await;
    let now = actors(node).await;
    for other in now.iter().filter_map(|actor| actor["name"].as_str()) {
        if !is_of(component, other) {
            assert_eq!(restarts(&now, other), restarts(&before, other), "{other}");
        }
    }
    eventually(10, "the node is ready again", || async {
        let answer = node.get("/readyz").send().await;
        answer.status.is_success().then_some(())
    })
    .await;
    mine.len()
}

/// Kills those that were to panic and have heard nothing for a second.
async fn kill_the_idle(node: &Node, names: &[&str], before: &[Value]) {
    let mut left: Vec<&str> = names.to_vec();
    for _ in 0..20 {
        let now = actors(node).await;
        left.retain(|name| number(&now, name, "errors") == number(before, name, "errors"));
        if left.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for name in left {
        restart(node, name).await;
    }
}

/// A node with everything that the load asks for.
async fn world(upstream: &Upstream) -> World {
    let node = Node::start_with(Options {
        toml: "trusted_proxies = [\"127.0.0.1\"]\n".to_owned(),
        environment: vec![("HEADGATE_RESTART_BY".to_owned(), "turns".to_owned())],
        ..Options::default()
    })
    .await;
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    anonymous_by_id(&node, &token, &api).await;
    let plans = format!("{ADMIN}/throttling/policies/application");
    let mut ids = Vec::new();
    // One that is edited, one that calls are counted by, one that is half used.
    for calls in [1_000_000, 2_000_000, PLAN] {
        let made = node.post(&plans).bearer(&token).json(&policy(calls));
        let made = made.send().await.expect(201).json();
        ids.push(text(&made, "policyId").to_owned());
    }
    let plans = ("Plan2000000", "Unlimited");
    let signed = node.subscribed_under(&token, &api, plans, "signed", "JWT");
    let signed = signed.await;
    let opaque = node.subscribed_under(&token, &api, plans, "opaque", "OAUTH");
    let opaque = opaque.await;
    World {
        policy: ids.swap_remove(0),
        node,
        token,
        api,
        signed,
        opaque,
    }
}

/// Lets everybody call one of the API's resources.
async fn anonymous_by_id(node: &Node, token: &str, api: &str) {
    let path = format!("{PUBLISHER}/apis/{api}");
    let got = node.get(&path).bearer(token).send().await;
    let mut document = got.expect(200).json();
    for operation in document["operations"].as_array_mut().expect("operations") {
        if operation["target"] == "/items/{id}" {
            operation["authType"] = "None".into();
        }
    }
    let put = node.put(&path).bearer(token).json(&document);
    put.send().await.expect(200);
    node.deploy(token, api).await;
}

/// A subscriber of the half-used plan.
async fn half_used(world: &World) -> String {
    let (node, token) = (&world.node, &world.token);
    let name = format!("Plan{PLAN}");
    let few = node.application(token, "few", &name, "JWT").await;
    node.subscribe(token, &world.api, &few, "Unlimited").await;
    let (key, secret) = node.keys(token, &few, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;
    for _ in 0..USED {
        world.items(&access).send().await.expect(200);
    }
    access
}

/// Calls until the plan refuses; gives how many calls it let through, and how many it held too long. Where the disk is busy with everybody else's
/// tests a grant may be longer in coming than a call is held: that one is not let through, and the next one has it.
async fn drain(world: &World, access: &str) -> (u32, u32) {
    let (mut passed, mut held) = (0, 0);
    loop {
        let answer = world.items(access).send().await;
        match answer.status.as_u16() {
            200 => passed += 1,
            429 => return (passed, held),
            503 if held < 3 => held += 1,
            other => panic!("{other}: {}", answer.text()),
        }
    }
}

/// Calls of each kind that a busy machine's disk may hold too long, however long that goes on.
const BUSY: usize = 3;

/// Ends a component's actors over and over, each by a panic and by a kill at least, while every kind
/// of call goes on. `waits` are the
/// kinds whose calls may wait for one of these actors: each that ends may cost each of them one
/// call, told as 503. Of every other kind a disk that the tests beside it keep busy may cost [`BUSY`]. Afterwards every
/// kind succeeds.
async fn survives(component: &str, waits: &[&str]) {
    let upstream = Upstream::start().await;
    let world = world(&upstream).await;
    let few = half_used(&world).await;
    let load = Load::default();
    let ending = async {
        let (mut ended, mut rounds) = (0, 0);
        while load.least() < CALLS || rounds < 2 {
            ended += end_all(&world.node, component).await;
            rounds += 1;
        }
        // What runs now stays: one more of each.
        let before = load.kinds().map(|(_, kind)| kind.succeeded());
        eventually(60, "every kind of call succeeds again", || async {
            let mut kinds = load.kinds().into_iter().zip(before);
            let all = kinds.all(|((_, kind), before)| kind.succeeded() > before + 1);
            all.then_some(())
        })
        .await;
        load.stop();
        ended
    };
    let ending = tokio::time::timeout(ENDING, ending);
    let (told, ended) = tokio::join!(load.run(&world), async {
        let ended = ending.await;
        load.stop();
        ended
    });
    let counts = || load.kinds().map(|(name, kind)| (name, kind.failed()));
    let ended = ended.unwrap_or_else(|_| panic!("calls go on failing: {:?}", counts()));
    for (name, kind) in load.kinds() {
        let failed = kind.failed();
        let most = if waits.contains(&name) { ended } else { BUSY };
        let place = format!("{name}: {} of {}: {failed:?}", failed.len(), kind.all());
        assert!(failed.len() <= most, "{ended} ended, {place}");
        assert!(failed.iter().all(|one| one.starts_with("503 ")), "{place}");
    }
    for (path, description) in told {
        let got = world.node.get(&path).bearer(&world.token).send().await;
        match description {
            Some(told) => assert_eq!(got.expect(200).json()["description"], told, "{path}"),
            None => drop(got.expect(404)),
        }
    }
    let (passed, held) = drain(&world, &few).await;
    let passed = USED + passed;
    if component == "gateway" {
        // What the leases of the gateway that ended held is spent: all that was left, it may be.
        assert!(passed <= PLAN, "{passed}");
    } else {
        assert_eq!(passed, PLAN, "the half-used plan was kept");
    }
    let called = [&load.warm, &load.fresh, &load.asking].map(|kind| kind.all());
    let called = called.iter().sum::<usize>() + (passed + held) as usize + 1;
    counted(&world, called).await;
}

/// Every call is counted, and none twice.
async fn counted(world: &World, called: usize) {
    eventually(20, "every call is counted", || async {
        let get = world.node.get("/admin/usage");
        let usage = get.bearer(&world.node.operator()).send().await;
        let usage = usage.expect(200).json();
        let rows = usage["list"].as_array().expect("a list").iter();
        let calls: u64 = rows.filter_map(|row| row["calls"].as_u64()).sum();
        assert_eq!(usage["unknownCalls"], 0);
        assert!(calls <= called as u64, "{calls} counted of {called}");
        (calls == called as u64).then_some(())
    })
    .await;
}

macro_rules! component_survives {
    ($($name:ident: $component:literal, $waits:expr;)*) => {
        /// The children of the root that a test of their own ends, below.
        const ENDED: &[&str] = &[$($component),*];
    $(
        #[tokio::test]
        async fn $name() {
            survives($component, &$waits).await;
        }
    )*};
}

component_survives! {
    killed_and_panicking_publisher_actors_come_back_and_cost_only_what_waits_for_them_and_a_busy_disk:
        "publisher", ["publisher"];
    killed_and_panicking_devportal_actors_come_back_and_cost_only_what_waits_for_them_and_a_busy_disk:
        "devportal", ["portal"];
    killed_and_panicking_admin_actors_come_back_and_cost_only_what_waits_for_them_and_a_busy_disk:
        "admin", ["admin"];
    // Whoever manages shows a token that a key manager looks at.
    killed_and_panicking_key_manager_actors_come_back_and_cost_only_what_waits_for_them_and_a_busy_disk:
        "key-manager", ["token", "fresh", "publisher", "portal", "admin"];
    // The refiller opens every lease: known callers ask it for theirs after each of its ends.
    killed_and_panicking_gateway_actors_come_back_and_cost_only_what_waits_for_them_and_a_busy_disk:
        "gateway", ["warm", "fresh", "asking"];
    killed_and_panicking_traffic_manager_actors_come_back_and_cost_no_more_than_a_busy_disk:
        "traffic-manager", [];
    killed_and_panicking_agreed_view_actors_come_back_and_cost_no_more_than_a_busy_disk:
        "agreed-view", [];
    killed_and_panicking_change_feed_actors_come_back_and_cost_no_more_than_a_busy_disk:
        "change-feed", [];
    killed_and_panicking_usage_actors_come_back_and_cost_no_more_than_a_busy_disk:
        "usage", [];
    killed_and_panicking_usage_intake_comes_back_and_costs_no_more_than_a_busy_disk:
        "usage-intake", [];
    killed_and_panicking_view_claims_come_back_and_cost_no_more_than_a_busy_disk:
        "view-claims", [];
}

/// The names in the map's table of actors, `N` counted out, each with its parent.
fn names_in_the_map() -> BTreeSet<(String, String)> {
    let map = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let map = std::fs::read_to_string(map).expect("the map");
    let rows = map
        .lines()
        .skip_while(|line| !line.starts_with("| actor |"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let mut names = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let named = cells[1].split(", ").map(|name| name.trim_matches('`'));
        let many: usize = cells[3].parse().expect("how many");
        let all: Vec<String> = match cells[1].trim_matches('`').strip_suffix("/N") {
            Some(pool) => (0..many).map(|n| format!("{pool}/{n}")).collect(),
            None => named.map(str::to_owned).collect(),
        };
        assert_eq!(all.len(), many, "{row}");
        let parent = cells[4].trim_matches('`');
        for name in all {
            let place = format!("{name} twice");
            assert!(names.insert((name, parent.to_owned())), "{place}");
        }
    }
    names
}

#[tokio::test]
async fn the_map_names_every_actor_that_runs_and_no_other_and_each_component_is_ended_by_a_test() {
    let listens = ("HEADGATE__CLUSTER__LISTEN", "127.0.0.1:0");
    let node = Node::start_with(Options {
        environment: vec![(listens.0.to_owned(), listens.1.to_owned())],
        ..Options::default()
    });
    let node = node.await;
    let running = actors(&node).await;
    let kind = |name: &str| {
        let found = running.iter().find(|actor| actor["name"] == name);
        found.map_or("", |actor| text(actor, "kind"))
    };
    // What stands in front of the slash is a supervisor, or a part of the name.
    let parent = |name: &str| match name.split_once('/') {
        Some((parent, _)) if kind(parent) == "supervisor" => parent.to_owned(),
        _ => "root".to_owned(),
    };
    let names = running.iter().map(|actor| text(actor, "name"));
    let running: BTreeSet<_> = names.map(|name| (name.to_owned(), parent(name))).collect();
    assert_eq!(running, names_in_the_map());
    let of_root = running.iter().filter(|(_, parent)| parent == "root");
    let of_root: BTreeSet<_> = of_root.map(|(name, _)| name.as_str()).collect();
    let ended = ENDED.iter().chain([&cluster::NODE]).copied().collect();
    assert_eq!(of_root, ended, "each is ended by a test");
}
