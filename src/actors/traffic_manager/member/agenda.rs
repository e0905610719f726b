//! Which of an actor's shards are to be looked at when: those for which something runs with each tick, all of them when
//! the view or the policies change, and once a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ledger::Policies;

/// Every shard is looked at so often.
const ALL: Duration = Duration::from_secs(1);

/// What shards go by.
#[derive(Clone, Default)]
pub(super) struct GoneBy {
    /// Entries of the register.
    pub(super) entries: u64,
    /// What tells the lives of the node's shards apart.
    pub(super) incarnation: u64,
    /// The limits; each change of them is another table.
    pub(super) policies: Option<Arc<Policies>>,
}

/// The shards of one actor.
pub(super) struct Agenda {
    shards: Vec<u16>,
    /// Those for which something runs, each with the T from which on it needs ticks.
    due: BTreeMap<u16, i64>,
    /// What all go by; none when some begin anew.
    by: Option<GoneBy>,
    /// When all were looked at last.
    looked: Duration,
}

// === impl GoneBy ===

impl GoneBy {
    fn is(&self, other: &Self) -> bool {
        let policies = |by: &Self| by.policies.as_ref().map(Arc::as_ptr);
        self.entries == other.entries
            && self.incarnation == other.incarnation
            && policies(self) == policies(other)
    }
}

// === impl Agenda ===

impl Agenda {
    /// Nothing is known of these yet.
    pub(super) fn new(shards: Vec<u16>) -> Self {
        Self {
            shards,
            due: BTreeMap::new(),
            by: None,
            looked: Duration::ZERO,
        }
    }

    /// All of them.
    pub(super) fn shards(&self) -> &[u16] {
        &self.shards
    }

    /// Whether all are to be looked at with this tick.
    pub(super) fn is_time_for_all(&self, incarnation: u64, now: Duration) -> bool {
        let is_same = |by: &GoneBy| by.incarnation == incarnation;
        !self.by.as_ref().is_some_and(is_same) || now.saturating_sub(self.looked) >= ALL
    }

    /// Those to look at now, at this T, when they are to go by this.
    pub(super) fn at(&mut self, by: GoneBy, ticks: bool, now: Duration, t_ms: i64) -> Vec<u16> {
        let is_time = ticks && self.is_time_for_all(by.incarnation, now);
        if is_time {
            self.looked = now;
        }
        if is_time || !self.by.as_ref().is_some_and(|known| known.is(&by)) {
            self.by = Some(by);
            return self.shards.clone();
        }
        let due = self.due.iter().filter(|(_, due_ms)| **due_ms <= t_ms);
        due.map(|(shard, _)| *shard).collect()
    }

    /// Some begin anew: all are to be looked at.
    pub(super) fn begin_anew(&mut self) {
        self.by = None;
    }

    /// This one needs ticks from this T on, or none.
    pub(super) fn put(&mut self, shard: u16, due_ms: Option<i64>) {
        match due_ms {
            Some(due_ms) => self.due.insert(shard, due_ms),
            None => self.due.remove(&shard),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn where_nothing_runs_shards_are_looked_at_once_a_second_and_when_something_changes() {
        let by = |entries, incarnation| GoneBy {
            entries,
            incarnation,
            policies: None,
        };
        let mut agenda = Agenda::new(vec![1, 17, 33]);
        let all = vec![1, 17, 33];
        assert_eq!(agenda.at(by(1, 1), false, ms(5_000), 70), all);
        assert_eq!(agenda.at(by(1, 1), true, ms(5_050), 70), all);
        for passed in (5_100..6_050).step_by(50) {
            let looked = agenda.at(by(1, 1), true, ms(passed), 70);
            assert_eq!(looked, Vec::<u16>::new(), "{passed}");
        }
        assert_eq!(agenda.at(by(1, 1), true, ms(6_050), 70), all);
        assert_eq!(agenda.at(by(2, 1), false, ms(6_060), 70), all, "a view");
        assert!(agenda.is_time_for_all(2, ms(6_070)));
        assert_eq!(agenda.at(by(2, 2), true, ms(6_080), 70), all, "a life");
        assert_eq!(agenda.at(by(2, 2), true, ms(6_090), 70), Vec::<u16>::new());
        agenda.begin_anew();
        assert_eq!(agenda.at(by(2, 2), false, ms(6_100), 70), all);
    }

    #[test]
    fn a_shard_for_which_something_runs_is_looked_at_with_each_tick_from_then_on() {
        let mut agenda = Agenda::new(vec![1, 17, 33]);
        agenda.at(GoneBy::default(), true, ms(5_000), 0);
        agenda.put(1, Some(i64::MIN));
        agenda.put(17, Some(71));
        let mut at = |now, t_ms| agenda.at(GoneBy::default(), true, ms(now), t_ms);
        assert_eq!(at(5_050, 70), [1]);
        assert_eq!(at(5_100, 71), [1, 17]);
        agenda.put(1, None);
        let looked = agenda.at(GoneBy::default(), false, ms(5_110), 90);
        assert_eq!(looked, [17], "also between ticks");
    }
}
