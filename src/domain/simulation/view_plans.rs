//! What may happen to several members besides what happens to one owner, and the plans that their worlds run with.

use super::kernel::Network;
use super::ledger_world::Plan;
use crate::policy::{TimeUnit, WindowKind};
use crate::window::WindowSpec;

/// Chances in a thousand, each second, unless it says otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Cluster {
    /// Shards that the keys are spread over; none where each key is a shard.
    pub(super) shards: usize,
    /// A member hands over, stops in order and comes back.
    pub(super) leaves: u64,
    /// One, three or five nodes vote from now on.
    pub(super) voter_changes: u64,
    /// An operator gives up what a node held.
    pub(super) forgets: u64,
    /// A node begins a life without having been down: an actor failed.
    pub(super) seat_restarts: u64,
    pub(super) hung_disks: u64,
    /// Requests come in bursts.
    pub(super) bursts: bool,
    /// Owner and standby of a shard are cut off together with a gateway, while the owner's disk hangs.
    pub(super) hung_pairs: u64,
    /// A node that was down comes back without its ledger's rows, and with what it promised as a voter; in a thousand
    /// times.
    pub(super) lost_disks: u64,
    pub(super) resets: u64,
    /// Pauses last up to so long.
    pub(super) pause_ms: i64,
    pub(super) gateway_cuts: u64,
    /// Policies reach nodes and gateways one by one.
    pub(super) late_policies: bool,
    /// No faults in the last milliseconds: everything has to go on by itself.
    pub(super) calm_ms: i64,
    /// Faults come by chance once in so many milliseconds; zero for each second.
    pub(super) faults_ms: i64,
    /// Time that nothing happens in costs nothing.
    pub(super) is_sparse: bool,
    /// The only thing that goes wrong.
    pub(super) fault: Option<Fault>,
    /// T is that of the world, so that what is used after its window's end shows.
    pub(super) is_on_time: bool,
}

/// One fault, from which nothing but time may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Killed,
    Paused,
    Cut,
    CutOneWay,
    CutOff,
    Joined,
    Left,
    ClockStepped,
    ActorFailed,
    DiskHung,
    VotersChanged,
    /// Two faults: two of three hand over at once, and the disk of the third takes nothing for a while.
    TwoLeftAndDiskHung,
    /// Two faults: one is killed, and who alone has what it had hands that over to the third over a slow link, shard beside
    /// shard in many parts.
    OneKilledAndLinkSlow,
}

// === impl Fault ===

impl Fault {
    /// Each that is one alone.
    pub(super) const ALL: [Self; 11] = [
        Self::Killed,
        Self::Paused,
        Self::Cut,
        Self::CutOneWay,
        Self::CutOff,
        Self::Joined,
        Self::Left,
        Self::ClockStepped,
        Self::ActorFailed,
        Self::DiskHung,
        Self::VotersChanged,
    ];
}

// === impl Plan ===

impl Plan {
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

    /// Members come and go, voters change, operators act, disks hang, actors fail, policies come late; then a calm, in
    /// which all has to go on.
    pub(super) fn changing(mut self) -> Self {
        self.keys.push((20, WindowSpec::new(TimeUnit::Sec, 10)));
        self.keys.push((60, WindowSpec::new(TimeUnit::Hour, 2)));
        (self.members, self.voters) = (3, 5);
        self.blackouts = 20;
        self.cluster = Cluster {
            shards: 3,
            leaves: 60,
            voter_changes: 60,
            forgets: 30,
            seat_restarts: 40,
            hung_disks: 20,
            lost_disks: 200,
            resets: 30,
            pause_ms: 30_000,
            gateway_cuts: 100,
            late_policies: true,
            calm_ms: 15_000,
            ..Cluster::default()
        };
        self
    }

    /// Pairs are lost with what they held, and come back late.
    pub(super) fn losing(mut self) -> Self {
        self.keys = vec![
            (9, WindowSpec::new(TimeUnit::Sec, 10)),
            (40, WindowSpec::new(TimeUnit::Sec, 30)),
            (120, WindowSpec::new(TimeUnit::Hour, 1)),
            (300, WindowSpec::new(TimeUnit::Day, 1)),
        ];
        self.blackouts = 60;
        (self.node_crashes, self.node_pauses, self.cuts) = (20, 20, 50);
        (self.members, self.voters) = (5, 5);
        self.limit_changes = 0;
        self
    }

