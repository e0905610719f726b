//! The actor that owns the register of a node. What openraft runs in is its own tasks: a fault or a panic there ends
//! the actor, and its supervisor starts the next one, which reads the store anew.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::ServerState;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::answering::answer;
use super::changing::unfinished;
use super::election::stand;
use super::founding::{RegisterSeed, found};
use super::heartbeat::say_so;
use super::known::{Known, RegisterState};
use super::link::{AskRegister, RegisterLink};
use super::log::Log;
use super::machine::Machine;
use super::network::Network;
use super::order::{OrderError, Outcome};
use super::quiet::Quiet;
use super::store::{Kept, RegisterStore, Tenure};
use super::timing::RegisterTiming;
use super::types::{Metrics, Raft};
use super::value::{Sealing, Value};
use super::voter_id::VoterId;
use crate::actor::{Actor, BoxError};
use crate::address::Address;
use crate::ask::Reply;
use crate::door::Asked;
use crate::self_report::SelfReport;
use crate::task::spawn_named;

/// What a register is run with.
#[derive(Clone)]
pub struct RegisterSettings {
    /// This node's stable id, a UUID.
    pub node: String,
    /// What the entries mean.
    pub value: Arc<dyn Value>,
    /// Who seals by them.
    pub sealing: Arc<dyn Sealing>,
    /// Where they are kept.
    pub store: Arc<dyn RegisterStore>,
    /// The way to other voters.
    pub link: Arc<dyn RegisterLink>,
    /// How long voters wait for each other.
    pub timing: RegisterTiming,
}

/// How much openraft may be asked before it has answered: each may bear two MiB of entries, and four others ask.
pub(crate) const ASKED_AT_ONCE: usize = 16;

/// What the actor is started with.
#[derive(Clone)]
pub(crate) struct Arguments {
    pub(crate) settings: RegisterSettings,
    pub(crate) me: VoterId,
    pub(crate) known: watch::Sender<Known>,
    /// One, for whoever has the store.
    pub(crate) places: Arc<Semaphore>,
}

/// What the actor understands.
pub(crate) enum Message {
    /// Another voter says something.
    Asked(Asked<AskRegister>),
    /// Have this agreed on.
    Propose(Vec<u8>, Reply<Outcome>),
    /// Have these vote.
    ChangeVoters(BTreeSet<VoterId>, Reply<Outcome>),
    /// Begin a log from here, with this node as its voter.
    Found(RegisterSeed, Reply<Outcome>),
    /// Openraft of this incarnation has ended.
    Ended(Weak<Tenure>, String),
    /// A change of voters was begun, by a leader that is lost, and not ended.
    Finish,
}

/// What all tasks of an incarnation share.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) me: VoterId,
    pub(crate) raft: Raft,
    pub(crate) network: Network,
    pub(crate) sealing: Arc<dyn Sealing>,
    pub(crate) timing: RegisterTiming,
    /// One, for whoever changes the voters.
    pub(crate) changes: Arc<Semaphore>,
    /// For what openraft is asked and has not looked at: it takes in all, also while its disk hangs.
    pub(crate) places: Arc<Semaphore>,
}

/// The register of a node.
pub(crate) struct RegisterActor {
    arguments: Arguments,
    me: Address<Message>,
    /// None while a log is begun.
    incarnation: Option<Incarnation>,
}

/// What runs over what the store had.
struct Incarnation {
    running: Running,
    /// Ends with the actor, however that ends.
    end: End,
}

/// Ends what openraft runs when it is dropped, also after a panic: nothing of it writes after that.
struct End {
    tenure: Arc<Tenure>,
    raft: Raft,
    known: watch::Sender<Known>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.tenure.end();
        self.known.send_modify(Known::begin_anew);
        let raft = self.raft.clone();
        if tokio::runtime::Handle::try_current().is_ok() {
            spawn_named("register end", async move { raft.shutdown().await });
        }
    }
}

