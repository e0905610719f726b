//! The node's part in the agreed view (PROTOCOLS W3): its register and its vote in Carbon, and what it knows to be
//! agreed on. Every node has it, a lone one too, for which a view is of one.

use std::sync::Arc;

use actors::agreed_view::{self, AgreedView, Nodes, register_of_cluster};
use actors::register::CarbonRegister;
use actors::traffic_manager::LAYOUT;
use cluster::{Child, Cluster, Register, System};
use storage::Database;

/// The handles of it.
pub(super) struct Agreed {
    /// What is agreed on.
    pub(super) view: AgreedView,
    /// The ways to other nodes' parts.
    pub(super) nodes: Nodes,
    /// This node's register.
    pub(super) register: Register,
    /// In the order in which they start: the register asks the voter.
    pub(super) children: Vec<Child>,
}

// === impl Agreed ===

impl Agreed {
    /// Describes it; others are served from now on.
    pub(super) fn describe(
        system: &System,
        carbon: &Database,
        cluster: &Cluster,
    ) -> anyhow::Result<Self> {
        let nodes = Nodes::of(cluster);
        let store = CarbonRegister::new(carbon.clone(), "", &cluster.me().id);
        let link = Arc::new(cluster.clone());
        let (register, shared, register_child) =
            register_of_cluster(system, &nodes, Arc::new(store), link)?;
        cluster.serve(register.door(system));
        let (view, child) = agreed_view::component(system, carbon, &nodes, &shared, LAYOUT);
        Ok(Self {
            view,
            nodes,
            register,
            children: vec![child, register_child],
        })
    }
}
