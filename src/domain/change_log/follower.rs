//! Follows the change log (PROTOCOLS C2, C3, C4): pulls what is new, applies it in order and exactly once, persists,
//! acknowledges, and starts over from a snapshot when its history is not the log's.
//!
//! The driver hands it every message and a tick about every 100 ms, and carries out the effects in their order. It
//! holds no entries itself.

use std::collections::VecDeque;

use super::{Numbered, Position, ResyncReason};
#[cfg(test)]
use crate::simulation::Planted;

/// A pull without an answer for so long has failed.
const PULL_TIMEOUT_MS: i64 = 1_000;
/// Without a hint, ask anyway after so long: broadcasts only make it fast (C4).
const IDLE_POLL_MS: i64 = 1_000;
const BACKOFF_FIRST_MS: i64 = 100;
const BACKOFF_LAST_MS: i64 = 2_000;
/// A snapshot of which there is neither a new chunk nor word that it is still asked for begins anew after so long.
const SNAPSHOT_TIMEOUT_MS: i64 = 5_000;

/// What a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<E> {
    /// A broadcast: the head is `n` (C4). May be late, lost or repeated.
    HeadHint {
        /// The head's number.
        n: u64,
    },
    /// The answer to a pull: the entries after `after`, none if it is up to date.
    Entries {
        /// Echo of the pull.
        after: Position,
        /// In order, without gaps.
        entries: Vec<E>,
        /// The head when they were read.
        head: u64,
    },
    /// The answer to a pull that entries cannot serve: take a snapshot.
    NeedsSnapshot {
        /// Echo of the pull.
        after: Position,
        /// Why.
        reason: ResyncReason,
    },
    /// A piece of a snapshot came.
    SnapshotChunk {
        /// Echo of the transfer's number.
        transfer: u64,
        /// Its place, from 0.
        index: u32,
    },
    /// The next piece is still asked for: the transfer is late, and not over.
    SnapshotWaits {
        /// Echo of the transfer's number.
        transfer: u64,
    },
    /// The snapshot is complete, true at `at`, and had so many chunks.
    SnapshotDone {
        /// Echo of the transfer's number.
        transfer: u64,
        /// The position it is true at.
        at: Position,
        /// How many chunks it has.
        chunks: u32,
    },
    /// What a [`Effect::Persist`] asked for is durable.
    Persisted {
        /// Its position.
        at: Position,
    },
    /// The pull under way failed.
    PullFailed,
    /// The pull from there is still under way: its answer is large and comes slowly.
    PullWaits {
        /// Echo of the pull.
        after: Position,
    },
    /// Time passed.
    Tick,
}

/// What a follower wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<E> {
    /// Ask the log for what comes after.
    Pull {
        /// Where this follower stands.
        after: Position,
    },
    /// Make the entry visible to requests.
    Apply(E),
    /// Make everything up to here durable in Carbon, then say [`Input::Persisted`].
    Persist {
        /// The last position applied.
        at: Position,
    },
    /// Tell the control plane that everything up to `n` is applied and durable (C4, S3).
    Acknowledge {
        /// The number.
        n: u64,
    },
    /// The state held is of no use: log it (loudly if [`ResyncReason::is_alarming`]).
    Resync {
        /// Why.
        reason: ResyncReason,
    },
    /// Ask for a snapshot.
    PullSnapshot {
        /// Number of this transfer; chunks of others are ignored.
        transfer: u64,
    },
    /// Keep this chunk aside.
    StoreChunk {
        /// Its place.
        index: u32,
    },
    /// Replace the whole state by the chunks kept aside, which are true at `at`.
    InstallSnapshot {
        /// The new position.
        at: Position,
    },
}

/// The follower's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    applied: Position,
    acknowledged: u64,
    head: u64,
    /// Positions whose persistence was asked for and not yet reported.
    persisting: VecDeque<Position>,
    pull_sent_ms: Option<i64>,
    next_pull_ms: i64,
    failures: u32,
    transfers: u64,
    snapshot: Option<Transfer>,
    #[cfg(test)]
    pub(crate) planted: Option<crate::simulation::Planted>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Transfer {
    next: u32,
    moved_at_ms: i64,
}

// === impl Follower ===

