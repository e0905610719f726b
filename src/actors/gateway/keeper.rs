//! Keeps the serving lease (S1): tells the control plane every half second, and whenever more is
//! applied, how far the gateway is, and hands on what it may go by.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, AskError, BoxError, Reply, SelfReport, Ticker, spawn_named};
use domain::change_log::Position;
use domain::serving_lease::{EVERY_MS, FollowerKind, ServingLease};

use super::state::State;
use super::steady_ms;
use crate::change_feed::ChangeFeedHandle;
use crate::change_feed::message::{Heard, Heartbeat};

pub(super) enum Message {
    /// Half a second went by.
    Round,
    /// More is applied, stored and visible to requests.
    Applied,
    /// The gateway serves nobody any more; answered once the control plane knows.
    Leave(Reply<()>),
}

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) state: Arc<State>,
    pub(super) feed: ChangeFeedHandle,
    /// The stable name under which it follows.
    pub(super) name: String,
    /// The node's incarnation (W1).
    pub(super) incarnation: u64,
    pub(super) kind: FollowerKind,
}

pub(super) struct Keeper {
    arguments: Arguments,
    has_left: bool,
    was_cut_off: bool,
    _ticker: Ticker,
}

impl Actor for Keeper {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "gateway.keeper";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        let every = Duration::from_millis(EVERY_MS.unsigned_abs());
        Ok(Self {
            arguments,
            has_left: false,
            was_cut_off: false,
            _ticker: Ticker::start(me, every, || Message::Round),
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        match message {
            Message::Round => {
                self.stand().step(ServingLease::begin_round);
                self.tell_of_cut();
                self.ask();
            }
            Message::Applied => self.ask(),
            Message::Leave(done) => self.leave(done),
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        SelfReport::default()
            .with("follows as", &self.arguments.name)
            .with("has left", self.has_left)
            .with("is cut off", self.was_cut_off)
            .linked("change-feed of a control plane")
    }
}

// === impl Keeper ===

impl Keeper {
    fn stand(&self) -> &super::standing::Stand {
        &self.arguments.state.stand
    }

    fn heartbeat(&self, at: &Position, leaves: bool) -> Heartbeat {
        Heartbeat {
            follower: self.arguments.name.clone(),
            incarnation: self.arguments.incarnation,
            kind: self.arguments.kind,
            n: at.n,
            uuid: at.uuid.clone(),
            leaves,
        }
    }

    fn ask(&self) {
        let heartbeat = match self.arguments.state.stored.load_full() {
            Some(stored) if !self.has_left => self.heartbeat(&stored, false),
            // Carbon was not read yet.
            _ => return,
        };
        let Arguments { state, feed, .. } = self.arguments.clone();
        let number = state.stand.step(|lease| lease.ask(steady_ms(&state.clock)));
        spawn_named("heartbeat", async move {
            match feed.heartbeat(heartbeat).await {
                Ok(Heard::Head(head)) => state.stand.step(|lease| lease.answered(number, head)),
                // The next pull says so as well, and a snapshot follows.
                Ok(Heard::Elsewhere) => state.stand.step(ServingLease::refused),
                Ok(Heard::Unavailable) | Err(_) => {}
            }
        });
    }

    fn leave(&mut self, done: Reply<()>) {
        self.has_left = true;
        self.stand().step(ServingLease::begin_anew);
        let heartbeat = self.heartbeat(&Position::default(), true);
        let feed = self.arguments.feed.clone();
        spawn_named("last heartbeat", async move {
            let told: Result<Heard, AskError> = feed.heartbeat(heartbeat).await;
            if let Err(error) = told {
                tracing::info!(%error, "nobody could be told that this gateway leaves");
            }
            done.send(());
        });
    }

    fn tell_of_cut(&mut self) {
        let is_cut_off = self.stand().is_cut_off();
        metrics::gauge!("headgate_gateway_cut_off").set(f64::from(u8::from(is_cut_off)));
        if is_cut_off != self.was_cut_off {
            self.was_cut_off = is_cut_off;
            if is_cut_off {
                let when_cut_off = self.arguments.kind.as_str();
                tracing::error!(
                    when_cut_off,
                    "nobody of the control plane answers, going by what is known"
                );
            } else {
                tracing::info!("the control plane answers again");
            }
        }
    }
}
