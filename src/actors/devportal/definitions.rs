//! Definitions as the portal shows them: with a gateway's addresses in place of the backend's.
//!
//! Anybody may ask for one, and a large one costs a processor's work and many times its size in
//! memory. So few are written at once, few wait for their turn and none for long, and none loads
//! anything before its turn; what was written last is kept for the next who asks, and all that is
//! on its way to readers, who may be slow, has bounds together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::openapi::{self, Limits};
use storage::StoreError;
use storage::shared::blobs::Blob;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::message::DevPortalError;

/// Definitions that are written at once; the others wait their turn.
const AT_ONCE: usize = 2;
/// Definitions that are written or wait; whoever comes then is to come again.
const MOST: usize = 18;
/// The longest that one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the kept texts and those on their way to readers take together.
const ROOM_KIB: usize = 128 * 1_024;
/// As much room as the bytes of a definition is taken for its text this many times, until the text
/// is there and says it: one that had none would be written for nothing.
const LONGER: usize = 3;
/// What the kept ones take that nobody is being sent.
const KEPT_BYTES: usize = 32 * 1_024 * 1_024;
/// How many of them are kept.
const KEPT: usize = 16;

/// A definition with these addresses. Its readers share one text; the last of them frees its room.
#[derive(Debug, Clone)]
pub struct ShownDefinition(Arc<Shown>);

#[derive(Debug)]
struct Shown {
    text: String,
    stored_at_ms: i64,
    room: OwnedSemaphorePermit,
}

/// What decides how a definition reads: its immutable blob and the addresses.
type Asked = (String, Vec<String>);

/// Those who write them.
#[derive(Debug, Clone)]
pub(super) struct Definitions {
    places: Arc<Semaphore>,
    pub(super) turns: Arc<Semaphore>,
    room: Arc<Semaphore>,
    patience: Duration,
    /// The one that was asked for last comes first.
    kept: Arc<Mutex<VecDeque<(Asked, ShownDefinition)>>>,
}

// === impl ShownDefinition ===

impl ShownDefinition {
    /// When it was stored, milliseconds since the epoch.
    #[must_use]
    pub fn stored_at_ms(&self) -> i64 {
        self.0.stored_at_ms
    }
}

impl AsRef<[u8]> for ShownDefinition {
    fn as_ref(&self) -> &[u8] {
        self.0.text.as_bytes()
    }
}

// === impl Definitions ===

impl Default for Definitions {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            patience: PATIENCE,
            kept: Arc::default(),
        }
    }
}

impl Definitions {
    /// The definition in a blob with these addresses. When its turn has come, `measure` is asked for
    /// the blob's size and, if there is room for its text, `load` for the blob.
    ///
    /// # Errors
    /// [`DevPortalError::Busy`], and what `measure` and `load` say.
    pub(super) async fn show<M, L>(
        &self,
        blob: &str,
        urls: Vec<String>,
        measure: impl FnOnce() -> M,
        load: impl FnOnce() -> L,
    ) -> Result<ShownDefinition, DevPortalError>
    where
        M: Future<Output = Result<usize, DevPortalError>>,
        L: Future<Output = Result<Blob, DevPortalError>>,
    {
        let asked = (blob.to_owned(), urls);
        if let Some(known) = self.find(&asked) {
            return Ok(known);
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| DevPortalError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(self.patience, turn).await;
        let turn = turn.map_err(|_| DevPortalError::Busy)?;
        let turn = turn.map_err(|error| damaged(&error))?;
        // Whoever had the turn before may have wanted the same.
        if let Some(known) = self.find(&asked) {
            return Ok(known);
        }
        let mut room = self.room_for(measure().await?.saturating_mul(LONGER))?;
        let blob = load().await?;
        let (urls, stored_at_ms) = (asked.1.clone(), blob.created_at_ms);
        let read = tokio::task::spawn_blocking(move || {
            let read = openapi::with_addresses(&blob.bytes, &Limits::default(), &urls);
            // Kept by the work itself: a caller who hangs up does not end it.
            drop((turn, place));
            read
        });
        let text = read.await.map_err(|error| damaged(&error))?;
        let text = text.map_err(|fault| damaged(&fault.message))?;
        let needed = kib(text.len())?;
        match needed.checked_sub(room.num_permits()) {
            Some(more) => room.merge(self.room_for(more.saturating_mul(1_024))?),
            None => drop(room.split(room.num_permits() - needed)),
        }
        let shown = ShownDefinition(Arc::new(Shown {
            text,
            stored_at_ms,
            room,
        }));
        self.keep(asked, &shown);
        Ok(shown)
    }

    fn find(&self, asked: &Asked) -> Option<ShownDefinition> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == asked)?;
        let found = kept.remove(at)?;
        let shown = found.1.clone();
        kept.push_front(found);
        trim(&mut kept);
        Some(shown)
    }

    /// Room for this many bytes. What nobody is being sent makes room for it if that is enough;
    /// dropping what readers hold would free nothing.
    fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, DevPortalError> {
        let needed = kib(bytes)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let unread = kept.iter().filter(|(_, one)| is_unread(one));
        let unread: usize = unread.map(|(_, one)| one.0.room.num_permits()).sum();
        if self.room.available_permits() + unread < needed {
            return Err(DevPortalError::Busy);
        }
        let wanted = u32::try_from(needed).map_err(|_| DevPortalError::Busy)?;
        loop {
            if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(wanted) {
                return Ok(room);
            }
            let last = kept.iter().rposition(|(_, one)| is_unread(one));
            kept.remove(last.ok_or(DevPortalError::Busy)?);
        }
    }

    fn keep(&self, asked: Asked, shown: &ShownDefinition) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((asked, shown.clone()));
        trim(&mut kept);
    }
}

