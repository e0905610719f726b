//! Questions that were sent and not answered yet. An answer can be lost, when it meets a full mailbox: a question that
//! is out for longer than any answer takes counts no more, so that nothing waits for it for ever.

/// What is under way to one place.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    next: u64,
    /// Numbers of questions, and since when.
    sent: Vec<(u64, i64)>,
}

// === impl UnderWay ===

impl UnderWay {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// One more; its answer says the number.
    pub(super) fn begin(&mut self, now_ms: i64) -> u64 {
        self.next += 1;
        self.sent.push((self.next, now_ms));
        self.next
    }

    /// An answer came, perhaps after its question was given up; gives when that was sent, if not.
    pub(super) fn end(&mut self, number: u64) -> Option<i64> {
        let place = self.sent.iter().position(|(known, _)| *known == number)?;
        Some(self.sent.swap_remove(place).1)
    }

    /// Gives up what is out for so long; whether there was any.
    pub(super) fn expire(&mut self, now_ms: i64, patience_ms: i64) -> bool {
        let before = self.sent.len();
        let young = |since_ms: i64| now_ms.saturating_sub(since_ms) < patience_ms;
        self.sent.retain(|(_, since_ms)| young(*since_ms));
        self.sent.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_answer_is_waited_for_no_longer_than_one_can_take() {
        let mut under_way = UnderWay::default();
        let lost = under_way.begin(0);
        let answered = under_way.begin(500);
        assert_eq!(under_way.end(answered), Some(500));
        assert_eq!(under_way.len(), 1);
        assert!(!under_way.expire(999, 1_000));
        assert!(under_way.expire(1_000, 1_000) && under_way.is_empty());
        let again = under_way.begin(1_000);
        // It came after all; what was sent since is still under way.
        assert_eq!(under_way.end(lost), None);
        assert_eq!(under_way.len(), 1);
        under_way.end(again);
        assert!(under_way.is_empty());
    }
}
