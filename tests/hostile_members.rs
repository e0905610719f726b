//! Members over mutual TLS that mean harm, with certificates that are good: what they say beyond all measure is counted,
//! told of in short and bounded, in the end they are let go, and nobody else notices. What is said in the clear is
//! `hostile_cluster`'s and `hostile_bulk`'s.

use cluster::{PROTOCOL, PROTOCOL_BEFORE, Security};

use crate::cluster::members;
use crate::cluster_tls::{metric, token};
use crate::failure_detection::deploy_wide;
use crate::hostile_bulk::{TURNED_DOWN, frame};
use crate::hostile_cluster::noise;
use crate::speech::Speech;
use crate::support::attacked::TAKEN_KIB;
use crate::support::eventually;
use crate::support::flooder::{FLOODER, Flooder};
use crate::support::glass::Glass;
use crate::support::minutes::Minutes;
use crate::support::net::{Fault, Net};
use crate::support::node::Node;
use crate::support::peak::Peak;
use crate::support::stranger::{SPOKEN, Stranger, admitted, bulk_hello_of, hello, message, told};

/// Connections that came to nothing.
const TURNED_AWAY: &str = "headgate_cluster_turned_away_total";
/// And what a node may owe beside it.
const OWED_KIB: u64 = 9 * 1024;
/// Asks of a round of the flood.
const ROUND: usize = 4;
/// Rounds, and those of them that are under way together: more asks than a node may have.
const ROUNDS: usize = 1_200;
const AT_ONCE: usize = 400;
/// What a node says of itself, and a piece of a snapshot of everything.
const ABOUT: u16 = 65_011;
const SNAPSHOT: u16 = 0x0302;

/// A control plane and a traffic manager that reach each other through a net.
struct Two {
    net: Net,
    /// Where the control plane is reached.
    seed: String,
    control: Node,
    traffic: Node,
    /// Since before they were started.
    minutes: Minutes,
}

// === impl Two ===

impl Two {
    async fn start() -> Self {
        let (net, minutes) = (Net::start(), Minutes::start());
        let (control, seed) = net.node("cp1", Speech::MutualTls.founder()).await;
        let joiner = Speech::MutualTls.joiner(&control, &seed, "tm1", "traffic-manager");
        let (traffic, _) = net.node("tm1", joiner).await;
        Self {
            net,
            seed,
            control,
            traffic,
            minutes,
        }
    }

    /// Whoever comes as a node of this id, with a certificate that names it.
    async fn member(&self, id: &str) -> Stranger {
        let dir = tempfile::tempdir().expect("a directory");
        admitted(&token(&self.control), id, dir.path()).await;
        let address = self.control.cluster_address();
        let shown = Stranger::over_tls(&address, dir.path(), Some(dir.path()));
        shown.await.expect("TLS")
    }

