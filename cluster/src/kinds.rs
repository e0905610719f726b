//! Asks between nodes, counted by what they are: the requests of this build and no other, so that
//! there are never many.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use crate::ask::AskError;
use crate::counters::Counters;

/// Counts of one kind.
#[derive(Debug, Default)]
pub struct KindCounts {
    /// Handed to the connection with another node.
    pub sent: AtomicU64,
    /// Answered.
    pub answered: AtomicU64,
    /// Not carried out, and told so: nobody there, too many, not understood.
    pub refused: AtomicU64,
    /// Not waited for any longer: too late, or the connection ended.
    pub given_up: AtomicU64,
    /// Of other nodes, served here.
    pub served: AtomicU64,
}

/// All kinds that were asked or served, by name.
#[derive(Debug, Default)]
pub struct Kinds(RwLock<BTreeMap<&'static str, Arc<KindCounts>>>);

/// An ask that is counted as given up unless something else comes of it.
pub(crate) struct Counted(Option<Arc<KindCounts>>);

// === impl Kinds ===

impl Kinds {
    /// All of them.
    #[must_use]
    pub fn list(&self) -> Vec<(&'static str, Arc<KindCounts>)> {
        let kinds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let kinds = kinds
            .iter()
            .map(|(name, counts)| (*name, Arc::clone(counts)));
        kinds.collect()
    }

    pub(crate) fn count(&self, name: &'static str, which: fn(&KindCounts) -> &AtomicU64) {
        Counters::add(which(&self.of(name)));
    }

    /// Counts an ask that is sent now.
    pub(crate) fn begin(&self, name: &'static str) -> Counted {
        let counts = self.of(name);
        Counters::add(&counts.sent);
        Counted(Some(counts))
    }

    fn of(&self, name: &'static str) -> Arc<KindCounts> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.get(name) {
            return Arc::clone(counts);
        }
        drop(known);
        let mut kinds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kinds.entry(name).or_default())
    }
}

// === impl Counted ===

impl Counted {
    /// What came of it.
    pub(crate) fn ended<T>(mut self, answer: &Result<T, AskError>) {
        if let Some(counts) = self.0.take() {
            Counters::add(match answer {
                Ok(_) => &counts.answered,
                Err(AskError::Timeout | AskError::Dropped) => &counts.given_up,
                Err(_) => &counts.refused,
            });
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(counts) = &self.0 {
            Counters::add(&counts.given_up);
        }
    }
}

/// What a request is called: the last word of its type.
pub(crate) fn name<R>() -> &'static str {
    let path = std::any::type_name::<R>();
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn every_ask_ends_in_one_count_also_one_whose_asker_has_gone() {
        let kinds = Kinds::default();
        for answer in [
            Ok(()),
            Err(AskError::Overloaded),
            Err(AskError::Unsupported),
            Err(AskError::Timeout),
        ] {
            kinds.begin("Pull").ended(&answer);
        }
        drop(kinds.begin("Pull"));
        let list = kinds.list();
        let (name, counts) = &list[0];
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!(*name, "Pull");
        assert_eq!((read(&counts.sent), read(&counts.answered)), (5, 1));
        assert_eq!((read(&counts.refused), read(&counts.given_up)), (2, 2));
    }

    #[test]
    fn a_request_is_called_by_the_last_word_of_its_type() {
        assert_eq!(name::<crate::node::Probe>(), "Probe");
    }
}
