//! Answers on their way to a peer that may not have taken them yet (M2): pure. What is sent to a peer
//! arrives in order, so an answer has arrived once something is answered that was sent after it.

use std::collections::VecDeque;

/// Bytes of answers under way to one peer; what would be more is told as an answer that was lost.
pub(crate) const BYTES: usize = 8 * 1024 * 1024;
/// Bytes beyond that for saying so.
const REFUSALS: usize = 256 * 1024;
/// Bytes beyond both for answers to probes, which judge whether this node is there at all.
const PROBES: usize = 512 * 1024;
/// What an answer takes beside its own bytes.
const AROUND: usize = 128;

/// Those of one connection.
#[derive(Debug, Default)]
pub(crate) struct Untaken {
    /// The number of the last ask before each, and its size.
    answers: VecDeque<(u64, usize)>,
    bytes: usize,
    /// Whether one was too many since something arrived last.
    is_full: bool,
    /// Whether something is under way whose answer proves that these have arrived.
    is_asking: bool,
}

/// What is sent to an asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owed {
    /// What it asked for.
    Answer,
    /// That it does not get that.
    Refusal,
    /// That this node is there.
    Probe,
}

/// What there is still room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Answers.
    Answers,
    /// Saying that there is none.
    Refusals,
    /// Answers to probes.
    Probes,
    /// Nothing.
    Nothing,
}

// === impl Untaken ===

impl Untaken {
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn room(&self) -> Room {
        match self.bytes {
            ..BYTES if !self.is_full => Room::Answers,
            bytes if bytes < BYTES + REFUSALS => Room::Refusals,
            bytes if bytes < BYTES + REFUSALS + PROBES => Room::Probes,
            _ => Room::Nothing,
        }
    }

    /// Counts an answer that is sent after the ask `last`, unless it is one too many.
    pub(crate) fn add(&mut self, last: u64, size: usize, what: Owed) -> bool {
        let most = match what {
            Owed::Answer => BYTES,
            Owed::Refusal => BYTES + REFUSALS,
            Owed::Probe => BYTES + REFUSALS + PROBES,
        };
        let size = size + AROUND;
        if self.bytes + size > most {
            self.is_full = true;
            return false;
        }
        self.bytes += size;
        match self.answers.back_mut() {
            Some((number, bytes)) if *number == last => *bytes += size,
            _ => self.answers.push_back((last, size)),
        }
        true
    }

    /// The peer has answered the ask `number`: it has all that was sent before.
    pub(crate) fn arrived(&mut self, number: u64) {
        while let Some((last, size)) = self.answers.front().copied()
            && last < number
        {
            self.answers.pop_front();
            self.bytes -= size;
            self.is_full = false;
        }
    }

    /// Whether the peer is to be asked now what it has: only one such ask is under way.
    pub(crate) fn begins_to_ask(&mut self) -> bool {
        let begins = !self.is_asking && self.bytes > BYTES / 4;
        self.is_asking |= begins;
        begins
    }

    /// That ask is over, whatever came of it.
    pub(crate) fn has_asked(&mut self) {
        self.is_asking = false;
    }
}
