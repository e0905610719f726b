//! Whom key managers have told a gateway of, for when none of them answers: what is here is true at
//! what the gateway has applied, because a change forgets what it touches before it is acknowledged
//! (V2). A change costs what it touches, however many are known.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::consumer::{Consumer, Said};
#[cfg(test)]
use crate::simulation::Planted;
use crate::validation::Grant;
use crate::validation_cache::{Subject, SubjectKind};

/// A client that no key manager has spoken of for so long is unknown.
pub const KEPT_MS: i64 = 30 * 86_400_000;
/// That it was spoken of again is noted once in so long.
const NOTED_MS: i64 = 86_400_000;

/// The known clients, by consumer key.
#[derive(Debug)]
pub struct KnownConsumers {
    /// Clients that are known at most.
    most: usize,
    known: HashMap<String, Known>,
    /// The clients of each application, of which changes speak.
    of_application: HashMap<String, BTreeSet<String>>,
    /// Who was spoken of when: the oldest go first.
    ages: BTreeSet<(i64, String)>,
    /// Not on disk yet.
    unsaved: BTreeSet<String>,
    #[cfg(test)]
    pub(crate) planted: Option<Planted>,
}

#[derive(Debug)]
struct Known {
    consumer: Arc<Consumer>,
    n: u64,
    said_at_ms: i64,
}

// === impl KnownConsumers ===

impl KnownConsumers {
    /// Nobody is known; of those that will be `most` at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            known: HashMap::new(),
            of_application: HashMap::new(),
            ages: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            #[cfg(test)]
            planted: None,
        }
    }

    /// A key manager has granted this, which was true at `n` and is so still.
    pub fn learn(&mut self, grant: &Grant, n: u64, now_ms: i64) {
        if let Some(known) = self.known.get(&grant.consumer_key)
            && known.consumer.is_of(grant)
            && now_ms.saturating_sub(known.said_at_ms) < NOTED_MS
        {
            return;
        }
        let Some(consumer) = Consumer::of(grant) else {
            return;
        };
        self.unsaved.insert(consumer.consumer_key.clone());
        self.put(Said {
            consumer,
            n,
            said_at_ms: now_ms,
        });
    }

    /// What the disk has, where nothing is known: at a start.
    pub fn load(&mut self, said: Vec<Said>) {
        for said in said {
            if !self.known.contains_key(&said.consumer.consumer_key) {
                self.put(said);
            }
        }
    }

    /// Who has this consumer key.
    #[must_use]
    pub fn find(&self, consumer_key: &str, now_ms: i64) -> Option<Arc<Consumer>> {
        let known = self.known.get(consumer_key)?;
        let age_ms = now_ms.saturating_sub(known.said_at_ms);
        (age_ms < KEPT_MS).then(|| Arc::clone(&known.consumer))
    }

    /// Change `n` touched these: what was true of them before it is not known to be so now. Gives how
    /// many clients were looked at.
    pub fn touch(&mut self, subjects: &[Subject], n: u64) -> usize {
        let mut looked = 0;
        for subject in subjects {
            let touched = match subject.kind {
                SubjectKind::Client => vec![subject.id.clone()],
                SubjectKind::Application => {
                    let clients = self.of_application.get(&subject.id);
                    clients.into_iter().flatten().cloned().collect()
                }
                _ => Vec::new(),
            };
            looked += touched.len();
            for key in touched {
                if self.is_older(&key, n) {
                    self.forget(&key);
                }
            }
        }
        looked
    }

    /// The state was replaced: nothing is known any more.
    pub fn clear(&mut self) {
        self.known.clear();
        self.of_application.clear();
        self.ages.clear();
        self.unsaved.clear();
    }

    /// A lot of what is not on disk yet, of `most` at most; counts as saved from now on.
    pub fn take_unsaved(&mut self, most: usize) -> Vec<Said> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(key) = self.unsaved.pop_first()
        {
            taken.extend(self.known.get(&key).map(|known| Said {
                consumer: Consumer::clone(&known.consumer),
                n: known.n,
                said_at_ms: known.said_at_ms,
            }));
        }
        taken
    }

    /// These were not saved after all.
    pub fn save_again(&mut self, taken: &[Said]) {
        let keys = taken.iter().map(|said| said.consumer.consumer_key.clone());
        self.unsaved.extend(keys);
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many are not on disk yet.
    #[must_use]
    pub fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    fn is_older(&self, key: &str, n: u64) -> bool {
        #[cfg(test)]
        if self.planted == Some(Planted::ConsumersAreNotForgotten) {
            return false;
        }
        self.known.get(key).is_some_and(|known| known.n < n)
    }

    fn put(&mut self, said: Said) {
        let key = said.consumer.consumer_key.clone();
        self.unlink(&key);
        while self.known.len() >= self.most
            && let Some((_, oldest)) = self.ages.first().cloned()
        {
            self.forget(&oldest);
        }
        let application = said.consumer.application_id().to_owned();
        let clients = self.of_application.entry(application).or_default();
        clients.insert(key.clone());
        self.ages.insert((said.said_at_ms, key.clone()));
        let known = Known {
            consumer: Arc::new(said.consumer),
            n: said.n,
            said_at_ms: said.said_at_ms,
        };
        self.known.insert(key, known);
    }

    fn forget(&mut self, key: &str) {
        self.unlink(key);
        self.unsaved.remove(key);
    }

    /// Takes a client out of everything that finds it.
    fn unlink(&mut self, key: &str) {
        let Some(known) = self.known.remove(key) else {
            return;
        };
        self.ages.remove(&(known.said_at_ms, key.to_owned()));
        let application = known.consumer.application_id();
        if let Some(clients) = self.of_application.get_mut(application) {
            clients.remove(key);
            if clients.is_empty() {
                self.of_application.remove(application);
            }
        }
    }
}

#[cfg(test)]
#[path = "known_consumers_tests.rs"]
mod tests;
