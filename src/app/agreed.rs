//! The node's part in the agreed view (PROTOCOLS W3): its register and its vote in Carbon, and what it knows to be
//! agreed on. Every node has it, a lone one too, for which a view is of one.

use std::sync::Arc;

use actors::agreed_view::{
    self, AgreedView, ClaimHandle, FounderArguments, Nodes, founder, register_of_cluster,
};
use actors::register::CarbonRegister;
use actors::traffic_manager::LAYOUT;
use cluster::{Child, Cluster, System};
use domain::view::Epoch;
use storage::broker::ledger;

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

// === impl Agreed ===

impl Agreed {
    /// Describes it; others are served from now on. A node that `counts` founds the register where nobody has.
    pub(super) async fn describe(
        system: &System,
        databases: &Databases,
        cluster: &Cluster,
        (claims, counts, has_seeds): (&ClaimHandle, bool, bool),
    ) -> anyhow::Result<Self> {
        let (nodes, carbon) = (Nodes::of(cluster), &databases.carbon);
        let mut read = databases.broker.read().await?;
        let counted_in = ledger::counted_in(&mut read).await?;
        drop(read);
        let store = CarbonRegister::new(carbon.clone(), &cluster.me().id);
        let link = Arc::new(cluster.clone());
        let (register, shared, register_child) =
            register_of_cluster(system, &nodes, Arc::new(store), link, claims)?;
        cluster.serve(register.door(system));
        let founder = |view: &AgreedView| {
            let arguments = FounderArguments {
                nodes: nodes.clone(),
                name: cluster.me().name.clone(),
                register,
                counted_in: counted_in.map(Epoch::of_number),
                has_seeds,
                agreed: view.clone(),
                claims: claims.clone(),
            };
            founder(system, arguments)
        };
        // The register asks the voter, and the founder the register.
        let more = |view: &AgreedView| {
            let founder = counts.then(|| founder(view));
            [register_child].into_iter().chain(founder).collect()
        };
        let (view, child) = agreed_view::component(system, carbon, &nodes, &shared, LAYOUT, more);
        Ok(Self { view, nodes, child })
    }
}
