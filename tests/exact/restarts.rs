//! Everything is started again: windows of an hour and longer go on where they were.

use super::cluster::{CONTROL_PLANE, Cluster, GATEWAYS, MANAGERS, Setup};
use super::keys::{Key, Limits, Window};
use super::report::{Least, Report};
use super::whole::{SPAN, twice};

const LONG: &Limits = &[
    (100, Window::Hours),
    (100, Window::Days),
    (10, Window::Hours),
    (3, Window::Days),
    (1, Window::Hours),
    (100, Window::Months),
    (3, Window::Years),
    (100, Window::SlidingHours),
    (100, Window::BucketOfHours),
];
/// A unit that each gateway held, and what was noted ahead.
const LOST: Least = Least::But {
    thousandths: 50,
    units: 4,
};

async fn end_all(cluster: &mut Cluster, in_order: bool) {
    for name in [&GATEWAYS[..], &MANAGERS, &[CONTROL_PLANE]].concat() {
        if in_order {
            cluster.leave(name).await;
        } else {
            cluster.kill(name);
        }
    }
}

#[tokio::test]
async fn long_windows_go_on_after_a_restart_of_everything() {
    let mut cluster = Cluster::start(Setup {
        net: true,
        ..Setup::default()
    })
    .await;
    let mut reports = [
        (Report::new("all killed"), false, LOST),
        (Report::new("all stopped"), true, Least::Nearly),
    ];
    for (report, in_order, least) in &mut reports {
        for mut run in report.runs() {
            let keys = cluster.keys(&mut run, LONG).await;
            let half = |key: &Key| key.limit.div_ceil(2);
            let load = cluster.offer(&keys, &mut run.random, SPAN / 2, half);
            let mut told = load.end().await;
            for name in [&MANAGERS[..], &GATEWAYS, &[CONTROL_PLANE]].concat() {
                run.harms(name);
            }
            end_all(&mut cluster, *in_order).await;
            cluster.begin(&[CONTROL_PLANE]).await;
            cluster.begin(&[MANAGERS, GATEWAYS].concat()).await;
            cluster.until_ready().await;
            cluster.until_whole().await;
            let load = cluster.offer(&keys, &mut run.random, SPAN / 2, twice);
            told.add(load.end().await);
            told.add(cluster.offer_rest(&keys, &mut run).await);
            report.judge(&cluster, &run, &keys, &told, *least);
        }
    }
    for (report, ..) in reports {
        report.finish();
    }
}
