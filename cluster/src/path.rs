//! The way to another node's router, with a bound on what is under way (M2): what ractor below
//! would queue without end is refused here at once.
//!
//! An ask that its asker has given up still lies below, behind all that was sent before it: its
//! places stay taken until something is answered that was sent later, for what is sent to a peer
//! arrives in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ractor::{ActorRef, RpcReplyPort};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ask::AskError;
use crate::bulk::{Bulk, Carried};
use crate::counters::Counters;
use crate::member::Member;
use crate::router::Routed;
use crate::security::Security;
use crate::untaken::{Owed, Room, Untaken};

/// Asks under way to one peer.
const ASKS: usize = 1_024;
/// Bytes of them.
const BYTES: usize = 8 * 1024 * 1024;

/// What two nodes have agreed on for one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// The version of the protocol that is spoken.
    pub(crate) protocol: u16,
    /// What asks to the peer bear, so that it knows by which connection they come.
    pub(crate) bears: u64,
}

/// The way to one incarnation of one node, while its connection lives.
pub(crate) struct Path {
    router: ActorRef<Routed>,
    asks: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    sent: Mutex<Sent>,
    counters: Arc<Counters>,
    terms: Terms,
    /// Places of the peer's own asks that are being answered, and of their bytes.
    answering: [Arc<Semaphore>; 2],
    /// The way for what is large; none of its own in tests.
    bulk: Option<Bulk>,
    /// Said when the connection is over, to what rests on it.
    ended: CancellationToken,
    /// Ends the peer's own connection for what is large.
    carried: Mutex<CancellationToken>,
}

/// What was handed to the session below.
#[derive(Default)]
struct Sent {
    /// The number of the last one; they arrive in this order.
    last: u64,
    /// Places of those that nobody waits for any more, and that may not have left this node.
    given_up: BTreeMap<u64, Places>,
    /// Answers to the peer's own asks, which travel the same way.
    untaken: Untaken,
}

/// A place among the asks, and one for the bytes.
pub(crate) type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// One that is waited for.
struct Awaited<'a> {
    path: &'a Path,
    number: u64,
    places: Option<Places>,
}

// === impl Path ===

impl std::fmt::Debug for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Path").finish_non_exhaustive()
    }
}

impl Path {
    /// The way to the peer's `router`.
    pub(crate) fn new(router: ActorRef<Routed>, counters: Arc<Counters>, terms: Terms) -> Self {
        Self {
            router,
            asks: Arc::new(Semaphore::new(ASKS)),
            bytes: Arc::new(Semaphore::new(BYTES)),
            sent: Mutex::default(),
            counters,
            terms,
            answering: [ASKS, BYTES].map(|most| Arc::new(Semaphore::new(most))),
            bulk: None,
            ended: CancellationToken::new(),
            carried: Mutex::default(),
        }
    }

    /// The same, with a connection of its own for what is large, from and to these two.
    pub(crate) fn with_bulk(mut self, both: (Member, Member), security: Security) -> Self {
        let (counters, ended) = (Arc::clone(&self.counters), self.ended.clone());
        let bears = self.terms.bears;
        self.bulk = Some(Bulk::new(both, bears, security, counters, ended));
        self
    }

    /// Whether it is the way to this member, and one on which what is large has its own.
    pub(crate) fn takes_bulk_of(&self, member: &Member) -> bool {
        let bulk = self.bulk.as_ref();
        bulk.is_some_and(|bulk| bulk.is_with(member))
    }

