//! Wall clocks of traffic managers that are wrong.

use std::time::Duration;

use super::cluster::{Cluster, Setup};
use super::keys::MIXED;
use super::report::{Least, Report};
use super::whole::{SPAN, twice};

/// Two hours ahead, or behind.
const OFF_S: [i64; 2] = [7_200, -7_200];
/// Who joins is heard for some seconds before it is in a view.
const OF_A_JOIN: Duration = Duration::from_secs(9);

#[tokio::test]
async fn an_owner_whose_clock_is_hours_off_or_set_while_it_runs_counts_the_same_windows() {
    let mut cluster = Cluster::start(Setup {
        clocks: true,
        ..Setup::default()
    })
    .await;
    let (mut stepped, mut off) = (
        Report::new("owner's clock set"),
        Report::new("owner's clock off"),
    );
    for (mut step, mut start) in stepped.runs().zip(off.runs()) {
        let keys = cluster.keys(&mut step, MIXED).await;
        let pair = cluster.pair(keys.keys[0].shard).await;
        let load = cluster.offer_twice(&keys, &mut step);
        load.moment(&mut step.random).await;
        step.harms(&pair.owner);
        cluster.set_clock(&pair.owner, *step.random.one_of(&OFF_S));
        let mut told = load.end().await;
        cluster.set_clock(&pair.owner, 0);
        told.add(cluster.offer_rest(&keys, &mut step).await);
        stepped.judge(&cluster, &step, &keys, &told, Least::Nearly);

        // It is off from a start on, and takes its shards again while calls come.
        let keys = cluster.keys(&mut start, MIXED).await;
        let load = cluster.offer(&keys, &mut start.random, OF_A_JOIN, twice);
        let moment = start.random.between(Duration::ZERO, SPAN / 2);
        tokio::time::sleep(moment).await;
        start.harms(&pair.owner);
        cluster.kill(&pair.owner);
        cluster.set_clock(&pair.owner, *start.random.one_of(&OFF_S));
        cluster.begin(&[&pair.owner]).await;
        let mut told = load.end().await;
        cluster.until_whole().await;
        told.add(cluster.offer_rest(&keys, &mut start).await);
        off.judge(&cluster, &start, &keys, &told, Least::Nearly);
        cluster.set_clock(&pair.owner, 0);
    }
    stepped.finish();
    off.finish();
}
