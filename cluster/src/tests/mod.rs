//! What the runtime promises, on small actors.

mod door;
mod router;
mod self_report;
mod supervision;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Actor, ActorReport, Address, Asked, BoxError, Clock, Reply, Request, SelfReport, System, child,
};

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Adds one and says the sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Add(pub(crate) u64);

impl Request for Add {
    type Reply = u64;
    const KIND: u16 = 0x7f01;
    const VERSION: u16 = 1;
}

#[derive(Debug)]
pub(crate) enum Message {
    Add(Asked<Add>),
    Sum(Reply<u64>),
    Panic,
    Fail,
    Hold(Reply<()>),
}

/// What a counter is started with; shared with the test.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    pub(crate) starts: Arc<AtomicU32>,
    pub(crate) refuse: Arc<AtomicU32>,
    pub(crate) stopped: Arc<std::sync::Mutex<Vec<&'static str>>>,
    pub(crate) name: &'static str,
}

pub(crate) struct Counter {
    plan: Plan,
    sum: u64,
    held: Vec<Reply<()>>,
}

impl Actor for Counter {
    type Message = Message;
    type Arguments = Plan;
    const KIND: &'static str = "test.counter";

    async fn start(plan: Plan, _me: Address<Message>) -> Result<Self, BoxError> {
        plan.starts.fetch_add(1, Ordering::SeqCst);
        if plan.refuse.load(Ordering::SeqCst) > 0 {
            plan.refuse.fetch_sub(1, Ordering::SeqCst);
            return Err("not yet".into());
        }
        Ok(Self {
            plan,
            sum: 0,
            held: Vec::new(),
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        match message {
            Message::Add(asked) => {
                self.sum += asked.request.0;
                asked.reply.send(self.sum);
            }
            Message::Sum(reply) => reply.send(self.sum),
            Message::Panic => panic!("as the test wishes"),
            Message::Fail => return Err("as the test wishes".into()),
            Message::Hold(reply) => {
                self.held.push(reply);
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        let shows = SelfReport::default().with("sum", self.sum);
        shows.linked("somebody")
    }

    async fn stop(&mut self) {
        self.plan.stopped.lock().unwrap().push(self.plan.name);
    }
}

pub(crate) fn system() -> System {
    System::new(Clock::system(), true)
}

pub(crate) fn counter(
    system: &System,
    name: &str,
    plan: &Plan,
) -> (Address<Message>, crate::Child) {
    child::<Counter>(system, name, plan.clone())
}

pub(crate) fn wrap(asked: Asked<Add>) -> Message {
    Message::Add(asked)
}

pub(crate) fn unwrap(message: Message) -> Option<Asked<Add>> {
    match message {
        Message::Add(asked) => Some(asked),
        _ => None,
    }
}

pub(crate) async fn add(address: &Address<Message>, units: u64) -> u64 {
    address
        .ask(SOON, |reply| {
            wrap(Asked {
                request: Add(units),
                reply,
            })
        })
        .await
        .unwrap()
}

pub(crate) fn report(system: &System, name: &str) -> ActorReport {
    let all = system.registry.report(system.clock.monotonic());
    all.into_iter().find(|actor| actor.name == name).unwrap()
}

/// Waits until `holds`, at most [`SOON`].
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, waiting).await.is_ok(), "{what}");
}
