//! Paces a snapshot (PROTOCOLS C3): chunks of 64 KiB, at most 16 of them unacknowledged, sent again from the first
//! unacknowledged one when nothing moves. The bytes travel beside this; here are only their numbers.

use std::ops::Range;

/// Bytes of a chunk; the last may be shorter.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that may be under way at once.
pub const UNACKNOWLEDGED_CHUNKS: u32 = 16;
/// Without an acknowledgement for so long, the chunks under way are sent again.
const RESEND_AFTER_MS: i64 = 1_000;

/// The sending side of one transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSender {
    chunks: u32,
    sent: u32,
    acknowledged: u32,
    moved_at_ms: i64,
}

// === impl SnapshotSender ===

impl SnapshotSender {
    /// A transfer of so many bytes; an empty snapshot is one empty chunk.
    pub fn new(bytes: usize, now_ms: i64) -> Self {
        let chunks = u32::try_from(bytes.div_ceil(CHUNK_BYTES))
            .unwrap_or(u32::MAX)
            .max(1);
        Self {
            chunks,
            sent: 0,
            acknowledged: 0,
            moved_at_ms: now_ms,
        }
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// The chunks to send now; they count as sent.
    pub fn due(&mut self, now_ms: i64) -> Range<u32> {
        let stalled = self.sent > self.acknowledged
            && now_ms.saturating_sub(self.moved_at_ms) >= RESEND_AFTER_MS;
        if stalled {
            self.sent = self.acknowledged;
            self.moved_at_ms = now_ms;
        }
        let end = self
            .acknowledged
            .saturating_add(UNACKNOWLEDGED_CHUNKS)
            .min(self.chunks);
        let due = self.sent..end.max(self.sent);
        self.sent = due.end;
        due
    }

    /// The receiver has all chunks below `next`.
    pub fn acknowledge(&mut self, next: u32, now_ms: i64) {
        if next > self.acknowledged && next <= self.chunks {
            self.acknowledged = next;
            self.sent = self.sent.max(next);
            self.moved_at_ms = now_ms;
        }
    }

    /// Whether the receiver has everything.
    pub fn is_done(&self) -> bool {
        self.acknowledged == self.chunks
    }
}
