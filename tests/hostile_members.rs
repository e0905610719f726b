//! Members that mean harm, in the clear and over mutual TLS with a certificate that is good: what they say beyond all
//! measure is counted, told of in short and bounded, in the end they are let go, and nobody else notices.

use cluster::{PROTOCOL, PROTOCOL_BEFORE, Security};

use crate::cluster::members;
use crate::cluster_tls::{metric, token};
use crate::hostile_bulk::{TURNED_DOWN, no_asks_end_it};
use crate::hostile_cluster::{KEPT_KIB, Pair, noise, resident_kib};
use crate::speech::Speech;
use crate::support::eventually;
use crate::support::flooder::{FLOODER, Flooder};
use crate::support::glass::Glass;
use crate::support::net::{Fault, Net};
use crate::support::node::Node;
use crate::support::stranger::{SPOKEN, Stranger, admitted, bulk_hello_of, hello, message};

/// Whoever comes as a node of this id; over TLS with a certificate that names it.
async fn member(pair: &Pair, speech: Speech, id: &str) -> Stranger {
    let address = pair.control.cluster_address();
    match speech {
        Speech::Clear => Stranger::plain(&address).await,
        Speech::MutualTls => {
            let dir = tempfile::tempdir().expect("a directory");
            admitted(&token(&pair.control), id, dir.path()).await;
            let shown = Stranger::over_tls(&address, dir.path(), Some(dir.path()));
            shown.await.expect("TLS")
        }
    }
}

/// Members that are welcomed, and then say what none would.
async fn are_let_go(speech: Speech) {
    let pair = match speech {
        Speech::Clear => Pair::in_the_clear().await,
        Speech::MutualTls => Pair::over_tls().await,
    };
    let (resident, counted) = (pair.resident_kib(), pair.turned_away().await);
    for (id, bytes) in [
        ("endless", &u64::MAX.to_be_bytes()[..]),
        ("noisy", &noise()),
        ("silent", &[]),
    ] {
        let mut member = member(&pair, speech, id).await;
        member.send(&hello(id, SPOKEN)).await;
        let answer = member.next().await;
        assert_eq!(answer.get(8), Some(&0), "welcome: {answer:?}");
        member.send(bytes).await;
        member.closed().await;
    }
    eventually(10, "all are counted", || async {
        (pair.turned_away().await >= counted + 3).then_some(())
    })
    .await;
    pair.tells_once();
    // Who speaks another version is told which are spoken here, whatever it shows.
    let mut far = member(&pair, speech, "far").await;
    far.send(&hello("far", [100, 101])).await;
    let answer = far.closed().await;
    let ours = [PROTOCOL_BEFORE, PROTOCOL].map(|version| u8::try_from(version).expect("small"));
    assert_eq!(answer.get(8..), Some(&[1, 0, ours[0], ours[1]][..]));
    let kept = pair.resident_kib().saturating_sub(resident);
    assert!(kept < KEPT_KIB, "{kept} KiB more");
    for node in [&pair.control, &pair.traffic] {
        let members = members(node).await;
        let up = members.iter().filter(|(_, health)| health == "up");
        assert_eq!(up.count(), 2, "{members:?}");
    }
}

#[tokio::test]
async fn a_member_that_sends_a_frame_without_end_or_nothing_at_all_is_let_go() {
    are_let_go(Speech::Clear).await;
}

#[tokio::test]
async fn a_member_with_a_good_certificate_that_does_so_is_let_go_as_well() {
    are_let_go(Speech::MutualTls).await;
}

/// Asks of a round of the flood.
const ROUND: usize = 6;
/// Rounds in the clear, and fewer over TLS, both of whose ends are in this process.
const ROUNDS: [usize; 2] = [3_000, 1_000];
/// Those of them that are under way together: more asks than a node may have.
const AT_ONCE: usize = 250;
/// What a node says of itself.
const ABOUT: u16 = 65_011;
const ACTORS: u16 = 65_013;
const PROBE: u16 = 65_010;
const SNAPSHOT: u16 = 0x0302;

/// Two members, and one that asks without end, all of whom reach each other through a net.
struct Flooded {
    net: Net,
    control: Node,
    traffic: Node,
    flooder: Flooder,
    /// Over TLS: the way of the flooder to the control plane, and its files.
    glass: Option<Glass>,
    dir: tempfile::TempDir,
    rounds: usize,
}

