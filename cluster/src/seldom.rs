//! What happens again and again is told at its first time, and then ever more seldom.

use std::collections::BTreeMap;

/// Between the first two lines about one thing, milliseconds; doubled by each.
const QUIET_MS: u64 = 60_000;
/// The longest.
const LONGEST_MS: u64 = 3_600_000;
/// Things that are remembered; more than there are nodes.
const MOST: usize = 1_024;

/// What has happened, by what it is about.
#[derive(Debug, Default)]
pub(crate) struct Seldom(BTreeMap<String, Happening>);

#[derive(Debug)]
struct Happening {
    count: u64,
    quiet_ms: u64,
    next_ms: u64,
}

// === impl Seldom ===

impl Seldom {
    /// How often it has happened, where that is to be told now.
    pub(crate) fn count(&mut self, what: &str, now_ms: u64) -> Option<u64> {
        if self.0.len() >= MOST && !self.0.contains_key(what) {
            self.0.clear();
        }
        let happening = self.0.entry(what.to_owned()).or_insert(Happening {
            count: 0,
            quiet_ms: QUIET_MS,
            next_ms: now_ms,
        });
        happening.count += 1;
        if now_ms < happening.next_ms {
            return None;
        }
        happening.next_ms = now_ms + happening.quiet_ms;
        happening.quiet_ms = (happening.quiet_ms * 2).min(LONGEST_MS);
        Some(happening.count)
    }

    /// Whether it has happened once.
    pub(crate) fn is_first(&self, what: &str) -> bool {
        let happening = self.0.get(what);
        happening.is_some_and(|happening| happening.count == 1)
    }

    /// It is over: the next time is a first one.
    pub(crate) fn forget(&mut self, what: &str) {
        self.0.remove(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_told_and_then_few_until_it_is_over() {
        let mut seldom = Seldom::default();
        let hour = (0..3_600_000).step_by(1_000);
        let told = hour.filter_map(|now_ms| seldom.count("cp1:1", now_ms));
        assert_eq!(told.collect::<Vec<_>>(), [1, 61, 181, 421, 901, 1_861]);
        assert_eq!(seldom.count("cp2:1", 3_600_001), Some(1));
        seldom.forget("cp1:1");
        assert_eq!(seldom.count("cp1:1", 3_600_002), Some(1));
    }

    #[test]
    fn things_without_end_are_not_remembered() {
        let mut seldom = Seldom::default();
        for port in 0..10_000 {
            seldom.count(&format!("host:{port}"), 0);
        }
        assert!(seldom.0.len() <= MOST);
    }
}
