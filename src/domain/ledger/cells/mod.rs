//! The cells of a shard, by key: of a million keys nearly all are in a state that takes little (`plain`), and what they
//! have in common is kept once (`pool`). Whoever uses a cell gets it whole, and puts it back.

mod plain;
mod pool;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use self::plain::{Plain, Pools};
use self::subject::Subject;
use super::cell::Cell;
use super::message::CellKey;
use super::policy::Quota;
use super::round::Round;
use super::steady::{CountsUntil, Instant};
use crate::window::Window;

/// Rows that are allocated together.
const CHUNK: usize = 32;

/// All cells of a shard.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// Without gaps.
    rows: Vec<Vec<Row>>,
    len: usize,
    /// Hashes of keys with their rows: a hash may be that of several.
    places: BTreeSet<(u32, u32)>,
    /// How many cells count until when.
    ends: BTreeMap<CountsUntil, usize>,
    pools: Pools,
    /// Whoever chooses keys does not know where they go. Nothing else depends on it.
    hashes: RandomState,
}

#[derive(Debug)]
enum Row {
    Plain(Plain),
    Whole(Box<(CellKey, Cell)>),
}

/// What is known of a cell at a glance.
#[derive(Debug)]
pub(super) struct Glance<'a> {
    pub(super) tenant: &'a str,
    pub(super) policy: &'a str,
    pub(super) window: Window,
    pub(super) quota: Quota,
    pub(super) lost: bool,
    pub(super) lag_ms: i64,
}

// === impl Cells ===

impl Cells {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn contains(&self, key: &CellKey) -> bool {
        self.find(key).is_some()
    }

    /// The window of a key's cell.
    pub(super) fn window(&self, key: &CellKey) -> Option<Window> {
        let (_, place) = self.find(key)?;
        self.glance(self.row(place)?).map(|glance| glance.window)
    }

    /// A key's cell as it is now; what is changed in it counts once it is [`Self::put`] back.
    pub(super) fn get(&self, key: &CellKey) -> Option<Cell> {
        let (_, place) = self.find(key)?;
        self.row(place)?.cell(&self.pools)
    }

    /// Keeps a cell, in place of the one that the key had.
    pub(super) fn put(&mut self, key: &CellKey, cell: Cell) {
        let end = CountsUntil::of(cell.window, cell.lag_ms);
        let row = match Plain::of(key, &cell, &mut self.pools) {
            Some(plain) => Row::Plain(plain),
            None => Row::Whole(Box::new((key.clone(), cell))),
        };
        *self.ends.entry(end).or_default() += 1;
        match self.find(key) {
            Some((_, place)) => {
                let before = self.row_mut(place).map(|old| std::mem::replace(old, row));
                if let Some(before) = before {
                    self.is_over(&before);
                }
            }
            None => self.push(self.hash(key), row),
        }
    }

    /// Gives a key's cell away.
    pub(super) fn remove(&mut self, key: &CellKey) -> Option<Cell> {
        let (hash, place) = self.find(key)?;
        let row = self.take_out(hash, place)?;
        let cell = row.cell(&self.pools);
        self.is_over(&row);
        cell
    }

    pub(super) fn clear(&mut self) {
        let hashes = std::mem::take(&mut self.hashes);
        *self = Self {
            hashes,
            ..Self::default()
        };
    }

    /// The keys of cells that look so, in order.
    pub(super) fn keys(&self, is_wanted: impl Fn(&Glance<'_>) -> bool) -> Vec<CellKey> {
        let rows = self.rows.iter().flatten();
        let wanted = rows.filter(|row| self.glance(row).is_some_and(|glance| is_wanted(&glance)));
        let mut keys: Vec<CellKey> = wanted.filter_map(|row| row.key(&self.pools)).collect();
        keys.sort_unstable();
        keys
    }

    /// The cells of keys after this one, of all without one, in order.
    pub(super) fn after(&self, key: Option<&CellKey>) -> impl Iterator<Item = (CellKey, Cell)> {
        let rows = self.rows.iter().flatten();
        let rows = rows.filter_map(|row| Some((row.key(&self.pools)?, row)));
        let mut rows: Vec<(CellKey, &Row)> = rows
            .filter(|(of, _)| key.is_none_or(|key| of > key))
            .collect();
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let rows = rows.into_iter();
        rows.filter_map(|(key, row)| Some((key, row.cell(&self.pools)?)))
    }

    /// All cells, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (CellKey, Cell)> {
        self.after(None)
    }

