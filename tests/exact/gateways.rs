//! A gateway that holds units dies, or stands still with them.

use std::time::Duration;

use super::cluster::{Cluster, GATEWAYS, Setup};
use super::keys::{Limits, MIXED, Window};
use super::report::{Least, Report};
use super::traffic_managers::pause_length;
use super::whole::{SPAN, twice};

/// What a gateway may take with it: its lease, which is a two-hundredth or, in a young window, a hundredth, what it has asked
/// for ahead, and what was on its way to the upstream.
const HELD: Least = Least::But {
    thousandths: 20,
    units: 3,
};
/// Limits of which a lease is more than a unit, and of which it is one.
const LIMITS: &Limits = &[
    (1_000, Window::Short),
    (1_000, Window::Hours),
    (100, Window::Short),
    (10, Window::Short),
    (3, Window::Short),
    (1, Window::Short),
];

#[tokio::test]
async fn a_gateway_that_dies_takes_its_leases_with_it_and_one_that_stood_still_uses_them_once() {
    let mut cluster = Cluster::start(Setup::default()).await;
    let (mut killed, mut paused) = (Report::new("gateway killed"), Report::new("gateway paused"));
    for (mut kill, mut pause) in killed.runs().zip(paused.runs()) {
        let keys = cluster.keys(&mut kill, LIMITS).await;
        let gateway = *kill.random.one_of(&GATEWAYS);
        let load = cluster.offer_twice(&keys, &mut kill);
        load.moment(&mut kill.random).await;
        kill.harms(gateway);
        cluster.kill(gateway);
        let mut told = load.end().await;
        cluster.begin(&[gateway]).await;
        cluster.node(gateway).until_ready().await;
        told.add(cluster.offer_rest(&keys, &mut kill).await);
        killed.judge(&cluster, &kill, &keys, &told, HELD);

        let keys = cluster.keys(&mut pause, MIXED).await;
        let gateway = *pause.random.one_of(&GATEWAYS);
        let load = cluster.offer(&keys, &mut pause.random, SPAN + pause_length(), twice);
        let moment = pause.random.between(Duration::ZERO, SPAN / 2);
        tokio::time::sleep(moment).await;
        pause.harms(gateway);
        cluster.pause(gateway);
        tokio::time::sleep(pause_length()).await;
        cluster.go_on(gateway);
        let mut told = load.end().await;
        told.add(cluster.offer_rest(&keys, &mut pause).await);
        paused.judge(&cluster, &pause, &keys, &told, Least::Nearly);
    }
    killed.finish();
    paused.finish();
}
