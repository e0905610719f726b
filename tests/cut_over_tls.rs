//! Nodes that speak mutual TLS, and a network that fails them in each of its ways at a time: what `failure_detection`
//! shows of nodes that speak in the clear.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::cluster::{members, options};
use crate::cluster_tls::metric;
use crate::failure_detection::FAILED;
use crate::membership::shown;
use crate::speech::Speech;
use crate::support::eventually;
use crate::support::http::Call;
use crate::support::net::{Fault, Net};
use crate::support::node::{Node, Options};
use crate::support::peak::Peak;
use crate::support::upstream::Upstream;

/// Two that do not hear each other any more, and how.
const CUTS: [(&str, &str, Cut); 4] = [
    ("cp1", "gw1", Cut::BothWays),
    ("tm1", "gw2", Cut::OneWay),
    ("tm1", "gw1", Cut::Held),
    ("cp1", "gw2", Cut::HalfOpen),
];
/// Less than a member may be silent before it is evicted.
const SERVED: Duration = Duration::from_secs(4);
/// What is held for one that takes nothing may cost a node, also for a moment, KiB; pages of code that runs for the first time
/// count as well.
const HELD_KIB: u64 = 24 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    BothWays,
    /// What the first one says.
    OneWay,
    /// Neither takes anything, and what was sent is kept.
    Held,
    /// The first one's end is closed, and the other one is not told.
    HalfOpen,
}

/// A control plane, a traffic manager and two gateways that reach each other over TLS through `net` alone.
struct Encrypted {
    net: Net,
    control: Node,
    traffic: Node,
    gateways: [Node; 2],
    /// Where the second gateway's data is.
    dir: tempfile::TempDir,
    _upstream: Upstream,
    /// Tokens under a plan that needs no units, and under one that does.
    free: String,
    limited: String,
}

// === impl Encrypted ===

impl Encrypted {
    async fn start() -> Self {
        let (net, dir) = (Net::start(), tempfile::tempdir().expect("a directory"));
        let (control, seed) = net.node("cp1", Speech::MutualTls.founder()).await;
        let joiner = |name: &str, roles| Speech::MutualTls.joiner(&control, &seed, name, roles);
        let second = Options {
            dir: Some(dir.path().to_owned()),
            ..joiner("gw2", "gateway")
        };
        let ((traffic, _), (one, _), (two, _)) = tokio::join!(
            net.node("tm1", joiner("tm1", "traffic-manager")),
            net.node("gw1", joiner("gw1", "gateway")),
            net.node("gw2", second)
        );
        let upstream = Upstream::start().await;
        let token = control.admin_token().await;
        let api = control.published(&token, "Shop", "/shop", &upstream.url);
        let api = api.await;
        let free = control.subscribed(&token, &api, "free", "JWT").await;
        let application = control.application(&token, "app", "50PerMin", "JWT").await;
        control
            .subscribe(&token, &api, &application, "Unlimited")
            .await;
        let (key, secret) = control.keys(&token, &application, "PRODUCTION").await;
        let limited = control.client_token(&key, &secret).await;
        let encrypted = Self {
            net,
            control,
            traffic,
            gateways: [one, two],
            dir,
            _upstream: upstream,
            free: free.access,
            limited,
        };
        encrypted.until_whole().await;
        encrypted
    }

    fn nodes(&self) -> [(&'static str, &Node); 4] {
        let [one, two] = &self.gateways;
        let (control, traffic) = (&self.control, &self.traffic);
        [
            ("cp1", control),
            ("tm1", traffic),
            ("gw1", one),
            ("gw2", two),
        ]
    }

    fn node(&self, name: &str) -> &Node {
        let mut nodes = self.nodes().into_iter();
        let found = nodes.find(|(known, _)| *known == name);
        found.expect("a node").1
    }

    async fn until_whole(&self) {
        for (name, node) in self.nodes() {
            let what = format!("{name} sees all");
            eventually(30, &what, || async {
                let members = members(node).await;
                let up = members.iter().filter(|(_, health)| health == "up");
                (up.count() == 4).then_some(())
            })
            .await;
        }
        for gateway in &self.gateways {
            for access in [&self.free, &self.limited] {
                eventually(30, "it serves", || async {
                    (call(gateway, access).send().await.status == 200).then_some(())
                })
                .await;
            }
        }
    }

    fn cut(&self) {
        for (one, other, cut) in CUTS {
            match cut {
                Cut::BothWays => self.net.both_ways(one, other, Fault::Lost),
                Cut::OneWay => self.net.one_way(one, other, Fault::Lost),
                Cut::Held => self.net.both_ways(one, other, Fault::Held),
                Cut::HalfOpen => assert!(self.net.half_open(one, other) > 0, "there was one"),
            }
        }
    }

    fn mend(&self) {
        for (one, other, _) in CUTS {
            self.net.both_ways(one, other, Fault::None);
        }
    }

    /// Who finds out about each cut, and how many turns of the other it has told of before.
    fn ends(&self) -> Vec<End<'_>> {
        let ends = CUTS.into_iter().flat_map(|(one, other, cut)| {
            // One end of a half-open connection is there no more, and the other one may hear of it from the next.
            let far = (cut != Cut::HalfOpen).then_some((cut, other, one));
            [(cut, one, other)].into_iter().chain(far)
        });
        ends.map(|(cut, at, of)| End {
            cut,
            node: self.node(at),
            of,
            before: turns(self.node(at), of).len(),
        })
        .collect()
    }
}

