//! The owner of a counter dies, stands still, leaves, or another one joins.

use std::time::Duration;

use tokio::time::Instant;

use super::cluster::{Cluster, MANAGERS, Setup};
use super::keys::MIXED;
use super::report::{Least, Report};
use super::whole::{SPAN, twice};

/// Who joins is heard for some seconds before it is in a view.
const OF_A_JOIN: Duration = Duration::from_secs(9);
/// Longer than after which who stands still is evicted, and than anybody waits for its word; `HEADGATE_EXACT_PAUSE_S` says how much longer.
const PAUSE_S: u64 = 4;

pub fn pause_length() -> Duration {
    let seconds = std::env::var("HEADGATE_EXACT_PAUSE_S").ok();
    let seconds = seconds.map(|seconds| seconds.parse().expect("seconds"));
    Duration::from_secs(seconds.unwrap_or(PAUSE_S))
}

#[tokio::test]
async fn a_killed_owner_grants_no_unit_twice_and_fails_no_call() {
    let mut cluster = Cluster::start(Setup::default()).await;
    let mut report = Report::new("owner killed");
    for mut run in report.runs() {
        let keys = cluster.keys(&mut run, MIXED).await;
        let pair = cluster.pair(keys.keys[0].shard).await;
        let load = cluster.offer_twice(&keys, &mut run);
        load.moment(&mut run.random).await;
        run.harms(&pair.owner);
        cluster.kill(&pair.owner);
        // Under the load itself, and not only by whoever comes when all is well again.
        let told = load.end().await;
        report.judge(&cluster, &run, &keys, &told, Least::Nearly);
        // Its shards come back to it, and what was counted meanwhile with them.
        cluster.begin(&[&pair.owner]).await;
        cluster.until_whole().await;
        let told = cluster.offer_rest(&keys, &mut run).await;
        report.judge(&cluster, &run, &keys, &told, Least::Nearly);
    }
    report.finish();
}

#[tokio::test]
async fn an_owner_that_stood_still_and_goes_on_grants_nothing_of_what_is_anothers_now() {
    let mut cluster = Cluster::start(Setup::default()).await;
    let mut report = Report::new("owner paused");
    for mut run in report.runs() {
        let keys = cluster.keys(&mut run, MIXED).await;
        let pair = cluster.pair(keys.keys[0].shard).await;
        // Calls come while it stands still, when it goes on, and after that.
        let span = pause_length() + SPAN;
        let load = cluster.offer(&keys, &mut run.random, span, twice);
        let moment = run.random.between(Duration::ZERO, SPAN / 2);
        tokio::time::sleep(moment).await;
        let until = Instant::now() + pause_length();
        run.harms(&pair.owner);
        cluster.pause(&pair.owner);
        tokio::time::sleep_until(until).await;
        cluster.go_on(&pair.owner);
        let mut told = load.end().await;
        cluster.until_whole().await;
        told.add(cluster.offer_rest(&keys, &mut run).await);
        report.judge(&cluster, &run, &keys, &told, Least::Nearly);
    }
    report.finish();
}

#[tokio::test]
async fn counters_move_with_a_leave_and_a_join_and_stay_exact() {
    let mut cluster = Cluster::start(Setup::default()).await;
    let (mut leaves, mut joins) = (Report::new("owner leaves"), Report::new("owner joins"));
    for (mut leave, mut join) in leaves.runs().zip(joins.runs()) {
        let keys = cluster.keys(&mut leave, MIXED).await;
        let pair = cluster.pair(keys.keys[0].shard).await;
        let load = cluster.offer_twice(&keys, &mut leave);
        load.moment(&mut leave.random).await;
        leave.harms(&pair.owner);
        cluster.leave(&pair.owner).await;
        let mut told = load.end().await;
        let rest = MANAGERS.into_iter().filter(|name| *name != pair.owner);
        cluster.until_members(&rest.collect::<Vec<_>>()).await;
        told.add(cluster.offer_rest(&keys, &mut leave).await);
        leaves.judge(&cluster, &leave, &keys, &told, Least::Nearly);

        let keys = cluster.keys(&mut join, MIXED).await;
        let load = cluster.offer(&keys, &mut join.random, OF_A_JOIN, twice);
        let moment = join.random.between(Duration::ZERO, SPAN / 2);
        tokio::time::sleep(moment).await;
        join.harms(&pair.owner);
        cluster.begin(&[&pair.owner]).await;
        let mut told = load.end().await;
        cluster.until_whole().await;
        told.add(cluster.offer_rest(&keys, &mut join).await);
        joins.judge(&cluster, &join, &keys, &told, Least::Nearly);
    }
    leaves.finish();
    joins.finish();
}
