//! The cluster port in front of whoever is no node: each is closed within seconds and counted, the log
//! tells of the first, members do not notice, and nothing of them stays.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use cluster::{PROTOCOL, PROTOCOL_BEFORE};

use crate::cluster::{CONTROL, members, options};
use crate::cluster_tls::{founder, joining, metric, token};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::stranger::{
    self, BULK, HELLO, JOIN, SPOKEN, Stranger, bulk_hello, hello, message,
};

/// Connections at a time that say nothing.
const IDLE: usize = 1_000;
/// Resident memory that all strangers together may leave behind, KiB. An allocator keeps some.
pub const KEPT_KIB: u64 = 16 * 1024;

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

    pub fn resident_kib(&self) -> u64 {
        resident_kib(&self.control)
    }

    pub async fn turned_away(&self) -> u64 {
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
    pub fn tells_once(&self) {
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
