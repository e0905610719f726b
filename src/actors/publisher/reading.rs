//! Reading API descriptions: away from the threads that serve requests, and few at a time, because
//! a large one takes many times its size in memory while it is read. Few wait for their turn and
//! none for long: what waits holds its bytes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use domain::api::{ApiScope, Operation};
use domain::openapi::{self, Definition, DefinitionError, Limits, Media, ValidationReport};

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

/// A definition on its way to be stored, with the place that it takes until then.
#[derive(Debug)]
pub struct Placed {
    pub(super) definition: DefinitionDocument,
    _place: Option<OwnedSemaphorePermit>,
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
    /// Reads a definition; gives it back as it is to be stored. The place goes with it: as long as
    /// its bytes are on their way they take up memory.
    pub(super) async fn read(
        &self,
        bytes: Vec<u8>,
    ) -> Result<(Definition, Placed), PublisherError> {
        let place = self.place()?;
        let turn = self.turn().await?;
        let read = move || {
            let definition = openapi::read(&bytes, &Limits::default())?;
            let media_type = match definition.media {
                Media::Json => "application/json",
                Media::Yaml => "application/yaml",
            };
            let placed = Placed {
                definition: DefinitionDocument {
                    bytes,
                    media_type: media_type.to_owned(),
                    generated: false,
                },
                _place: Some(place),
            };
            Ok((definition, placed))
        };
        blocking(turn, read).await?.map_err(refused)
    }

    /// Validates a definition.
    pub(super) async fn validate(
        &self,
        bytes: Vec<u8>,
    ) -> Result<ValidationReport, PublisherError> {
        self.apart(move || openapi::validate(&bytes, &Limits::default()))
            .await
    }

    /// The definition with these operations, none when it says the same already; `load` is
    /// asked for the definition when its turn has come. The place is given back with the text: as
    /// long as that is on its way to be stored it takes up memory.
    pub(super) async fn rewrite<L>(
        &self,
        operations: &[Operation],
        scopes: &[ApiScope],
        load: impl FnOnce() -> L,
    ) -> Result<Option<Placed>, PublisherError>
    where
        L: Future<Output = Result<DefinitionDocument, PublisherError>>,
    {
        let (operations, scopes) = (operations.to_vec(), scopes.to_vec());
        let place = self.place()?;
        let turn = self.turn().await?;
        let kept = load().await?;
        let rewrite = move || {
            let limits = Limits::default();
            let text = openapi::with_operations(&kept.bytes, &limits, &operations, &scopes)?;
            Ok(text.map(|text| Placed {
                definition: DefinitionDocument {
                    bytes: text.into_bytes(),
                    media_type: "application/json".to_owned(),
                    generated: false,
                },
                _place: Some(place),
            }))
        };
        blocking(turn, rewrite).await?.map_err(refused)
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PublisherError> {
        let place = self.place()?;
        let turn = self.turn().await?;
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        blocking(turn, work).await
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, PublisherError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| PublisherError::Busy)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, PublisherError> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(self.patience, turn).await;
        let turn = turn.map_err(|_| PublisherError::Busy)?;
        turn.map_err(|error| PublisherError::Internal(error.to_string()))
    }
}

/// Works where it may take its time. The turn is the work's own: a caller who hangs up does not end
/// it.
async fn blocking<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PublisherError> {
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    let died = |error| PublisherError::Internal(format!("reading a definition ended: {error}"));
    done.await.map_err(died)
}

// === impl Placed ===

impl Placed {
    /// What is to be stored.
    #[must_use]
    pub const fn document(&self) -> &DefinitionDocument {
        &self.definition
    }
}

impl From<DefinitionDocument> for Placed {
    /// One that takes no place: a writer has it already, or it is as small as its API.
    fn from(definition: DefinitionDocument) -> Self {
        Self {
            definition,
            _place: None,
        }
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

    fn definition() -> DefinitionDocument {
        let text = r#"{"openapi":"3.0.3","info":{"title":"Pizza","version":"1"},"paths":{}}"#;
        DefinitionDocument {
            bytes: text.as_bytes().to_vec(),
            media_type: "application/json".to_owned(),
            generated: false,
        }
    }

    #[tokio::test]
    async fn who_writes_a_definition_anew_loads_it_when_its_turn_has_come() {
        let reading = Reading {
            patience: Duration::from_millis(1),
            ..Reading::default()
        };
        let mut loads = 0;
        let mut rewrite = async || {
            let load = || {
                loads += 1;
                std::future::ready(Ok(definition()))
            };
            (reading.rewrite(&[], &[], load).await.is_err(), loads)
        };
        let places = u32::try_from(MOST).unwrap();
        let places = reading.places.acquire_many(places).await.unwrap();
        assert_eq!(rewrite().await, (true, 0));
        drop(places);
        let turns = u32::try_from(AT_ONCE).unwrap();
        let turns = reading.turns.acquire_many(turns).await.unwrap();
        assert_eq!(rewrite().await, (true, 0));
        drop(turns);
        assert_eq!(rewrite().await, (false, 1));
    }
}