/// Drops the ones asked for longest ago of those that nobody is being sent, as far as they are too
/// many. What readers hold stays for the next who ask: its room is taken either way, and a second
/// copy would take as much again.
fn trim(kept: &mut VecDeque<(Asked, ShownDefinition)>) {
    let (mut bytes, mut count) = (0, 0);
    kept.retain(|(_, one)| {
        if !is_unread(one) {
            return true;
        }
        bytes += one.0.text.len();
        count += 1;
        bytes <= KEPT_BYTES && count <= KEPT
    });
}

fn is_unread(one: &ShownDefinition) -> bool {
    Arc::strong_count(&one.0) == 1
}

/// What this many bytes take of the room; more than all of it for none.
fn kib(bytes: usize) -> Result<usize, DevPortalError> {
    let needed = bytes.div_ceil(1_024);
    if needed > ROOM_KIB {
        return Err(DevPortalError::Busy);
    }
    Ok(needed)
}

fn damaged(reason: &dyn std::fmt::Display) -> DevPortalError {
    let (what, reason) = ("definition", reason.to_string());
    StoreError::Damaged { what, reason }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"openapi":"3.0.3","info":{"title":"Pizza","version":"1"},"paths":{}}"#;

    fn url(n: usize) -> Vec<String> {
        vec![format!("https://gw{n}/pizza")]
    }

    async fn show(
        definitions: &Definitions,
        n: usize,
        loads: &mut usize,
    ) -> Result<ShownDefinition, DevPortalError> {
        let blob = Blob {
            id: "b".to_owned(),
            tenant: "carbon.super".to_owned(),
            kind: "definition".to_owned(),
            media_type: "application/json".to_owned(),
            bytes: TEXT.as_bytes().to_vec(),
            created_at_ms: 7,
        };
        let measure = || std::future::ready(Ok(TEXT.len()));
        let load = || {
            *loads += 1;
            std::future::ready(Ok(blob))
        };
        definitions.show("b", url(n), measure, load).await
    }

    fn is_busy<T>(outcome: &Result<T, DevPortalError>) -> bool {
        matches!(outcome, Err(DevPortalError::Busy))
    }

    #[tokio::test]
    async fn who_finds_no_place_or_waits_too_long_comes_again_and_nothing_was_loaded() {
        let definitions = Definitions {
            patience: Duration::from_millis(1),
            ..Definitions::default()
        };
        let mut loads = 0;
        let turns = definitions.turns.acquire_many(2).await.unwrap();
        assert!(is_busy(&show(&definitions, 1, &mut loads).await));
        drop(turns);
        let places = u32::try_from(MOST).unwrap();
        let places = definitions.places.acquire_many(places).await.unwrap();
        assert!(is_busy(&show(&definitions, 1, &mut loads).await));
        drop(places);
        assert_eq!(loads, 0);
        show(&definitions, 1, &mut loads).await.unwrap();
        assert_eq!(loads, 1);
    }

    #[tokio::test]
    async fn one_that_is_asked_for_again_is_written_once_for_each_address() {
        let definitions = Definitions::default();
        let mut loads = 0;
        let first = show(&definitions, 1, &mut loads).await.unwrap();
        assert_eq!(first.stored_at_ms(), 7);
        let text = std::str::from_utf8(first.as_ref()).unwrap();
        assert!(text.contains("https://gw1/pizza"), "{text}");
        show(&definitions, 1, &mut loads).await.unwrap();
        assert_eq!(loads, 1);
        let other = show(&definitions, 2, &mut loads).await.unwrap();
        assert_ne!(first.as_ref(), other.as_ref());
        assert_eq!(loads, 2);
    }

    #[tokio::test]
    async fn what_is_on_its_way_to_readers_has_bounds_and_what_is_only_kept_makes_room() {
        let definitions = Definitions {
            room: Arc::new(Semaphore::new(2)),
            ..Definitions::default()
        };
        let mut loads = 0;
        let held = [
            show(&definitions, 1, &mut loads).await.unwrap(),
            show(&definitions, 2, &mut loads).await.unwrap(),
        ];
        for _ in 0..3 {
            assert!(is_busy(&show(&definitions, 3, &mut loads).await));
        }
        assert_eq!(loads, 2, "nothing is loaded for which there is no room");
        // What readers hold is kept for the next who ask: dropping it would free nothing.
        for n in [1, 2] {
            show(&definitions, n, &mut loads).await.unwrap();
        }
        assert_eq!(loads, 2);
        drop(held);
        for n in 4..40 {
            show(&definitions, n, &mut loads).await.unwrap();
        }
        assert!(definitions.kept.lock().unwrap().len() <= 2);
    }

    #[tokio::test]
    async fn what_readers_hold_is_written_once_however_many_they_are() {
        let definitions = Definitions::default();
        let mut loads = 0;
        let mut held = Vec::new();
        for n in 0..=2 * KEPT {
            held.push(show(&definitions, n, &mut loads).await.unwrap());
        }
        let written = loads;
        for n in 0..=2 * KEPT {
            show(&definitions, n, &mut loads).await.unwrap();
        }
        assert_eq!(loads, written);
        drop(held);
        show(&definitions, 0, &mut loads).await.unwrap();
        assert_eq!(loads, written);
        assert!(definitions.kept.lock().unwrap().len() <= KEPT + 1);
    }
}
