//! A sender of snapshots that is harder on a follower than the one of production, which is asked for one piece after
//! the other: it pushes, with several pieces under way, and again from the first missing one when nothing moves. So a
//! network that loses, repeats and overtakes meets what a follower makes of pieces (C3).

use std::ops::Range;

/// Pieces that may be under way at once.
const UNDER_WAY: u32 = 16;
/// Without an acknowledgement for so long, the pieces under way are sent again.
const RESEND_AFTER_MS: i64 = 1_000;

/// The sending side of one transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SnapshotSender {
    chunks: u32,
    sent: u32,
    acknowledged: u32,
    moved_at_ms: i64,
}

// === impl SnapshotSender ===

impl SnapshotSender {
    /// A transfer of so many pieces.
    pub(super) fn new(chunks: u32, now_ms: i64) -> Self {
        Self {
            chunks,
            sent: 0,
            acknowledged: 0,
            moved_at_ms: now_ms,
        }
    }

    /// How many chunks there are.
    pub(super) fn chunks(&self) -> u32 {
        self.chunks
    }

    /// The chunks to send now; they count as sent.
    pub(super) fn due(&mut self, now_ms: i64) -> Range<u32> {
        let stalled = self.sent > self.acknowledged
            && now_ms.saturating_sub(self.moved_at_ms) >= RESEND_AFTER_MS;
        if stalled {
            self.sent = self.acknowledged;
            self.moved_at_ms = now_ms;
        }
        let end = self.acknowledged.saturating_add(UNDER_WAY).min(self.chunks);
        let due = self.sent..end.max(self.sent);
        self.sent = due.end;
        due
    }

    /// The receiver has all chunks below `next`.
    pub(super) fn acknowledge(&mut self, next: u32, now_ms: i64) {
        if next > self.acknowledged && next <= self.chunks {
            self.acknowledged = next;
            self.sent = self.sent.max(next);
            self.moved_at_ms = now_ms;
        }
    }

    /// Whether the receiver has everything.
    pub(super) fn is_done(&self) -> bool {
        self.acknowledged == self.chunks
    }
}
