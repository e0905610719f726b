//! Nodes of other clusters at the cluster port, hundreds of them: refused and counted, told of in short, and
//! members do not notice.

use crate::cluster_tls::{founder, metric};
use crate::hostile_cluster::Pair;
use crate::support::eventually;
use crate::support::stranger::{SPOKEN, Stranger, hello_of};

const MANY: u64 = 300;
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
            let came = Stranger::over_tls(&address, &pair.traffic.dir, shown).await;
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
    pair.withstands(0, attack(MANY)).await;
    eventually(10, "all are counted", || async {
        (metric(&pair.control, REFUSED).await >= before + MANY).then_some(())
    })
    .await;
    let log = pair.control.log();
    let told = log
        .matches("a node of another authority was refused")
        .count();
    assert!((1..=3).contains(&told), "told {told} times");
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
    let length = pair.control.log().len();
    pair.withstands(0, attack(MANY)).await;
    assert!(metric(&pair.control, REFUSED).await >= before + MANY);
    let log = pair.control.log();
    let told = log[length..].matches("belongs to another cluster").count();
    assert!(told < 30, "told {told} times of {MANY}");
}
