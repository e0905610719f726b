//! Members that refuse this node for good while others have it: two of one name, or with facts that do not agree, came
//! in where they did not see each other. Nobody but an operator knows which of them is to stay.

use std::collections::BTreeMap;

use crate::hello::Refusal;

/// A refusal that was not heard again for so long is over, milliseconds; dials are at most five seconds apart.
const LASTS_MS: u64 = 30_000;

/// What they say, and when they said it last.
#[derive(Debug, Default)]
pub(super) struct Rivalled(BTreeMap<String, (String, u64)>);

// === impl Rivalled ===

impl Rivalled {
    /// The member at this address refuses this node.
    pub(super) fn refused(&mut self, address: &str, refusal: &Refusal, now_ms: u64) {
        if matches!(refusal, Refusal::NameTaken(_) | Refusal::Fact(_)) {
            let said = (refusal.to_string(), now_ms);
            self.0.insert(address.to_owned(), said);
        }
    }

    /// The member at this address has this node.
    pub(super) fn welcomed(&mut self, address: &str) {
        self.0.remove(address);
    }

    /// What an operator is to be told of it now.
    pub(super) fn shown(&mut self, now_ms: u64) -> Option<String> {
        self.0
            .retain(|_, (_, said_ms)| now_ms < *said_ms + LASTS_MS);
        let (address, (reason, _)) = self.0.first_key_value()?;
        let all = self.0.len();
        Some(format!(
            "{all} members refuse this node, such as {address}: {reason}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_by_a_member_shows_it_until_it_is_welcomed_or_nobody_says_so_any_more() {
        let mut rivalled = Rivalled::default();
        assert_eq!(rivalled.shown(0), None);
        rivalled.refused("tm1:1", &Refusal::Full, 0);
        assert_eq!(rivalled.shown(0), None, "it may come later");
        rivalled.refused("tm1:1", &Refusal::NameTaken("gw".to_owned()), 1_000);
        let shown = rivalled.shown(2_000).unwrap();
        assert!(shown.contains("tm1:1") && shown.contains("gw"), "{shown}");
        rivalled.refused("tm2:1", &Refusal::NameTaken("gw".to_owned()), 5_000);
        assert!(rivalled.shown(6_000).unwrap().contains("2 members"));
        rivalled.welcomed("tm1:1");
        assert!(rivalled.shown(6_000).unwrap().contains("tm2:1"));
        assert_eq!(rivalled.shown(35_000), None);
    }
}
