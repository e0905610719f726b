//! What the session layer below says, put into messages.

use ractor_cluster::NodeEventSubscription;
use ractor_cluster::node::NodeServerSessionInformation;

use super::NodeMessage;
use crate::address::Address;
use crate::bulk::{BulkHello, Carrier};
use crate::cluster::Cluster;
use crate::hello::{Hello, Refusal};
use crate::transport::{Arrival, Gate};

/// Hears of sessions.
pub(super) struct Events(pub(super) Address<NodeMessage>);

/// Stands at the accept loop.
#[derive(Clone)]
pub(super) struct Porter(pub(super) Address<NodeMessage>, pub(super) Cluster);

// === impl Events ===

impl NodeEventSubscription for Events {
    fn node_session_opened(&self, _session: NodeServerSessionInformation) {}

    fn node_session_authenticated(&self, _session: NodeServerSessionInformation) {}

    // The label of a connection stands where others have a peer's address.
    fn node_session_ready(&self, session: NodeServerSessionInformation) {
        let _ = self.0.tell(NodeMessage::Ready {
            label: session.peer_addr,
            session: session.node_id,
        });
    }

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        let label = session.peer_addr;
        let _ = self.0.tell(NodeMessage::Ended { label });
    }
}

// === impl Porter ===

impl Gate for Porter {
    async fn judge(&self, hello: Hello) -> Result<(u64, Hello), Refusal> {
        let (answer, judged) = tokio::sync::oneshot::channel();
        let hello = Box::new(hello);
        let told = self.0.tell(NodeMessage::Judge { hello, answer });
        if told.is_err() {
            return Err(Refusal::Forming);
        }
        judged.await.unwrap_or(Err(Refusal::Forming))
    }

    fn arrived(&self, arrival: Arrival) {
        let _ = self.0.tell(NodeMessage::Arrived(arrival));
    }

    fn left(&self, link: u64) {
        let _ = self.0.tell(NodeMessage::Left(link));
    }

    // The node's actor has nothing to do with it: this connection rests on one that it knows.
    async fn carrier(&self, hello: BulkHello) -> Result<Carrier, &'static str> {
        Carrier::find(&self.1, &hello).await
    }
}
