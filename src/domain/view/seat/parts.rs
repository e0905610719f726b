//! How a copy travels: part by part, each asked for or acknowledged before the next one, so that no message is large and
//! nothing large is twice under way. Whoever gives is sealed, or has not begun to grant: what it has stays as it is.

use super::copying::{AGAIN_MS, Work};
use super::{Deed, Seat, Words};
use crate::ledger::{Cursor, ShardImage};
use crate::view::epoch::Epoch;
use crate::view::register::Life;

/// The first part is about so many bytes: of most shards it is all there is, and it travels with what is small, many at
/// a time.
const FIRST_BYTES: usize = 32 * 1_024;
/// A later part is about so many bytes: what is large travels apart, one after the other (M2).
const PART_BYTES: usize = 512 * 1_024;
/// What is slower than so many bytes a millisecond is said again too early, which costs a part.
const BYTES_PER_MS: usize = 4 * 1_024;

/// A part: where it begins, what it is, and where the next one begins.
pub(super) type Part = (Cursor, ShardImage, Option<Cursor>);

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Pull {
    pub(super) after: Cursor,
    pub(super) image: ShardImage,
    said_ms: i64,
    again_ms: u64,
}

// === impl Pull ===

impl Pull {
    /// Takes in a part. Gives whether it is the one that was to come: others came twice, or are of another copy.
    pub(super) fn takes(&mut self, part: Part) -> bool {
        let (after, image, next) = part;
        if after != self.after {
            return false;
        }
        self.again_ms = again_ms(&image);
        self.image.append(image);
        if let Some(next) = next {
            self.after = next;
        }
        true
    }
}

/// How large a part may be that begins there.
fn most_bytes(after: &Cursor) -> usize {
    match after {
        Cursor::Begin => FIRST_BYTES,
        _ => PART_BYTES,
    }
}

/// How long the answer to something of this size is waited for.
pub(super) fn again_ms(image: &ShardImage) -> u64 {
    let travels_ms = image.weight() / BYTES_PER_MS;
    AGAIN_MS.saturating_add(u64::try_from(travels_ms).unwrap_or(u64::MAX))
}

// === impl Seat ===

impl Seat {
    /// How large a part may be that begins there.
    fn most_bytes(&self, after: &Cursor) -> usize {
        #[cfg(test)]
        if self.has_small_parts {
            return 1;
        }
        most_bytes(after)
    }

    /// Somebody wants the next part of what is here.
    pub(super) fn give(&mut self, to: &Life, epoch: Epoch, after: Cursor, out: &mut Vec<Deed>) {
        let (image, next) = self.ledger.part(&after, self.most_bytes(&after));
        let image = Box::new(image);
        let words = Words::Copied {
            epoch,
            after,
            begun: self.begun,
            image,
            next,
        };
        out.push(Deed::say(to, words));
    }

    /// Asks this life for the next part of what it has.
    pub(super) fn pull(&mut self, from: &Life, now_ms: i64, out: &mut Vec<Deed>) {
        let pull = self.pulls.entry(from.clone()).or_default();
        pull.said_ms = now_ms;
        pull.again_ms = pull.again_ms.max(AGAIN_MS);
        let (epoch, after) = (self.place.epoch, pull.after.clone());
        out.push(Deed::say(from, Words::Copy { epoch, after }));
    }

    /// Whether an answer of this life is overdue.
    pub(super) fn is_overdue(&self, from: &Life, now_ms: i64) -> bool {
        let pull = self.pulls.get(from);
        pull.is_none_or(|pull| now_ms.abs_diff(pull.said_ms) >= pull.again_ms)
    }

    /// The answer of who has something.
    pub(super) fn copied(
        &mut self,
        from: &Life,
        (epoch, begun): (Epoch, Option<Epoch>),
        part: Part,
        now_ms: i64,
        out: &mut Vec<Deed>,
    ) {
        let gathers = matches!(self.work, Work::Copying { .. } | Work::Finding { .. });
        if epoch != self.place.epoch || !gathers {
            return;
        }
        let is_last = part.2.is_none();
        let Some(pull) = self.pulls.get_mut(from) else {
            return;
        };
        if !pull.takes(part) {
            return;
        }
        out.push(Deed::moved(epoch, from));
        if let Work::Copying { moved_ms, .. } = &mut self.work {
            *moved_ms = now_ms;
        }
        if !is_last {
            return self.pull(from, now_ms, out);
        }
        if let Some(pull) = self.pulls.remove(from) {
            self.came(from, begun, pull.image, now_ms, out);
        }
    }

    /// Gives the standby the part that it has to have next, if that is due.
    pub(super) fn fill_standby(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let Some(to) = self.standby().cloned() else {
            return;
        };
        if let Work::Filling {
            after,
            said_ms,
            again_ms,
            ..
        } = &mut self.work
            && now_ms.abs_diff(*said_ms) >= *again_ms
        {
            let (image, next) = self.ledger.part(after, most_bytes(after));
            *said_ms = now_ms;
            *again_ms = self::again_ms(&image);
            let epoch = self.place.epoch;
            let (after, image) = (after.clone(), Box::new(image));
            let words = Words::Fill {
                epoch,
                after,
                image,
                next,
            };
            out.push(Deed::say(&to, words));
        }
    }

    /// The standby has it, up to there.
    pub(super) fn filled_by(
        &mut self,
        from: &Life,
        epoch: Epoch,
        next: Option<Cursor>,
        now_ms: i64,
        out: &mut Vec<Deed>,
    ) {
        let by_standby = self.standby().is_some_and(|standby| standby == from);
        if epoch != self.place.epoch || !by_standby {
            return;
        }
        if let Work::Filling {
            filled,
            after,
            again_ms,
            ..
        } = &mut self.work
        {
            match next {
                None => {
                    *filled = true;
                    self.work_goes_on(now_ms, out);
                }
                Some(next) if next > *after => {
                    out.push(Deed::moved(epoch, from));
                    (*after, *again_ms) = (next, 0);
                    self.fill_standby(now_ms, out);
                }
                // Said before.
                Some(_) => {}
            }
        }
    }
}
