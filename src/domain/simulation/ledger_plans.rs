//! The plans that a ledger's world is run with.

use super::kernel::Network;
use super::ledger_world::{Plan, WORLD_EPOCH_MS};
use super::view_plans::Cluster;
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

// === impl Plan ===

impl Plan {
    /// Everything goes wrong, not too often.
    pub(super) fn stormy() -> Self {
        Self {
            gateways: 3,
            keys: vec![
                (1, WindowSpec::new(TimeUnit::Sec, 10)),
                (7, WindowSpec::new(TimeUnit::Sec, 5)),
                (400, WindowSpec::new(TimeUnit::Sec, 10)),
                (300, WindowSpec::new(TimeUnit::Hour, 1)),
            ],
            length_ms: 60_000,
            pace_ms: 30,
            network: Network::BAD,
            gateway_crashes: 30,
            owner_restarts: 30,
            limit_changes: 50,
            clock_steps_back: 20,
            pauses: 20,
            put_backs: 50,
            members: 0,
            voters: 0,
            node_crashes: 0,
            node_pauses: 0,
            cuts: 0,
            splits: 0,
            blackouts: 0,
            disk_ms: 50,
            planted: None,
            cluster: Cluster::default(),
        }
    }

    /// Nothing goes wrong, and demand is twice the limit.
    pub(super) fn calm(limit: u64, window: WindowSpec, windows: i64) -> Self {
        let length_ms = window.at(WORLD_EPOCH_MS).length_ms();
        let pace_ms = (length_ms / i64::try_from(limit * 2).unwrap()).max(1);
        Self {
            gateways: 3,
            keys: vec![(limit, window)],
            length_ms: length_ms * windows,
            pace_ms,
            network: Network::GOOD,
            gateway_crashes: 0,
            owner_restarts: 0,
            limit_changes: 0,
            clock_steps_back: 0,
            pauses: 0,
            put_backs: 20,
            members: 0,
            voters: 0,
            node_crashes: 0,
            node_pauses: 0,
            cuts: 0,
            splits: 0,
            blackouts: 0,
            disk_ms: 50,
            planted: None,
            cluster: Cluster::default(),
        }
    }
}