    /// Windows that slide, buckets and a fixed one: pairs are cut off with a gateway while a disk hangs, and go on.
    pub(super) fn sliding(mut self) -> Self {
        let counted = |unit, count, kind| WindowSpec::new(unit, count).counted(kind);
        self.keys = vec![
            (1, counted(TimeUnit::Sec, 5, WindowKind::Sliding)),
            (6, counted(TimeUnit::Sec, 10, WindowKind::Sliding)),
            (150, counted(TimeUnit::Sec, 10, WindowKind::Sliding)),
            (150, counted(TimeUnit::Sec, 10, WindowKind::Bucket)),
            (30, counted(TimeUnit::Hour, 1, WindowKind::Sliding)),
            (150, WindowSpec::new(TimeUnit::Sec, 10)),
        ];
        self.members = 5;
        self.voters = 5;
        (self.node_crashes, self.node_pauses, self.cuts) = (20, 20, 50);
        (self.splits, self.clock_steps_back) = (20, 100);
        self.limit_changes = 0;
        (self.cluster.hung_disks, self.cluster.hung_pairs) = (20, 150);
        self.cluster.resets = 300;
        self.cluster.bursts = true;
        self
    }

    /// The same by clocks that are right, so that what is used after its window's end shows.
    pub(super) fn on_time(mut self) -> Self {
        self.clock_steps_back = 0;
        self.cluster.is_on_time = true;
        self
    }

    /// One thing goes wrong among three members, under twice the load.
    pub(super) fn one(fault: Fault) -> Self {
        let window = WindowSpec::new(TimeUnit::Sec, 10);
        let mut plan = Self::calm_and_shared();
        plan.keys = vec![
            (1, window),
            (3, window),
            (10, window),
            (200, window),
            (200, WindowSpec::new(TimeUnit::Hour, 1)),
        ];
        plan.pace_ms = 20;
        plan.length_ms = 80_000;
        if fault == Fault::VotersChanged {
            plan.voters = 5;
        }
        plan.cluster.fault = Some(fault);
        if fault == Fault::TwoLeftAndDiskHung {
            // Some lie with just the two that leave, so the third's disk has to take them.
            plan.keys = vec![(200, WindowSpec::new(TimeUnit::Hour, 1)); 12];
            plan.pace_ms = 40;
        }
        if fault == Fault::OneKilledAndLinkSlow {
            plan.keys = vec![(200, WindowSpec::new(TimeUnit::Hour, 1)); 36];
            plan.cluster.shards = 12;
            (plan.pace_ms, plan.length_ms) = (200, 60_000);
        }
        plan
    }

    /// The same of windows that slide, and of buckets.
    pub(super) fn sliding_sparse(hours: i64) -> Self {
        let mut plan = Self::sparse(hours);
        let kinds = [WindowKind::Sliding, WindowKind::Bucket];
        for ((_, window), kind) in plan.keys.iter_mut().zip(kinds.into_iter().cycle()) {
            *window = window.counted(kind);
        }
        plan
    }

    /// Hours, in which something goes wrong now and then.
    pub(super) fn sparse(hours: i64) -> Self {
        Self {
            keys: vec![
                (3, WindowSpec::new(TimeUnit::Min, 1)),
                (40, WindowSpec::new(TimeUnit::Min, 10)),
                (150, WindowSpec::new(TimeUnit::Hour, 1)),
                (700, WindowSpec::new(TimeUnit::Hour, 5)),
            ],
            length_ms: hours * 3_600_000,
            pace_ms: 10_000,
            network: Network {
                lost: 20,
                repeated: 20,
                slow: 20,
                usual_ms: 20,
                slow_ms: 1_500,
            },
            pauses: 1,
            node_crashes: 60,
            node_pauses: 40,
            cuts: 60,
            splits: 10,
            blackouts: 15,
            gateway_crashes: 10,
            limit_changes: 10,
            clock_steps_back: 10,
            disk_ms: 100,
            cluster: Cluster {
                shards: 2,
                leaves: 20,
                voter_changes: 10,
                forgets: 2,
                seat_restarts: 10,
                hung_disks: 10,
                resets: 5,
                pause_ms: 30_000,
                gateway_cuts: 20,
                faults_ms: 600_000,
                is_sparse: true,
                ..Cluster::default()
            },
            ..Self::shared()
        }
    }
}