impl Follower {
    /// A follower that starts from what Carbon holds; `Position::default()` when it holds nothing. Its transfers are
    /// numbered from `transfers + 1`: above those of every earlier life whose chunks may still arrive.
    pub fn resume(persisted: Position, transfers: u64) -> Self {
        Self {
            acknowledged: persisted.n,
            head: persisted.n,
            applied: persisted,
            persisting: VecDeque::new(),
            pull_sent_ms: None,
            next_pull_ms: i64::MIN,
            failures: 0,
            transfers,
            snapshot: None,
            #[cfg(test)]
            planted: None,
        }
    }

    /// The last entry applied.
    pub fn applied(&self) -> &Position {
        &self.applied
    }

    /// The number last acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many entries it has heard of and not applied.
    pub fn behind(&self) -> u64 {
        self.head.saturating_sub(self.applied.n)
    }

    /// Whether the last pull failed, and none has been answered since.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Begins with a snapshot, for whoever keeps nothing and needs little of what the log has.
    pub fn take_snapshot<E>(&mut self, now_ms: i64) -> Vec<Effect<E>> {
        let mut out = Vec::new();
        self.start_transfer(now_ms, &mut out);
        out
    }

    /// Whether everything it has heard of is applied and durable.
    pub fn is_caught_up(&self) -> bool {
        self.snapshot.is_none()
            && self.applied.n >= self.head
            && self.acknowledged == self.applied.n
    }

    /// One step; the effects are to be carried out in order.
    pub fn step<E: Numbered>(&mut self, input: Input<E>, now_ms: i64) -> Vec<Effect<E>> {
        let mut out = Vec::new();
        match input {
            Input::HeadHint { n } => self.hint(n, now_ms, &mut out),
            Input::Entries {
                after,
                entries,
                head,
            } => self.entries(&after, entries, head, now_ms, &mut out),
            Input::NeedsSnapshot { after, reason } => {
                if self.snapshot.is_none() && self.pull_sent_ms.is_some() && after == self.applied {
                    self.resync(reason, now_ms, &mut out);
                }
            }
            Input::SnapshotChunk { transfer, index } => {
                self.chunk(transfer, index, now_ms, &mut out)
            }
            Input::SnapshotWaits { transfer } => {
                if let Some(state) = &mut self.snapshot
                    && transfer == self.transfers
                {
                    state.moved_at_ms = now_ms;
                }
            }
            Input::SnapshotDone {
                transfer,
                at,
                chunks,
            } => self.snapshot_done(transfer, at, chunks, now_ms, &mut out),
            Input::Persisted { at } => self.persisted(&at, &mut out),
            Input::PullFailed => self.pull_failed(now_ms),
            Input::PullWaits { after } => {
                if after == self.applied && self.pull_sent_ms.is_some() {
                    self.pull_sent_ms = Some(now_ms);
                }
            }
            Input::Tick => self.tick(now_ms, &mut out),
        }
        out
    }

    fn hint<E>(&mut self, n: u64, now_ms: i64, out: &mut Vec<Effect<E>>) {
        self.head = self.head.max(n);
        // A lower head may be a late broadcast or a restored backup: only the log's own answer tells (C2).
        if n != self.applied.n && self.failures == 0 {
            self.pull(now_ms, out);
        }
    }

    fn pull<E>(&mut self, now_ms: i64, out: &mut Vec<Effect<E>>) {
        if self.pull_sent_ms.is_none() && self.snapshot.is_none() {
            self.pull_sent_ms = Some(now_ms);
            out.push(Effect::Pull {
                after: self.applied.clone(),
            });
        }
    }

    fn entries<E: Numbered>(
        &mut self,
        after: &Position,
        entries: Vec<E>,
        head: u64,
        now_ms: i64,
        out: &mut Vec<Effect<E>>,
    ) {
        // Only the answer to where we stand now moves us: late and repeated answers say nothing new (exactly once, C4).
        if self.snapshot.is_some() || !self.asked_after(after) {
            return;
        }
        self.pull_sent_ms = None;
        self.failures = 0;
        let before = self.applied.n;
        let mut gap = false;
        for entry in entries {
            if !self.is_next(&entry) {
                gap = true;
                break;
            }
            self.applied = Position::of(&entry);
            out.push(Effect::Apply(entry));
        }
        if self.applied.n > before {
            self.persisting.push_back(self.applied.clone());
            out.push(Effect::Persist {
                at: self.applied.clone(),
            });
            #[cfg(test)]
            if self.planted == Some(Planted::AcknowledgeBeforePersisted) {
                out.push(Effect::Acknowledge { n: self.applied.n });
            }
        }
        if gap {
            return self.resync(ResyncReason::Gap, now_ms, out);
        }
        // The answer's head is the truth of its moment, also when it is lower than an old hint.
        self.head = head.max(self.applied.n);
        self.next_pull_ms = now_ms.saturating_add(IDLE_POLL_MS);
        if self.head > self.applied.n {
            self.pull(now_ms, out);
        }
    }

