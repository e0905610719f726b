//! The cluster port in front of whoever is no node: each is closed within seconds and counted, the log
//! tells of the first, members do not notice, and nothing of them stays.

use std::time::Duration;

use cluster::{PROTOCOL, PROTOCOL_BEFORE};

use crate::cluster::{CONTROL, members, options};
use crate::cluster_tls::metric;
use crate::support::attacked::{Attacked, TAKEN_KIB};
use crate::support::eventually;
use crate::support::flooder::{Asker, Flooder};
use crate::support::minutes::Minutes;
use crate::support::net::{Fault, Net};
use crate::support::node::Node;
use crate::support::pair::{GATEWAY, Pair};
use crate::support::peak::Peak;
use crate::support::stranger::{BULK, HELLO, JOIN, SPOKEN, Stranger, bulk_hello, hello, message};
use crate::support::work::Work;

/// Connections at a time that say nothing.
const IDLE: usize = 1_000;

/// Bytes that look like nothing, the same in each run.
pub fn noise() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..4_096).map(|_| byte()).collect()
}

/// Nothing that is said before the first words have been understood.
async fn unheard(at: Attacked<'_>) {
    let address = &at.address();
    at.withstands(8, async || {
        for bytes in noise().chunks(512) {
            let mut stranger = Stranger::plain(address).await;
            stranger.send(bytes).await;
            stranger.closed().await;
        }
    })
    .await;
    at.withstands(1, async || {
        let mut stranger = Stranger::plain(address).await;
        let words = hello("slow", SPOKEN);
        // A TLS record of a client's first words where that is spoken.
        let bytes = match at.pair.stolen {
            None => &words[..4],
            Some(_) => &[0x16, 3, 1, 1],
        };
        for byte in bytes {
            stranger.send(&[*byte]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        stranger.closed().await;
    })
    .await;
    at.withstands(u64::try_from(IDLE).expect("a number"), async || {
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            idle.push(Stranger::plain(address).await);
        }
        for stranger in &mut idle {
            stranger.closed().await;
        }
    })
    .await;
    at.tells_once();
}

/// First words that are not what they should be.
async fn misheard(at: Attacked<'_>) {
    let good = hello("stranger", SPOKEN);
    let body = &good[8..];
    let mut oversized = HELLO.to_be_bytes().to_vec();
    oversized.extend([0, 1, 0x7f, 0xff, 0xff, 0xff]);
    let malformed = message(HELLO, 1, &[0xff; 64]);
    let followed = message(HELLO, 1, &[body, b"more"].concat());
    let cut = good[..good.len() - 1].to_vec();
    let of_the_future = message(HELLO, 9, body);
    let unknown = message(HELLO + 400, 1, body);
    let rows = [oversized, malformed, followed, cut, of_the_future, unknown];
    let count = u64::try_from(rows.len()).expect("a number");
    at.withstands(count, async || {
        for row in &rows {
            let mut stranger = at.greeted().await;
            stranger.send(row).await;
            let said = stranger.closed().await;
            assert!(said.is_empty(), "{row:?} is answered with {said:?}");
        }
    })
    .await;
    large_misheard(at).await;
    at.tells_once();
    let refused = "headgate_cluster_newcomers_refused_total";
    let before = metric(at.node, refused).await;
    if at.pair.stolen.is_none() {
        // It says itself which versions it speaks: it is told which are spoken here, and is none of a
        // flood.
        let mut far = at.greeted().await;
        let theirs = [PROTOCOL + 1, PROTOCOL + 2];
        far.send(&hello(
            "newer",
            theirs.map(|version| u8::try_from(version).expect("small")),
        ))
        .await;
        let answer = far.closed().await;
        let ours = [PROTOCOL_BEFORE, PROTOCOL].map(|version| u8::try_from(version).expect("small"));
        assert_eq!(answer.get(8..), Some(&[1, 0, ours[0], ours[1]][..]));
        let told = format!(
            "who refuses speaks {PROTOCOL_BEFORE} to {PROTOCOL}, who is refused {} to {}",
            theirs[0], theirs[1]
        );
        eventually(10, "it is told of by name, with both ranges", || async {
            let log = at.node.log();
            let mut lines = log.lines().filter(|line| line.contains("name-of-newer"));
            lines.any(|line| line.contains(&told)).then_some(())
        })
        .await;
        let mut older = at.greeted().await;
        older.send(&hello("older", [0, ours[0] - 1])).await;
        let answer = older.closed().await;
        assert_eq!(answer.get(8..), Some(&[1, 0, ours[0], ours[1]][..]));
        assert_eq!(metric(at.node, refused).await, before + 2);
        tells_in_short(at).await;
    }
}

/// The same of a connection for what is large.
async fn large_misheard(at: Attacked<'_>) {
    let good = bulk_hello("stranger", 7);
    let body = &good[8..];
    let mut oversized = BULK.to_be_bytes().to_vec();
    oversized.extend([0, 1, 0x7f, 0xff, 0xff, 0xff]);
    let rows = [
        (oversized, false),
        (message(BULK, 1, &[0xff; 64]), false),
        (message(BULK, 1, &[body, b"more"].concat()), false),
        (good[..good.len() - 1].to_vec(), false),
        (message(BULK, 9, body), false),
        // A node that no other connection is with, and garbage behind it.
        ([&good, &noise()[..]].concat(), true),
    ];
    let count = u64::try_from(rows.len()).expect("a number");
    at.withstands(count, async || {
        for (row, is_told) in &rows {
            let mut stranger = at.greeted().await;
            stranger.send(row).await;
            let said = stranger.closed().await;
            // A reset may overtake the words.
            let refused = said.is_empty() || *is_told && said.get(8) == Some(&1);
            assert!(refused, "{row:?} is answered with {said:?}");
        }
    })
    .await;
}

/// One whose own words are refused fills no log with them.
async fn tells_in_short(at: Attacked<'_>) {
    let short = hello("wordy", SPOKEN);
    // Its versions, then the cluster's name: a text whose length takes two bytes.
    let mut body = short[8..10].to_vec();
    body.push(0xfb);
    body.extend(60_000_u16.to_le_bytes());
    body.extend([b'x'; 60_000]);
    body.extend(&short[11..]);
    eventually(10, "it is told of", || async {
        let mut wordy = at.greeted().await;
        wordy.send(&message(HELLO, 1, &body)).await;
        wordy.closed().await;
        let log = at.node.log();
        let mut lines = log.lines().filter(|line| line.contains("name-of-wordy"));
        let line = lines.next()?;
        assert!(line.contains("another cluster (xxx"), "{line}");
        assert!(line.len() < 2_000, "{} bytes", line.len());
        Some(())
    })
    .await;
}

/// All of it at the port of one.
async fn besieged(at: Attacked<'_>) {
    unheard(at).await;
    misheard(at).await;
}

#[tokio::test]
async fn strangers_at_cluster_ports_in_the_clear_are_closed_and_counted_and_disturb_nobodys_work() {
    let pair = Pair::in_the_clear().await;
    tokio::join!(besieged(pair.at_control()), besieged(pair.at_gateway()));
}

#[tokio::test]
async fn strangers_at_cluster_ports_over_tls_are_closed_and_counted_and_disturb_nobodys_work() {
    let pair = Pair::over_tls().await;
    tokio::join!(besieged(pair.at_control()), besieged(pair.at_gateway()));
}

#[tokio::test]
async fn without_a_certificate_nothing_but_joining_is_heard() {
    let pair = Pair::over_tls().await;
    let stolen = pair.stolen.clone().expect("credentials");
    let mut oversized = JOIN.to_be_bytes().to_vec();
    oversized.extend([0, 1, 0x7f, 0xff, 0xff, 0xff]);
    let rows = [
        hello("stranger", SPOKEN),
        oversized,
        message(JOIN, 1, &[0xff; 64]),
        message(JOIN, 2, &[0; 64]),
        Vec::new(),
    ];
    let count = u64::try_from(rows.len()).expect("a number");
    let at = pair.at_control();
    at.withstands(count, async || {
        for row in &rows {
            let stranger = Stranger::over_tls(&at.address(), &stolen, None).await;
            let mut stranger = stranger.expect("TLS");
            stranger.send(row).await;
            let said = stranger.closed().await;
            assert!(said.is_empty(), "{row:?} is answered with {said:?}");
        }
    })
    .await;
    // A gateway or traffic manager admits nobody: there it ends with the handshake.
    let at = pair.at_gateway();
    at.withstands(count, async || {
        for row in &rows {
            let stranger = Stranger::over_tls(&at.address(), &stolen, None).await;
            if let Ok(mut stranger) = stranger {
                stranger.send(row).await;
                assert!(stranger.closed().await.is_empty());
            }
        }
    })
    .await;
}

/// Members that say nothing which one says.
async fn let_go(at: Attacked<'_>) {
    let tries = std::cell::Cell::new(0);
    at.is_bounded(3, async || {
        tries.set(tries.get() + 1);
        for (id, bytes) in [
            ("endless", &u64::MAX.to_be_bytes()[..]),
            ("noisy", &noise()),
            ("silent", &[]),
        ] {
            let id = format!("{id}-{}-{}", at.node.pid(), tries.get());
            let mut member = at.greeted().await;
            member.send(&hello(&id, SPOKEN)).await;
            let answer = member.next().await;
            assert_eq!(answer.get(8), Some(&0), "welcome: {answer:?}");
            member.send(bytes).await;
            member.closed().await;
        }
    })
    .await;
    at.tells_once();
}

#[tokio::test]
async fn a_member_that_sends_a_frame_without_end_or_nothing_at_all_is_let_go() {
    let pair = Pair::in_the_clear().await;
    tokio::join!(let_go(pair.at_control()), let_go(pair.at_gateway()));
    for node in [&pair.control, &pair.gateway] {
        let members = members(node).await;
        let up = members.iter().filter(|(_, health)| health == "up");
        assert_eq!(up.count(), 2, "{members:?}");
    }
}

/// Asks of a round of the flood.
const ROUND: usize = 6;
/// Rounds.
const ROUNDS: usize = 2_000;
/// Those of them that are under way together: more asks than a node may have.
const AT_ONCE: usize = 250;
/// What a node says of itself.
const ABOUT: u16 = 65_011;
const ACTORS: u16 = 65_013;
const PROBE: u16 = 65_010;
const SNAPSHOT: u16 = 0x0302;

/// Two members that do a cluster's work, and one that asks both without end and is reached through a net.
struct Flooded {
    net: Net,
    nodes: [Node; 2],
    work: Work,
    flooder: Flooder,
    other: Asker,
    /// Since before they were started.
    minutes: Minutes,
}

/// One of the two.
#[derive(Clone, Copy)]
struct Flood<'f> {
    net: &'f Net,
    name: &'static str,
    node: &'f Node,
    asker: &'f Asker,
}

