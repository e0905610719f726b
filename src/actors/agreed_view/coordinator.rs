//! Drives the coordinator of a node that votes (L4): hears traffic managers, asks voters to seal, and has the next view
//! agreed on while this node leads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use cluster::{Actor, Address, Asked, BoxError, Clock, SelfReport, spawn_named};
use domain::view::{Coordinator, Duty, Entry, Epoch, Life, News, Phase, Sealed, View};

use super::Layout;
use super::follower::AgreedView;
use super::handle::Nodes;
use super::message::{Agreed, AskVoter, Promise, Promised, TellView, TellVoter};
use super::reason::{Signs, is_told_of, missing};
use super::register::{Known, SharedRegister};
use super::voters::{chosen_voters, next_voters};
use crate::ticker::{Ticker, Watcher, ticker, watcher};

/// What went on is looked at so often.
const TICK: Duration = Duration::from_millis(50);
/// Who votes is looked at so often.
const VOTERS: Duration = Duration::from_millis(500);
/// A voter is waited for so long.
const DEADLINE: Duration = Duration::from_millis(500);

/// What it is started with.
#[derive(Clone)]
pub(super) struct CoordinatorArguments {
    pub(super) clock: Clock,
    pub(super) nodes: Nodes,
    pub(super) register: SharedRegister,
    pub(super) agreed: AgreedView,
    pub(super) layout: Layout,
}

/// What it is told.
pub(super) enum CoordinatorMessage {
    Told(Asked<TellVoter>),
    Sealed {
        voter: String,
        sealed: Sealed,
    },
    /// The register knows something else, or is done with a proposal.
    Look,
    Tick,
}

/// The actor; what it knows it hears anew after a restart.
pub(super) struct CoordinatorActor {
    arguments: CoordinatorArguments,
    me: Address<CoordinatorMessage>,
    coordinator: Coordinator,
    known: watch::Receiver<Known>,
    view: View,
    /// What the log says of the next view.
    signs: Signs,
    /// Whether a proposal is under way.
    proposing: Arc<()>,
    /// What is proposed as soon as none is, unless the view changes before.
    next: Option<Entry>,
    /// Whether the voters are being changed.
    changing: Arc<()>,
    /// When it was last looked at who is to vote.
    looked: Duration,
    _ticker: Ticker,
    _watcher: Watcher,
}

// === impl Actor ===

impl Actor for CoordinatorActor {
    type Message = CoordinatorMessage;
    type Arguments = CoordinatorArguments;
    const KIND: &'static str = "agreed_view.coordinator";

    async fn start(
        arguments: CoordinatorArguments,
        me: Address<CoordinatorMessage>,
    ) -> Result<Self, BoxError> {
        let Layout {
            shards,
            rank,
            patience,
        } = arguments.layout;
        let mut known = arguments.register.known();
        known.mark_changed();
        let mut actor = Self {
            coordinator: Coordinator::new(shards, rank, patience).on(&arguments.nodes.me().node),
            known,
            view: View::default(),
            signs: Signs::default(),
            proposing: Arc::default(),
            next: None,
            changing: Arc::default(),
            looked: Duration::ZERO,
            _ticker: ticker("view ticks", TICK, me.clone(), || CoordinatorMessage::Tick),
            _watcher: watcher(
                "register news",
                arguments.register.known(),
                me.clone(),
                || CoordinatorMessage::Look,
            ),
            me,
            arguments,
        };
        actor.look();
        Ok(actor)
    }

    async fn handle(&mut self, message: CoordinatorMessage) -> Result<(), BoxError> {
        self.look();
        match message {
            CoordinatorMessage::Told(asked) => {
                let Asked { request, reply } = asked;
                let entries = request.entries;
                self.hear(request);
                reply.send(self.agreed(entries));
            }
            CoordinatorMessage::Sealed { voter, sealed } => {
                self.step(News::Sealed { voter, sealed });
            }
            CoordinatorMessage::Look => {}
            CoordinatorMessage::Tick => {
                for life in self.arguments.nodes.gone() {
                    self.step(News::Gone(life));
                }
                self.step(News::Tick);
                self.see_who_votes();
            }
        }
        self.propose();
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        let known = self.known.borrow();
        SelfReport::default()
            .with("leads", known.leads)
            .with("epoch", self.view.epoch.number())
            .with(
                "a proposal is under way",
                Arc::strong_count(&self.proposing) > 1,
            )
            .with(
                "voters are being changed",
                Arc::strong_count(&self.changing) > 1,
            )
            .linked_all(known.leader.iter())
            .linked("agreed-view/register")
    }
}

// === impl CoordinatorActor ===

impl CoordinatorActor {
    /// What the register knows now.
    fn look(&mut self) {
        if !self.known.has_changed().unwrap_or(false) {
            return;
        }
        let Known {
            view,
            leads,
            voters,
            at,
            ..
        } = self.known.borrow_and_update().clone();
        if view != self.view {
            self.tell_turn(&view);
            self.view = view.clone();
            // It was for the view before.
            self.next = None;
            if leads {
                self.arguments.nodes.tell_view(&TellView {
                    view: Box::new(view.clone()),
                    voters: voters.clone(),
                    voters_at: at,
                });
            }
        }
        let agreed = self.agreed(0);
        self.arguments.agreed.learn(&agreed);
        self.step(News::View(view));
        self.step(News::Voters(voters));
        self.step(News::Leads(leads));
    }

