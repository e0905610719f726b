//! Two faults at once: what is given up is what the protocol says, and never a limit.

use std::time::Duration;

use super::cluster::{CONTROL_PLANE, Cluster, GATEWAYS, MANAGERS, Pair, Setup};
use super::keys::{Key, Keys, Limits, Window};
use super::report::{Least, Report, Run};
use super::whole::twice;

/// So many that some lie with each two of three traffic managers.
const SPREAD: &Limits = &[
    (20, Window::Hours),
    (20, Window::Short),
    (20, Window::Days),
    (20, Window::Short),
    (20, Window::Hours),
    (20, Window::Short),
    (20, Window::Days),
    (20, Window::Short),
    (20, Window::Hours),
    (20, Window::Short),
];
/// Each of its calls may be held for 3 s, one after the other.
const FEW: &Limits = &[
    (12, Window::Hours),
    (12, Window::Short),
    (3, Window::Short),
    (1, Window::Days),
];
/// A unit was noted ahead, and one was on its way.
const NOTED_AHEAD: Least = Least::But {
    thousandths: 0,
    units: 2,
};

/// A few calls of each key by each gateway.
fn some(_: &Key) -> u64 {
    6
}

/// Which of these keys lie with nobody but these two.
async fn lost_with(cluster: &Cluster, keys: &Keys, pair: &Pair) -> (Keys, Keys) {
    let mut lost = Vec::new();
    for key in &keys.keys {
        let held = cluster.pair(key.shard).await;
        let turned = Pair {
            owner: held.standby.clone(),
            standby: held.owner.clone(),
        };
        lost.push(held == *pair || turned == *pair);
    }
    let mut places = lost.iter();
    let (lost, kept) = keys.parted(|_| *places.next().expect("each"));
    (lost, kept)
}

/// The majority of the voters survives the two that hold the counters of a key.
fn vote_without(cluster: &Cluster, pair: &Pair) {
    let third = cluster.third(pair);
    let words = [
        "cluster",
        "voters",
        "set",
        third,
        CONTROL_PLANE,
        GATEWAYS[0],
    ];
    let set = cluster.control().command(&words).output();
    let set = set.expect("its end");
    let said = String::from_utf8_lossy(&set.stderr).into_owned();
    assert!(set.status.success(), "{said}");
}

/// Both are killed under load; gives what is lost with them, and what is not.
async fn lose_both(
    cluster: &mut Cluster,
    report: &mut Report,
    run: &mut Run,
) -> (Pair, Keys, Keys) {
    let keys = cluster.keys(run, SPREAD).await;
    let pair = cluster.pair(keys.keys[0].shard).await;
    vote_without(cluster, &pair);
    cluster.until_whole().await;
    let (lost, kept) = lost_with(cluster, &keys, &pair).await;
    let load = cluster.offer_twice(&keys, run);
    load.moment(&mut run.random).await;
    run.harms(&pair.owner);
    run.harms(&pair.standby);
    cluster.kill(&pair.owner);
    cluster.kill(&pair.standby);
    report.hear(run, &load.end().await);
    cluster.until_members(&[cluster.third(&pair)]).await;
    (pair, lost, kept)
}

#[tokio::test]
async fn counters_whose_holders_are_both_lost_refuse_until_a_disk_is_back_or_their_window_ends() {
    let mut report = Report::new("owner and standby killed");
    for mut run in report.runs() {
        let mut cluster = Cluster::start(Setup::default()).await;
        let (pair, lost, kept) = lose_both(&mut cluster, &mut report, &mut run).await;
        // What both had is full for as long as nobody of them is there; all else goes on.
        let told = cluster.offer_rest(&kept, &mut run).await;
        report.judge(&cluster, &run, &kept, &told, Least::Nothing);
        let before: u64 = lost.arrived(&cluster);
        let span = Duration::from_secs(1);
        let told = cluster
            .offer(&lost, &mut run.random, span, some)
            .end()
            .await;
        report.hear(&run, &told);
        if lost.arrived(&cluster) > before {
            report.breaks(&run, format!("something lost was granted: {told:?}"));
        }
        // The disk of one is enough for long windows, and of short ones there is nothing on it.
        cluster.begin(&[&pair.standby]).await;
        let mut there = [cluster.third(&pair), pair.standby.as_str()];
        there.sort_unstable();
        cluster.until_members(&there).await;
        let load = cluster.offer(&lost, &mut run.random, span * 2, twice);
        let told = load.end().await;
        let (long, short) = lost.parted(|key| key.window != Window::Short);
        report.judge(&cluster, &run, &long, &told, NOTED_AHEAD);
        report.judge(&cluster, &run, &short, &told, Least::Nothing);
        let told = cluster
            .offer(&kept, &mut run.random, span, twice)
            .end()
            .await;
        report.judge(&cluster, &run, &kept, &told, Least::Nearly);
    }
    report.finish();
}

/// Keys of which these two alone know what was granted in a short window, and the others. As soon as one of them votes again
/// there is a majority, for which both have been silent: what two had who are given up at once is lost until its window
/// ends (L6).
async fn parted_by(cluster: &Cluster, keys: &Keys, away: &[&str]) -> [Keys; 2] {
    let pair = Pair {
        owner: away[0].to_owned(),
        standby: away[1].to_owned(),
    };
    let (with_both, _) = lost_with(cluster, keys, &pair).await;
    let of_both = |key: &Key| with_both.keys.iter().any(|held| held.path == key.path);
    let (lost, kept) = keys.parted(|key| of_both(key) && key.window == Window::Short);
    [lost, kept]
}

#[tokio::test]
async fn without_a_majority_nothing_is_granted_and_calls_are_told_when_to_come_again() {
    let mut cluster = Cluster::start(Setup::default()).await;
    let mut report = Report::new("majority paused");
    for mut run in report.runs() {
        let keys = cluster.keys(&mut run, FEW).await;
        let fresh = cluster.more_keys(&format!("{}-fresh", run.name), FEW).await;
        let away = *run.random.one_of(&MANAGERS);
        let away: Vec<&str> = MANAGERS.into_iter().filter(|name| *name != away).collect();
        let parts = [
            parted_by(&cluster, &keys, &away).await,
            parted_by(&cluster, &fresh, &away).await,
        ];
        let load = cluster.offer_twice(&keys, &mut run);
        load.moment(&mut run.random).await;
        for name in &away {
            run.harms(name);
            cluster.pause(name);
        }
        report.hear(&run, &load.end().await);
        // By now nobody grants by a fence of before.
        let span = Duration::from_millis(500);
        let told = cluster
            .offer(&fresh, &mut run.random, span, some)
            .end()
            .await;
        report.hear(&run, &told);
        if told.statuses.keys().any(|status| *status != 503) || told.unanswered > 0 {
            report.breaks(
                &run,
                format!("granted or refused without a majority: {told:?}"),
            );
        }
        for name in &away {
            cluster.go_on(name);
        }
        // All know the view of before, so that it is active says nothing yet.
        cluster.until_granted(&fresh).await;
        cluster.until_whole().await;
        for (keys, [lost, kept]) in [&keys, &fresh].into_iter().zip(&parts) {
            let told = cluster.offer_twice(keys, &mut run).end().await;
            report.judge(&cluster, &run, kept, &told, Least::Nearly);
            report.judge(&cluster, &run, lost, &told, Least::Nothing);
        }
    }
    report.finish();
}
