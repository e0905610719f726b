//! When something was told last, so that what happens without end fills no log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When something was told last.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Option<Instant>>);

/// Lines about things of one kind: some at once, so that each of a few is told of, and no more for a while, so that a
/// flood of one kind fills no log and hides no other kind.
#[derive(Debug, Default)]
pub(crate) struct ToldByKind(Mutex<BTreeMap<&'static str, Lines>>);

/// Lines of one kind.
#[derive(Debug)]
struct Lines {
    since: Instant,
    told: u32,
}

// === impl Told ===

impl Told {
    /// Whether it may be told again.
    pub(crate) fn may(&self, quiet: Duration) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told.is_none_or(|told| told.elapsed() >= quiet);
        if may {
            *told = Some(Instant::now());
        }
        may
    }
}

// === impl ToldByKind ===

impl ToldByKind {
    /// Whether there may be a line of this kind: `most` in the time that its first one begins. Kinds are few.
    pub(crate) fn may(&self, kind: &'static str, most: u32, quiet: Duration) -> bool {
        self.may_at(Instant::now(), kind, (most, quiet))
    }

    fn may_at(&self, now: Instant, kind: &'static str, (most, quiet): (u32, Duration)) -> bool {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Lines {
            since: now,
            told: 0,
        };
        let lines = kinds.entry(kind).or_insert_with(fresh);
        if now.duration_since(lines.since) >= quiet {
            *lines = fresh();
        }
        let may = lines.told < most;
        lines.told += u32::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(60);

    #[test]
    fn a_flood_of_one_kind_is_told_in_a_few_lines_and_hides_no_other_kind() {
        let (told, began) = (ToldByKind::default(), Instant::now());
        let lines = |kind, now| {
            let times = (0..1_000).filter(|_| told.may_at(now, kind, (3, QUIET)));
            times.count()
        };
        assert_eq!(lines("malformed", began), 3);
        assert_eq!(lines("oversized", began), 3);
        assert_eq!(lines("malformed", began + QUIET / 2), 0);
        assert_eq!(lines("malformed", began + QUIET), 3);
    }
}