    /// The recall round of a key that goes on.
    pub(super) fn round(&self, key: &CellKey) -> Option<&Round> {
        let (_, place) = self.find(key)?;
        match self.row(place)? {
            Row::Whole(whole) => whole.1.round.as_ref(),
            Row::Plain(_) => None,
        }
    }

    /// The same, to be changed where it is.
    pub(super) fn round_mut(&mut self, key: &CellKey) -> Option<&mut Round> {
        let (_, place) = self.find(key)?;
        match self.row_mut(place)? {
            Row::Whole(whole) => whole.1.round.as_mut(),
            Row::Plain(_) => None,
        }
    }

    /// No recall round goes on.
    pub(super) fn end_rounds(&mut self) {
        let rows = self.rows.iter().flatten();
        let has_round = |row: &&Row| matches!(row, Row::Whole(whole) if whole.1.round.is_some());
        let keys: Vec<CellKey> = rows
            .filter(has_round)
            .filter_map(|row| row.key(&self.pools))
            .collect();
        for key in keys {
            if let Some(mut cell) = self.get(&key) {
                cell.round = None;
                self.put(&key, cell);
            }
        }
    }

    /// Until when a key's cell counts.
    pub(super) fn counts_until(&self, key: &CellKey) -> Option<CountsUntil> {
        let (_, place) = self.find(key)?;
        let glance = self.glance(self.row(place)?)?;
        Some(glance.counts_until())
    }

    /// In which T the first cell counts no more.
    pub(super) fn first_end_ms(&self, now: Instant) -> Option<i64> {
        let of_fixed = self.ends.keys().next();
        let of_steady = self.ends.range(CountsUntil::STEADY..).next();
        let of_steady = of_steady.map(|(end, _)| end);
        let ends = of_fixed.into_iter().chain(of_steady);
        ends.map(|end| end.at_ms(now)).min()
    }

    /// Forgets the cells that count no more by then; gives the recall rounds that end with them.
    pub(super) fn end(&mut self, by: Instant) -> Vec<(i64, CellKey)> {
        if self.first_end_ms(by).is_none_or(|end_ms| by.t_ms < end_ms) {
            return Vec::new();
        }
        let is_over = |row: &&Row| {
            self.glance(row)
                .is_some_and(|at| at.counts_until().is_over(by))
        };
        let over = self.rows.iter().flatten().filter(is_over);
        let rounds = over.filter_map(|row| match row {
            Row::Whole(whole) => Some((whole.1.round.as_ref()?.until_ms, whole.0.clone())),
            Row::Plain(_) => None,
        });
        let rounds = rounds.collect();
        // Those of one policy end together, mostly as many as there are.
        if self.ends.keys().all(|end| end.is_over(by)) {
            self.clear();
        } else {
            for key in self.keys(|glance| glance.counts_until().is_over(by)) {
                self.remove(&key);
            }
        }
        rounds
    }

    fn glance<'a>(&'a self, row: &'a Row) -> Option<Glance<'a>> {
        Some(match row {
            Row::Plain(plain) => {
                let term = self.pools.terms.get(plain.term)?;
                Glance {
                    tenant: &term.tenant,
                    policy: &term.policy,
                    window: term.window,
                    quota: term.quota,
                    lost: plain.lost,
                    lag_ms: term.lag_ms,
                }
            }
            Row::Whole(whole) => {
                let (key, cell) = &**whole;
                Glance {
                    tenant: &key.tenant,
                    policy: &key.policy,
                    window: cell.window,
                    quota: cell.quota,
                    lost: cell.lost,
                    lag_ms: cell.lag_ms,
                }
            }
        })
    }

