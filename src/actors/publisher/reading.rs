//! Reading API descriptions: away from the threads that serve requests, and few at a time, because
//! a large one takes many times its size in memory while it is read. Few wait for their turn and
//! none for long: what waits holds its bytes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use domain::api::Api;
use domain::openapi::{self, Definition, DefinitionError, Limits, ValidationReport};

use super::error::PublisherError;
use super::message::DefinitionDocument;

/// Descriptions read at once; the others wait their turn.
const AT_ONCE: usize = 2;
/// Descriptions that are read or wait; whoever comes then is to come again.
const MOST: usize = 18;
/// The longest that one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The readers of a node.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(super) places: Arc<Semaphore>,
    pub(super) turns: Arc<Semaphore>,
    patience: Duration,
}

// === impl Reading ===

impl Default for Reading {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            patience: PATIENCE,
        }
    }
}

impl Reading {
    /// Reads a definition; gives its bytes back.
    pub(super) async fn read(
        &self,
        bytes: Vec<u8>,
    ) -> Result<(Definition, Vec<u8>), PublisherError> {
        let read =
            move || openapi::read(&bytes, &Limits::default()).map(|definition| (definition, bytes));
        self.apart(read).await?.map_err(refused)
    }

    /// Validates a definition.
    pub(super) async fn validate(
        &self,
        bytes: Vec<u8>,
    ) -> Result<ValidationReport, PublisherError> {
        self.apart(move || openapi::validate(&bytes, &Limits::default()))
            .await
    }

    /// The definition with the operations of `api`: as it is when it says the same already.
    pub(super) async fn rewrite(
        &self,
        kept: DefinitionDocument,
        api: &Api,
    ) -> Result<DefinitionDocument, PublisherError> {
        let (operations, scopes) = (api.operations.clone(), api.scopes.clone());
        let rewrite = move || {
            let limits = Limits::default();
            let rewritten = openapi::with_operations(&kept.bytes, &limits, &operations, &scopes)?;
            Ok(match rewritten {
                None => kept,
                Some(text) => DefinitionDocument {
                    bytes: text.into_bytes(),
                    media_type: "application/json".to_owned(),
                    generated: false,
                },
            })
        };
        self.apart(rewrite).await?.map_err(refused)
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PublisherError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| PublisherError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(self.patience, turn).await;
        let turn = turn.map_err(|_| PublisherError::Busy)?;
        let turn = turn.map_err(|error| PublisherError::Internal(error.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            // Kept by the work itself: a caller who hangs up does not end it.
            drop((turn, place));
            done
        });
        let died = |error| PublisherError::Internal(format!("reading a definition ended: {error}"));
        done.await.map_err(died)
    }
}

fn refused(fault: DefinitionError) -> PublisherError {
    PublisherError::Definition(vec![fault])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_than_two_descriptions_are_read_at_once() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let reading = Reading::default();
        let work = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            reading.apart(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
            })
        };
        for _ in 0..50 {
            let (a, b, c, d) = tokio::join!(work(), work(), work(), work());
            assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
        }
        assert!(most.load(Ordering::SeqCst) <= AT_ONCE);
    }

    #[tokio::test]
    async fn who_finds_all_places_taken_or_waits_too_long_is_to_come_again() {
        let reading = Reading {
            patience: Duration::from_millis(1),
            ..Reading::default()
        };
        let turns = Arc::clone(&reading.turns);
        let _all = turns.acquire_many(u32::try_from(AT_ONCE).unwrap()).await;
        let late = reading.apart(|| ()).await;
        assert!(matches!(late, Err(PublisherError::Busy)), "{late:?}");
        let places = Arc::clone(&reading.places);
        let _places = places.acquire_many(u32::try_from(MOST).unwrap()).await;
        let full = reading.apart(|| ()).await;
        assert!(matches!(full, Err(PublisherError::Busy)), "{full:?}");
    }
}
