//! The cluster port in front of whoever is no node: each is closed within seconds and counted, the log
//! tells of the first, members do not notice, and nothing of them stays.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use cluster::{PROTOCOL, PROTOCOL_BEFORE};

use crate::cluster::{CONTROL, members, options};
use crate::cluster_tls::{founder, joining, metric, token};
use crate::support::eventually;
use crate::support::flooder::Flooder;
use crate::support::net::{Fault, Net};
use crate::support::node::Node;
use crate::support::stranger::{
    self, BULK, HELLO, JOIN, SPOKEN, Stranger, bulk_hello, hello, message,
};

/// Connections at a time that say nothing.
const IDLE: usize = 1_000;
/// Resident memory that all strangers together may leave behind, KiB. An allocator keeps some.
const KEPT_KIB: u64 = 16 * 1024;

/// Two members, one of which is dialed by strangers.
pub struct Pair {
    pub control: Node,
    pub traffic: Node,
    /// Whose certificate strangers show; none in the clear.
    stolen: Option<PathBuf>,
}

impl Pair {
    pub async fn in_the_clear() -> Self {
        let control = Node::start_with(options("cp1", CONTROL, "")).await;
        let seed = control.cluster_address();
        let traffic = Node::start_with(options("tm1", "traffic-manager", &seed)).await;
        Self {
            control,
            traffic,
            stolen: None,
        }
    }

    pub async fn over_tls() -> Self {
        let control = founder("cp1").await;
        let join = joining("tm1", "traffic-manager", &token(&control));
        let traffic = Node::start_with(join).await;
        let stolen = Some(traffic.dir.clone());
        Self {
            control,
            traffic,
            stolen,
        }
    }

    /// One that gets as far as a member's first words.
    pub async fn greeted(&self) -> Stranger {
        let address = self.control.cluster_address();
        match &self.stolen {
            None => Stranger::plain(&address).await,
            Some(node) => Stranger::over_tls(&address, node, Some(node))
                .await
                .expect("TLS"),
        }
    }

    fn resident_kib(&self) -> u64 {
        resident_kib(&self.control)
    }

    async fn turned_away(&self) -> u64 {
        metric(&self.control, "headgate_cluster_turned_away_total").await
    }

    /// What is promised of the node, whatever strangers `attack`: at least `strangers` are counted.
    pub async fn withstands(&self, strangers: u64, attack: impl Future<Output = ()>) {
        let (counted, resident) = (self.turned_away().await, self.resident_kib());
        attack.await;
        // What has ended there is counted there; closing is the last of it.
        eventually(10, "all are counted", || async {
            (self.turned_away().await >= counted + strangers).then_some(())
        })
        .await;
        let kept = self.resident_kib().saturating_sub(resident);
        assert!(kept < KEPT_KIB, "{kept} KiB more");
        for node in [&self.control, &self.traffic] {
            let members = members(node).await;
            assert!(
                members.len() == 2 && members.iter().all(|(_, health)| health == "up"),
                "{members:?}"
            );
            let log = node.log();
            // Two busy processors may make one look silent for a moment, and no more.
            assert!(!log.contains("Down"), "{log}");
        }
    }

    /// What came at the port is told once a minute for each reason, not for each.
    fn tells_once(&self) {
        let told = stranger::told(&self.control);
        let is_in_short = told.values().all(|count| (1..=3).contains(count));
        assert!(is_in_short && !told.is_empty(), "{told:?}");
    }
}

