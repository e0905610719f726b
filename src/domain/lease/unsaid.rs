//! What was given back, and no owner is known to keep yet (PROTOCOLS L7): while a view begins none takes it, and one that took
//! it may die before its standby has it. It is said again, less and less often, until one takes it, and once more a while
//! after that, unless it counts no more. What is said is cumulative, so saying it too often changes nothing.

use std::collections::BTreeMap;

use crate::ledger::{Ask, CellKey, Holder};

/// Leases at most: what others give back counts as used.
const MOST: usize = 4_096;
/// Of those that an owner took so many are said once more at most: a flood of addresses gives back by the thousand.
const MOST_TAKEN: usize = 512;
/// The pause after it was kept, which doubles each time, and the longest one, milliseconds.
const FIRST_MS: i64 = 1_000;
const LONGEST_MS: i64 = 30_000;
/// After so long, milliseconds, whoever took it has told its standby, or is suspected and owns nothing soon (W3, L5).
const TOLD_MS: i64 = 3_000;
/// What is of no window says no more than that an earlier lease is over; so does the next ask.
const WITHOUT_WINDOW_MS: i64 = 60_000;

/// By shard, key and lease.
#[derive(Debug, Default)]
pub struct Unsaid(BTreeMap<(u16, CellKey, Holder), Waiting>);

#[derive(Debug)]
struct Waiting {
    ask: Ask,
    /// On the steady clock.
    since_ms: i64,
    due_ms: i64,
    pause_ms: i64,
    /// When an owner took it first.
    taken_ms: Option<i64>,
}

/// By which of two words of a lease is the later one: within a millisecond that which gives back more.
fn said_at(ask: &Ask) -> (i64, u64) {
    (ask.asked_at_ms, ask.returned)
}

// === impl Unsaid ===

impl Unsaid {
    /// Keeps these to be said again. The last word of a lease says all that it said before.
    pub fn keep(&mut self, shard: u16, asks: Vec<Ask>, now_ms: i64) {
        for ask in asks {
            // Others of them may be of leases that are kept.
            let Some(kept) = self.kept((shard, &ask), MOST, now_ms) else {
                continue;
            };
            if said_at(&kept.ask) <= said_at(&ask) {
                (kept.ask, kept.taken_ms) = (ask, None);
            }
        }
    }

    /// Those that are to be said again now, by shard. What is over by the time of windows is forgotten.
    pub fn due(&mut self, now_ms: i64, t_ms: i64) -> Vec<(u16, Vec<Ask>)> {
        self.0.retain(|_, waiting| !waiting.is_over(now_ms, t_ms));
        let mut due: BTreeMap<u16, Vec<Ask>> = BTreeMap::new();
        for ((shard, ..), waiting) in &mut self.0 {
            if waiting.due_ms <= now_ms {
                waiting.pause_ms = waiting.pause_ms.saturating_mul(2).min(LONGEST_MS);
                waiting.due_ms = now_ms.saturating_add(waiting.pause_ms);
                due.entry(*shard).or_default().push(waiting.ask.clone());
            }
        }
        due.into_iter().collect()
    }

    /// An owner has taken these; what was given back since is left. Units are said once more after a while; what says no
    /// more than that a lease is over is asked for again by whoever waits for it.
    ///
    /// The same word is taken twice at once where it was on its way twice. That is no second taking: one owner may die with
    /// both before its standby has them.
    pub fn taken(&mut self, shard: u16, asks: Vec<Ask>, now_ms: i64) {
        for ask in asks {
            let Some(kept) = self.kept((shard, &ask), MOST_TAKEN, now_ms) else {
                continue;
            };
            if said_at(&ask) < said_at(&kept.ask) {
                continue;
            }
            let before_ms = kept.taken_ms.filter(|_| kept.ask == ask);
            let is_again = |before_ms| now_ms.saturating_sub(before_ms) >= TOLD_MS;
            if before_ms.is_some_and(is_again) || ask.returned == 0 {
                self.0.remove(&(shard, ask.cell, ask.holder));
            } else if before_ms.is_none() {
                kept.ask = ask;
                (kept.taken_ms, kept.due_ms) = (Some(now_ms), now_ms.saturating_add(TOLD_MS));
            }
        }
    }