    /// The two do not mind.
    async fn are_up(&self) {
        for node in [&self.control, &self.traffic] {
            let members = members(node).await;
            for name in ["cp1", "tm1"] {
                let up = (name.to_owned(), "up".to_owned());
                assert!(members.contains(&up), "{members:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_member_with_a_good_certificate_that_says_what_none_would_is_let_go() {
    let two = Two::start().await;
    let control = &two.control;
    let (peak, counted) = (Peak::of(control), metric(control, TURNED_AWAY).await);
    for (id, bytes) in [
        ("endless", &u64::MAX.to_be_bytes()[..]),
        ("noisy", &noise()),
        ("silent", &[]),
    ] {
        let mut member = two.member(id).await;
        member.send(&hello(id, SPOKEN)).await;
        let answer = member.next().await;
        assert_eq!(answer.get(8), Some(&0), "welcome: {answer:?}");
        member.send(bytes).await;
        member.closed().await;
    }
    eventually(10, "all are counted", || async {
        (metric(control, TURNED_AWAY).await >= counted + 3).then_some(())
    })
    .await;
    let told = told(control);
    assert!(!told.is_empty());
    told.values().for_each(|count| two.minutes.have(*count, 1));
    // Who speaks another version is told which are spoken here, whatever it shows.
    let mut far = two.member("far").await;
    far.send(&hello("far", [100, 101])).await;
    let answer = far.closed().await;
    let ours = [PROTOCOL_BEFORE, PROTOCOL].map(|version| u8::try_from(version).expect("small"));
    assert_eq!(answer.get(8..), Some(&[1, 0, ours[0], ours[1]][..]));
    peak.is_within(TAKEN_KIB);
    two.are_up().await;
}

/// One more, which asks without end.
struct Flooded {
    two: Two,
    flooder: Flooder,
    /// Its way to the control plane.
    glass: Glass,
    /// Its files.
    dir: tempfile::TempDir,
}

// === impl Flooded ===

impl Flooded {
    async fn start() -> Self {
        let (two, dir) = (
            Two::start().await,
            tempfile::tempdir().expect("a directory"),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let own = two.net.place("flooder");
        let target = listener.local_addr().expect("a port").to_string();
        two.net.aim(&own, &target);
        let credentials = admitted(&token(&two.control), FLOODER, dir.path()).await;
        let speaks = Security::Mutual(credentials.mutual(None).expect("TLS"));
        let glass = Glass::before(&two.seed, &two.control.dir, dir.path()).await;
        let flooder = Flooder::join_by(speaks, &glass.address, &own, listener).await;
        let flooded = Self {
            two,
            flooder,
            glass,
            dir,
        };
        // What a snapshot is large of.
        let token = flooded.two.control.admin_token().await;
        let paths = (0..500).map(|index| format!("/things/{index}/parts"));
        deploy_wide(&flooded.two.control, &token, 0, paths.collect()).await;
        eventually(10, "it is answered", || async {
            let key = flooded.glass.key();
            let ask = message(ABOUT, 2, &[]);
            let answer = flooded.flooder.seed.ask(&ask, key).await?;
            (answer.len() > 1).then_some(())
        })
        .await;
        flooded
    }

    fn key(&self) -> u64 {
        self.glass.key().expect("a member")
    }

    async fn turned_down(&self) -> u64 {
        metric(&self.two.control, TURNED_DOWN).await
    }

    /// Its second connection, for what is large.
    async fn bulk(&self) -> Stranger {
        let address = self.two.control.cluster_address();
        let dir = self.dir.path();
        let bulk = Stranger::over_tls(&address, dir, Some(dir)).await;
        let mut bulk = bulk.expect("TLS");
        bulk.send(&bulk_hello_of(&self.flooder.member, self.key()))
            .await;
        let answer = bulk.next().await;
        assert_eq!(answer.get(8), Some(&0), "it is welcome");
        bulk
    }

    /// What is no ask is said to be none, and ends a second connection.
    async fn is_understood(&self) {
        let unknown = message(0x7777, 1, &[]);
        let answer = self.flooder.seed.ask(&unknown, Some(self.key())).await;
        assert_eq!(answer, Some(vec![5]));
        // Whom no connection is known to be.
        let answer = self.flooder.seed.ask(&unknown, Some(self.key() ^ 1)).await;
        assert_eq!(answer, Some(vec![1]));
        let mut beyond = 0x7fff_ffff_u32.to_be_bytes().to_vec();
        beyond.extend([0; 12]);
        let unknown = frame(&unknown);
        for (row, is_answered) in [
            (unknown.clone(), true),
            (frame(b"no message"), true),
            (beyond, false),
            (noise(), false),
            (unknown[..20].to_vec(), false),
        ] {
            let before = self.turned_down().await;
            let mut bulk = self.bulk().await;
            bulk.send(&row).await;
            bulk.ends().await;
            let said = bulk.closed().await;
            assert_eq!(said.last(), is_answered.then_some(&5), "{said:?}");
            eventually(10, "it is counted", || async {
                (self.turned_down().await > before).then_some(())
            })
            .await;
        }
    }

    /// What is served, what is not understood, and what came by no known connection; so often.
    fn flood(&self, rounds: usize) {
        let key = self.key();
        let asks = [
            (message(ABOUT, 2, &[]), Some(key)),
            // Its answer is larger by far.
            (message(SNAPSHOT, 2, &[0, 0]), Some(key)),
            (message(0x7777, 1, &[]), Some(key)),
            (message(ABOUT, 2, &[]), Some(key ^ 1)),
        ];
        assert_eq!(asks.len(), ROUND);
        for _ in 0..rounds {
            for (bytes, bears) in &asks {
                self.flooder.seed.say(bytes, *bears);
            }
        }
    }

    /// Asks that were served or turned down.
    async fn asked(&self) -> u64 {
        let served = format!("way=\"served\",protocol=\"{PROTOCOL_BEFORE}\"");
        let served = format!("headgate_cluster_protocol_messages_total{{{served}}}");
        metric(&self.two.control, &served).await + self.turned_down().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_member_over_tls_that_asks_without_end_is_counted_told_once_bounded_and_let_go() {
    let flooded = Flooded::start().await;
    let (control, net) = (&flooded.two.control, &flooded.two.net);
    flooded.is_understood().await;
    flooded.flood(AT_ONCE);
    let (peak, before) = (Peak::of(control), flooded.asked().await);
    let (about, key) = (message(ABOUT, 2, &[]), flooded.key());
    for _ in 0..ROUNDS / AT_ONCE {
        flooded.flood(AT_ONCE);
        flooded.flooder.seed.ask(&about, Some(key)).await;
    }
    let all = u64::try_from(ROUND * ROUNDS).expect("a number");
    eventually(30, "all are counted", || async {
        (flooded.asked().await >= before + all).then_some(())
    })
    .await;
    peak.is_within(TAKEN_KIB);
    flooded.two.are_up().await;
    // Now it takes no answers. Its process has no address of a node.
    net.one_way("cp1", "nobody", Fault::Held);
    flooded.flood(ROUNDS);
    eventually(20, "it is let go", || async {
        let members = members(control).await;
        let is = |health: &str| members.contains(&("flooder".to_owned(), health.to_owned()));
        (!is("up") && !is("suspect")).then_some(())
    })
    .await;
    peak.is_within(TAKEN_KIB + OWED_KIB);
    flooded.two.are_up().await;
    let log = control.log();
    let told = log.matches("an ask of another node was refused").count();
    flooded.two.minutes.have(told, 1);
    flooded.flooder.ends().await;
}
