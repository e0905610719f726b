//! Nothing goes wrong; and what a run with one fault is made of.

use std::time::Duration;

use super::cluster::{Cluster, Setup};
use super::keys::{Key, Keys, MIXED};
use super::load::{Load, Told};
use super::report::{Least, Report, Run};

/// How long calls of a run are spread over.
pub const SPAN: Duration = Duration::from_secs(4);

/// Twice what the limit lets through; a small limit is called by everybody.
pub fn twice(key: &Key) -> u64 {
    (key.limit * 2).max(8)
}

impl Cluster {
    /// Twice the load of a run's keys.
    pub fn offer_twice(&self, keys: &Keys, run: &mut Run) -> Load {
        self.offer(keys, &mut run.random, SPAN, twice)
    }

    /// What comes after the fault is over: nobody has forgotten what was counted.
    pub async fn offer_rest(&self, keys: &Keys, run: &mut Run) -> Told {
        let span = Duration::from_secs(2);
        // All that callers were put off with under the fault is asked for again.
        let rest = |key: &Key| key.limit / 2 + 12;
        self.offer(keys, &mut run.random, span, rest).end().await
    }
}

#[tokio::test]
async fn limits_are_given_out_to_the_last_unit_and_no_further_by_three_gateways() {
    let mut cluster = Cluster::start(Setup::default()).await;
    let mut report = Report::new("healthy");
    for mut run in report.runs() {
        let keys = cluster.keys(&mut run, MIXED).await;
        let mut told = cluster.offer_twice(&keys, &mut run).end().await;
        // Under the load itself, and not only to whoever comes later.
        report.judge(&cluster, &run, &keys, &told, Least::Nearly);
        told.add(cluster.offer_rest(&keys, &mut run).await);
        report.judge(&cluster, &run, &keys, &told, Least::Nearly);
    }
    report.finish();
}
