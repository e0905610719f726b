//! Whom key managers have told this gateway of, for when none of them answers. Learned by the
//! validator, which forgets what a change touches before the change is acknowledged (V2); what is
//! here is true at what the validator has applied. The follower alone writes it to Carbon.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use domain::consumer::Consumer;
use domain::validation::Grant;
use domain::validation_cache::{Subject, SubjectKind};
use storage::carbon::consumers::{self as rows, Said};
use storage::{Database, Read, StoreError, Write};

/// Clients that are known at most.
pub(super) const MOST: usize = 20_000;
/// How many the oldest of are let go of at once, when there are too many.
const LOT: usize = MOST / 16;
/// A client that no key manager has spoken of for so long is unknown.
const KEPT_MS: i64 = 30 * 86_400_000;
/// That it was spoken of again is noted once in so long.
const NOTED_MS: i64 = 86_400_000;
/// Clients that one transaction writes at most.
const WRITTEN: usize = 256;

/// The known clients, by consumer key.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    known: HashMap<String, Known>,
    /// Not in Carbon yet.
    unsaved: BTreeSet<String>,
}

#[derive(Debug)]
struct Known {
    consumer: Arc<Consumer>,
    n: u64,
    said_at_ms: i64,
}

// === impl Consumers ===

impl Consumers {
    /// A key manager has granted this, which was true at `n` and is so still.
    pub(super) fn learn(&mut self, grant: &Grant, n: u64, now_ms: i64) {
        if let Some(known) = self.known.get(&grant.consumer_key)
            && known.consumer.is_of(grant)
            && now_ms.saturating_sub(known.said_at_ms) < NOTED_MS
        {
            return;
        }
        let Some(consumer) = Consumer::of(grant) else {
            return;
        };
        if self.known.len() >= MOST {
            self.forget_oldest();
        }
        let key = consumer.consumer_key.clone();
        let known = Known {
            consumer: Arc::new(consumer),
            n,
            said_at_ms: now_ms,
        };
        self.unsaved.insert(key.clone());
        self.known.insert(key, known);
    }

    /// What Carbon has, where nothing is known: at a start.
    pub(super) fn load(&mut self, said: Vec<Said>) {
        for said in said {
            let key = said.consumer.consumer_key.clone();
            self.known.entry(key).or_insert(Known {
                consumer: Arc::new(said.consumer),
                n: said.n,
                said_at_ms: said.said_at_ms,
            });
        }
    }

    /// Who has this consumer key.
    pub(super) fn find(&self, consumer_key: &str, now_ms: i64) -> Option<Arc<Consumer>> {
        let known = self.known.get(consumer_key)?;
        let age_ms = now_ms.saturating_sub(known.said_at_ms);
        (age_ms < KEPT_MS).then(|| Arc::clone(&known.consumer))
    }

    /// Change `n` touched these: what was true of them before it is not known to be so now.
    pub(super) fn touch(&mut self, subjects: &[Subject], n: u64) {
        let of = |kind| {
            let of = subjects.iter().filter(move |subject| subject.kind == kind);
            of.map(|subject| subject.id.as_str()).collect()
        };
        let clients: HashSet<&str> = of(SubjectKind::Client);
        let applications: HashSet<&str> = of(SubjectKind::Application);
        if clients.is_empty() && applications.is_empty() {
            return;
        }
        self.known.retain(|key, known| {
            let is_touched = clients.contains(key.as_str())
                || applications.contains(known.consumer.application_id());
            known.n >= n || !is_touched
        });
    }

    /// The state was replaced: nothing is known any more.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.unsaved.clear();
    }

    /// A lot of what Carbon does not have yet; counts as saved from now on.
    fn take_unsaved(&mut self) -> Vec<Said> {
        let mut taken = Vec::new();
        while taken.len() < WRITTEN
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

    fn save_again(&mut self, taken: &[Said]) {
        let keys = taken.iter().map(|said| said.consumer.consumer_key.clone());
        self.unsaved.extend(keys);
    }

    fn forget_oldest(&mut self) {
        let mut ages: Vec<i64> = self.known.values().map(|known| known.said_at_ms).collect();
        ages.sort_unstable();
        let Some(&last) = ages.get(LOT.saturating_sub(1)) else {
            return;
        };
        // Many may have come at one moment.
        let mut left = LOT;
        self.known.retain(|_, known| {
            let goes = left > 0 && known.said_at_ms <= last;
            left -= usize::from(goes);
            !goes
        });
    }
}

