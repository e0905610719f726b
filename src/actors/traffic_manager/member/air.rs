//! First parts of copies travel with probes, asks and register words, many shards at a time: so many bytes of them are in
//! the air to and from one member at once, lest all of that waits behind them where a link is slow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::AskError;
use domain::ledger::{Cursor, ShardImage};
use domain::view::Words;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::message::ShardHeard;

/// Bytes of first parts in the air at once: 40 ms of a link of 100 Mbit/s.
const BYTES: u32 = 512 * 1_024;
/// What is asked for is taken for so large until answers came.
const UNKNOWN: u32 = 32 * 1_024;
/// And never for less: so many at once are small as well.
const LEAST: u32 = 1_024;

/// What is on its way, by the member's stable id. All clones know the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Air(Arc<Mutex<BTreeMap<String, Arc<Link>>>>);

#[derive(Debug)]
struct Link {
    turn: tokio::sync::Mutex<()>,
    bytes: Arc<Semaphore>,
    /// How large answers were of late.
    answers: AtomicU32,
}

/// A first part is in the air for as long as this is there.
#[derive(Debug)]
pub(super) struct Room {
    link: Arc<Link>,
    is_question: bool,
    _bytes: OwnedSemaphorePermit,
}

// === impl Air ===

impl Air {
    /// Waits until there is room for these words, in the order of those who come. What is no first part needs none.
    ///
    /// # Errors
    /// When there was none in time.
    pub(super) async fn room(
        &self,
        node: &str,
        words: &Words,
        patience: Duration,
    ) -> Result<Option<Room>, AskError> {
        let given = match words {
            Words::Copy { after, .. } if *after == Cursor::Begin => None,
            Words::Fill { after, image, .. } if *after == Cursor::Begin => Some(bytes_of(image)),
            _ => return Ok(None),
        };
        let room = self.link(node).room(given);
        let room = tokio::time::timeout(patience, room).await;
        room.map_or(Err(AskError::Overloaded), |room| room.map(Some))
    }

    fn link(&self, node: &str) -> Arc<Link> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.entry(node.to_owned()).or_insert_with(|| {
            Arc::new(Link {
                turn: tokio::sync::Mutex::default(),
                bytes: Arc::new(Semaphore::new(BYTES as usize)),
                answers: AtomicU32::new(UNKNOWN),
            })
        });
        Arc::clone(link)
    }
}

// === impl Link ===

impl Link {
    /// Room for something of that size, else for an answer.
    async fn room(self: Arc<Self>, given: Option<u32>) -> Result<Room, AskError> {
        // Whoever is next goes by what answers are by then.
        let turn = self.turn.lock().await;
        let bytes = given.unwrap_or_else(|| self.answers.load(Ordering::Relaxed));
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await;
        let bytes = bytes.map_err(|_| AskError::Unavailable)?;
        drop(turn);
        Ok(Room {
            link: self,
            is_question: given.is_none(),
            _bytes: bytes,
        })
    }
}

// === impl Room ===

impl Room {
    /// The answer is here: others will be about as large, for keys lie evenly among shards.
    pub(super) fn heard(&self, heard: &ShardHeard) {
        let parts = heard.words.iter().filter_map(|words| match words {
            Words::Copied { image, .. } if self.is_question => Some(bytes_of(image)),
            _ => None,
        });
        for bytes in parts {
            let learned = |before: u32| (before / 2).max(bytes);
            let _ =
                self.link
                    .answers
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
                        Some(learned(before))
                    });
        }
    }
}

fn bytes_of(image: &ShardImage) -> u32 {
    let bytes = u32::try_from(image.weight()).unwrap_or(BYTES);
    bytes.clamp(LEAST, BYTES)
}

#[cfg(test)]
#[path = "air_tests.rs"]
mod tests;
