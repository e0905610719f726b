//! The location-transparent way to ask: a typed request goes in, its reply comes out, and the
//! caller never learns on which node the actor lives.
//!
//! A door opens to an actor of this process, or to whichever member of the cluster has the role:
//! the own one first, then others in turn, until one answers or the deadline is there. With the
//! setting `node.encode_asks`, as in the second pass of the test command, asks inside a process are
//! encoded and decoded as well.

mod remote;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::address::{Address, Refusal};
use crate::ask::{AskError, Reply, reply_pair};
use crate::cluster::Cluster;
use crate::codec::{decode, encode};
use crate::protocol::{Before, PROTOCOL_BEFORE};
use crate::registry::System;
use crate::task::spawn_named;

/// A question that may cross nodes: plain data with a frozen shape per version (M1).
pub trait Request: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What answers it.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// Its number on the wire, unique among all requests.
    const KIND: u16;
    /// The version of its shape.
    const VERSION: u16;
    /// Whether asking twice does no more than asking once: then an ask whose answer was lost is
    /// asked again elsewhere.
    const IDEMPOTENT: bool = false;
    /// The version of the protocol that has this shape first.
    const SINCE: u16 = PROTOCOL_BEFORE;
    /// Its shape in the protocol's version before that, for nodes that speak no later one; without
    /// it they are not asked.
    const BEFORE: Option<Before<Self>> = None;

    /// Whether it or its answer may be large, and nobody waits for it in a hurry: then it travels
    /// beside probes and other asks, over a connection of its own (M2).
    fn is_bulk(&self) -> bool {
        false
    }
}

/// A request as its actor receives it.
#[derive(Debug)]
pub struct Asked<R: Request> {
    /// What is asked.
    pub request: R,
    /// Where the answer goes.
    pub reply: Reply<R::Reply>,
}

type SendTo<R> = dyn Fn(Asked<R>) -> Result<(), Refusal<Asked<R>>> + Send + Sync;

/// A typed way to an actor, wherever it lives.
pub struct Door<R: Request> {
    send: Arc<SendTo<R>>,
    encoded: bool,
    elsewhere: Option<Elsewhere>,
}

/// Members that may be asked as well, or instead.
#[derive(Clone)]
struct Elsewhere {
    cluster: Cluster,
    role: &'static str,
    /// Whether there is an actor of this process at all.
    here: bool,
    /// After which silence the next one is asked beside the first, where that does no harm.
    hedge: Duration,
}

// === impl Door ===

impl<R: Request> Clone for Door<R> {
    fn clone(&self) -> Self {
        Self {
            send: Arc::clone(&self.send),
            encoded: self.encoded,
            elsewhere: self.elsewhere.clone(),
        }
    }
}

impl<R: Request> std::fmt::Debug for Door<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Door({})", R::KIND)
    }
}

