//! The network between traffic managers is cut one way or both, or brings what is said late or not at all.

use std::time::Duration;

use super::cluster::{Cluster, GATEWAYS, MANAGERS, Pair, Setup};
use super::keys::MIXED;
use super::load::Told;
use super::random::Random;
use super::report::{Least, Report, Run};
use super::whole::{SPAN, twice};
use crate::support::net::Fault;

/// Longer than it takes to notice.
const OF_A_CUT: Duration = Duration::from_secs(8);

/// Which ways are cut.
#[derive(Debug, Clone, Copy)]
enum Ways {
    Both,
    FromOwner,
    ToOwner,
}

const WAYS: [Ways; 3] = [Ways::Both, Ways::FromOwner, Ways::ToOwner];

/// Cuts the owner off from these, or heals it.
fn cut(cluster: &Cluster, owner: &str, others: &[&str], ways: Ways, fault: Fault) {
    let net = cluster.net();
    for other in others {
        match ways {
            Ways::Both => net.both_ways(owner, other, fault),
            Ways::FromOwner => net.one_way(owner, other, fault),
            Ways::ToOwner => net.one_way(other, owner, fault),
        }
    }
}

/// Runs in which the owner is cut off from those that `from` chooses.
async fn runs_of(cluster: &mut Cluster, report: &mut Report, from: impl Fn(&Pair) -> Vec<&str>) {
    for mut run in report.runs() {
        let keys = cluster.keys(&mut run, MIXED).await;
        let pair = cluster.pair(keys.keys[0].shard).await;
        let ways = *run.random.one_of(&WAYS);
        eprintln!("{}: {ways:?} of {pair:?}", run.name);
        let load = cluster.offer(&keys, &mut run.random, OF_A_CUT, twice);
        let moment = run.random.between(Duration::ZERO, SPAN / 2);
        tokio::time::sleep(moment).await;
        run.harms(&pair.owner);
        cut(cluster, &pair.owner, &from(&pair), ways, Fault::Lost);
        let mut told = load.end().await;
        cut(cluster, &pair.owner, &from(&pair), ways, Fault::None);
        cluster.until_whole().await;
        told.add(cluster.offer_rest(&keys, &mut run).await);
        report.judge(cluster, &run, &keys, &told, Least::Nearly);
    }
}

#[tokio::test]
async fn an_owner_that_is_cut_from_its_standby_or_from_the_majority_grants_nothing_beside_the_next_one()
 {
    let mut cluster = Cluster::start(Setup {
        net: true,
        ..Setup::default()
    })
    .await;
    let mut standby = Report::new("owner cut from standby");
    runs_of(&mut cluster, &mut standby, |pair| {
        vec![pair.standby.as_str()]
    })
    .await;
    let mut majority = Report::new("owner cut from majority");
    runs_of(&mut cluster, &mut majority, |pair| {
        let others = MANAGERS.into_iter().filter(|name| *name != pair.owner);
        others.collect()
    })
    .await;
    standby.finish();
    majority.finish();
}

/// A traffic manager, and another node that speaks of counters with it.
fn two(random: &mut Random, others: &[&'static str]) -> (&'static str, &'static str) {
    let one = *random.one_of(&MANAGERS);
    let others: Vec<&'static str> = others.iter().copied().filter(|name| *name != one).collect();
    (one, *random.one_of(&others))
}

/// What is lost while what is said comes late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Connections of gateways, one after the other, with what is under way on them.
    Connections,
    /// That of two traffic managers: each takes the other for dead.
    Owners,
    /// All of these. Calls are promised a word in time only under one fault.
    All,
}

/// A connection of a gateway to lose. One after the other means another than the last: a connection that is lost each
/// time it is back serves nobody, and is a cut.
fn another(
    random: &mut Random,
    lost: Lost,
    last: Option<(&str, &str)>,
) -> (&'static str, &'static str) {
    loop {
        let drawn = two(random, &GATEWAYS);
        if lost == Lost::All || last != Some(drawn) {
            return drawn;
        }
    }
}

/// A while in which words come later and later, and something is lost.
async fn go_wrong(cluster: &Cluster, run: &mut Run, lost: Lost) {
    let mut last = None;
    for step in 0..12 {
        let (one, other) = two(&mut run.random, &[MANAGERS, GATEWAYS].concat());
        let (least, most) = (Duration::from_millis(5), Duration::from_millis(150));
        let late = run.random.between(least, most);
        cluster.net().one_way(one, other, Fault::Delayed(late));
        let (one, other) = another(&mut run.random, lost, last);
        last = Some((one, other));
        if lost != Lost::Owners {
            run.harms(one);
            cluster.net().close(one, other);
        }
        let (one, other) = two(&mut run.random, &MANAGERS);
        if lost != Lost::Connections && step == 6 {
            run.harms(one);
            cluster.net().close(one, other);
        }
        tokio::time::sleep(SPAN / 12).await;
    }
}

/// Runs in which what is said comes late, and this is lost.
async fn late_runs(cluster: &mut Cluster, report: &mut Report, lost: Lost) {
    for mut run in report.runs() {
        let keys = cluster.keys(&mut run, MIXED).await;
        let load = cluster.offer_twice(&keys, &mut run);
        go_wrong(cluster, &mut run, lost).await;
        let mut told = load.end().await;
        for one in MANAGERS {
            for other in MANAGERS.iter().chain(&GATEWAYS) {
                cluster.net().both_ways(one, other, Fault::None);
            }
        }
        cluster.until_whole().await;
        if lost == Lost::All {
            report.hear(&run, &told);
            let all: u64 = told.statuses.values().sum();
            if told.failed() * 20 > all {
                report.breaks(&run, format!("more than a twentieth failed: {told:?}"));
            }
            told = Told::default();
        }
        told.add(cluster.offer_rest(&keys, &mut run).await);
        report.judge(cluster, &run, &keys, &told, Least::Nearly);
    }
}

// What is doubled on its way TCP and TLS tell from what is said once; asks are repeated by who hears nothing, so a
// connection that is lost with the answers under way is what doubles them.
#[tokio::test]
async fn late_words_and_lost_connections_make_nobody_grant_twice() {
    let mut cluster = Cluster::start(Setup {
        net: true,
        ..Setup::default()
    })
    .await;
    let reports = [
        (Report::new("messages late and lost"), Lost::Connections),
        (
            Report::new("owners lost to each other over late links"),
            Lost::Owners,
        ),
        (
            Report::new("messages late and lost and owners too"),
            Lost::All,
        ),
    ];
    let mut done = Vec::new();
    for (mut report, lost) in reports {
        late_runs(&mut cluster, &mut report, lost).await;
        done.push(report);
    }
    for report in done {
        report.finish();
    }
}
