//! A gateway is cut off from the owner of a counter alone: both still reach all others, so nobody moves the shard.

use std::time::Duration;

use tokio::time::Instant;

use super::cluster::{Cluster, GATEWAYS, Setup};
use super::keys::{Keys, Window};
use super::report::Report;
use crate::cluster::members;
use crate::support::eventually;
use crate::support::net::Fault;

/// Gateway that is cut off.
const CUT: &str = GATEWAYS[0];
/// Calls wait for their units at most so long (L8).
const HELD: Duration = Duration::from_secs(3);
/// What a call may take once the cut is known.
const FAST: Duration = Duration::from_secs(1);
/// Many leases, and few.
const LIMITS: &[(u64, Window)] = &[(2_000, Window::Short), (20, Window::Short)];
/// More than a lease of the first, twice over.
const CALLS: u64 = 100;

/// One call of a key at a gateway: its status, and how long it took.
async fn call(cluster: &Cluster, gateway: &str, keys: &Keys, at: usize) -> (u16, Duration) {
    let began = Instant::now();
    let call = cluster.node(gateway).api("GET", &keys.keys[at].path);
    let answer = call.bearer(&keys.access).send().await;
    (answer.status.as_u16(), began.elapsed())
}

/// What a gateway has counted by this name.
async fn counted(cluster: &Cluster, gateway: &str, series: &str) -> u64 {
    let node = cluster.node(gateway);
    let told = node.get("/metrics").bearer(&node.operator()).send().await;
    let told = told.expect(200).text();
    let lines = told.lines().filter_map(|line| line.rsplit_once(' '));
    let mut found = lines.filter(|(name, _)| *name == series);
    found
        .next()
        .map_or(0, |(_, count)| count.parse().expect("a number"))
}

async fn passed_on(cluster: &Cluster) -> u64 {
    counted(cluster, CUT, "headgate_throttle_asks_passed_on_total").await
}

/// All gateways call until each is told that nothing is left.
async fn use_up(cluster: &Cluster, keys: &Keys, at: usize) {
    for gateway in GATEWAYS {
        // Each that is let through uses a unit, so this ends.
        for calls in 0.. {
            let (status, took) = call(cluster, gateway, keys, at).await;
            assert!([200, 429].contains(&status), "{gateway}: {status}");
            assert!(took < HELD, "{gateway}: {took:?}");
            assert!(calls <= keys.keys[at].limit, "{gateway}: beyond the limit");
            if status == 429 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_that_is_cut_off_from_an_owner_alone_has_its_units_by_another_traffic_manager() {
    let mut cluster = Cluster::start(Setup {
        net: true,
        ..Setup::default()
    })
    .await;
    let mut run = Report::new("gateway cut from owner").runs().next();
    let run = run.as_mut().expect("a run");
    let keys = cluster.keys(run, LIMITS).await;
    cluster.until_granted(&keys).await;
    let pair = cluster.pair(keys.keys[0].shard).await;
    assert_eq!(passed_on(&cluster).await, 0, "the direct way is good");

    let net = cluster.net();
    net.both_ways(CUT, &pair.owner, Fault::Lost);
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let (status, took) = call(&cluster, CUT, &keys, 0).await;
        assert_eq!(status, 200, "after {times:?}");
        times.push(took);
    }
    let longest = times.iter().max().expect("calls");
    assert!(*longest < HELD, "{times:?}");
    assert!(passed_on(&cluster).await > 0, "somebody passed on");
    // Longer than anything takes to be noticed.
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        let (status, took) = call(&cluster, CUT, &keys, 0).await;
        assert_eq!(status, 200);
        assert!(took < HELD, "{took:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..CALLS {
        let (status, took) = call(&cluster, CUT, &keys, 0).await;
        assert_eq!(status, 200);
        assert!(took < FAST, "{took:?} though the cut is known");
    }
    // The shard is where it was.
    assert_eq!(cluster.pair(keys.keys[0].shard).await, pair);
    use_up(&cluster, &keys, 1).await;
    assert!(keys.keys[1].limit >= cluster.arrived(&keys.keys[1].arriving));

    net.both_ways(CUT, &pair.owner, Fault::None);
    eventually(60, "they see each other again", || async {
        let members = members(cluster.node(CUT)).await;
        let up = |(name, health): &(String, String)| *name == pair.owner && health == "up";
        members.iter().any(up).then_some(())
    })
    .await;
    eventually(60, "the direct way is used again", || async {
        let before = passed_on(&cluster).await;
        for _ in 0..CALLS {
            assert_eq!(call(&cluster, CUT, &keys, 0).await.0, 200);
        }
        let is_direct = passed_on(&cluster).await == before;
        if !is_direct {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        is_direct.then_some(())
    })
    .await;
    use_up(&cluster, &keys, 0).await;
    let arrived = cluster.arrived(&keys.keys[0].arriving);
    assert!(arrived <= keys.keys[0].limit, "{arrived}");
    assert!(arrived * 100 >= keys.keys[0].limit * 99, "{arrived}");
}
