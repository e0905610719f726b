//! API keys that were used: validators say so in memory, and the keeper has it written from time to
//! time, so that no question waits for the one writer of a database, nor the keeper for many keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::spawn_named;
use storage::apim::api_keys;

use super::desk::Desk;

/// An API key's use is noted once in so long.
const USED_AGAIN_MS: i64 = 60_000;
/// Keys that are remembered at most: of more, some are noted later.
const MOST: usize = 10_000;
/// Keys that one transaction notes: the one writer of a database is not held for long.
const LOT: usize = 200;
/// The longest that noting goes on; what is left over by then is noted when it is used again.
const AT_MOST: Duration = Duration::from_secs(60);

/// Hashes of used keys, each with the moment at which it was noted, none when it still has to be.
#[derive(Debug, Default)]
pub(super) struct UsedKeys {
    keys: Mutex<HashMap<String, Option<i64>>>,
    /// Whoever notes has it.
    turn: Arc<tokio::sync::Mutex<()>>,
}

// === impl UsedKeys ===

impl UsedKeys {
    /// Remembers that keys were used.
    pub(super) fn add(&self, keys: Vec<String>) {
        if keys.is_empty() {
            return;
        }
        let mut used = self.state();
        for key in keys {
            if used.len() < MOST {
                used.entry(key).or_default();
            }
        }
    }

    /// The keys to note now, in lots and in order; from here on they count as noted.
    fn take(&self, now_ms: i64) -> Vec<Vec<String>> {
        let mut used = self.state();
        used.retain(|_, noted| noted.is_none_or(|at| at > now_ms - USED_AGAIN_MS));
        let waiting = used.iter_mut().filter(|(_, noted)| noted.is_none());
        let mut keys: Vec<String> = waiting
            .map(|(key, noted)| {
                *noted = Some(now_ms);
                key.clone()
            })
            .collect();
        drop(used);
        keys.sort_unstable();
        keys.chunks(LOT).map(<[String]>::to_vec).collect()
    }

    fn state(&self) -> MutexGuard<'_, HashMap<String, Option<i64>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// Has it noted which API keys were used, beside everything else: a server commits for every
    /// key, and there may be thousands. While that goes on no other begins.
    pub(super) fn begin_noting(&self) {
        let turn = Arc::clone(&self.used_keys.turn).try_lock_owned();
        let Ok(turn) = turn else {
            return;
        };
        let desk = self.clone();
        spawn_named("key_manager.used_keys", async move {
            if tokio::time::timeout(AT_MOST, desk.note_used())
                .await
                .is_err()
            {
                tracing::debug!("the use of some API keys could not be noted in time");
            }
            drop(turn);
        });
    }

    /// Notes which API keys were used. Gateways ask again when what they know has aged, so this is
    /// as exact as that; it is for people, and a failure costs nothing else.
    pub(super) async fn note_used(&self) {
        let now = self.clock.now_ms();
        for keys in self.used_keys.take(now) {
            let noted = api_keys::note_used(&self.apim, &keys, now, now - USED_AGAIN_MS);
            if let Err(error) = noted.await {
                tracing::debug!(%error, "the use of API keys could not be noted");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::api::SUPER_TENANT;

    use super::*;
    use crate::key_manager::{SigningAlgorithm, test_desk, tests::sessions::key};

    #[tokio::test]
    async fn whoever_has_used_keys_noted_waits_for_nothing_and_one_notes_at_a_time() {
        let (desk, _system, _feed, _dir) = test_desk(SigningAlgorithm::Es256).await;
        let mut write = desk.apim.write("test.keys").await.unwrap();
        for hash in ["first", "second"] {
            let created = api_keys::create(&mut write, &key(hash, -1, None)).await;
            created.unwrap();
        }
        write.commit().await.unwrap();
        let held = desk.apim.write("test.held").await.unwrap();
        for hash in ["first", "second"] {
            desk.used_keys.add(vec![hash.to_owned()]);
            desk.begin_noting();
            // It has begun with the first one.
            while desk.used_keys.state().get("first") == Some(&None) {
                tokio::task::yield_now().await;
            }
        }
        drop(held);
        drop(desk.used_keys.turn.lock().await);
        let noted = async |hash: &str| {
            let mut read = desk.apim.read().await.unwrap();
            let key = api_keys::find(&mut read, SUPER_TENANT, hash).await.unwrap();
            key.unwrap().last_used_at_ms.is_some()
        };
        assert!(noted("first").await && !noted("second").await);
        desk.begin_noting();
        drop(desk.used_keys.turn.lock().await);
        assert!(noted("second").await);
    }

    #[test]
    fn a_key_is_noted_once_a_minute_and_only_so_many_are_remembered() {
        let used = UsedKeys::default();
        let key = || vec!["k".to_owned()];
        used.add(key());
        used.add(key());
        assert_eq!(used.take(1_000), [key()]);
        used.add(key());
        assert!(used.take(2_000).is_empty());
        assert!(used.take(1_000 + USED_AGAIN_MS).is_empty());
        used.add(key());
        assert_eq!(used.take(1_000 + USED_AGAIN_MS), [key()]);
        used.add((0..2 * MOST).map(|n| n.to_string()).collect());
        let taken = used.take(1_000 + USED_AGAIN_MS);
        assert_eq!(taken.concat().len(), MOST - 1);
    }

    #[test]
    fn keys_are_noted_in_small_lots_and_in_one_order() {
        let used = UsedKeys::default();
        used.add((0..1_000).map(|n| n.to_string()).collect());
        let taken = used.take(1_000);
        assert!(taken.iter().all(|lot| lot.len() <= LOT));
        let keys = taken.concat();
        assert_eq!(keys.len(), 1_000);
        assert!(keys.is_sorted());
    }
}
