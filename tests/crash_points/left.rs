//! A client that a crash left between its making and its mapping: only a node that ended there leaves
//! one, so the part that takes it over begins behind such an end.

use super::base::Copy;
use super::parts::{Prepared, Scenario, Step};
use crate::support::node::Node;

/// The part that takes it over.
pub const LEFT: &str = "left";

/// Ends a node on this data where it has made a client and not mapped it.
pub async fn leave(copy: &Copy, prepared: &Prepared) {
    let point = "apim.application_keys.create:1".to_owned();
    let options = copy.options(Some(("HEADGATE_CRASH_AT", point)));
    let mut node = Node::start_with(options).await;
    let order = prepared.order_of_keys().call(&node, &prepared.token);
    let answered = order.try_send().await;
    assert!(answered.is_err(), "it ends before it answers");
    assert!(node.aborts_within(10).await, "it ends");
}

// === impl Scenario ===

impl Scenario<'_> {
    pub async fn left(&self) -> Step<()> {
        let order = self.prepared.order_of_keys();
        self.send(&order.method, &order.path, order.body).await?;
        Ok(())
    }
}
