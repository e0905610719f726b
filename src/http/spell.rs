//! A spell in which a listener is full: said once, not with each that is refused.

use std::time::Duration;

/// How far apart it is said that a listener is full, at least.
const APART: Duration = Duration::from_secs(60);
/// How long nobody must have been refused before it is said that there is room.
const QUIET: Duration = Duration::from_secs(10);

/// Whether a listener is full, over the moments in which one goes and the next one comes. Times are those of one clock that
/// does not go back.
#[derive(Debug, Default)]
pub(crate) struct Spell {
    /// When one was refused last, while it is said that it is full.
    refused: Option<Duration>,
    /// When that was said last, and how many were refused since.
    told: Option<Duration>,
    count: u64,
}

// === impl Spell ===

impl Spell {
    /// One is refused; gives how many were since it was said last, where it is to be said.
    pub(crate) fn refuses(&mut self, now: Duration) -> Option<u64> {
        self.count += 1;
        let is_fresh = |told: Duration| now.saturating_sub(told) < APART;
        if self.told.is_some_and(is_fresh) {
            // What was told is not over.
            self.refused = self.refused.map(|_| now);
            return None;
        }
        (self.refused, self.told) = (Some(now), Some(now));
        Some(std::mem::take(&mut self.count))
    }

    /// There is room for one; gives whether it is to be said.
    pub(crate) fn has_room(&mut self, now: Duration) -> bool {
        let is_over = |refused: &Duration| now.saturating_sub(*refused) >= QUIET;
        self.refused.take_if(|refused| is_over(refused)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_listener_says_so_once_a_minute_and_that_there_is_room_when_nobody_was_refused_for_a_while()
     {
        let at = Duration::from_secs;
        let mut spell = Spell::default();
        assert!(!spell.has_room(at(0)), "nothing was said");
        // Each that goes makes room for one, and another one is refused.
        let (mut told, mut rooms) = (Vec::new(), 0);
        for second in 0..150 {
            told.extend(spell.refuses(at(second)));
            rooms += u32::from(spell.has_room(at(second)));
        }
        assert_eq!((told, rooms), (vec![1, 60, 60], 0));
        assert!(!spell.has_room(at(158)));
        assert!(spell.has_room(at(159)));
        assert!(!spell.has_room(at(170)), "it is said once");
        // Full anew within the minute: neither is said.
        assert_eq!(spell.refuses(at(171)), None);
        assert!(!spell.has_room(at(182)));
        assert_eq!(spell.refuses(at(183)), Some(31));
        assert!(spell.has_room(at(193)));
    }
}
