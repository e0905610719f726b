//! The plans that a ledger's world is run with.

use super::kernel::Network;
use super::ledger_world::{Plan, WORLD_EPOCH_MS};
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
        }
    }

    /// Three members that vote, and everything goes wrong with them.
    pub(super) fn shared() -> Self {
        Self {
            members: 3,
            voters: 3,
            node_crashes: 40,
            node_pauses: 40,
            cuts: 150,
            gateway_crashes: 20,
            owner_restarts: 0,
            ..Self::stormy()
        }
    }

    /// Three members, and nothing goes wrong.
    pub(super) fn calm_and_shared() -> Self {
        let window = WindowSpec::new(TimeUnit::Sec, 10);
        Self {
            members: 3,
            voters: 3,
            ..Self::calm(1_000, window, 4)
        }
    }

    /// More of it at once: pairs are lost, and voters are what is left.
    pub(super) fn worse(&mut self) {
        self.node_crashes = 150;
        self.node_pauses = 100;
        self.cuts = 400;
    }

    /// The same with one, three or five voters, of which some only vote.
    pub(super) fn at_its_worst(mut self, seed: u64) -> Self {
        self.worse();
        (self.members, self.voters) = match seed % 4 {
            0 => (1, 1),
            1 => (2, 3),
            2 => (3, 3),
            _ => (3, 5),
        };
        self.clock_steps_back = 200;
        self.disk_ms = 500;
        self.splits = 150;
        self.blackouts = 30;
        self
    }
}