impl Flooded {
    async fn start() -> Self {
        let (net, minutes) = (Net::start(), Minutes::start());
        let (control, at) = net.node("cp1", options("cp1", CONTROL, "")).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let own = net.place("flooder");
        net.aim(&own, &listener.local_addr().expect("a port").to_string());
        let flooder = Flooder::join(&at, &own, listener).await;
        // So the flooder knows which of the two came first.
        let of_gateway = options("gw1", GATEWAY, &at);
        let (gateway, _) = net.node("gw1", of_gateway).await;
        let other = flooder.other().await;
        let work = Work::begin(&control, &gateway).await;
        let flooded = Self {
            net,
            nodes: [control, gateway],
            work,
            flooder,
            other,
            minutes,
        };
        for at in flooded.both() {
            eventually(10, "it is answered", || async {
                let key = flooded.net.key(at.name, "flooder");
                let answer = at.asker.ask(&message(ABOUT, 2, &[]), key).await?;
                (answer.len() > 1).then_some(())
            })
            .await;
        }
        flooded
    }

    const fn both(&self) -> [Flood<'_>; 2] {
        let net = &self.net;
        let [control, gateway] = &self.nodes;
        [
            Flood {
                net,
                name: "cp1",
                node: control,
                asker: &self.flooder.seed,
            },
            Flood {
                net,
                name: "gw1",
                node: gateway,
                asker: &self.other,
            },
        ]
    }