    /// What is kept of this one's lease; this one if nothing is, and there is room.
    fn kept(
        &mut self,
        (shard, ask): (u16, &Ask),
        most: usize,
        now_ms: i64,
    ) -> Option<&mut Waiting> {
        let place = (shard, ask.cell.clone(), ask.holder.clone());
        if self.0.len() >= most && !self.0.contains_key(&place) {
            return None;
        }
        let anew = || Waiting {
            ask: ask.clone(),
            since_ms: now_ms,
            due_ms: now_ms.saturating_add(FIRST_MS),
            pause_ms: FIRST_MS,
            taken_ms: None,
        };
        Some(self.0.entry(place).or_insert_with(anew))
    }

    /// All of them, by shard: nobody is left to say them later.
    pub fn take_all(&mut self) -> Vec<(u16, Vec<Ask>)> {
        let mut all: BTreeMap<u16, Vec<Ask>> = BTreeMap::new();
        for ((shard, ..), waiting) in std::mem::take(&mut self.0) {
            all.entry(shard).or_default().push(waiting.ask);
        }
        all.into_iter().collect()
    }
}

// === impl Waiting ===

impl Waiting {
    fn is_over(&self, now_ms: i64, t_ms: i64) -> bool {
        match self.ask.window {
            Some(window) => window.spec.numbered(window.number).counts_until_ms() <= t_ms,
            None => now_ms.saturating_sub(self.since_ms) >= WITHOUT_WINDOW_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::TimeUnit;
    use crate::window::WindowSpec;

    const MINUTE: WindowSpec = WindowSpec::new(TimeUnit::Min, 1);

    fn ask(key: &str, returned: u64) -> Ask {
        Ask {
            holder: Holder::new("gw", 7, 1),
            cell: CellKey::new("t", "p", key),
            policies: 0,
            epoch: 4,
            asked_at_ms: i64::try_from(returned).unwrap(),
            window: Some(MINUTE.at(0).id),
            have: 9,
            returned,
            want: 0,
            emptied: true,
            due: 0,
        }
    }

    #[test]
    fn it_is_said_less_and_less_often_until_it_is_taken_or_its_window_is_over() {
        let mut unsaid = Unsaid::default();
        unsaid.keep(3, vec![ask("a", 1), ask("b", 1)], 0);
        let mut said = Vec::new();
        for now_ms in (0..200_000).step_by(1_000) {
            if !unsaid.due(now_ms, 0).is_empty() {
                said.push(now_ms / 1_000);
            }
        }
        assert_eq!(said, [1, 3, 7, 15, 31, 61, 91, 121, 151, 181]);
        for now_ms in [200_000, 200_000 + TOLD_MS] {
            unsaid.taken(3, vec![ask("a", 1)], now_ms);
        }
        let left = unsaid.due(300_000, MINUTE.at(0).end_ms - 1);
        assert_eq!(left, [(3, vec![ask("b", 1)])]);
        assert_eq!(unsaid.due(400_000, MINUTE.at(0).end_ms), []);
        assert_eq!(unsaid.take_all(), []);
    }

    #[test]
    fn what_a_lease_gives_back_later_replaces_what_it_gave_back_and_is_not_taken_with_it() {
        let mut unsaid = Unsaid::default();
        unsaid.keep(3, vec![ask("a", 1)], 0);
        unsaid.keep(3, vec![ask("a", 2)], 500);
        unsaid.keep(3, vec![ask("a", 1)], 600);
        for now_ms in [700, 700 + TOLD_MS] {
            unsaid.taken(3, vec![ask("a", 1)], now_ms);
        }
        assert_eq!(unsaid.take_all(), [(3, vec![ask("a", 2)])]);
    }

    #[test]
    fn units_that_an_owner_took_are_said_once_more_when_its_standby_has_them_or_owns_them_itself() {
        let mut unsaid = Unsaid::default();
        unsaid.taken(3, vec![ask("a", 1), ask("over", 0)], 100);
        let due = |unsaid: &mut Unsaid, now_ms| unsaid.due(now_ms, 0);
        assert_eq!(due(&mut unsaid, 100 + TOLD_MS - 1), []);
        let again = [(3, vec![ask("a", 1)])];
        assert_eq!(due(&mut unsaid, 100 + TOLD_MS), again);
        // Nobody takes it, for a view begins.
        unsaid.keep(3, vec![ask("a", 1)], 4_000);
        assert_eq!(due(&mut unsaid, 50_000), again);
        unsaid.taken(3, vec![ask("a", 1)], 50_000);
        assert_eq!(due(&mut unsaid, 50_000 + TOLD_MS), again);
        unsaid.taken(3, vec![ask("a", 1)], 60_000);
        assert_eq!(unsaid.take_all(), []);
    }

    #[test]
    fn what_is_taken_twice_at_once_is_said_once_more_all_the_same() {
        let mut unsaid = Unsaid::default();
        for now_ms in [100, 110, 100 + TOLD_MS - 1] {
            unsaid.taken(3, vec![ask("a", 1)], now_ms);
        }
        let again = [(3, vec![ask("a", 1)])];
        assert_eq!(unsaid.due(100 + TOLD_MS, 0), again, "after the first");
        unsaid.taken(3, vec![ask("a", 1)], 100 + TOLD_MS);
        assert_eq!(unsaid.take_all(), []);
    }

    #[test]
    fn of_those_that_an_owner_took_no_more_are_kept_than_there_is_room_for() {
        let mut unsaid = Unsaid::default();
        let many = (0..MOST_TAKEN + 5).map(|number| ask(&number.to_string(), 1));
        unsaid.taken(3, many.collect(), 0);
        unsaid.keep(3, vec![ask("not taken", 1)], 0);
        assert_eq!(unsaid.take_all().remove(0).1.len(), MOST_TAKEN + 1);
    }

    #[test]
    fn what_is_given_back_after_an_owner_took_the_word_before_has_its_own_two_takings() {
        let mut unsaid = Unsaid::default();
        unsaid.taken(3, vec![ask("a", 1)], 0);
        unsaid.taken(3, vec![ask("a", 2)], 10);
        unsaid.taken(3, vec![ask("a", 1)], 20);
        assert_eq!(unsaid.take_all(), [(3, vec![ask("a", 2)])]);
    }

    #[test]
    fn of_two_words_of_a_millisecond_the_one_that_gives_back_more_is_kept() {
        let at = |returned| Ask {
            asked_at_ms: 7,
            ..ask("a", returned)
        };
        for words in [[2, 1], [1, 2]] {
            let mut unsaid = Unsaid::default();
            unsaid.keep(3, words.map(at).into(), 0);
            assert_eq!(unsaid.take_all(), [(3, vec![at(2)])]);
        }
    }

    #[test]
    fn what_there_is_no_room_for_keeps_no_later_word_of_a_kept_lease_out() {
        let mut unsaid = Unsaid::default();
        let many = (0..MOST).map(|number| ask(&number.to_string(), 1));
        unsaid.keep(3, many.collect(), 0);
        unsaid.keep(3, vec![ask("new", 1), ask("7", 2)], 0);
        let all = unsaid.take_all().remove(0).1;
        assert_eq!(all.len(), MOST);
        assert!(all.contains(&ask("7", 2)));
        assert!(!all.contains(&ask("7", 1)));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for_and_nothing_without_a_window_for_long() {
        let mut unsaid = Unsaid::default();
        let many = (0..MOST + 5).map(|number| ask(&number.to_string(), 1));
        unsaid.keep(3, many.collect(), 0);
        assert_eq!(unsaid.take_all().remove(0).1.len(), MOST);
        let over = Ask {
            window: None,
            ..ask("a", 0)
        };
        unsaid.keep(3, vec![over], 0);
        assert_eq!(unsaid.due(WITHOUT_WINDOW_MS - 1, 0).len(), 1);
        assert_eq!(unsaid.due(WITHOUT_WINDOW_MS, 0), []);
        assert_eq!(unsaid.take_all(), []);
    }
}