    /// Whether this is where the follower stands.
    fn asked_after(&self, after: &Position) -> bool {
        #[cfg(test)]
        if matches!(
            self.planted,
            Some(Planted::SkipEntries | Planted::ApplyTwice)
        ) {
            return true;
        }
        *after == self.applied
    }

    fn is_next(&self, entry: &impl Numbered) -> bool {
        #[cfg(test)]
        match self.planted {
            Some(Planted::SkipEntries) => return entry.n() > self.applied.n,
            Some(Planted::ApplyTwice) => return true,
            _ => {}
        }
        entry.n() == self.applied.n.saturating_add(1)
    }

    fn resync<E>(&mut self, reason: ResyncReason, now_ms: i64, out: &mut Vec<Effect<E>>) {
        out.push(Effect::Resync { reason });
        self.start_transfer(now_ms, out);
    }

    fn start_transfer<E>(&mut self, now_ms: i64, out: &mut Vec<Effect<E>>) {
        self.pull_sent_ms = None;
        self.transfers += 1;
        self.snapshot = Some(Transfer {
            next: 0,
            moved_at_ms: now_ms,
        });
        out.push(Effect::PullSnapshot {
            transfer: self.transfers,
        });
    }

    fn chunk<E>(&mut self, transfer: u64, index: u32, now_ms: i64, out: &mut Vec<Effect<E>>) {
        let Some(state) = self
            .snapshot
            .as_mut()
            .filter(|_| transfer == self.transfers)
        else {
            return;
        };
        #[cfg(test)]
        let any = self.planted == Some(Planted::ChunksInAnyOrder);
        #[cfg(not(test))]
        let any = false;
        if any || index == state.next {
            state.next += 1;
            state.moved_at_ms = now_ms;
            out.push(Effect::StoreChunk { index });
        }
    }

    fn snapshot_done<E>(
        &mut self,
        transfer: u64,
        at: Position,
        chunks: u32,
        now_ms: i64,
        out: &mut Vec<Effect<E>>,
    ) {
        let complete = self
            .snapshot
            .as_ref()
            .is_some_and(|state| state.next == chunks);
        if transfer != self.transfers || !complete {
            return;
        }
        self.snapshot = None;
        // What was being persisted belongs to the state that is gone.
        self.persisting.clear();
        self.persisting.push_back(at.clone());
        self.head = at.n;
        self.applied = at.clone();
        self.failures = 0;
        out.push(Effect::InstallSnapshot { at: at.clone() });
        out.push(Effect::Persist { at });
        self.pull(now_ms, out);
    }

    fn persisted<E>(&mut self, at: &Position, out: &mut Vec<Effect<E>>) {
        let Some(place) = self.persisting.iter().position(|waiting| waiting == at) else {
            return;
        };
        self.persisting.drain(..=place);
        self.acknowledged = at.n;
        out.push(Effect::Acknowledge { n: at.n });
    }

    fn pull_failed(&mut self, now_ms: i64) {
        if self.pull_sent_ms.take().is_some() {
            let backoff = BACKOFF_FIRST_MS.saturating_mul(1 << self.failures.min(10));
            self.failures = self.failures.saturating_add(1);
            self.next_pull_ms = now_ms.saturating_add(backoff.min(BACKOFF_LAST_MS));
        }
    }

    fn tick<E>(&mut self, now_ms: i64, out: &mut Vec<Effect<E>>) {
        if let Some(state) = &self.snapshot {
            if now_ms.saturating_sub(state.moved_at_ms) >= SNAPSHOT_TIMEOUT_MS {
                self.start_transfer(now_ms, out);
            }
            return;
        }
        if self
            .pull_sent_ms
            .is_some_and(|sent| now_ms.saturating_sub(sent) >= PULL_TIMEOUT_MS)
        {
            self.pull_failed(now_ms);
        }
        if now_ms >= self.next_pull_ms {
            self.pull(now_ms, out);
        }
    }
}
