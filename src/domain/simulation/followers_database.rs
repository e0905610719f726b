//! API-M of a followers world: one history of changes and one list of who follows, for all nodes of the control plane.
//! What may be written of a follower is what `storage::apim::followers` lets be written.

use std::collections::BTreeMap;

use crate::change_log::{Answer, Log, Position, Registered, Word, answer};

/// A registration is on its way for so long at most.
const ON_ITS_WAY_MS: i64 = 10_000;

/// Rows by name.
pub(super) type Rows = BTreeMap<String, Registered>;

#[derive(Debug)]
pub(super) struct Database {
    /// All entries that ever were, each with its number and the one before it: its place here is its uuid.
    entries: Vec<(u64, Option<usize>)>,
    history: Vec<usize>,
    pub(super) rows: Rows,
    /// What a backup has: so much of the history, and the rows.
    backup: (usize, Rows),
    /// Its wall clock shows so much more than the time that passed.
    pub(super) ahead_ms: i64,
    pub(super) down_until_ms: i64,
}

// === impl Database ===

impl Database {
    pub(super) fn new(ahead_ms: i64) -> Self {
        Self {
            entries: Vec::new(),
            history: Vec::new(),
            rows: Rows::new(),
            backup: (0, Rows::new()),
            ahead_ms,
            down_until_ms: 0,
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.history.len() as u64
    }

    /// How many entries there ever were: the uuid of the next one.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn commit(&mut self) -> Position {
        let before = self.history.last().copied();
        self.history.push(self.entries.len());
        self.entries.push((self.head(), before));
        self.at(self.head())
    }

    /// The position of an entry of this history.
    pub(super) fn at(&self, n: u64) -> Position {
        let id = n.checked_sub(1).and_then(|place| self.id(place));
        id.map_or_else(Position::default, |id| Position::new(n, id.to_string()))
    }

    fn id(&self, place: u64) -> Option<usize> {
        self.history.get(usize::try_from(place).unwrap()).copied()
    }

    /// Up to which entry of this history a state has it that is true at a position of any history.
    pub(super) fn common(&self, at: &Position) -> u64 {
        let mut next = at.uuid.parse().ok();
        while let Some(id) = next {
            let (n, before) = self.entries[id];
            if self.id(n - 1) == Some(id) {
                return n;
            }
            next = before;
        }
        0
    }

    /// What it has of a position of this number.
    pub(super) fn log(&self, n: u64) -> Log {
        let place = n.checked_sub(1);
        let id = place.and_then(|place| self.id(place));
        Log {
            head: self.head(),
            tail: 1,
            uuid_at_follower: id.map(|id| id.to_string()),
        }
    }

    /// What comes after a position.
    pub(super) fn after(&self, at: &Position) -> Result<Vec<Position>, Answer> {
        match answer(&self.log(at.n), at, 100) {
            Answer::UpToDate => Ok(Vec::new()),
            Answer::Entries { from, to } => Ok((from..=to).map(|n| self.at(n)).collect()),
            other => Err(other),
        }
    }

    /// Registers a follower; whether it did.
    pub(super) fn save(&mut self, word: &Word, moment_ms: i64) -> bool {
        let is_later =
            |row: &Registered| row.incarnation > word.incarnation && row.fenced_at_ms.is_none();
        let has_just_left = |row: &Registered| {
            let since_ms = moment_ms - ON_ITS_WAY_MS;
            row.incarnation == word.incarnation && row.left_at_ms.is_some_and(|at| at >= since_ms)
        };
        let row = self.rows.get(&word.name);
        if row.is_some_and(|row| is_later(row) || has_just_left(row)) {
            return false;
        }
        self.put(word, moment_ms, None);
        true
    }

    /// Notes that a follower leaves; whether it did.
    pub(super) fn leave(&mut self, word: &Word, moment_ms: i64) -> bool {
        let row = self.rows.get(&word.name);
        if row.is_some_and(|row| row.incarnation > word.incarnation) {
            return false;
        }
        self.put(word, moment_ms, Some(moment_ms));
        true
    }

    /// Fences a follower, unless it has registered since it was read; whether it did.
    pub(super) fn fence(&mut self, name: &str, registered_at_ms: i64, moment_ms: i64) -> bool {
        let row = self.rows.get_mut(name);
        let is_it = |row: &&mut Registered| {
            row.registered_at_ms == registered_at_ms && row.fenced_at_ms.is_none()
        };
        let row = row.filter(is_it);
        let is_fenced = row.is_some();
        if let Some(row) = row {
            row.fenced_at_ms = Some(moment_ms);
        }
        is_fenced
    }

    pub(super) fn back_up(&mut self) {
        self.backup = (self.history.len(), self.rows.clone());
    }

    /// Goes on from the backup.
    pub(super) fn restore(&mut self) {
        self.history.truncate(self.backup.0);
        self.rows = self.backup.1.clone();
    }

    fn put(&mut self, word: &Word, moment_ms: i64, left_at_ms: Option<i64>) {
        let row = Registered {
            name: word.name.clone(),
            kind: word.kind,
            incarnation: word.incarnation,
            registered_at_ms: moment_ms,
            fenced_at_ms: left_at_ms,
            left_at_ms,
        };
        self.rows.insert(word.name.clone(), row);
    }
}
