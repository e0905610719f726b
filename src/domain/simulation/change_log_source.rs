//! The source's side of a change log's world: answers pulls and sends snapshots, by the rules under test. Snapshots are
//! read piece by piece, each as late as it is sent; the last piece has the entries committed meanwhile (C3).

use super::Planted;
use super::change_log_database::{Change, Database, Rows};
use super::change_log_sender::SnapshotSender;
use super::change_log_world::{Event, World};
use crate::change_log::{Answer, Input, Position};

/// A piece of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) rows: Rows,
    /// What was committed since the first piece was read.
    pub(super) entries: Vec<Change>,
}

/// A transfer that the source has under way.
#[derive(Debug)]
pub(super) struct Sending {
    transfer: u64,
    /// The head when the first piece was read, and when the last one so far was.
    first: Position,
    seen: Position,
    /// Read so far.
    pieces: Vec<Piece>,
    sender: SnapshotSender,
    ends: u32,
    /// The history became another one: it never goes on, not even when its request comes again.
    is_over: bool,
}

// === impl Sending ===

impl Sending {
    /// Reads up to the piece `index`; none if the history is another one than that of the pieces before.
    fn piece(
        &mut self,
        index: u32,
        database: &Database,
        planted: Option<Planted>,
    ) -> Option<Piece> {
        let index = usize::try_from(index).unwrap();
        while self.pieces.len() <= index {
            let stored = &database.stored;
            let (answer, _) = stored.pulled(&self.seen, 1, None);
            if matches!(answer, Answer::Snapshot { .. })
                && planted != Some(Planted::PiecesOfTwoHistories)
            {
                return None;
            }
            self.seen = stored.head.clone();
            let row = u8::try_from(self.pieces.len()).unwrap();
            let last = self.pieces.len() + 1 == usize::try_from(self.sender.chunks()).unwrap();
            let mut piece = Piece::default();
            if !last {
                piece.rows.extend(
                    stored
                        .rows
                        .get_key_value(&row)
                        .map(|(row, value)| (*row, *value)),
                );
            } else if planted != Some(Planted::PositionOfFirstPiece) {
                let (answer, entries) = stored.pulled(&self.first, u64::MAX, planted);
                if matches!(answer, Answer::Snapshot { .. }) {
                    return None;
                }
                piece.entries = entries;
                self.first = stored.head.clone();
            }
            self.pieces.push(piece);
        }
        self.pieces.get(index).cloned()
    }
}

// === impl World ===

impl World {
    pub(super) fn pulled(&mut self, follower: usize, after: &Position) {
        if !self.is_calm() && self.rng.chance(20) {
            return self.tell(follower, Input::PullFailed);
        }
        let stored = &self.database.stored;
        let head = stored.head.n;
        let (answer, entries) = stored.pulled(after, self.plan.most, self.plan.planted);
        let after = after.clone();
        let input = match answer {
            Answer::Snapshot { reason } => Input::NeedsSnapshot { after, reason },
            Answer::UpToDate | Answer::Entries { .. } => Input::Entries {
                after,
                entries,
                head,
            },
        };
        self.tell(follower, input);
    }

    pub(super) fn send_snapshot(&mut self, follower: usize, transfer: u64) {
        let known = self.sending.get(&follower);
        if known.is_some_and(|sending| sending.transfer >= transfer)
            && self.plan.planted != Some(Planted::TransfersStartAnew)
        {
            return;
        }
        // One for each row, and one for the entries.
        let pieces = u32::try_from(self.plan.rows).unwrap() + 1;
        let head = &self.database.stored.head;
        let sending = Sending {
            transfer,
            first: head.clone(),
            seen: head.clone(),
            pieces: Vec::new(),
            sender: SnapshotSender::new(pieces, self.now_ms),
            ends: 0,
            is_over: false,
        };
        self.sending.insert(follower, sending);
    }

    pub(super) fn source_tick(&mut self) {
        let mut messages = Vec::new();
        let under_way = self
            .sending
            .iter_mut()
            .filter(|(_, sending)| !sending.is_over);
        for (follower, sending) in under_way {
            let (follower, transfer) = (*follower, sending.transfer);
            for index in sending.sender.due(self.now_ms) {
                match sending.piece(index, &self.database, self.plan.planted) {
                    Some(piece) => messages.push(Event::Chunk {
                        follower,
                        transfer,
                        index,
                        piece,
                    }),
                    None => sending.is_over = true,
                }
            }
            // The end may be lost as well.
            if sending.sender.is_done() && sending.ends < 20 {
                sending.ends += 1;
                let done = Input::SnapshotDone {
                    transfer,
                    at: sending.first.clone(),
                    chunks: sending.sender.chunks(),
                };
                messages.push(Event::ToFollower {
                    follower,
                    input: done,
                });
            }
        }
        for message in messages {
            self.send(message);
        }
        self.queue.at(self.now_ms + 50, Event::SourceTick);
    }

    pub(super) fn chunks_here(&mut self, follower: usize, transfer: u64, next: u32) {
        if let Some(sending) = self.sending.get_mut(&follower)
            && sending.transfer == transfer
        {
            sending.sender.acknowledge(next, self.now_ms);
        }
    }
}