impl<R: Request> Door<R> {
    /// A door to an actor of this process. `unwrap` gives the request back out of an undelivered
    /// message, so that it can be offered to the actor's next incarnation.
    pub fn local<M: Send + 'static>(
        system: &System,
        address: Address<M>,
        wrap: fn(Asked<R>) -> M,
        unwrap: fn(M) -> Option<Asked<R>>,
    ) -> Self {
        Self {
            send: Arc::new(move |asked| {
                // A refused message is the one just wrapped, so it unwraps again; were it not,
                // its reply port is dropped and the asker learns that.
                address.offer(wrap(asked)).or_else(|refusal| match refusal {
                    Refusal::Absent(message) => {
                        unwrap(message).map_or(Ok(()), |asked| Err(Refusal::Absent(asked)))
                    }
                    Refusal::Full(message) => {
                        unwrap(message).map_or(Ok(()), |asked| Err(Refusal::Full(asked)))
                    }
                })
            }),
            encoded: system.encode_asks,
            elsewhere: None,
        }
    }

    /// A door that answers by itself, for what needs no actor.
    pub(crate) fn answering(answer: impl Fn(R) -> R::Reply + Send + Sync + 'static) -> Self {
        Self {
            send: Arc::new(move |asked| {
                asked.reply.send(answer(asked.request));
                Ok(())
            }),
            encoded: false,
            elsewhere: None,
        }
    }

    /// The same for what has to be looked up or asked of others first. Nothing here bounds how many do at a time.
    pub fn answering_later<F>(answer: impl Fn(R) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R::Reply> + Send + 'static,
    {
        Self {
            send: Arc::new(move |asked| {
                let answer = answer(asked.request);
                spawn_named("an answer", async move { asked.reply.send(answer.await) });
                Ok(())
            }),
            encoded: false,
            elsewhere: None,
        }
    }

    /// A door to whichever node has `role`: `here`, where this one does, before any other. Another
    /// is asked when the first is not there, and after `hedge` without a word where asking twice
    /// does no harm.
    #[must_use]
    pub fn anywhere(
        here: Option<Self>,
        cluster: &Cluster,
        role: &'static str,
        hedge: Duration,
    ) -> Self {
        let elsewhere = Elsewhere {
            cluster: cluster.clone(),
            role,
            here: here.is_some(),
            hedge,
        };
        let nobody = || Self {
            send: Arc::new(|asked| Err(Refusal::Absent(asked))),
            encoded: false,
            elsewhere: None,
        };
        Self {
            elsewhere: Some(elsewhere),
            ..here.unwrap_or_else(nobody)
        }
    }

    /// A door to several equal actors: `pick` gets the request and their number and says which
    /// one takes it; what it says is taken modulo their number.
    pub fn balanced(doors: Vec<Self>, pick: fn(&R, usize) -> usize) -> Self {
        let encoded = doors.iter().any(|door| door.encoded);
        Self {
            send: Arc::new(move |asked| {
                let size = doors.len().max(1);
                match doors.get(pick(&asked.request, size) % size) {
                    Some(door) => (door.send)(asked),
                    None => Err(Refusal::Absent(asked)),
                }
            }),
            encoded,
            elsewhere: None,
        }
    }

    /// Whether there is anybody behind it, here or on a node that is connected.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let elsewhere = self.elsewhere.as_ref();
        elsewhere.is_none_or(|elsewhere| elsewhere.here || !elsewhere.is_alone())
    }

    /// Asks and waits for the answer, at most `deadline`.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, request: R, deadline: Duration) -> Result<R::Reply, AskError> {
        match &self.elsewhere {
            None => self.ask_here(request, deadline, deadline).await,
            Some(elsewhere) => {
                let here = elsewhere.here.then_some(self);
                remote::ask(here, elsewhere, request, deadline).await
            }
        }
    }

    /// Asks the actor of this process, and waits so long for it while it is not there.
    async fn ask_here(
        &self,
        request: R,
        deadline: Duration,
        patience: Duration,
    ) -> Result<R::Reply, AskError> {
        let request = self.through_the_wire(request)?;
        let (reply, answer) = reply_pair();
        let mut asked = Asked { request, reply };
        let (taken, absent) = (AtomicBool::new(false), Instant::now() + patience);
        let asking = async {
            loop {
                match (self.send)(asked) {
                    Ok(()) => break,
                    Err(Refusal::Full(_)) => return Err(AskError::Overloaded),
                    Err(Refusal::Absent(_)) if Instant::now() >= absent => {
                        return Err(AskError::Unavailable);
                    }
                    Err(Refusal::Absent(back)) => asked = back,
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            taken.store(true, Ordering::Relaxed);
            answer.await.map_err(|_| AskError::Dropped)
        };
        let reply = tokio::time::timeout(deadline, asking).await.map_err(|_| {
            match taken.load(Ordering::Relaxed) {
                true => AskError::Timeout,
                false => AskError::Unavailable,
            }
        })??;
        if !self.encoded {
            return Ok(reply);
        }
        let bytes = encode(R::KIND, R::VERSION, &reply).map_err(|_| AskError::Unsupported)?;
        decode(R::KIND, R::VERSION, &bytes).map_err(|_| AskError::Unsupported)
    }

    fn through_the_wire(&self, request: R) -> Result<R, AskError> {
        if !self.encoded {
            return Ok(request);
        }
        let bytes = encode(R::KIND, R::VERSION, &request).map_err(|_| AskError::Unsupported)?;
        decode(R::KIND, R::VERSION, &bytes).map_err(|_| AskError::Unsupported)
    }
}