/// One who finds out about a cut.
struct End<'a> {
    cut: Cut,
    node: &'a Node,
    of: &'static str,
    before: usize,
}

// === impl End ===

impl End<'_> {
    /// What it has told of the other one since.
    fn turns(&self) -> Vec<Turn> {
        turns(self.node, self.of).split_off(self.before)
    }

    fn is_down(&self) -> bool {
        self.turns().iter().any(|(to, _)| to == "Down")
    }

    /// As a member is suspected after two seconds and evicted after five; ticks come on top, and seven ends at once on a busy
    /// machine.
    fn found_out_in_time(&self) -> bool {
        let turns = self.turns();
        let mut turns = turns.iter().map(|(to, silent)| (to.as_str(), *silent));
        if self.cut == Cut::HalfOpen {
            return turns.next() == Some(("Down", None));
        }
        let is_suspected = matches!(turns.next(), Some(("Suspect", Some(2_000..5_000))));
        // By itself, or because the other end was first.
        is_suspected && matches!(turns.next(), Some(("Down", None | Some(5_000..8_000))))
    }
}

fn call(gateway: &Node, access: &str) -> Call {
    gateway.api("GET", "/shop/1.0.0/items").bearer(access)
}

/// What a member turned into, and after how long a silence, milliseconds.
type Turn = (String, Option<u64>);

/// What a node's log tells of another.
fn turns(node: &Node, of: &str) -> Vec<Turn> {
    let lines = node.lines("member").into_iter();
    let lines = lines.filter(|line| line["member"] == of);
    lines
        .map(|line| {
            let reason = line["reason"].as_str().unwrap_or_default();
            let silent = reason.strip_prefix("silent for ");
            let silent = silent.and_then(|rest| rest.trim_end_matches(" ms").parse().ok());
            (line["to"].as_str().expect("a health").to_owned(), silent)
        })
        .collect()
}

/// Until each has found out, in its time; both gateways serve meanwhile, and what waits for one that takes nothing costs
/// little.
async fn are_found_out(encrypted: &Encrypted) {
    let (mut calls, [one, two]) = (JoinSet::new(), &encrypted.gateways);
    let (peak, failed) = (Peak::of(one), metric(one, FAILED).await);
    let ends = encrypted.ends();
    encrypted.cut();
    eventually(20, "each has found out", || {
        for _ in 0..4 {
            let call = call(one, &encrypted.limited);
            calls.spawn(async move { call.send().await.status });
        }
        let ends = &ends;
        async move {
            for gateway in [one, two] {
                let known = call(gateway, &encrypted.free).send();
                let known = tokio::time::timeout(SERVED, known).await;
                known.expect("nobody waits for an eviction").expect(200);
            }
            ends.iter().all(End::is_down).then_some(())
        }
    })
    .await;
    while calls.join_next().await.is_some() {}
    for end in &ends {
        assert!(end.found_out_in_time(), "{}: {:?}", end.of, end.turns());
    }
    assert!(metric(one, FAILED).await > failed);
    peak.is_within(HELD_KIB);
}

#[tokio::test]
async fn whatever_a_network_does_to_tls_is_found_out_in_time_and_over_by_itself() {
    let mut encrypted = Encrypted::start().await;
    are_found_out(&encrypted).await;
    encrypted.mend();
    encrypted.until_whole().await;
    // Who is back where nobody has been is the member that it was.
    let before = shown(&encrypted.control, "gw2").await;
    encrypted.gateways[1].kill();
    let again = Options {
        dir: Some(encrypted.dir.path().to_owned()),
        ..options("gw2", "gateway", "")
    };
    let (gateway, address) = encrypted.net.node("gw2", again).await;
    encrypted.gateways[1] = gateway;
    encrypted.until_whole().await;
    let after = shown(&encrypted.control, "gw2").await;
    assert_eq!(after["id"], before["id"]);
    assert_eq!(after["address"], address);
    assert_ne!(before["address"], address);
}
