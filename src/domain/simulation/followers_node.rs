//! A follower of a followers world: a gateway with its serving lease, or a traffic manager. It pulls by the machine that
//! production runs; what it applies is on its disk at once.

use std::collections::BTreeSet;

use super::followers_control::Told;
use super::followers_truth::Serves;
use super::plight::Plight;
use crate::change_log::{Follower, Input, Position, Word};
use crate::serving_lease::{FollowerKind, ServingLease, WhenCutOff};

/// What happens at a follower in one of the lives of its process.
#[derive(Debug, Clone)]
pub(super) enum At {
    Tick,
    Round,
    /// What it said, and what it is told.
    Heard(u64, Told),
    Pulled(Input<Position>),
    /// A whole state, and the transfer that asked for it.
    Snapshot(u64, Position),
    /// It is asked to stop, and has given up its lease by then.
    Stops,
}

/// What outlives a crash.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    pub(super) incarnation: u64,
    pub(super) stored: Position,
    /// Whether it ever had a lease, and so was registered.
    // In production a gateway that was not may go by its disk as well, once it has pulled anything.
    pub(super) had_lease: bool,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) kind: FollowerKind,
    /// The life of its process; lives of its node are counted on the disk.
    pub(super) run: u64,
    /// When it starts again, while it does not run; never where that is the highest.
    pub(super) starts_ms: Option<i64>,
    pub(super) plight: Plight,
    pub(super) disk: Disk,
    pub(super) backup: Disk,
    /// The process after which it was put back from that: later ones count lives that were counted before.
    pub(super) put_back_run: u64,
    pub(super) lease: ServingLease,
    pub(super) machine: Follower,
    /// What requests see.
    pub(super) visible: Position,
    /// Whether it was ever known that what it has was the newest.
    pub(super) was_current: bool,
    pub(super) has_left: bool,
    /// What it asked for and was not told; the first answer counts.
    pub(super) open: BTreeSet<u64>,
    numbers: u64,
    /// The head that it was told last.
    pub(super) head: u64,
    /// Until when no word of it reaches a control plane, and none of that reaches it.
    pub(super) mute_until_ms: [i64; 2],
    pub(super) deaf_until_ms: [i64; 2],
    /// Since when nothing has gone wrong between it and that control plane.
    pub(super) well_since_ms: [i64; 2],
}

// === impl Node ===

impl Node {
    pub(super) fn new(name: &str, kind: FollowerKind, plight: Plight) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            run: 0,
            starts_ms: Some(0),
            plight,
            disk: Disk::default(),
            backup: Disk::default(),
            put_back_run: 0,
            lease: ServingLease::default(),
            machine: Follower::resume(Position::default(), 0),
            visible: Position::default(),
            was_current: false,
            has_left: false,
            open: BTreeSet::new(),
            numbers: 0,
            head: 0,
            mute_until_ms: [0; 2],
            deaf_until_ms: [0; 2],
            well_since_ms: [0; 2],
        }
    }

    /// A process begins with what the disk has.
    pub(super) fn begins(&mut self) {
        self.run += 1;
        self.disk.incarnation += 1;
        self.starts_ms = None;
        if self.kind == FollowerKind::Policies {
            self.disk.stored = Position::default();
        }
        self.machine = Follower::resume(self.disk.stored.clone(), self.run << 32);
        self.visible = self.disk.stored.clone();
        self.lease = ServingLease::default();
        self.lease.applied(self.visible.n);
        self.was_current = self.disk.had_lease;
        self.has_left = false;
        self.open.clear();
        self.head = 0;
    }

    /// The process is over; it begins anew then.
    pub(super) fn ends(&mut self, starts_ms: i64) {
        self.run += 1;
        self.starts_ms = Some(starts_ms);
    }

    /// Whether a word of one of its processes can be told from those of this one. It takes longer to put a node back
    /// than a word is on its way.
    pub(super) fn is_told_apart(&self, run: u64, incarnation: u64) -> bool {
        run == self.run || run > self.put_back_run || incarnation != self.disk.incarnation
    }

    pub(super) fn runs(&self) -> bool {
        self.starts_ms.is_none()
    }

    pub(super) fn word(&self) -> Word {
        Word {
            name: self.name.clone(),
            kind: self.kind,
            incarnation: self.disk.incarnation,
            at: self.disk.stored.clone(),
        }
    }

    /// The number of what it asks now.
    pub(super) fn asks(&mut self, clock_ms: i64) -> u64 {
        self.numbers = match self.kind {
            FollowerKind::Calls(_) => self.lease.ask(clock_ms),
            FollowerKind::Policies => self.numbers + 1,
        };
        self.open.insert(self.numbers);
        self.numbers
    }

    pub(super) fn sees(&mut self, at: Position) {
        self.lease.applied(at.n);
        self.visible = at;
    }

    pub(super) fn mode(&self) -> Option<WhenCutOff> {
        match self.kind {
            FollowerKind::Calls(mode) => Some(mode),
            FollowerKind::Policies => None,
        }
    }

    /// By what it serves now, by its clock, if it does (S1, S5).
    pub(super) fn serves(&mut self, clock_ms: i64) -> Option<Serves> {
        let until_ms = self.lease.until_ms();
        self.was_current |= until_ms > i64::MIN;
        self.disk.had_lease |= self.was_current;
        let goes_on = self.mode() == Some(WhenCutOff::Serve) && self.was_current;
        if !self.runs() || self.mode().is_none() || self.has_left {
            None
        } else if clock_ms < until_ms {
            Some(Serves::Current)
        } else {
            (goes_on && self.lease.is_cut_off()).then_some(Serves::Stale)
        }
    }
}
