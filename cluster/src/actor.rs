//! The actor as the rest of Headgate writes it, and the wrapper that ractor runs.
//!
//! Implement [`Actor`]; spawn it through [`crate::child`]. The wrapper counts every message,
//! the time spent on it and its errors, so that no actor is invisible to an operator.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ractor::{ActorProcessingErr, ActorRef};

use crate::Clock;
use crate::address::Address;
use crate::fault;
use crate::registry::{Stats, Waiting};
use crate::self_report::SelfReport;

/// An error of any kind, as actors report it to their supervisor.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One owner of state that handles one message at a time.
pub trait Actor: Send + Sync + Sized + 'static {
    /// What it understands.
    type Message: Send + 'static;
    /// What it is started (and restarted) with.
    type Arguments: Clone + Send + Sync + 'static;
    /// The kind shown by inspection and metrics, such as `gateway.follower`.
    const KIND: &'static str;

    /// Makes the state; called at the first start and after every restart.
    ///
    /// # Errors
    /// Any error fails the start, which the supervisor repeats by its [`crate::RestartRule`].
    fn start(
        arguments: Self::Arguments,
        me: Address<Self::Message>,
    ) -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// Handles one message.
    ///
    /// # Errors
    /// An error ends this incarnation of the actor; its supervisor starts the next one.
    /// Faults that belong to the asker are sent as replies instead.
    fn handle(
        &mut self,
        message: Self::Message,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// What operators see of its state, and with whom it deals; nothing secret. Asked between messages, whenever somebody looks.
    fn shows(&self) -> SelfReport {
        SelfReport::default()
    }

    /// Called once on an orderly stop, never after a panic or a kill.
    fn stop(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What travels in a mailbox; a type of our own, so that the wire can be added in one place.
pub(crate) enum Envelope<M> {
    Message {
        message: M,
        /// Counted as waiting until this is dropped: handled, or gone with a dead mailbox.
        waiting: Waiting,
    },
    /// Somebody wants to see how it stands; no work, and not counted as such.
    Show,
}

// Mailboxes are of this process; what crosses nodes goes through the router.
impl<M: Send + 'static> ractor::Message for Envelope<M> {}

/// The ractor side of an [`Actor`].
pub(crate) struct Instrumented<A> {
    stats: Arc<Stats>,
    clock: Clock,
    actor: PhantomData<fn() -> A>,
}

// === impl Instrumented ===

impl<A> Instrumented<A> {
    pub(crate) fn new(stats: Arc<Stats>, clock: Clock) -> Self {
        Self {
            stats,
            clock,
            actor: PhantomData,
        }
    }
}

impl<A: Actor> ractor::Actor for Instrumented<A> {
    type Msg = Envelope<A::Message>;
    type State = A;
    type Arguments = (A::Arguments, Address<A::Message>);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (arguments, address): Self::Arguments,
    ) -> Result<A, ActorProcessingErr> {
        // What waited for the last incarnation is gone.
        self.stats.showcase.is_over();
        let state = A::start(arguments, address.clone()).await?;
        // Published only now: nobody can reach an actor whose state does not exist yet.
        address.publish(myself);
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        envelope: Self::Msg,
        state: &mut A,
    ) -> Result<(), ActorProcessingErr> {
        let Envelope::Message { message, waiting } = envelope else {
            let now = self.clock.monotonic();
            self.stats.showcase.show(state.shows(), now);
            return Ok(());
        };
        fault::point(&self.stats.doomed);
        let began = self.clock.monotonic();
        let outcome = state.handle(message).await;
        let spent = self.clock.monotonic().saturating_sub(began);
        self.stats.handled.fetch_add(1, Ordering::Relaxed);
        drop(waiting);
        self.stats.took(spent);
        // Its supervisor counts the failure, as it counts panics and kills.
        outcome
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut A,
    ) -> Result<(), ActorProcessingErr> {
        state.stop().await;
        Ok(())
    }
}
