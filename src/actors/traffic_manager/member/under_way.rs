//! What was said to other members and is not answered yet. A connection loses nothing while it lasts, so nothing of
//! that is said twice over it: where answers take longer than a seat waits for them, what is said again and again would
//! fill the way that the answers come by.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use domain::view::{Life, Question, Words};

/// All that one actor said.
#[derive(Default)]
pub(super) struct UnderWay(BTreeMap<u16, Vec<Asked>>);

struct Asked {
    to: Life,
    question: Question,
    way: Weak<()>,
}

/// Something is on its way for as long as this is there.
pub(super) struct Way {
    _of: Option<Arc<()>>,
}

// === impl UnderWay ===

impl UnderWay {
    /// How many shards have something on its way.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Something is said of a shard; none when it is on its way already. Answers always leave.
    pub(super) fn begin(&mut self, shard: u16, to: &Life, words: &Words) -> Option<Way> {
        let Some(question) = words.question() else {
            return Some(Way { _of: None });
        };
        let asked = self.0.entry(shard).or_default();
        asked.retain(|one| one.way.strong_count() > 0);
        let is_same = |one: &Asked| one.to == *to && one.question == question;
        if asked.iter().any(is_same) {
            return None;
        }
        let way = Arc::new(());
        asked.push(Asked {
            to: to.clone(),
            question,
            way: Arc::downgrade(&way),
        });
        Some(Way { _of: Some(way) })
    }
}

#[cfg(test)]
mod tests {
    use domain::ledger::Cursor;
    use domain::view::Epoch;

    use super::*;

    fn copy(generation: u64) -> Words {
        let epoch = Epoch::of_number(generation);
        let after = Cursor::default();
        Words::Copy { epoch, after }
    }

    #[test]
    fn what_is_not_answered_yet_is_not_said_twice_and_what_is_lost_is_said_again() {
        let (one, other) = (Life::new("one", 1), Life::new("other", 1));
        let mut under_way = UnderWay::default();
        let way = under_way.begin(7, &one, &copy(1)).unwrap();
        assert!(under_way.begin(7, &one, &copy(1)).is_none());
        assert!(under_way.begin(7, &one, &copy(2)).is_some(), "another view");
        assert!(
            under_way.begin(7, &other, &copy(1)).is_some(),
            "another member"
        );
        assert!(
            under_way.begin(8, &one, &copy(1)).is_some(),
            "another shard"
        );
        drop(way);
        assert!(under_way.begin(7, &one, &copy(1)).is_some(), "it was lost");
    }

    #[test]
    fn each_answer_leaves() {
        let (one, epoch) = (Life::new("one", 1), Epoch::of_number(1));
        let mut under_way = UnderWay::default();
        let filled = Words::Filled { epoch, next: None };
        let first = under_way.begin(7, &one, &filled);
        assert!(first.is_some());
        assert!(under_way.begin(7, &one, &filled).is_some());
    }
}
