//! What the answers to changes promised in a followers world, and which invariants were broken.

use std::collections::{BTreeMap, BTreeSet};

use super::kernel::Digest;
use super::seeds::{Ran, Seen};
use crate::change_log::{Applied, How};
use crate::serving_lease::WhenCutOff;

/// By what a gateway serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    /// By a lease.
    Current,
    /// Cut off, by what it knows.
    Stale,
}

/// The answer to a change that has left.
#[derive(Debug)]
struct Answer {
    id: usize,
    /// Who was told to be unreached.
    unreached: BTreeSet<String>,
    /// Whether nobody could say who has applied it.
    is_unknown: bool,
}

#[derive(Debug, Default)]
pub(super) struct Truth {
    /// By the number of the change, of the history that there is now.
    answers: BTreeMap<u64, Answer>,
    /// What was committed before a gateway was put back from a backup, or forgotten by a restored one, nobody could
    /// know of it: it may serve by what it had while it is cut off.
    excused: BTreeMap<String, usize>,
    pub(super) digest: Digest,
    pub(super) seen: Seen,
    pub(super) broken: Vec<String>,
}

// === impl Truth ===

impl Truth {
    pub(super) fn answered(&mut self, n: u64, id: usize, applied: &Applied) {
        let named = |how| {
            let missing = applied.missing.iter();
            missing.filter(move |missing| missing.how == how)
        };
        for (how, word) in [
            (How::Behind, "behind"),
            (How::Fenced, "fenced"),
            (How::Unreached, "unreached"),
        ] {
            self.seen.times(word, named(how).count() as u64);
        }
        self.seen.once("answered");
        self.digest.add(0, &applied.to_string());
        let answer = Answer {
            id,
            unreached: named(How::Unreached).map(|one| one.name.clone()).collect(),
            is_unknown: *applied == Applied::unknown(),
        };
        self.answers.insert(n, answer);
    }

    /// The history ends here: what was changed after it is undone.
    pub(super) fn restored(&mut self, head: u64) {
        self.answers.split_off(&(head + 1));
    }

    /// What was changed before the entry `id` says nothing of this gateway while it is cut off.
    pub(super) fn excuse(&mut self, name: &str, id: usize) {
        let excused = self.excused.entry(name.to_owned()).or_default();
        *excused = id.max(*excused);
    }

    /// It is registered again, where a restored backup had forgotten it: from the entry `id` on it is named.
    pub(super) fn is_known(&mut self, name: &str, id: usize) {
        let excused = self.excused.entry(name.to_owned()).or_default();
        *excused = id.min(*excused);
    }

    /// A gateway serves by the changes up to `n` (S3, S5).
    pub(super) fn serves(
        &mut self,
        (name, mode): (&str, WhenCutOff),
        serves: Serves,
        n: u64,
        now_ms: i64,
    ) {
        self.seen.once(match serves {
            Serves::Current => "served",
            Serves::Stale => "served cut off",
        });
        let excused = self.excused.get(name).copied().unwrap_or(0);
        for (n, answer) in self.answers.range(n + 1..) {
            let is_named = answer.is_unknown || answer.unreached.contains(name);
            if serves == Serves::Stale && (is_named || answer.id < excused) {
                continue;
            }
            self.broken.push(format!(
                "S3: at {now_ms} {name}, {mode:?}, serves {serves:?} without change {n}, which was answered"
            ));
            break;
        }
    }

    pub(super) fn ran(self) -> Ran {
        Ran {
            broken: self.broken,
            digest: self.digest,
            seen: self.seen,
        }
    }
}
