//! The way to a shard's owner by another member of the view, for a node that does not reach the owner itself: a cut between
//! the two alone moves no shard, for members' reports alone count for the view (PROTOCOLS W, L8).
//!
//! Counts are cumulative and bear the epoch that their asker knows (L7), so it changes nothing that a question comes late,
//! twice, or by two ways.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::AskError;
use domain::view::View;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::LAYOUT;
use super::message::{Leased, PassedOn};

/// For how long an owner that was silent is asked by others first: until it is suspected (2 s), which says the same.
const SILENT: Duration = Duration::from_secs(2);
/// What asking others may take in all: with the direct ask before it less than a question is waited for.
const BY_OTHERS: Duration = Duration::from_secs(1);
/// How long who passes a question on waits for the owner; its no has to come in time for another to be asked.
pub(super) const BEYOND: Duration = Duration::from_millis(600);
/// Questions of others that a node passes on at a time: a quarter of what may be under way to a peer (M2), the rest is for
/// its own.
const AT_ONCE: usize = 256;

/// What a node knows of owners that it does not reach, and what it passes on for others.
#[derive(Debug, Clone)]
pub(super) struct Detours {
    /// Owners that were silent, and until when that counts.
    silent: Arc<Mutex<BTreeMap<String, Instant>>>,
    places: Arc<Semaphore>,
}

/// Who may pass a question on to the owner of a shard, the standby first: it hears the owner, or there is another view soon.
pub(super) fn carriers(view: &View, shard: u16, reaches: impl Fn(&str) -> bool) -> Vec<String> {
    let owner = view.owner(shard, LAYOUT.rank);
    let standby = view.standby(shard, LAYOUT.rank);
    let members = view.members.iter();
    let others = members.filter(|life| Some(*life) != owner && Some(*life) != standby);
    let all = standby.into_iter().chain(others).map(|life| &life.node);
    all.filter(|node| reaches(node)).cloned().collect()
}

/// Asks one after the other to pass a question on, until one has an answer of the owner.
pub(super) async fn by<F>(
    carriers: Vec<String>,
    ask: impl Fn(String, Duration) -> F,
) -> Option<Leased>
where
    F: Future<Output = Result<PassedOn, AskError>>,
{
    let end = Instant::now() + BY_OTHERS;
    for carrier in carriers {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        if let Ok(PassedOn::Answered(leased)) = ask(carrier, left).await {
            return Some(leased);
        }
    }
    None
}

/// Whether an owner may not have heard what it was asked. What it refused it has heard.
const fn is_unreached(answer: &Result<Leased, AskError>) -> bool {
    matches!(
        answer,
        Err(AskError::Unavailable | AskError::Dropped | AskError::Timeout)
    )
}

/// What others brought, counted.
async fn counted(
    by_others: impl Future<Output = Option<Result<Leased, AskError>>>,
) -> Option<Result<Leased, AskError>> {
    let answer = by_others.await;
    if let Some(Ok(_)) = answer {
        metrics::counter!("headgate_throttle_asks_passed_on_total").increment(1);
    }
    answer
}

// === impl Detours ===

impl Default for Detours {
    fn default() -> Self {
        Self {
            silent: Arc::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Detours {
    /// A place among the questions that are passed on; none where there are too many.
    pub(super) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    /// Asks an owner directly where it is up and was not silent lately, and by others where that fails; else the other way
    /// about.
    pub(super) async fn ask(
        &self,
        owner: &str,
        is_up: bool,
        direct: impl Future<Output = Result<Leased, AskError>>,
        by_others: impl Future<Output = Option<Result<Leased, AskError>>>,
    ) -> Result<Leased, AskError> {
        let by_others = counted(by_others);
        if !is_up || self.was_silent(owner) {
            return match by_others.await {
                Some(answer) => answer,
                None => direct.await,
            };
        }
        let answer = direct.await;
        if !is_unreached(&answer) {
            return answer;
        }
        // What fails at once needs no remembering: it costs nobody time.
        if answer == Err(AskError::Timeout) {
            self.note_silent(owner);
        }
        by_others.await.unwrap_or(answer)
    }

    fn was_silent(&self, owner: &str) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let until = silent.get(owner);
        until.is_some_and(|until| Instant::now() < *until)
    }

    fn note_silent(&self, owner: &str) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        silent.retain(|_, until| now < *until);
        silent.insert(owner.to_owned(), now + SILENT);
    }
}

#[cfg(test)]
#[path = "detour_tests.rs"]
mod tests;