impl Actor for RegisterActor {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "cluster.register";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        let mut actor = Self {
            arguments,
            me,
            incarnation: None,
        };
        actor.begin().await?;
        Ok(actor)
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        let Some(incarnation) = &self.incarnation else {
            return Err("nothing of the view register runs".into());
        };
        let running = incarnation.running.clone();
        match message {
            Message::Asked(Asked { request, reply }) => {
                spawn_named("register answer", async move {
                    reply.send(answer(&running, &request.said).await);
                });
            }
            Message::Propose(entry, reply) => {
                spawn_named("register order", async move {
                    reply.send(running.propose(entry).await);
                });
            }
            Message::ChangeVoters(voters, reply) => {
                spawn_named("register order", async move {
                    reply.send(running.change_voters(voters).await);
                });
            }
            Message::Found(seed, reply) => {
                drop(running);
                let (outcome, goes_on) = self.found(&seed).await;
                reply.send(outcome);
                goes_on?;
            }
            Message::Finish => {
                spawn_named("register order", async move {
                    if let Err(error) = running.finish().await {
                        tracing::debug!(%error, "a change of voters is not finished yet");
                    }
                });
            }
            Message::Ended(whose, why) => {
                if Weak::ptr_eq(&whose, &Arc::downgrade(&incarnation.end.tenure)) {
                    return Err(why.into());
                }
            }
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        let Some(incarnation) = &self.incarnation else {
            return SelfReport::default().with("runs", false);
        };
        let known = incarnation.end.known.borrow();
        let at = known.at.as_ref().map_or(0, |at| at.index);
        SelfReport::default()
            .with("runs", true)
            .with("term", known.term)
            .with("leader", known.leader.as_deref().unwrap_or("nobody"))
            .with("agreed up to entry", at)
            .linked("carbon database")
    }

    async fn stop(&mut self) {
        if let Some(incarnation) = self.incarnation.take() {
            incarnation.stop().await;
        }
    }
}

// === impl RegisterActor ===

impl RegisterActor {
    /// Reads the store and runs from there.
    async fn begin(&mut self) -> Result<(), BoxError> {
        match begin(self.arguments.clone(), self.me.clone()).await {
            Ok(incarnation) => {
                self.incarnation = Some(incarnation);
                Ok(())
            }
            Err(error) => {
                let failed = RegisterState::Failed(error.to_string());
                self.arguments
                    .known
                    .send_modify(|known| known.state = failed);
                Err(error)
            }
        }
    }

    /// Begins a log where there is none: nothing runs meanwhile, and what runs then has read it from the store, as
    /// after a start. Gives what came of that, and whether the register goes on.
    async fn found(&mut self, seed: &RegisterSeed) -> (Outcome, Result<(), BoxError>) {
        // So that a question for what is founded already stops nothing.
        if self.arguments.known.borrow().at.is_some() {
            return (Err(OrderError::NotEmpty), Ok(()));
        }
        if let Some(incarnation) = self.incarnation.take() {
            incarnation.stop().await;
        }
        let Arguments {
            settings,
            me,
            places,
            ..
        } = &self.arguments;
        let outcome = match Tenure::begin(Arc::clone(&settings.store), Arc::clone(places)).await {
            Ok(tenure) => found(&tenure, *me, settings.value.as_ref(), seed).await,
            Err(error) => Err(OrderError::Failed(error.to_string())),
        };
        let goes_on = self.begin().await;
        (outcome, goes_on)
    }
}

// === impl Incarnation ===

impl Incarnation {
    async fn stop(self) {
        // First, for openraft may wait for a snapshot that waits for its seal.
        self.end.tenure.end();
        let _ = self.running.raft.shutdown().await;
    }
}

/// Reads the store and runs from there.
async fn begin(arguments: Arguments, address: Address<Message>) -> Result<Incarnation, BoxError> {
    let Arguments {
        settings,
        me,
        known,
        places,
    } = arguments;
    known.send_modify(Known::begin_anew);
    let tenure = Arc::new(Tenure::begin(Arc::clone(&settings.store), places).await?);
    let mut kept = Kept::of(tenure.store()?.load().await?)?;
    let sealing = &settings.sealing;
    let meaning = (Arc::clone(&settings.value), Arc::clone(sealing));
    let machine = Machine::new(Arc::clone(&tenure), meaning, known.clone(), &mut kept).await?;
    let covered = machine.covered();
    let log = Log::new(Arc::clone(&tenure), Arc::clone(sealing), covered, &mut kept);
    log.seal().await?;
    let network = Network {
        link: Arc::clone(&settings.link),
        pause: settings.timing.heartbeat,
        is_behind: Arc::default(),
        is_quiet: Arc::default(),
    };
    let config = Arc::new(settings.timing.config()?);
    let raft = Raft::new(me, config, network.clone(), log, machine.clone()).await?;
    let watched = Watched {
        tenure: Arc::downgrade(&tenure),
        known: known.clone(),
        timing: settings.timing,
        quiet: (Quiet::new(settings.timing), Arc::clone(&network.is_quiet)),
        address,
    };
    let end = End {
        tenure,
        raft: raft.clone(),
        known,
    };
    machine.tell();
    let is_behind = Arc::clone(&network.is_behind);
    let standing = stand(raft.clone(), me, settings.timing, is_behind);
    spawn_named("register election", standing);
    let saying = say_so(raft.clone(), settings.timing);
    spawn_named("register heartbeat", saying);
    spawn_named("register watch", watched.watch(raft.metrics()));
    Ok(Incarnation {
        running: Running {
            me,
            raft,
            network,
            sealing: Arc::clone(&settings.sealing),
            timing: settings.timing,
            changes: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
        },
        end,
    })
}

