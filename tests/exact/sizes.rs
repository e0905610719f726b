//! Fewer traffic managers than three, and more: the owner of a counter dies.

use super::cluster::{Cluster, Setup};
use super::keys::MIXED;
use super::report::{Least, Report};

/// The third voter is another node, as a witness.
const TWO: &[&str] = &["tm1", "tm2"];
const FIVE: &[&str] = &["tm1", "tm2", "tm3", "tm4", "tm5"];

async fn owners_die(managers: &'static [&'static str], mut report: Report) {
    let setup = Setup {
        managers,
        ..Setup::default()
    };
    let mut cluster = Cluster::start(setup).await;
    for mut run in report.runs() {
        let keys = cluster.keys(&mut run, MIXED).await;
        let pair = cluster.pair(keys.keys[0].shard).await;
        let load = cluster.offer_twice(&keys, &mut run);
        load.moment(&mut run.random).await;
        run.harms(&pair.owner);
        cluster.kill(&pair.owner);
        let mut told = load.end().await;
        cluster.begin(&[&pair.owner]).await;
        cluster.until_whole().await;
        told.add(cluster.offer_rest(&keys, &mut run).await);
        report.judge(&cluster, &run, &keys, &told, Least::Nearly);
    }
    report.finish();
}

#[tokio::test]
async fn one_of_two_goes_on_alone_beside_a_witness_and_grants_no_unit_twice() {
    owners_die(TWO, Report::new("owner of two killed")).await;
}

#[tokio::test]
async fn five_lose_an_owner_and_grant_no_unit_twice() {
    owners_die(FIVE, Report::new("owner of five killed")).await;
}
