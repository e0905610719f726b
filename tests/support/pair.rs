//! Two members that do a cluster's work while strangers attack the port of either.

use std::path::PathBuf;

use super::attacked::Attacked;
use super::minutes::Minutes;
use super::node::Node;
use super::work::Work;
use crate::cluster::{CONTROL, options};
use crate::cluster_tls::{founder, joining, token};

/// Roles of the second one.
pub const GATEWAY: &str = "gateway,traffic-manager";

/// The two: a control plane, and a gateway with a traffic manager.
pub struct Pair {
    pub control: Node,
    pub gateway: Node,
    /// Whose certificate strangers show; none in the clear.
    pub stolen: Option<PathBuf>,
    pub work: Work,
    /// Since before they were started.
    pub minutes: Minutes,
}

// === impl Pair ===

impl Pair {
    pub async fn in_the_clear() -> Self {
        let minutes = Minutes::start();
        let control = Node::start_with(options("cp1", CONTROL, "")).await;
        let seed = control.cluster_address();
        let gateway = Node::start_with(options("gw1", GATEWAY, &seed)).await;
        Self::of(control, gateway, (None, minutes)).await
    }

    pub async fn over_tls() -> Self {
        let minutes = Minutes::start();
        let control = founder("cp1").await;
        let join = joining("gw1", GATEWAY, &token(&control));
        let gateway = Node::start_with(join).await;
        let stolen = Some(gateway.dir.clone());
        Self::of(control, gateway, (stolen, minutes)).await
    }

    async fn of(
        control: Node,
        gateway: Node,
        (stolen, minutes): (Option<PathBuf>, Minutes),
    ) -> Self {
        let work = Work::begin(&control, &gateway).await;
        Self {
            control,
            gateway,
            stolen,
            work,
            minutes,
        }
    }

    /// The control plane's port.
    pub const fn at_control(&self) -> Attacked<'_> {
        let node = &self.control;
        Attacked { pair: self, node }
    }

    /// The gateway's.
    pub const fn at_gateway(&self) -> Attacked<'_> {
        let node = &self.gateway;
        Attacked { pair: self, node }
    }
}