/// Who looks on while openraft runs.
struct Watched {
    tenure: Weak<Tenure>,
    known: watch::Sender<Known>,
    timing: RegisterTiming,
    /// When this node says nothing as a leader, and whether that is now.
    quiet: (Quiet, Arc<AtomicBool>),
    address: Address<Message>,
}

// === impl Watched ===

impl Watched {
    /// Tells who leads, and the actor when openraft ends.
    async fn watch(mut self, mut metrics: watch::Receiver<Metrics>) {
        let why = loop {
            let now = metrics.borrow_and_update().clone();
            if let Err(fatal) = &now.running_state {
                break fatal.to_string();
            }
            self.tell(&now);
            self.may_speak(&now);
            if self.next(&mut metrics).await.is_err() {
                break "it panicked".to_owned();
            }
        };
        // Whoever has ended this knows that it did.
        if self
            .tenure
            .upgrade()
            .is_some_and(|tenure| !tenure.is_over())
        {
            let failed = RegisterState::Failed(why.clone());
            self.known.send_modify(|known| {
                (known.state, known.leads, known.leader) = (failed, false, None);
            });
            let why = format!("the view register ended: {why}");
            let _ = self.address.tell(Message::Ended(self.tenure, why));
        }
    }

    fn may_speak(&mut self, now: &Metrics) {
        let (quiet, is_quiet) = &mut self.quiet;
        let answered = now.millis_since_quorum_ack.map(Duration::from_millis);
        let leads = now.state == ServerState::Leader;
        let says_nothing = quiet.is_quiet(leads, answered, Instant::now());
        if is_quiet.swap(says_nothing, Ordering::Relaxed) != says_nothing && says_nothing {
            tracing::info!(
                term = now.current_term,
                "no majority answers: this node says nothing more as the view register's leader, so that another is elected"
            );
        }
    }

    /// Waits until openraft says something more. While it writes it says nothing, and would be held to lead for as long
    /// as its disk hangs.
    async fn next(
        &self,
        metrics: &mut watch::Receiver<Metrics>,
    ) -> Result<(), watch::error::RecvError> {
        let silence = self.timing.silence();
        if let Ok(next) = tokio::time::timeout(silence, metrics.changed()).await {
            return next;
        }
        self.known.send_modify(|known| {
            let stalled = RegisterState::Stalled;
            (known.state, known.leads, known.leader) = (stalled, false, None);
        });
        tracing::warn!(
            ?silence,
            "the view register stands still: its store or its seal does not answer"
        );
        metrics.changed().await
    }

    fn tell(&self, now: &Metrics) {
        let acknowledged = now.millis_since_quorum_ack.map(u128::from);
        let leads = now.state == ServerState::Leader
            && acknowledged.is_some_and(|ms| ms <= self.timing.unanswered().as_millis());
        let leader = now.current_leader.map(|leader| leader.to_string());
        self.known.send_if_modified(|known| {
            let term = now.current_term;
            let told = (known.term, known.leads, &known.leader, &known.state);
            let is_news = told != (term, leads, &leader, &RegisterState::Running);
            if known.leader != leader {
                tracing::info!(
                    term,
                    leader = leader.as_deref(),
                    "the view register has another leader"
                );
            }
            (known.term, known.leads, known.leader) = (term, leads, leader);
            known.state = RegisterState::Running;
            is_news
        });
        let membership = now.membership_config.membership();
        if leads && unfinished(membership).is_some() {
            let _ = self.address.tell(Message::Finish);
        }
    }
}