    async fn work_goes_on(&self) {
        let [control, gateway] = &self.nodes;
        self.work.goes_on(control, gateway).await;
    }
}

impl Flood<'_> {
    fn key(&self) -> u64 {
        self.net.key(self.name, "flooder").expect("a member")
    }

    /// What is served, what is not understood, and what came by no known connection; so often.
    fn pour(&self, rounds: usize) {
        let key = self.key();
        let about = message(ABOUT, 2, &[]);
        let asks = [
            (message(PROBE, 1, &[]), Some(key)),
            (about.clone(), Some(key)),
            // A piece of a snapshot of everything, whose answer is larger by far where there is one.
            (message(SNAPSHOT, 2, &[0, 0]), Some(key)),
            (message(0x7777, 1, &[]), Some(key)),
            (about.clone(), Some(key ^ 1)),
            (about, None),
        ];
        assert_eq!(asks.len(), ROUND);
        for _ in 0..rounds {
            for (bytes, bears) in &asks {
                self.asker.say(bytes, *bears);
            }
        }
    }

    /// Asks that were served or turned down.
    async fn asked(&self) -> u64 {
        let served = format!("way=\"served\",protocol=\"{PROTOCOL_BEFORE}\"");
        let served = format!("headgate_cluster_protocol_messages_total{{{served}}}");
        metric(self.node, &served).await + self.turned_down().await
    }

    async fn turned_down(&self) -> u64 {
        metric(self.node, "headgate_cluster_asks_turned_down_total").await
    }

    async fn others_are_up(&self) {
        let members = members(self.node).await;
        let others = members.iter().filter(|(name, _)| name != "flooder");
        let others: Vec<_> = others.collect();
        assert!(
            others.len() == 2 && others.iter().all(|(_, health)| health == "up"),
            "{members:?}"
        );
    }

    /// What is not understood is said to be so (M1).
    async fn answers_in_order(&self) {
        let (about, key) = (message(ABOUT, 2, &[]), self.key());
        for (what, bytes) in [
            ("an unknown kind", message(0x7777, 1, &[])),
            ("a later version", message(ABOUT, 9, &[])),
            ("later than is spoken here", message(ACTORS, 1, &[0, 0])),
            ("malformed", message(SNAPSHOT, 2, &[0xff; 9])),
            ("no message", b"abc".to_vec()),
        ] {
            let answer = self.asker.ask(&bytes, Some(key)).await;
            assert_eq!(answer, Some(vec![5]), "{what}");
        }
        // Whom no connection is known to be: it may come.
        for bears in [None, Some(key ^ 1)] {
            let answer = self.asker.ask(&about, bears).await;
            assert_eq!(answer, Some(vec![1]));
        }
    }

    async fn lets_it_go(&self) {
        eventually(20, "it is let go", || async {
            let members = members(self.node).await;
            let is = |health: &str| members.contains(&("flooder".to_owned(), health.to_owned()));
            (!is("up") && !is("suspect")).then_some(())
        })
        .await;
        self.others_are_up().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_member_that_asks_without_end_is_counted_told_once_bounded_and_in_the_end_let_go() {
    let flooded = Flooded::start().await;
    let (about, both) = (message(ABOUT, 2, &[]), flooded.both());
    for at in both {
        at.answers_in_order().await;
        at.pour(ROUNDS / 10);
    }
    let peaks = both.map(|at| Peak::of(at.node));
    let before = [both[0].asked().await, both[1].asked().await];
    // No faster than the flooder can go on: one that chokes itself is let go before all has come.
    let flood = async || {
        for _ in 0..ROUNDS / AT_ONCE {
            both.iter().for_each(|at| at.pour(AT_ONCE));
            for at in both {
                at.asker.ask(&about, Some(at.key())).await;
            }
        }
    };
    let [control, gateway] = both.map(|at| at.node);
    let times = flooded.work.goes_on_during((control, gateway), flood).await;
    let all = times * u64::try_from(ROUND * ROUNDS).expect("a number");
    for ((at, peak), before) in both.iter().zip(&peaks).zip(before) {
        eventually(30, "all are counted", || async {
            (at.asked().await >= before + all).then_some(())
        })
        .await;
        peak.is_within(TAKEN_KIB);
        at.others_are_up().await;
    }
    // Now it takes no answers.
    for at in both {
        flooded.net.one_way(at.name, "flooder", Fault::Held);
        at.pour(ROUNDS);
    }
    tokio::join!(
        both[0].lets_it_go(),
        both[1].lets_it_go(),
        flooded.work_goes_on()
    );
    for (at, peak) in both.iter().zip(&peaks) {
        // Beside what one may owe.
        peak.is_within(TAKEN_KIB + 9 * 1024);
        let told = at.node.log();
        let told = told.matches("an ask of another node was refused").count();
        flooded.minutes.have(told, 1);
    }
    flooded.flooder.ends().await;
}