/// Writes a lot of what was learned to Carbon. Called by the follower, between changes: so nothing
/// is written that a change has touched which Carbon does not know of.
pub(super) async fn save(
    carbon: &Database,
    consumers: &std::sync::Mutex<Consumers>,
) -> Result<(), StoreError> {
    let taken = super::locked(consumers).take_unsaved();
    let written = match taken.is_empty() {
        true => Ok(()),
        false => write(carbon, &taken).await,
    };
    let mut consumers = super::locked(consumers);
    if written.is_err() {
        consumers.save_again(&taken);
    }
    let kept = consumers
        .known
        .len()
        .saturating_sub(consumers.unsaved.len());
    drop(consumers);
    let kept = u32::try_from(kept).unwrap_or(u32::MAX);
    metrics::gauge!("headgate_gateway_known_consumers").set(f64::from(kept));
    written
}

async fn write(carbon: &Database, taken: &[Said]) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.consumers.save").await?;
    for said in taken {
        rows::save(&mut write, said).await?;
    }
    write.commit().await
}

/// What Carbon has at its position.
pub(super) async fn read(read: &mut Read, n: u64) -> Result<Vec<Said>, StoreError> {
    rows::list(read, n, i64::try_from(MOST).unwrap_or(i64::MAX)).await
}

/// Deletes everything, with a snapshot.
pub(super) async fn delete_all(write: &mut Write) -> Result<(), StoreError> {
    rows::delete_all(write).await
}

/// Deletes what changes have touched, in the transaction that notes them as applied.
pub(super) async fn delete_touched(
    write: &mut Write,
    touched: &[(u64, Subject)],
) -> Result<(), StoreError> {
    for (n, subject) in touched {
        match subject.kind {
            SubjectKind::Client => rows::delete_client(write, &subject.id, *n).await?,
            SubjectKind::Application => {
                rows::delete_of_application(write, &subject.id, *n).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Deletes what is too old, and the oldest of too many.
pub(super) async fn delete_old(write: &mut Write, now_ms: i64) -> Result<(), StoreError> {
    let before_ms = now_ms.saturating_sub(KEPT_MS);
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    rows::delete_old(write, before_ms, most).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::local_tests::granted;
    use super::*;

    const DAY: i64 = 86_400_000;

    fn keys(said: &[Said]) -> Vec<&str> {
        let keys = said.iter().map(|said| said.consumer.consumer_key.as_str());
        keys.collect()
    }

    #[test]
    fn what_a_change_touches_is_forgotten_unless_it_was_said_knowing_the_change() {
        let mut consumers = Consumers::default();
        consumers.learn(&granted("old", "shop"), 5, 0);
        consumers.learn(&granted("new", "shop"), 7, 0);
        consumers.learn(&granted("other", "else"), 5, 0);
        let subject = |kind, id: &str| vec![Subject::new(kind, "carbon.super", id)];
        consumers.touch(&subject(SubjectKind::User, "old"), 9);
        consumers.touch(&subject(SubjectKind::Application, "shop"), 7);
        assert!(consumers.find("old", 0).is_none());
        assert!(consumers.find("new", 0).is_some() && consumers.find("other", 0).is_some());
        consumers.touch(&subject(SubjectKind::Client, "new"), 8);
        assert!(consumers.find("new", 0).is_none());
        assert_eq!(keys(&consumers.take_unsaved()), ["other"]);
        consumers.clear();
        assert!(consumers.find("other", 0).is_none());
    }

    #[test]
    fn a_client_is_written_when_something_new_is_said_and_once_a_day_else() {
        let mut consumers = Consumers::default();
        let mut grant = granted("one", "shop");
        consumers.learn(&grant, 5, 0);
        let taken = consumers.take_unsaved();
        assert_eq!(keys(&taken), ["one"]);
        consumers.learn(&grant, 6, DAY - 1);
        assert!(consumers.take_unsaved().is_empty());
        consumers.save_again(&taken);
        assert_eq!(
            keys(&consumers.take_unsaved()),
            ["one"],
            "it was not written"
        );
        consumers.learn(&grant, 6, DAY);
        assert_eq!(keys(&consumers.take_unsaved()), ["one"]);
        grant.subscriptions.clear();
        consumers.learn(&grant, 6, DAY);
        assert_eq!(keys(&consumers.take_unsaved()), ["one"]);
        assert!(consumers.find("one", 31 * DAY).is_none(), "too long ago");
    }

    #[test]
    fn clients_stay_within_their_bound_and_the_oldest_go_first() {
        let mut consumers = Consumers::default();
        for n in 0..MOST + 10 {
            let at_ms = i64::try_from(n).unwrap();
            consumers.learn(&granted(&n.to_string(), "shop"), 5, at_ms);
        }
        assert!(consumers.known.len() <= MOST);
        assert!(consumers.find("0", 0).is_none());
        assert!(consumers.find(&(MOST + 9).to_string(), 0).is_some());
    }
}
