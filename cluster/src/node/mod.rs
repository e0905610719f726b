//! The node in its cluster: one actor that owns the table of members, the connections, and what
//! runs below them. It alone knows the cluster library; when it fails, all of it begins anew and
//! the others are dialed again.

mod below;
mod events;
mod links;
mod probe;
mod rivalled;
mod state;
mod undialed;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::address::Address;
use crate::ask::AskError;
use crate::cluster::Cluster;
use crate::hello::{Hello, Refusal};
use crate::members::{Gossip, Timing};
use crate::registry::System;
use crate::security::Security;
use crate::supervisor::{Child, child};
use crate::transport::{Arrival, DialError, Dialed};

pub(crate) use probe::Probe;
use state::Node;

/// What a node needs to join others.
#[derive(Clone)]
pub struct NodeSettings {
    /// The port that others dial, bound already.
    pub listener: Arc<TcpListener>,
    /// The cluster it belongs to; empty for one that looks for its first.
    pub cluster: String,
    /// Whom to dial first.
    pub seeds: Vec<String>,
    /// How nodes speak.
    pub security: Security,
    /// How often peers are probed, and what silence means.
    pub timing: Timing,
    /// The highest version of the protocol that it speaks.
    pub protocol: u16,
    /// Told once what the rest of the node has to know.
    pub told: Arc<dyn Fn(Notice) + Send + Sync>,
}

/// What a node's owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The node belongs to this cluster from now on: to be kept.
    Joined(String),
    /// These members are connected, by the addresses where they are dialed: to be kept, so that a
    /// start finds the others when no seed is there any more.
    Known(BTreeSet<String>),
    /// A member will not have this node, and whether the others will is not known yet.
    Doubted(Refusal),
    /// The cluster will not have this node, and trying again is in vain.
    Refused(Refusal),
}

/// What the node's actor understands.
pub(crate) enum NodeMessage {
    Tick,
    Judge {
        hello: Box<Hello>,
        answer: oneshot::Sender<Result<(u64, Hello), Refusal>>,
    },
    Arrived(Arrival),
    Left(u64),
    Dialed {
        address: String,
        /// What was said in the own hello.
        key: u64,
        result: Result<Box<Dialed>, DialError>,
    },
    /// A connection's session is ready; by its label and its number below.
    Ready {
        label: String,
        session: u64,
    },
    Ended {
        label: String,
    },
    Answered {
        link: u64,
        gossip: Result<Box<Gossip>, AskError>,
    },
    Leave(oneshot::Sender<()>),
}

/// The longest that a leaving node waits for the others to hear of it.
const LEAVING: Duration = Duration::from_secs(2);

/// The way to tell a node that it is about to leave.
#[derive(Debug, Clone)]
pub struct NodeHandle(Address<NodeMessage>);

/// Describes the node's actor. `cluster` shows from then on what it sees.
#[must_use]
pub fn node(system: &System, cluster: &Cluster, settings: NodeSettings) -> (NodeHandle, Child) {
    let arguments = (system.clone(), cluster.clone(), settings);
    let (address, child) = child::<Node>(system, "cluster/node", arguments);
    (NodeHandle(address), child)
}

// === impl NodeSettings ===

impl std::fmt::Debug for NodeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeSettings")
            .field("cluster", &self.cluster)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

impl NodeSettings {
    /// Where the port is.
    ///
    /// # Errors
    /// As the system's.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

// === impl NodeHandle ===

impl NodeHandle {
    /// Tells the others that this node is about to leave: they ask it no more, and do not take its
    /// going for a failure. Returns when they have had the time of two probes to hear it, two seconds
    /// at most, and at once when nobody is there.
    pub async fn leave(&self) {
        let (sender, told) = oneshot::channel();
        if self.0.tell(NodeMessage::Leave(sender)).is_ok() {
            let _ = tokio::time::timeout(LEAVING, told).await;
        }
    }
}
