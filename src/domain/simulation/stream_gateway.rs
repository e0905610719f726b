//! A gateway of the streams world: what it has in memory and on disk, how it follows the log, and what a crash leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Planted;
use super::plight::Plight;
use super::stream_log::{Log, Token, Verdict};
use super::stream_world::{BOUNDS, Machine, Told};
use crate::consumer::Said;
use crate::known_consumers::KnownConsumers;
use crate::open_call::{Patience, Unserved};
use crate::serving_lease::{ServingLease, WhenCutOff};
use crate::validation_cache::{Entry, Hit, Input, Subject, SubjectKind};

/// Consumers that are known at most, and written at once.
const MOST: usize = 5;
const LOT: usize = 2;

/// A call that flows.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) token: Token,
    /// What it rests on.
    pub(super) entry: Arc<Entry<Verdict>>,
    pub(super) patience: Patience,
    /// Which judgement is under way, if one is.
    pub(super) judging: Option<u64>,
    /// Whether it is to be judged once more after that.
    pub(super) again: bool,
}

/// What outlives a crash.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) position: u64,
    rows: BTreeMap<String, Said>,
}

#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) life: u64,
    pub(super) mode: WhenCutOff,
    pub(super) machine: Machine,
    pub(super) cache: BTreeMap<Token, Arc<Entry<Verdict>>>,
    pub(super) consumers: KnownConsumers,
    pub(super) lease: ServingLease,
    pub(super) unserved: Unserved,
    /// When that was last looked at, by its clock.
    pub(super) looked_ms: i64,
    pub(super) streams: BTreeMap<u64, Stream>,
    pub(super) applied: u64,
    pub(super) disk: Disk,
    /// What changes have touched that are not on disk yet; none when a snapshot takes the place of everything.
    unpersisted: Option<Vec<(u64, Subject)>>,
    /// Whether something is on its way to the disk.
    pub(super) persisting: bool,
    /// Whether no key manager answers it, as far as it knows.
    pub(super) silent: bool,
    pub(super) plight: Plight,
    planted: Option<Planted>,
}

// === impl Stream ===

impl Stream {
    pub(super) fn is_touched(&self, now_ms: i64) -> bool {
        matches!(self.entry.hit(now_ms), Hit::Touched)
    }
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn new(mode: WhenCutOff, planted: Option<Planted>, plight: Plight) -> Self {
        Self {
            life: 0,
            mode,
            machine: Machine::new(BOUNDS, 0, 0),
            cache: BTreeMap::new(),
            consumers: known(planted),
            lease: ServingLease::default(),
            unserved: Unserved::default(),
            looked_ms: i64::MAX,
            streams: BTreeMap::new(),
            applied: 0,
            disk: Disk::default(),
            unpersisted: Some(Vec::new()),
            persisting: false,
            silent: false,
            plight,
            planted,
        }
    }

    /// What it takes for the time.
    pub(super) fn clock_ms(&self, now_ms: i64) -> i64 {
        match self.planted {
            Some(Planted::ClockStandsStill) => self.plight.ran_ms(now_ms),
            _ => self.plight.clock_ms(now_ms),
        }
    }

    /// Whether calls may be served (S1, S5), by its clock.
    pub(super) fn is_served(&self, clock_ms: i64) -> bool {
        let goes_on = self.mode == WhenCutOff::Serve && self.lease.is_cut_off();
        clock_ms < self.lease.until_ms() || goes_on
    }

    /// What cached entries rest on is touched, and consumers forgotten, before requests see the change.
    pub(super) fn apply(&mut self, log: &Log) -> Told {
        let n = self.applied + 1;
        let subjects = log.touched(n);
        self.consumers.touch(&subjects, n);
        if let Some(unpersisted) = &mut self.unpersisted {
            unpersisted.extend(subjects.iter().map(|subject| (n, subject.clone())));
        }
        self.applied = n;
        self.lease.applied(n);
        Input::Applied { n, subjects }
    }

    /// A snapshot takes the place of everything.
    pub(super) fn install(&mut self, n: u64) -> Told {
        self.consumers.clear();
        self.cache.clear();
        self.unpersisted = None;
        self.applied = n;
        self.lease.applied(n);
        Input::Installed { n }
    }

    /// One transaction: the position, and without the consumers that were touched up to it.
    pub(super) fn persisted(&mut self) {
        self.persisting = false;
        match self.unpersisted.replace(Vec::new()) {
            None => self.disk.rows.clear(),
            Some(_) if self.planted == Some(Planted::DiskKeepsTheForgotten) => {}
            Some(touched) => {
                for (n, subject) in touched {
                    let is_touched = |key: &String, said: &Said| match subject.kind {
                        SubjectKind::Client => *key == subject.id,
                        SubjectKind::Application => said.consumer.application_id() == subject.id,
                        _ => false,
                    };
                    let rows = &mut self.disk.rows;
                    rows.retain(|key, said| said.n >= n || !is_touched(key, said));
                }
            }
        }
        self.disk.position = self.applied;
    }

    /// Writes a lot of whom it was told of, between two changes.
    pub(super) fn save(&mut self) {
        for said in self.consumers.take_unsaved(LOT) {
            let key = said.consumer.consumer_key.clone();
            self.disk.rows.insert(key, said);
        }
    }

    /// Only the disk is left; gives how many consumers that has.
    pub(super) fn crash(&mut self) -> usize {
        let said: Vec<Said> = self.disk.rows.values().cloned().collect();
        let read = said.len();
        let position = self.disk.position;
        let plight = std::mem::replace(&mut self.plight, Plight::new(1_000));
        *self = Self {
            life: self.life + 1,
            machine: Machine::new(BOUNDS, position, self.life + 1),
            applied: position,
            disk: std::mem::take(&mut self.disk),
            ..Self::new(self.mode, self.planted, plight)
        };
        self.lease.applied(position);
        self.consumers.load(said);
        read
    }
}

fn known(planted: Option<Planted>) -> KnownConsumers {
    let mut consumers = KnownConsumers::new(MOST);
    consumers.planted = planted;
    consumers
}
