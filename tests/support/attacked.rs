//! A member whose port strangers attack, and what is promised of it meanwhile.

use super::eventually;
use super::node::Node;
use super::pair::Pair;
use super::peak::Peak;
use super::stranger::{self, Stranger};
use crate::cluster::members;
use crate::cluster_tls::metric;

/// Resident memory that all strangers together may take, also for a moment, KiB. An allocator keeps some.
pub const TAKEN_KIB: u64 = 16 * 1024;

/// One of the two, whose port is attacked.
#[derive(Clone, Copy)]
pub struct Attacked<'p> {
    pub pair: &'p Pair,
    pub node: &'p Node,
}

// === impl Attacked ===

impl Attacked<'_> {
    pub fn address(&self) -> String {
        self.node.cluster_address()
    }

    /// One that gets as far as a member's first words.
    pub async fn greeted(&self) -> Stranger {
        match &self.pair.stolen {
            None => Stranger::plain(&self.address()).await,
            Some(node) => Stranger::over_tls(&self.address(), node, Some(node))
                .await
                .expect("TLS"),
        }
    }

    async fn turned_away(&self) -> u64 {
        metric(self.node, "headgate_cluster_turned_away_total").await
    }

    /// What is promised of the node, whatever strangers `attack`: the work goes on meanwhile, little memory is taken also for a
    /// moment, members do not notice, and of each attack at least `strangers` are counted. Gives how often they did.
    pub async fn withstands(&self, strangers: u64, attack: impl AsyncFn()) -> u64 {
        let rounds = self.is_bounded(strangers, attack).await;
        for node in [&self.pair.control, &self.pair.gateway] {
            let members = members(node).await;
            assert!(
                members.len() == 2 && members.iter().all(|(_, health)| health == "up"),
                "{members:?}"
            );
            let log = node.log();
            // Two busy processors may make one look silent for a moment, and no more.
            assert!(!log.contains("Down"), "{log}");
        }
        rounds
    }

    /// The same of attacks by members.
    pub async fn is_bounded(&self, strangers: u64, attack: impl AsyncFn()) -> u64 {
        let Pair {
            control,
            gateway,
            work,
            ..
        } = self.pair;
        let counted = self.turned_away().await;
        let peak = Peak::of(self.node);
        let rounds = work.goes_on_during((control, gateway), attack).await;
        // What has ended there is counted there; closing is the last of it.
        eventually(10, "all are counted", || async {
            (self.turned_away().await >= counted + strangers * rounds).then_some(())
        })
        .await;
        peak.is_within(TAKEN_KIB);
        rounds
    }

    /// What came at the port is told once a minute for each reason, not for each.
    pub fn tells_once(&self) {
        let told = stranger::told(self.node);
        assert!(!told.is_empty());
        told.values()
            .for_each(|count| self.pair.minutes.have(*count, 1));
    }
}
