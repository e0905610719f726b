//! The database behind a change log's world: rows, entries, a row lock for the head, backups. What is committed stays
//! committed, unless a backup is restored.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::Planted;
use crate::change_log::{Answer, Log, Numbered, Position, answer};

/// What entries change: each row has the hash of the last entry that saved it.
pub(super) type Rows = BTreeMap<u8, u64>;

/// An entry of the world's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) n: u64,
    pub(super) uuid: String,
    pub(super) row: u8,
    /// Or else changes it.
    pub(super) removes: bool,
}

/// What is durable.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) rows: Rows,
    pub(super) entries: BTreeMap<u64, Change>,
    /// The last entry, which outlives pruning.
    pub(super) head: Position,
}

/// The database, and who writes to it just now.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) stored: Stored,
    pub(super) backup: Stored,
    /// The writer that holds the lock on the head, and those who wait for it (C1).
    holder: Option<usize>,
    waiting: VecDeque<usize>,
    /// Restored so often: transactions from before are gone.
    pub(super) restores: u64,
}

impl Change {
    pub(super) fn apply(&self, rows: &mut Rows) {
        if self.removes {
            rows.remove(&self.row);
            return;
        }
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(self.uuid.as_bytes());
        rows.insert(self.row, hasher.finish());
    }
}

impl Numbered for Change {
    fn n(&self) -> u64 {
        self.n
    }

    fn uuid(&self) -> &str {
        &self.uuid
    }
}

impl Stored {
    fn empty() -> Self {
        Self {
            rows: Rows::new(),
            entries: BTreeMap::new(),
            head: Position::default(),
        }
    }

    fn log(&self, n: u64) -> Log {
        let kept = self.entries.first_key_value().map(|(n, _)| *n);
        Log {
            head: self.head.n,
            tail: kept.unwrap_or(self.head.n + 1),
            uuid_at_follower: self.entries.get(&n).map(|entry| entry.uuid.clone()),
        }
    }

    /// What a pull gets, by the rules under test.
    pub(super) fn pulled(
        &self,
        after: &Position,
        most: u64,
        planted: Option<Planted>,
    ) -> (Answer, Vec<Change>) {
        let mut log = self.log(after.n);
        if planted == Some(Planted::IgnoreUuid)
            && let Some(uuid) = &mut log.uuid_at_follower
        {
            uuid.clone_from(&after.uuid);
        }
        let answer = answer(&log, after, most);
        let entries = match answer {
            Answer::Entries { from, to } => self.entries.range(from..=to),
            Answer::UpToDate | Answer::Snapshot { .. } => self.entries.range(0..0),
        };
        (answer, entries.map(|(_, entry)| entry.clone()).collect())
    }

    /// Keeps the youngest entries only.
    pub(super) fn prune(&mut self, keep: usize) {
        while self.entries.len() > keep {
            self.entries.pop_first();
        }
    }
}

impl Database {
    pub(super) fn new() -> Self {
        Self {
            stored: Stored::empty(),
            backup: Stored::empty(),
            holder: None,
            waiting: VecDeque::new(),
            restores: 0,
        }
    }

    /// The last statement before the commit: whether the writer has the head's row now; else it waits for it (C1).
    pub(super) fn lock(&mut self, writer: usize) -> bool {
        if self.holder.is_some() {
            self.waiting.push_back(writer);
            return false;
        }
        self.holder = Some(writer);
        true
    }

    /// The holder's transaction ended; gives the next holder.
    pub(super) fn unlock(&mut self) -> Option<usize> {
        self.holder = self.waiting.pop_front();
        self.holder
    }

    pub(super) fn commit(&mut self, change: Change) {
        change.apply(&mut self.stored.rows);
        if change.n > self.stored.head.n {
            self.stored.head = Position::of(&change);
        }
        self.stored.entries.insert(change.n, change);
    }

    pub(super) fn back_up(&mut self) {
        self.backup = self.stored.clone();
    }

    pub(super) fn restore(&mut self) {
        self.stored = self.backup.clone();
        self.holder = None;
        self.waiting.clear();
        self.restores += 1;
    }
}