    /// Has others vote, where that is better.
    fn see_who_votes(&mut self) {
        let Known {
            leads,
            voters,
            chosen,
            ..
        } = self.known.borrow().clone();
        let now = self.arguments.clock.monotonic();
        let is_due = now.saturating_sub(self.looked) >= VOTERS;
        if !leads || !is_due || Arc::strong_count(&self.changing) > 1 {
            return;
        }
        self.looked = now;
        // What an operator chose is not undone by what would be chosen here.
        let wanted = if chosen.is_empty() {
            next_voters(&self.arguments.nodes.candidates(&voters, now), &voters)
        } else {
            chosen_voters(&chosen, &voters)
        };
        if let Some(voters) = wanted {
            let (register, under_way) = (
                Arc::clone(&self.arguments.register),
                Arc::clone(&self.changing),
            );
            spawn_named("voters change", async move {
                register.change_voters(voters).await;
                drop(under_way);
            });
        }
    }

    fn agreed(&self, entries: u64) -> Agreed {
        let view = (self.view.entries > entries).then(|| Box::new(self.view.clone()));
        let Known { voters, at, .. } = self.known.borrow().clone();
        let clock_ms = Some(self.arguments.clock.now_ms());
        let right_ms = self.arguments.agreed.right_ms();
        Agreed {
            view,
            voters,
            clock_ms,
            voters_at: at,
            right_ms,
        }
    }

    fn hear(&mut self, told: TellVoter) {
        self.signs.hear(&told);
        let TellVoter {
            report,
            epoch,
            complete,
            refused,
            stalled,
            parts,
            ..
        } = told;
        let from = report.life.node.clone();
        self.step(News::Report(report));
        for (shard, origin, found) in complete {
            self.step(News::Complete {
                epoch,
                shard,
                origin,
                found,
            });
        }
        if let Some(at) = refused {
            self.step(News::Refused { at });
        }
        let (moved, of) = (from.clone(), epoch);
        self.step(News::Moved {
            epoch: of,
            from: moved,
            parts,
        });
        for by in stalled {
            let from = from.clone();
            self.step(News::Stalled { epoch, from, by });
        }
    }

    fn step(&mut self, news: News) {
        let now = self.arguments.clock.monotonic().as_millis();
        let now_ms = i64::try_from(now).unwrap_or(i64::MAX);
        for duty in self.coordinator.step(news, now_ms) {
            match duty {
                Duty::Propose(entry) => self.next = Some(entry),
                Duty::Seal { epoch, voters } => self.seal(epoch, voters),
            }
        }
    }

    /// One at a time: an order that nobody answers takes its time, and what is wanted then may be another.
    fn propose(&mut self) {
        if Arc::strong_count(&self.proposing) > 1 {
            return;
        }
        let Some(entry) = self.next.take() else {
            return;
        };
        let (register, under_way) = (
            Arc::clone(&self.arguments.register),
            Arc::clone(&self.proposing),
        );
        let me = self.me.clone();
        spawn_named("view proposal", async move {
            register.propose(entry).await;
            drop(under_way);
            let _ = me.tell(CoordinatorMessage::Look);
        });
    }

    fn seal(&self, epoch: Epoch, voters: Vec<String>) {
        for voter in voters {
            let (nodes, me) = (self.arguments.nodes.clone(), self.me.clone());
            spawn_named("view seal", async move {
                let promise = Promise::Seal;
                let asked = AskVoter { epoch, promise };
                if let Ok(Promised::Sealed(sealed)) = nodes.ask_voter(&voter, asked, DEADLINE).await
                {
                    // Where it has ended meanwhile, the next one asks again.
                    let _ = me.tell(CoordinatorMessage::Sealed { voter, sealed });
                }
            });
        }
    }

    /// One line for each view, with its reason.
    fn tell_turn(&mut self, view: &View) {
        if !is_told_of(view) {
            return;
        }
        let (before, nodes) = (&self.view, &self.arguments.nodes);
        let names = |lives: &[Life]| {
            let names = lives
                .iter()
                .map(|life| format!("{}/{}", nodes.name(&life.node), life.incarnation));
            names.collect::<Vec<_>>().join(" ")
        };
        let epoch = view.epoch.number();
        if view.phase == Phase::Active
            && before.phase == Phase::Active
            && view.epoch == before.epoch
        {
            let lost = view.lost.len();
            tracing::info!(epoch, lost, "lost shards were given up by an operator");
            return;
        }
        let gone = nodes.gone();
        let reason = (self.signs).why((before, view), &gone, &|node| nodes.name(node));
        let phase = match view.phase {
            Phase::Sync => "begins, nobody grants until it is active",
            Phase::Active => "is active",
        };
        tracing::info!(
            epoch, reason, members = %names(&view.members),
            come = %names(&missing(&view.members, &before.members)),
            gone = %names(&missing(&before.members, &view.members)),
            lost = view.lost.len(), "a view of traffic managers {phase}"
        );
        if view.phase == Phase::Active {
            self.signs.clear();
        }
    }
}