    /// The connection is over; what rests on it is as well.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// The peer has opened a connection for what is large; says when that is to end. One that it
    /// had before ends now.
    pub(crate) fn begins_to_carry(&self) -> CancellationToken {
        let over = self.ended.child_token();
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *carried, over.clone());
        before.cancel();
        over
    }

    /// The version of the protocol that is spoken there.
    pub(crate) const fn protocol(&self) -> u16 {
        self.terms.protocol
    }

    /// A place for one of the peer's asks, which is so large: as many as it may have under way.
    pub(crate) fn begin_to_answer(&self, size: usize) -> Option<Places> {
        let [asks, bytes] = &self.answering;
        let ask = Arc::clone(asks).try_acquire_owned().ok()?;
        let size = u32::try_from(size).ok()?;
        let room = Arc::clone(bytes).try_acquire_many_owned(size).ok()?;
        Some((ask, room))
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What may be under way to the peer as answers, before it has taken what is.
    pub(crate) fn room_for_answers(&self) -> Room {
        self.sent().untaken.room()
    }

    /// Counts an answer that is about to be sent; false when it is one too many.
    pub(crate) fn owes(&self, size: usize, what: Owed) -> bool {
        let mut sent = self.sent();
        let last = sent.last;
        sent.untaken.add(last, size, what)
    }

    /// Whether the peer is to be probed so that it is known what it has taken; the probe ends with
    /// [`Path::has_proof`].
    pub(crate) fn wants_proof(&self) -> bool {
        self.sent().untaken.begins_to_ask()
    }

    pub(crate) fn has_proof(&self) {
        self.sent().untaken.has_asked();
    }

    /// Asks under way, bytes of them, and bytes of answers to the peer.
    pub(crate) fn under_way(&self) -> (usize, usize, usize) {
        let asks = ASKS - self.asks.available_permits().min(ASKS);
        let bytes = BYTES - self.bytes.available_permits().min(BYTES);
        let bulk = self.bulk.as_ref().map(Bulk::under_way).unwrap_or_default();
        let answers = self.sent().untaken.bytes();
        (asks + bulk.0, bytes + bulk.1, answers)
    }

    /// Sends an encoded ask and waits for the encoded answer.
    pub(crate) async fn ask(
        &self,
        bytes: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, AskError> {
        let size = u32::try_from(bytes.len()).map_err(|_| AskError::Overloaded)?;
        let room = (
            Arc::clone(&self.asks).try_acquire_owned(),
            Arc::clone(&self.bytes).try_acquire_many_owned(size),
        );
        let (Ok(ask), Ok(room)) = room else {
            return Err(AskError::Overloaded);
        };
        self.send(bytes, deadline, Some((ask, room))).await
    }

    /// Those that were handed to the connection for what is large, and have no answer.
    #[cfg(test)]
    pub(crate) async fn waiting_in_bulk(&self) -> usize {
        match &self.bulk {
            Some(bulk) => bulk.waiting().await,
            None => 0,
        }
    }

    /// The same for what is large: beside the others where the peer knows such a way and it can be
    /// had from here.
    pub(crate) async fn ask_in_bulk(
        &self,
        bytes: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, AskError> {
        let end = Instant::now() + deadline;
        let carried = match &self.bulk {
            Some(bulk) => bulk.ask(bytes, deadline).await,
            None => Carried::NoWay(bytes),
        };
        let answer = match carried {
            Carried::Sent(answer) => answer,
            Carried::NoWay(bytes) => {
                Counters::add(&self.counters.bulk_beside);
                let left = end.saturating_duration_since(Instant::now());
                return self.ask(bytes, left).await;
            }
        };
        Counters::add(&self.counters.asks);
        Counters::add(&self.counters.bulk_asks);
        self.counters.sent_in.add(self.terms.protocol);
        if answer.is_err() {
            Counters::add(&self.counters.asks_failed);
        }
        answer
    }

    /// The same without a place among the asks: a probe must not wait for what it is to judge.
    pub(crate) async fn probe(
        &self,
        bytes: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, AskError> {
        self.send(bytes, deadline, None).await
    }

    async fn send(
        &self,
        bytes: Vec<u8>,
        deadline: Duration,
        places: Option<Places>,
    ) -> Result<Vec<u8>, AskError> {
        Counters::add(&self.counters.asks);
        self.counters.sent_in.add(self.terms.protocol);
        let answer = match self.hand_down(bytes, deadline, places) {
            Ok((awaited, answer)) => match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(answer)) => {
                    awaited.answered();
                    Ok(answer)
                }
                // The connection ended: the ask may have been carried out or not.
                Ok(Err(_)) => Err(AskError::Dropped),
                Err(_) => Err(AskError::Timeout),
            },
            Err(error) => Err(error),
        };
        if answer.is_err() {
            Counters::add(&self.counters.asks_failed);
        }
        answer
    }

    fn hand_down(
        &self,
        bytes: Vec<u8>,
        deadline: Duration,
        places: Option<Places>,
    ) -> Result<(Awaited<'_>, oneshot::Receiver<Vec<u8>>), AskError> {
        let (answer, answered) = oneshot::channel();
        let reply = RpcReplyPort::from((answer, deadline));
        // Numbered in the order in which they are sent.
        let mut sent = self.sent();
        let handed = self.router.cast(Routed {
            bytes,
            reply,
            bears: Some(self.terms.bears),
        });
        // Nothing was sent.
        handed.map_err(|_| AskError::Unavailable)?;
        sent.last += 1;
        let number = sent.last;
        drop(sent);
        let awaited = Awaited {
            path: self,
            number,
            places,
        };
        Ok((awaited, answered))
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Awaited ===

impl Awaited<'_> {
    /// The peer has answered this one: it has all that was sent before.
    fn answered(mut self) {
        self.places = None;
        let mut sent = self.path.sent();
        sent.untaken.arrived(self.number);
        if !sent.given_up.is_empty() {
            let later = sent.given_up.split_off(&self.number);
            sent.given_up = later;
        }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if let Some(places) = self.places.take() {
            self.path.sent().given_up.insert(self.number, places);
        }
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
