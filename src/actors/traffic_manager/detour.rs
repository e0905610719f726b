//! The way to a shard's owner by another member of the view, for a node that does not reach the owner itself: a cut between
//! the two alone moves no shard, for members' reports alone count for the view (PROTOCOLS W, L8).
//!
//! Counts are cumulative and bear the epoch that their asker knows (L7), so it changes nothing that a question comes late,
//! twice, or by two ways.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::AskError;
use domain::view::{Epoch, View};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::LAYOUT;
use super::message::{LeaseMany, Leased, PassedOn};
use crate::agreed_view::Latest;

/// For how long an owner that was silent is asked by others first: until it is suspected (2 s), which says the same.
const SILENT: Duration = Duration::from_secs(2);
/// What asking others may take in all: with the direct ask before it less than a question is waited for.
pub(super) const BY_OTHERS: Duration = Duration::from_secs(1);
/// How long who passes a question on waits for the owner; its no has to come in time for another to be asked.
pub(super) const BEYOND: Duration = Duration::from_millis(600);
/// Questions of others that a node passes on at a time: a quarter of what may be under way to a peer (M2), the rest is for
/// its own.
const AT_ONCE: usize = 256;
/// Bytes of them, a quarter as well, and of one; a larger one has only the direct way.
const BYTES: usize = 2 * 1024 * 1024;
const LARGEST: usize = 256 * 1024;
/// For how long an owner that let one of them wait in vain is asked no other. What was given up keeps its place on the way to
/// it until it answers something: until it is suspected there are two times [`AT_ONCE`] at most, half of what there is.
const IN_VAIN: Duration = Duration::from_secs(1);

/// What a node knows of owners that it does not reach, and what it passes on for others.
#[derive(Debug, Clone)]
pub(super) struct Detours {
    /// Owners that were silent to this node.
    silent: Silent,
    /// Owners that were silent to what was passed on.
    in_vain: Silent,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// Owners that were silent, and until when that counts.
#[derive(Debug, Clone, Default)]
struct Silent(Arc<Mutex<BTreeMap<String, Instant>>>);

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

/// What others bring while this view lasts. It ends with the view, lest a question that waits for an owner of before is not
/// put to the one of now in time (L8).
pub(super) async fn while_it_lasts(
    mut latest: watch::Receiver<Latest>,
    view: Epoch,
    by_others: impl Future<Output = Option<Leased>>,
) -> Option<Result<Leased, AskError>> {
    let is_over = |latest: &Latest| latest.view.epoch != view;
    let over = async { drop(latest.wait_for(is_over).await) };
    tokio::select! {
        answer = by_others => answer.map(Ok),
        () = over => Some(Err(AskError::Unavailable)),
    }
}

/// Bytes that a question takes on its way at most: texts as they are, with more than numbers ever need beside them.
pub(super) fn size_of(asked: &LeaseMany) -> usize {
    let limits = asked.limits.iter();
    let limits = limits.map(|limit| 32 + limit.tenant.len() + limit.policy.len());
    let asks = asked.asks.iter().map(|ask| 96 + ask.subject.len());
    64 + asked.node.len() + limits.chain(asks).sum::<usize>()
}

/// Whether an owner may not have heard what it was asked: nothing came of it, or its node says that nobody took it there, that
/// who took it ended, or was silent. What it refused otherwise it has heard.
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
            silent: Silent::default(),
            in_vain: Silent::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            bytes: Arc::new(Semaphore::new(BYTES)),
        }
    }
}

impl Detours {
    /// Puts another's question of this size to the owner, by this way and no other, where this node `reaches` it.
    pub(super) async fn pass_on(
        &self,
        owner: &str,
        reaches: bool,
        size: usize,
        direct: impl Future<Output = Result<Leased, AskError>>,
    ) -> PassedOn {
        if !reaches || self.in_vain.has(owner) {
            return PassedOn::NotReached;
        }
        let Some(_place) = self.place(size) else {
            return PassedOn::NotReached;
        };
        let answer = direct.await;
        // Before its place is another's.
        if answer == Err(AskError::Timeout) {
            self.in_vain.note(owner, IN_VAIN);
        }
        answer.map_or(PassedOn::NotReached, PassedOn::Answered)
    }

    /// A place among the questions that are passed on, and for its bytes; none where there are too many, or it is too large.
    fn place(&self, size: usize) -> Option<[SemaphorePermit<'_>; 2]> {
        let size = u32::try_from(size).ok().filter(|_| size <= LARGEST)?;
        let place = self.places.try_acquire().ok()?;
        Some([place, self.bytes.try_acquire_many(size).ok()?])
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
        if !is_up || self.silent.has(owner) {
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
            self.silent.note(owner, SILENT);
        }
        by_others.await.unwrap_or(answer)
    }
}

// === impl Silent ===

impl Silent {
    fn has(&self, owner: &str) -> bool {
        let silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = silent.get(owner);
        until.is_some_and(|until| Instant::now() < *until)
    }

    fn note(&self, owner: &str, lasts: Duration) {
        let mut silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        silent.retain(|_, until| now < *until);
        silent.insert(owner.to_owned(), now + lasts);
    }
}

#[cfg(test)]
#[path = "detour_tests.rs"]
mod tests;
