//! Members that refuse this node for good: two of one name, or with facts that do not agree, came in where they did not see
//! each other. Nobody but an operator knows which of them is to stay. While as many members have this node as refuse it, it
//! serves; the log has what the others say.

use std::collections::BTreeMap;

use crate::hello::Refusal;

/// A refusal that was not heard again for so long is over, milliseconds; dials are at most five seconds apart.
const LASTS_MS: u64 = 30_000;

/// What is said for a shorter time is said by one that is about to notice that nobody has it any more, milliseconds.
const COUNTS_MS: u64 = 3_000;

/// What they say, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Rivalled(BTreeMap<String, Said>);

#[derive(Debug)]
struct Said {
    reason: String,
    first_ms: u64,
    last_ms: u64,
}

// === impl Rivalled ===

impl Rivalled {
    /// The member at this address refuses this node.
    pub(super) fn refused(&mut self, address: &str, refusal: &Refusal, now_ms: u64) {
        if refusal.is_rivalry() {
            let said = self.0.entry(address.to_owned()).or_insert_with(|| Said {
                reason: String::new(),
                first_ms: now_ms,
                last_ms: now_ms,
            });
            (said.reason, said.last_ms) = (refusal.to_string(), now_ms);
        }
    }

    /// The member at this address has this node.
    pub(super) fn welcomed(&mut self, address: &str) {
        self.0.remove(address);
    }

    /// What an operator is to be told of it now, where no more than `connected` members have this node.
    pub(super) fn shown(&mut self, now_ms: u64, connected: usize) -> Option<String> {
        self.0.retain(|_, said| now_ms < said.last_ms + LASTS_MS);
        let lasts = |said: &Said| said.last_ms >= said.first_ms + COUNTS_MS;
        let mut lasting = self.0.iter().filter(|(_, said)| lasts(said));
        let (address, Said { reason, .. }) = lasting.next()?;
        let all = 1 + lasting.count();
        let stop = "stop the one of the two that is not to be";
        (all > connected).then(|| {
            format!(
                "more members refuse this node ({all}) than have it ({connected}), such as {address}: {reason}; {stop}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_by_more_than_have_it_shows_it_until_it_is_welcomed_or_nobody_says_so_any_more()
     {
        let mut rivalled = Rivalled::default();
        assert_eq!(rivalled.shown(0, 0), None);
        rivalled.refused("tm1:1", &Refusal::Full, 0);
        assert_eq!(rivalled.shown(0, 0), None, "it may come later");
        let taken = Refusal::NameTaken("gw".to_owned());
        rivalled.refused("tm1:1", &taken, 1_000);
        rivalled.refused("tm1:1", &taken, 3_000);
        assert_eq!(rivalled.shown(3_500, 0), None, "it may stop at once");
        rivalled.refused("tm1:1", &taken, 4_000);
        let shown = rivalled.shown(4_500, 0).unwrap();
        assert!(shown.contains("tm1:1") && shown.contains("gw"), "{shown}");
        rivalled.refused("tm2:1", &taken, 2_000);
        rivalled.refused("tm2:1", &taken, 5_000);
        assert!(rivalled.shown(6_000, 0).unwrap().contains("(2)"));
        assert_eq!(rivalled.shown(6_000, 2), None, "as many have it");
        assert!(rivalled.shown(6_000, 1).is_some());
        rivalled.welcomed("tm1:1");
        assert!(rivalled.shown(6_000, 0).unwrap().contains("tm2:1"));
        assert_eq!(rivalled.shown(35_000, 0), None);
    }
}
