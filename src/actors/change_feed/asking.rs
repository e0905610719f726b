//! How a follower asks for what comes next (C4, M2). At the head it waits for a change, and takes small ones alone; what
//! it is told of and has not got it asks for at once, and so over the connection for what is large. So it does when
//! an answer did not come: a node of the version before sends whatever comes next, however large it is.

use std::time::Duration;

use cluster::{Address, AskError, Clock, spawn_named};
use domain::change_log::{Follower as Machine, Position};
use tokio::task::JoinHandle;

use super::handle::{CATCHING_UP, ChangeFeedHandle};
use super::message::{Pull, Pulled};
use super::transfer::{Waits, waited_for};

/// How long the feed may hold a pull; below the machine's own patience with one.
const LONG_POLL_MS: u32 = 800;
/// Entries asked for at once.
const MOST: u32 = 512;
/// What is large may take so long at most, however often it did not come in time.
const LONGEST: Duration = Duration::from_secs(60);
/// An empty answer that came faster than this is not asked for again at once.
const QUICK: Duration = Duration::from_millis(100);

/// What a follower asks with.
pub(crate) struct Asking {
    feed: ChangeFeedHandle,
    clock: Clock,
    /// The follower's stable name.
    follower: String,
    /// The head that the last answer told of.
    head: u64,
    /// What an answer that may be large may take.
    patience: Duration,
    /// How often it asked.
    asked: u64,
}

/// What came of a pull.
pub(crate) struct Came {
    /// Which of the pulls it was.
    number: u64,
    /// Where it asked from.
    pub(crate) after: Position,
    pub(crate) answer: Result<Pulled, AskError>,
    pub(crate) pace: Pace,
}

/// How a pull was asked and answered, as far as the next one goes by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    took: Duration,
    /// Whether it did not wait for a change.
    at_once: bool,
}

// === impl Asking ===

impl Asking {
    pub(crate) fn new(feed: ChangeFeedHandle, clock: Clock, follower: String) -> Self {
        Self {
            feed,
            clock,
            follower,
            head: 0,
            patience: CATCHING_UP,
            asked: 0,
        }
    }

    /// Asks for what comes after this, as the machine wants, and tells `me` what came. Asked `at_once` it waits for no
    /// change in any case.
    pub(crate) fn ask<M>(
        &mut self,
        machine: &Machine,
        after: Position,
        at_once: bool,
        me: &Address<M>,
    ) -> JoinHandle<()>
    where
        M: From<Came> + From<Waits> + Send + 'static,
    {
        let at_once = at_once || after.n < self.head || machine.is_failing();
        let pull = Pull {
            follower: self.follower.clone(),
            n: after.n,
            uuid: after.uuid.clone(),
            most: MOST,
            wait_ms: if at_once { 0 } else { LONG_POLL_MS },
            small: !at_once,
        };
        self.asked = self.asked.saturating_add(1);
        let number = self.asked;
        let (feed, clock, me) = (self.feed.clone(), self.clock.clone(), me.clone());
        let patience = self.patience;
        spawn_named("pull changes", async move {
            let began = clock.monotonic();
            let waits = || Waits::Pull {
                after: after.clone(),
            };
            // A long poll is over before anybody wonders.
            let answer = match at_once {
                true => waited_for(feed.pull_within(pull, patience), &me, waits).await,
                false => feed.pull(pull).await,
            };
            let took = clock.monotonic().saturating_sub(began);
            let came = Came {
                number,
                after,
                answer,
                pace: Pace { took, at_once },
            };
            let _ = me.tell(came.into());
        })
    }

    /// Whether it is what came of the latest pull. An earlier one was given up: that nothing came of it says nothing of the
    /// one that is under way, which may be bringing megabytes.
    pub(crate) fn is_latest(&self, came: &Came) -> bool {
        came.number == self.asked
    }

    /// Notes what the next pull goes by; before the machine is told.
    pub(crate) fn heard(&mut self, came: &Came) {
        match &came.answer {
            Ok(Pulled::Entries { head, .. }) => {
                (self.head, self.patience) = (*head, CATCHING_UP);
            }
            // Of another history, or none.
            Ok(Pulled::Resync { .. } | Pulled::Unavailable) => self.head = 0,
            // What is large and slow goes on to travel in front of the next answer.
            Err(AskError::Timeout) if came.pace.at_once => {
                self.patience = (self.patience * 2).min(LONGEST);
            }
            Err(_) => {}
        }
    }
}

// === impl Pace ===

impl Pace {
    /// Whether an empty answer is followed by another pull without a pause; `at_head` when that is where the follower
    /// is now. A first answer was not to wait; the next ones are, now that the head is known.
    pub(crate) fn goes_on(self, at_head: bool) -> bool {
        self.took >= QUICK || self.at_once && at_head
    }
}