impl Flooded {
    async fn start(speech: Speech) -> Self {
        let (net, dir) = (Net::start(), tempfile::tempdir().expect("a directory"));
        let (control, at) = net.node("cp1", speech.founder()).await;
        let joiner = speech.joiner(&control, &at, "tm1", "traffic-manager");
        let (traffic, _) = net.node("tm1", joiner).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let own = net.place("flooder");
        net.aim(&own, &listener.local_addr().expect("a port").to_string());
        let [in_the_clear, over_tls] = ROUNDS;
        let (security, glass, rounds) = match speech {
            Speech::Clear => (Security::Plain { anywhere: false }, None, in_the_clear),
            Speech::MutualTls => {
                let credentials = admitted(&token(&control), FLOODER, dir.path()).await;
                let mutual = credentials.mutual(None).expect("TLS");
                let glass = Glass::before(&at, &control.dir, dir.path()).await;
                (Security::Mutual(mutual), Some(glass), over_tls)
            }
        };
        let seed = glass.as_ref().map_or(&at, |glass| &glass.address);
        let flooder = Flooder::join(seed, (&own, listener), security).await;
        let flooded = Self {
            net,
            control,
            traffic,
            flooder,
            glass,
            dir,
            rounds,
        };
        eventually(10, "it is answered", || async {
            let key = flooded.key();
            let answer = flooded.flooder.ask(&message(ABOUT, 2, &[]), key).await?;
            (answer.len() > 1).then_some(())
        })
        .await;
        flooded
    }

    /// What the flooder's asks are to bear.
    fn key(&self) -> Option<u64> {
        let of_glass = self.glass.as_ref().map(Glass::key);
        of_glass.unwrap_or_else(|| self.net.key("cp1", "flooder"))
    }

    /// Its second connection over TLS, for what is large.
    async fn bulk(&self) -> Stranger {
        let (address, dir) = (self.control.cluster_address(), self.dir.path());
        let stranger = Stranger::over_tls(&address, dir, Some(dir)).await;
        let mut stranger = stranger.expect("TLS");
        let words = bulk_hello_of(&self.flooder.member, self.key().expect("a member"));
        stranger.send(&words).await;
        let answer = stranger.next().await;
        assert_eq!(answer.get(8), Some(&0), "it is welcome");
        stranger
    }

    /// What is served, what is not understood, and what came by no known connection; so often.
    fn flood(&self, rounds: usize) {
        let key = self.key().expect("a member");
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
        metric(&self.control, TURNED_DOWN).await
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

/// What is no ask is said to be none. What that is over a second connection in the clear is `hostile_bulk`'s.
async fn is_understood(flooded: &Flooded) {
    let about = message(ABOUT, 2, &[]);
    let key = flooded.key().expect("a member");
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
    if flooded.glass.is_some() {
        no_asks_end_it(&flooded.control, 2, async || flooded.bulk().await).await;
    }
}

async fn is_let_go(flooded: &Flooded) {
    let (about, key) = (message(ABOUT, 2, &[]), flooded.key().expect("a member"));
    let rounds = flooded.rounds;
    flooded.flood(rounds / 10);
    let all = u64::try_from(ROUND * rounds).expect("a number");
    let (resident, before) = (resident_kib(&flooded.control), flooded.asked().await);
    let kept = || resident_kib(&flooded.control).saturating_sub(resident);
    // No faster than the flooder can go on: one that chokes itself is let go before all has come.
    for _ in 0..rounds / AT_ONCE {
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
    let takes_none = flooded.glass.as_ref().map_or("flooder", |_| "nobody");
    flooded.net.one_way("cp1", takes_none, Fault::Held);
    flooded.flood(rounds);
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_member_that_asks_without_end_is_counted_told_once_bounded_and_in_the_end_let_go() {
    // One after the other: what a process has of groups is all its nodes'.
    for speech in [Speech::Clear, Speech::MutualTls] {
        let flooded = Flooded::start(speech).await;
        is_understood(&flooded).await;
        is_let_go(&flooded).await;
        flooded.flooder.ends().await;
    }
}
