//! Nodes of other clusters and scans at the cluster port, hundreds of them: refused and counted, told of in short, and
//! members do not notice; nor do they hide from the log who is refused for something else.

use crate::cluster_tls::{founder, metric};
use crate::support::eventually;
use crate::support::pair::Pair;
use crate::support::stranger::{HELLO, SPOKEN, Stranger, hello_of, message, told};

const MANY: u64 = 300;
/// So many of them are told of in a minute.
const NEWCOMERS: usize = 5;
const REFUSED: &str = "headgate_cluster_newcomers_refused_total";

#[tokio::test]
async fn hundreds_that_show_the_certificate_of_another_cluster_are_closed_and_disturb_nobody() {
    let pair = Pair::over_tls().await;
    let other = founder("other").await;
    let address = pair.control.cluster_address();
    let attack = async |count| {
        for _ in 0..count {
            // Whose certificate is refused may hear of it with the first words only.
            let shown = Some(other.dir.as_path());
            let came = Stranger::over_tls(&address, &pair.gateway.dir, shown).await;
            if let Ok(mut stranger) = came {
                stranger.send(&hello_of("", "stranger", SPOKEN)).await;
                let said = stranger.closed().await;
                assert!(said.is_empty(), "{said:?}");
            }
        }
    };
    // What is made once is made by the first of them.
    attack(20).await;
    let before = metric(&pair.control, REFUSED).await;
    let at = pair.at_control();
    let rounds = at.withstands(0, async || attack(MANY).await).await;
    eventually(10, "all are counted", || async {
        (metric(&pair.control, REFUSED).await >= before + MANY * rounds).then_some(())
    })
    .await;
    let log = pair.control.log();
    let told = log
        .matches("a node of another authority was refused")
        .count();
    pair.minutes.have(told, 1);
}

#[tokio::test]
async fn hundreds_of_nodes_of_another_cluster_are_refused_and_disturb_nobody() {
    let pair = Pair::in_the_clear().await;
    let address = pair.control.cluster_address();
    let attack = async |count| {
        for number in 0..count {
            let id = format!("stray{number}");
            let mut stray = Stranger::plain(&address).await;
            stray.send(&hello_of("another cluster", &id, SPOKEN)).await;
            let answer = stray.closed().await;
            assert_eq!(answer.get(8), Some(&1), "a refusal: {answer:?}");
        }
    };
    attack(20).await;
    let before = metric(&pair.control, REFUSED).await;
    let at = pair.at_control();
    let rounds = at.withstands(0, async || attack(MANY).await).await;
    assert!(metric(&pair.control, REFUSED).await >= before + MANY * rounds);
    // A few a minute, whatever they are called.
    let told = |kind: &str| {
        let lines = pair.control.lines("a node was refused");
        lines.iter().filter(|line| line["kind"] == kind).count()
    };
    pair.minutes.have(told("cluster"), NEWCOMERS);
    // They hide nobody who is refused for something else.
    assert_eq!(told("version"), 0);
    let mut far = Stranger::plain(&address).await;
    far.send(&hello_of("", "far", [100, 101])).await;
    far.closed().await;
    eventually(10, "it is told of", || async {
        (told("version") == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_scan_of_the_port_hides_nothing_that_is_closed_for_another_reason() {
    let pair = Pair::in_the_clear().await;
    let address = pair.control.cluster_address();
    let at = pair.at_control();
    at.withstands(MANY, async || {
        for _ in 0..MANY {
            let mut scan = Stranger::plain(&address).await;
            scan.send(b"GET / HTTP/1.1\r\n\r\n").await;
            scan.closed().await;
        }
    })
    .await;
    let of_scan = told(&pair.control).get("stranger").copied();
    pair.minutes.have(of_scan.unwrap_or_default(), 1);
    let good = hello_of("", "stranger", SPOKEN);
    let body = &good[8..];
    let mut oversized = HELLO.to_be_bytes().to_vec();
    oversized.extend([0, 1, 0x7f, 0xff, 0xff, 0xff]);
    let rows = [
        ("oversized", oversized),
        ("malformed", message(HELLO, 1, &[0xff; 64])),
        ("version", message(HELLO, 9, body)),
        ("unfinished", good[..good.len() - 1].to_vec()),
        ("late", good[..4].to_vec()),
    ];
    for (kind, words) in rows {
        assert_eq!(told(&pair.control).get(kind), None, "{kind}");
        let mut stranger = at.greeted().await;
        stranger.send(&words).await;
        if kind == "unfinished" {
            stranger.ends().await;
        }
        stranger.closed().await;
        eventually(10, kind, || async {
            told(&pair.control).contains_key(kind).then_some(())
        })
        .await;
    }
    let all = told(&pair.control);
    all.values().for_each(|count| pair.minutes.have(*count, 1));
}