/// Memory of a node that is no file's.
pub fn resident_kib(node: &Node) -> u64 {
    let path = format!("/proc/{}/status", node.pid());
    let status = std::fs::read_to_string(path).expect("a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.expect("its memory").trim().trim_end_matches(" kB");
    kib.parse().expect("a number")
}

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
async fn unheard(pair: &Pair) {
    let address = &pair.control.cluster_address();
    pair.withstands(8, async {
        for bytes in noise().chunks(512) {
            let mut stranger = Stranger::plain(address).await;
            stranger.send(bytes).await;
            stranger.closed().await;
        }
    })
    .await;
    pair.withstands(1, async {
        let mut stranger = Stranger::plain(address).await;
        let words = hello("slow", SPOKEN);
        // A TLS record of a client's first words where that is spoken.
        let bytes = match pair.stolen {
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
    pair.withstands(u64::try_from(IDLE).expect("a number"), async {
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            idle.push(Stranger::plain(address).await);
        }
        for stranger in &mut idle {
            stranger.closed().await;
        }
    })
    .await;
    pair.tells_once();
}

/// First words that are not what they should be.
async fn misheard(pair: &Pair) {
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
    pair.withstands(count, async {
        for row in rows {
            let mut stranger = pair.greeted().await;
            stranger.send(&row).await;
            let said = stranger.closed().await;
            assert!(said.is_empty(), "{row:?} is answered with {said:?}");
        }
    })
    .await;
    large_misheard(pair).await;
    pair.tells_once();
    let refused = "headgate_cluster_newcomers_refused_total";
    let before = metric(&pair.control, refused).await;
    if pair.stolen.is_none() {
        // It says itself which versions it speaks: it is told which are spoken here, and is none of a
        // flood.
        let mut far = pair.greeted().await;
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
            let log = pair.control.log();
            let mut lines = log.lines().filter(|line| line.contains("name-of-newer"));
            lines.any(|line| line.contains(&told)).then_some(())
        })
        .await;
        let mut older = pair.greeted().await;
        older.send(&hello("older", [0, ours[0] - 1])).await;
        let answer = older.closed().await;
        assert_eq!(answer.get(8..), Some(&[1, 0, ours[0], ours[1]][..]));
        assert_eq!(metric(&pair.control, refused).await, before + 2);
        tells_in_short(pair).await;
    }
}

/// The same of a connection for what is large.
async fn large_misheard(pair: &Pair) {
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
    pair.withstands(count, async {
        for (row, is_told) in rows {
            let mut stranger = pair.greeted().await;
            stranger.send(&row).await;
            let said = stranger.closed().await;
            // A reset may overtake the words.
            let refused = said.is_empty() || is_told && said.get(8) == Some(&1);
            assert!(refused, "{row:?} is answered with {said:?}");
        }
    })
    .await;
}

/// One whose own words are refused fills no log with them.
async fn tells_in_short(pair: &Pair) {
    let short = hello("wordy", SPOKEN);
    // Its versions, then the cluster's name: a text whose length takes two bytes.
    let mut body = short[8..10].to_vec();
    body.push(0xfb);
    body.extend(60_000_u16.to_le_bytes());
    body.extend([b'x'; 60_000]);
    body.extend(&short[11..]);
    eventually(10, "it is told of", || async {
        let mut wordy = pair.greeted().await;
        wordy.send(&message(HELLO, 1, &body)).await;
        wordy.closed().await;
        let log = pair.control.log();
        let mut lines = log.lines().filter(|line| line.contains("name-of-wordy"));
        let line = lines.next()?;
        assert!(line.contains("another cluster (xxx"), "{line}");
        assert!(line.len() < 2_000, "{} bytes", line.len());
        Some(())
    })
    .await;
}

#[tokio::test]
async fn strangers_at_a_cluster_port_in_the_clear_are_closed_and_counted_and_disturb_nobody() {
    let pair = Pair::in_the_clear().await;
    unheard(&pair).await;
    misheard(&pair).await;
}

#[tokio::test]
async fn strangers_at_a_cluster_port_over_tls_are_closed_and_counted_and_disturb_nobody() {
    let pair = Pair::over_tls().await;
    unheard(&pair).await;
    misheard(&pair).await;
}

#[tokio::test]
async fn without_a_certificate_nothing_but_joining_is_heard() {
    let pair = Pair::over_tls().await;
    let address = pair.control.cluster_address();
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
    pair.withstands(count, async {
        for row in rows {
            let stranger = Stranger::over_tls(&address, &stolen, None).await;
            let mut stranger = stranger.expect("TLS");
            stranger.send(&row).await;
            let said = stranger.closed().await;
            assert!(said.is_empty(), "{row:?} is answered with {said:?}");
        }
    })
    .await;
    // A gateway or traffic manager admits nobody: there it ends with the handshake.
    let stranger = Stranger::over_tls(&pair.traffic.cluster_address(), &stolen, None).await;
    if let Ok(mut stranger) = stranger {
        stranger.send(&hello("stranger", SPOKEN)).await;
        assert!(stranger.closed().await.is_empty());
    }
}

#[tokio::test]
async fn a_member_that_sends_a_frame_without_end_or_nothing_at_all_is_let_go() {
    let pair = Pair::in_the_clear().await;
    let (resident, counted) = (pair.resident_kib(), pair.turned_away().await);
    for (id, bytes) in [
        ("endless", &u64::MAX.to_be_bytes()[..]),
        ("noisy", &noise()),
        ("silent", &[]),
    ] {
        let mut member = pair.greeted().await;
        member.send(&hello(id, SPOKEN)).await;
        let answer = member.next().await;
        assert_eq!(answer.get(8), Some(&0), "welcome: {answer:?}");
        member.send(bytes).await;
        member.closed().await;
    }
    crate::support::eventually(10, "all are counted", || async {
        (pair.turned_away().await >= counted + 3).then_some(())
    })
    .await;
    pair.tells_once();
    let kept = pair.resident_kib().saturating_sub(resident);
    assert!(kept < KEPT_KIB, "{kept} KiB more");
    for node in [&pair.control, &pair.traffic] {
        let members = members(node).await;
        let up = members.iter().filter(|(_, health)| health == "up");
        assert_eq!(up.count(), 2, "{members:?}");
    }
}

/// Asks of a round of the flood.
const ROUND: usize = 6;
/// Rounds.
const ROUNDS: usize = 3_000;
/// Those of them that are under way together: more asks than a node may have.
const AT_ONCE: usize = 250;
/// What a node says of itself.
const ABOUT: u16 = 65_011;
const ACTORS: u16 = 65_013;
const PROBE: u16 = 65_010;
const SNAPSHOT: u16 = 0x0302;

/// Two members, and one that asks without end and is reached through a net.
struct Flooded {
    net: Net,
    control: Node,
    traffic: Node,
    flooder: Flooder,
}

impl Flooded {
    async fn start() -> Self {
        let net = Net::start();
        let (control, at) = net.node("cp1", options("cp1", CONTROL, "")).await;
        let traffic = Node::start_with(options("tm1", "traffic-manager", &at)).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let own = net.place("flooder");
        net.aim(&own, &listener.local_addr().expect("a port").to_string());
        let flooder = Flooder::join(&at, &own, listener).await;
        let flooded = Self {
            net,
            control,
            traffic,
            flooder,
        };
        eventually(10, "it is answered", || async {
            let key = flooded.net.key("cp1", "flooder");
            let answer = flooded.flooder.ask(&message(ABOUT, 2, &[]), key).await?;
            (answer.len() > 1).then_some(())
        })
        .await;
        flooded
    }

    /// What is served, what is not understood, and what came by no known connection; so often.
    fn flood(&self, rounds: usize) {
        let key = self.net.key("cp1", "flooder").expect("a member");
        let about = message(ABOUT, 2, &[]);
        let asks = [
            (message(PROBE, 1, &[]), Some(key)),
            (about.clone(), Some(key)),
            // A piece of a snapshot of everything, whose answer is larger by far.
            (message(SNAPSHOT, 2, &[0, 0]), Some(key)),
            (message(0x7777, 1, &[]), Some(key)),
            (about.clone(), Some(key ^ 1)),
            (about, None),
        ];
        assert_eq!(asks.len(), ROUND);
        for _ in 0..rounds {
            for (bytes, bears) in &asks {
                self.flooder.say(bytes, *bears);
            }
        }
    }

    /// Asks that were served or turned down.
    async fn asked(&self) -> u64 {
        let served = format!("way=\"served\",protocol=\"{PROTOCOL_BEFORE}\"");
        let served = format!("headgate_cluster_protocol_messages_total{{{served}}}");
        metric(&self.control, &served).await + self.turned_down().await
    }

    async fn turned_down(&self) -> u64 {
        metric(&self.control, "headgate_cluster_asks_turned_down_total").await
    }

    async fn others_are_up(&self) {
        for node in [&self.control, &self.traffic] {
            let members = members(node).await;
            let others = members.iter().filter(|(name, _)| name != "flooder");
            let others: Vec<_> = others.collect();
            assert!(
                others.len() == 2 && others.iter().all(|(_, health)| health == "up"),
                "{members:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_member_that_asks_without_end_is_counted_told_once_bounded_and_in_the_end_let_go() {
    let flooded = Flooded::start().await;
    let about = message(ABOUT, 2, &[]);
    let key = flooded.net.key("cp1", "flooder").expect("a member");
    // What is not understood is said to be so (M1).
    for (what, bytes) in [
        ("an unknown kind", message(0x7777, 1, &[])),
        ("a later version", message(ABOUT, 9, &[])),
        ("later than is spoken here", message(ACTORS, 1, &[0, 0])),
        ("malformed", message(SNAPSHOT, 2, &[0xff; 9])),
        ("no message", b"abc".to_vec()),
    ] {
        let answer = flooded.flooder.ask(&bytes, Some(key)).await;
        assert_eq!(answer, Some(vec![5]), "{what}");
    }
    // Whom no connection is known to be: it may come.
    for bears in [None, Some(key ^ 1)] {
        let answer = flooded.flooder.ask(&about, bears).await;
        assert_eq!(answer, Some(vec![1]));
    }
    flooded.flood(ROUNDS / 10);
    let all = u64::try_from(ROUND * ROUNDS).expect("a number");
    let (resident, before) = (resident_kib(&flooded.control), flooded.asked().await);
    let kept = || resident_kib(&flooded.control).saturating_sub(resident);
    // No faster than the flooder can go on: one that chokes itself is let go before all has come.
    for _ in 0..ROUNDS / AT_ONCE {
        flooded.flood(AT_ONCE);
        flooded.flooder.ask(&about, Some(key)).await;
    }
    eventually(30, "all are counted", || async {
        (flooded.asked().await >= before + all).then_some(())
    })
    .await;
    assert!(kept() < KEPT_KIB, "{} KiB more", kept());
    flooded.others_are_up().await;
    // Now it takes no answers.
    flooded.net.one_way("cp1", "flooder", Fault::Held);
    flooded.flood(ROUNDS);
    eventually(20, "it is let go", || async {
        // Beside what one may owe.
        assert!(kept() < KEPT_KIB + 9 * 1024, "{} KiB more", kept());
        let members = members(&flooded.control).await;
        let is = |health: &str| members.contains(&("flooder".to_owned(), health.to_owned()));
        (!is("up") && !is("suspect")).then_some(())
    })
    .await;
    flooded.others_are_up().await;
    let log = flooded.control.log();
    let told = log.matches("an ask of another node was refused").count();
    let refused = flooded.turned_down().await;
    // Once a minute.
    assert!((1..=2).contains(&told), "told {told} times of {refused}");
    flooded.flooder.ends().await;
}
