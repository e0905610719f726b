//! The node's part in the agreed view (PROTOCOLS W3): its register and its vote in Carbon, and what it knows to be
//! agreed on. Every node has it, a lone one too, for which a view is of one.

use std::sync::Arc;
use std::time::Duration;

use actors::agreed_view::{
    self, AgreedView, ClaimHandle, FounderArguments, Nodes, founder, holder, register_of_cluster,
};
use actors::register::CarbonRegister;
use actors::traffic_manager::LAYOUT;
use cluster::{Child, Cluster, System};
use domain::view::{Cover, Epoch};
use storage::broker::ledger_state;

use super::databases::Databases;

/// The handles of it.
pub(super) struct Agreed {
    /// What is agreed on.
    pub(super) view: AgreedView,
    /// The ways to other nodes' parts.
    pub(super) nodes: Nodes,
    /// What runs of it.
    pub(super) child: Child,
}

/// How a traffic manager founds the register, and whoever leads those that vote says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counting {
    /// Whether it is a traffic manager.
    pub(super) counts: bool,
    /// Whether it has others to meet first.
    pub(super) has_seeds: bool,
    /// For how long it goes on where nobody can be told that it is there.
    pub(super) hold: Duration,
}

// === impl Agreed ===

impl Agreed {
    /// Describes it; others are served from now on. A node that counts founds the register where nobody has.
    pub(super) async fn describe(
        system: &System,
        databases: &Databases,
        cluster: &Cluster,
        claims: &ClaimHandle,
        counting: Counting,
    ) -> anyhow::Result<Self> {
        let (nodes, carbon) = (Nodes::of(cluster), &databases.carbon);
        let mut read = databases.broker.read().await?;
        let counted_in = ledger_state::counted_in(&mut read).await?;
        let noted_ms = ledger_state::noted(&mut read).await?;
        drop(read);
        let store = CarbonRegister::new(carbon.clone(), &cluster.me().id);
        let link = Arc::new(cluster.clone());
        let (register, shared, register_child) =
            register_of_cluster(system, &nodes, Arc::new(store), link, claims)?;
        cluster.serve(register.door(system));
        let cover = match counting.counts {
            true => Cover::nothing(),
            false => Cover::whole(),
        };
        if let Some(noted_ms) = noted_ms {
            cover.has_used(noted_ms, system.clock.now_ms());
        }
        let Counting {
            counts,
            has_seeds,
            hold,
        } = counting;
        let founding = |view: &AgreedView| {
            let arguments = FounderArguments {
                nodes: nodes.clone(),
                name: cluster.me().name.clone(),
                counts,
                register: register.clone(),
                counted_in: counted_in.map(Epoch::of_number),
                has_seeds,
                agreed: view.clone(),
                claims: claims.clone(),
                carbon: carbon.clone(),
                cover: cover.clone(),
                hold,
                is_asked_here: databases.control.is_some(),
            };
            match counts {
                true => founder(system, arguments).to_vec(),
                false => vec![holder(system, arguments)],
            }
        };
        // The register asks the voter, and the founder the register.
        let more = |view: &AgreedView| {
            let founding = founding(view);
            [register_child].into_iter().chain(founding).collect()
        };
        let voting = (carbon, &cover);
        let (view, child) = agreed_view::component(system, voting, &nodes, &shared, LAYOUT, more);
        Ok(Self { view, nodes, child })
    }
}
