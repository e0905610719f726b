//! When a leader says nothing. One that is heard by others and hears none of them leads nothing, and keeps them from
//! standing for election by each of its words: openraft goes on with those for as long as nobody contradicts.

use std::time::Duration;

use tokio::time::Instant;

use super::timing::RegisterTiming;

/// Of one node.
#[derive(Debug)]
pub(crate) struct Quiet {
    timing: RegisterTiming,
    /// Since when this node leads.
    leads_since: Option<Instant>,
    /// Since when no majority has answered for too long.
    begun: Option<Instant>,
}

// === impl Quiet ===

impl Quiet {
    pub(crate) fn new(timing: RegisterTiming) -> Self {
        Self {
            timing,
            leads_since: None,
            begun: None,
        }
    }

    /// Whether this node is to say nothing as a leader now; a majority has answered so long ago, if it ever did.
    pub(crate) fn is_quiet(
        &mut self,
        leads: bool,
        answered: Option<Duration>,
        now: Instant,
    ) -> bool {
        if !leads {
            (self.leads_since, self.begun) = (None, None);
            return false;
        }
        let led = now.saturating_duration_since(*self.leads_since.get_or_insert(now));
        if answered.map_or(led, |ago| ago.min(led)) <= self.timing.unanswered() {
            self.begun = None;
            return false;
        }
        let passed = now.saturating_duration_since(*self.begun.get_or_insert(now));
        // Should nobody be elected meanwhile, as where the others were away as well, it tries again.
        let (quiet, whole) = (self.timing.quiet(), self.timing.quiet() * 2);
        passed.as_micros() % whole.as_micros().max(1) < quiet.as_micros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_leader_whom_no_majority_answers_says_nothing_for_as_long_as_an_election_takes_and_then_tries_again()
     {
        let timing = RegisterTiming::default();
        let (mut quiet, begin) = (Quiet::new(timing), Instant::now());
        let mut at = |passed: u64, answered: u64| {
            quiet.is_quiet(true, Some(ms(answered)), begin + ms(passed))
        };
        assert!(!at(0, 100_000), "it has only begun to lead");
        assert!(!at(5_000, 800), "a slow majority is one");
        assert!(at(6_000, 801));
        assert!(at(6_899, 1_700), "others have their time to elect");
        assert!(!at(6_901, 1_702), "nobody was elected");
        assert!(at(7_801, 2_602));
        assert!(!at(8_000, 10), "it is answered again");
        assert!(at(9_000, 900), "and not, later");
    }

    #[test]
    fn whoever_does_not_lead_is_no_quiet_leader_and_one_that_is_never_answered_is() {
        let (mut quiet, begin) = (Quiet::new(RegisterTiming::default()), Instant::now());
        assert!(!quiet.is_quiet(false, None, begin));
        assert!(!quiet.is_quiet(true, None, begin));
        assert!(quiet.is_quiet(true, None, begin + ms(900)));
        assert!(!quiet.is_quiet(false, None, begin + ms(1_000)));
        assert!(
            !quiet.is_quiet(true, None, begin + ms(1_100)),
            "it leads anew"
        );
    }
}
