//! The address of an actor in this process. It outlives restarts: a message sent while the
//! actor is being started again waits for the next incarnation, within the asker's deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ractor::{ActorRef, MessagingErr};
use tokio::sync::Notify;

use crate::actor::Envelope;
use crate::ask::{AskError, Reply, reply_pair};
use crate::registry::{Stats, Waiting};

/// Messages one mailbox may hold before senders are told at once that it is full (M2).
pub const MAILBOX_LIMIT: u64 = 16_384;

/// Where to send messages of type `M`.
pub struct Address<M> {
    slot: Arc<Slot<M>>,
}

struct Slot<M> {
    current: ArcSwapOption<ActorRef<Envelope<M>>>,
    started: Notify,
    stats: Arc<Stats>,
}

/// Why a message was not taken.
pub(crate) enum Refusal<M> {
    /// Nobody runs here now; the next incarnation may take it.
    Absent(M),
    /// As many wait as may.
    Full(M),
}

/// A message that could not be delivered, given back to its sender.
#[derive(Debug)]
pub struct Undelivered<M>(pub M);

// === impl Address ===

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
        }
    }
}

impl<M> std::fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.slot.stats.name)
    }
}

impl<M: Send + 'static> Address<M> {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        Self {
            slot: Arc::new(Slot {
                current: ArcSwapOption::empty(),
                started: Notify::new(),
                stats,
            }),
        }
    }

    pub(crate) fn publish(&self, actor: ActorRef<Envelope<M>>) {
        self.slot.current.store(Some(Arc::new(actor)));
        self.slot.started.notify_waiters();
    }

    /// The name that inspection shows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.slot.stats.name
    }

    /// Messages sent and not handled yet.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.slot.stats.depth()
    }

    /// Sends without waiting for an answer.
    ///
    /// # Errors
    /// Gives the message back when the actor is not running or its mailbox is full.
    pub fn tell(&self, message: M) -> Result<(), Undelivered<M>> {
        self.offer(message).map_err(|refusal| match refusal {
            Refusal::Absent(message) | Refusal::Full(message) => Undelivered(message),
        })
    }

    pub(crate) fn offer(&self, message: M) -> Result<(), Refusal<M>> {
        let Some(actor) = self.slot.current.load_full() else {
            return Err(Refusal::Absent(message));
        };
        let stats = &self.slot.stats;
        let Some(waiting) = Waiting::take(stats, MAILBOX_LIMIT) else {
            return Err(Refusal::Full(message));
        };
        stats.received.fetch_add(1, Ordering::Relaxed);
        actor
            .send_message(Envelope::Message { message, waiting })
            .map_err(|error| {
                stats.received.fetch_sub(1, Ordering::Relaxed);
                match error {
                    MessagingErr::SendErr(Envelope::Message { message, .. }) => {
                        Refusal::Absent(message)
                    }
                    // Neither a closed channel nor a wrong type can follow from a typed reference.
                    MessagingErr::SendErr(Envelope::Show)
                    | MessagingErr::ChannelClosed
                    | MessagingErr::InvalidActorType => {
                        unreachable!("a typed local send returns its message")
                    }
                }
            })
    }

    /// Asks and waits for the answer, at most `deadline`.
    ///
    /// # Errors
    /// [`AskError::Overloaded`] at once when the mailbox is full, [`AskError::Unavailable`] when no
    /// incarnation took the question in time, [`AskError::Dropped`] when one took it and died,
    /// [`AskError::Timeout`] when it did not answer in time.
    pub async fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, AskError> {
        let (reply, answer) = reply_pair();
        let mut message = question(reply);
        let taken = AtomicBool::new(false);
        let asking = async {
            loop {
                let started = self.slot.started.notified();
                match self.offer(message) {
                    Ok(()) => break,
                    Err(Refusal::Full(_)) => return Err(AskError::Overloaded),
                    Err(Refusal::Absent(back)) => message = back,
                }
                // A restart takes milliseconds; the short wait covers one between tell and notified.
                let _ = tokio::time::timeout(Duration::from_millis(20), started).await;
            }
            taken.store(true, Ordering::Relaxed);
            answer.await.map_err(|_| AskError::Dropped)
        };
        match tokio::time::timeout(deadline, asking).await {
            Ok(outcome) => outcome,
            Err(_) if !taken.load(Ordering::Relaxed) => Err(AskError::Unavailable),
            Err(_) => Err(AskError::Timeout),
        }
    }

    /// Asks it to show how it stands, unless that was asked already.
    pub(crate) fn show(&self) {
        let showcase = &self.slot.stats.showcase;
        let current = self.slot.current.load_full();
        let asked = |actor: Arc<ActorRef<Envelope<M>>>| actor.send_message(Envelope::Show).is_ok();
        if showcase.asks() && !current.is_some_and(asked) {
            showcase.is_over();
        }
    }

    /// Stops this incarnation without a word, as a fault would; its supervisor starts the next.
    /// For tests and for an operator's last resort.
    pub fn kill(&self) {
        if let Some(actor) = self.slot.current.load_full() {
            actor.get_cell().kill();
        }
    }
}
