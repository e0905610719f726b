//! A member that opens a connection for what is large, and says there what is no ask: it is closed on and
//! counted, the log tells of it once, and nobody else notices.

use crate::cluster::{CONTROL, members, options};
use crate::cluster_tls::metric;
use crate::hostile_cluster::noise;
use crate::support::attacked::TAKEN_KIB;
use crate::support::eventually;
use crate::support::minutes::Minutes;
use crate::support::net::Net;
use crate::support::node::Node;
use crate::support::pair::GATEWAY;
use crate::support::peak::Peak;
use crate::support::stranger::{Stranger, message};
use crate::support::work::Work;

pub const TURNED_DOWN: &str = "headgate_cluster_asks_turned_down_total";
/// How often each is said.
const ROUNDS: usize = 20;

/// An ask as it lies on such a connection.
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a length");
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(1_000_u32.to_be_bytes());
    frame.extend(7_u64.to_be_bytes());
    frame.extend(bytes);
    frame
}

/// The connection, as the member opened it itself.
async fn opened(control: &Node, net: &Net) -> Stranger {
    eventually(10, "it is welcome", || async {
        let words = net.bulk_words("gw1", "cp1")?;
        let mut member = Stranger::plain(&control.cluster_address()).await;
        member.send(&words).await;
        let answer = member.next().await;
        (answer.get(8) == Some(&0)).then_some(member)
    })
    .await
}

#[tokio::test]
async fn what_is_no_ask_over_a_members_second_connection_is_counted_told_once_and_ends_it() {
    let (net, minutes) = (Net::start(), Minutes::start());
    let (control, at) = net.node("cp1", options("cp1", CONTROL, "")).await;
    let of_gateway = options("gw1", GATEWAY, &at);
    let (gateway, _) = net.node("gw1", of_gateway).await;
    let work = Work::begin(&control, &gateway).await;
    let mut beyond = 0x7fff_ffff_u32.to_be_bytes().to_vec();
    beyond.extend([0; 12]);
    let unknown = frame(&message(0x7777, 1, &[]));
    let rows = [
        (unknown.clone(), true),
        (frame(b"no message"), true),
        (beyond, false),
        (noise(), false),
        (unknown[..20].to_vec(), false),
    ];
    let peak = Peak::of(&control);
    let attack = async || {
        for (row, is_answered) in rows.iter().cycle().take(ROUNDS * rows.len()) {
            let before = metric(&control, TURNED_DOWN).await;
            // The member's own asks may open another connection meanwhile, which is the only one then.
            eventually(10, "it is closed on and counted", || async {
                let mut member = opened(&control, &net).await;
                member.send(row).await;
                member.ends().await;
                let said = member.closed().await;
                // Not understood, and the next ask may be.
                let expected = is_answered.then_some(&5);
                let counted = metric(&control, TURNED_DOWN).await > before;
                (counted && said.last() == expected).then_some(())
            })
            .await;
        }
    };
    work.goes_on_during((&control, &gateway), attack).await;
    peak.is_within(TAKEN_KIB);
    for node in [&control, &gateway] {
        let members = members(node).await;
        assert!(
            members.len() == 2 && members.iter().all(|(_, health)| health == "up"),
            "{members:?}"
        );
        assert!(!node.log().contains("Down"), "{}", node.log());
    }
    let log = control.log();
    for told in [
        "an ask of another node was refused",
        "an ask of another node was not understood",
    ] {
        minutes.have(log.matches(told).count(), 1);
    }
}