    fn hash(&self, key: &CellKey) -> u32 {
        self.hash_of(&key.tenant, &key.policy, &Subject::of(&key.key))
    }

    fn hash_of(&self, tenant: &str, policy: &str, subject: &Subject) -> u32 {
        let whole = self.hashes.hash_one((tenant, policy, subject));
        u32::try_from(whole >> 32).unwrap_or_default()
    }

    /// Hash and place of a key's row.
    fn find(&self, key: &CellKey) -> Option<(u32, u32)> {
        let subject = Subject::of(&key.key);
        let hash = self.hash_of(&key.tenant, &key.policy, &subject);
        let mut places = self.places.range((hash, 0)..=(hash, u32::MAX));
        let is_it = |row: &Row| match row {
            Row::Plain(plain) => {
                let term = self.pools.terms.get(plain.term);
                plain.subject == subject
                    && term
                        .is_some_and(|term| term.policy == key.policy && term.tenant == key.tenant)
            }
            Row::Whole(whole) => whole.0 == *key,
        };
        let found = places.find(|(_, place)| self.row(*place).is_some_and(is_it));
        found.copied()
    }

    fn row(&self, place: u32) -> Option<&Row> {
        let place = usize::try_from(place).ok()?;
        self.rows.get(place / CHUNK)?.get(place % CHUNK)
    }

    fn row_mut(&mut self, place: u32) -> Option<&mut Row> {
        let place = usize::try_from(place).ok()?;
        self.rows.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }

    fn push(&mut self, hash: u32, row: Row) {
        // The bound on the keys of a shard lies far below.
        let Ok(place) = u32::try_from(self.len) else {
            return;
        };
        if self.len.is_multiple_of(CHUNK) {
            self.rows.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.rows.last_mut() {
            chunk.push(row);
            self.len += 1;
            self.places.insert((hash, place));
        }
    }

    /// Takes a row out; the last one comes into its place.
    fn take_out(&mut self, hash: u32, place: u32) -> Option<Row> {
        let chunk = self.rows.last_mut()?;
        let last = chunk.pop()?;
        if chunk.is_empty() {
            self.rows.pop();
        }
        self.len -= 1;
        self.places.remove(&(hash, place));
        let last_place = u32::try_from(self.len).ok()?;
        if last_place == place {
            return Some(last);
        }
        let moved = last.key(&self.pools).map(|key| self.hash(&key))?;
        self.places.remove(&(moved, last_place));
        self.places.insert((moved, place));
        self.row_mut(place).map(|row| std::mem::replace(row, last))
    }

    /// A row that is not kept any more uses nothing.
    fn is_over(&mut self, row: &Row) {
        let end = self.glance(row).map(|glance| glance.counts_until());
        if let Some(end) = end
            && let Some(count) = self.ends.get_mut(&end)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.ends.remove(&end);
            }
        }
        if let Row::Plain(plain) = row {
            plain.give_back(&mut self.pools);
        }
    }
}

// === impl Glance ===

impl Glance<'_> {
    fn counts_until(&self) -> CountsUntil {
        CountsUntil::of(self.window, self.lag_ms)
    }
}

// === impl Row ===

impl Row {
    fn cell(&self, pools: &Pools) -> Option<Cell> {
        match self {
            Self::Plain(plain) => plain.cell(pools),
            Self::Whole(whole) => Some(whole.1.clone()),
        }
    }

    fn key(&self, pools: &Pools) -> Option<CellKey> {
        match self {
            Self::Plain(plain) => plain.key(pools),
            Self::Whole(whole) => Some(whole.0.clone()),
        }
    }
}
