//! Tells the voters how this member is, has them fence the T in which it grants, and learns the view from what they
//! answer (W2, L3).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use cluster::{Actor, Address, BoxError, Clock, spawn_named};
use domain::view::{Epoch, Phase, Report, View};

use super::shards::ShardsMessage;
use super::slots::Slots;
use crate::agreed_view::message::{Agreed, AskView, AskVoter, Promise, Promised, TellVoter};
use crate::agreed_view::{AgreedView, Nodes};
use crate::ticker::{Ticker, Watcher, ticker, watcher};

/// What is due is looked at so often.
const TICK: Duration = Duration::from_millis(50);
/// Voters are told so often while nothing happens.
const EVERY: Duration = Duration::from_millis(250);
/// A voter is waited for so long.
const DEADLINE: Duration = Duration::from_millis(500);

/// What it is started with.
#[derive(Clone)]
pub(super) struct ReporterArguments {
    pub(super) clock: Clock,
    pub(super) slots: Arc<Slots>,
    pub(super) agreed: AgreedView,
    pub(super) nodes: Nodes,
    pub(super) shards: Vec<Address<ShardsMessage>>,
    /// Set once the node is about to stop: it hands its shards over (M3).
    pub(super) leaving: Arc<AtomicBool>,
}

/// What it is told.
pub(super) enum ReporterMessage {
    /// There is something to tell.
    Look,
    /// A voter answered.
    Promised {
        voter: String,
        epoch: Epoch,
        t_ms: i64,
        promised: Promised,
    },
    /// What is agreed on, as somebody said.
    Agreed {
        /// The voter that said it, if one did.
        by: Option<String>,
        agreed: Agreed,
    },
    /// Another view is known, or other voters.
    News,
    Tick,
}

/// The actor.
pub(super) struct Reporter {
    arguments: ReporterArguments,
    me: Address<ReporterMessage>,
    /// When voters were told last.
    told: Duration,
    /// What is on its way to whom.
    under_way: BTreeMap<String, Weak<()>>,
    /// Whether a voter was to be told something while it was being told before.
    owes: bool,
    /// Entries of the view that shards were told of.
    entries: u64,
    /// Who voted when voters were told last.
    voters: Vec<String>,
    _ticker: Ticker,
    _watcher: Watcher,
}

/// Whether nobody but this node owns shards, nor has a say in who does.
fn is_alone(view: &View, me: &str) -> bool {
    view.members.len() <= 1 && view.voters == [me]
}

// === impl Actor ===

impl Actor for Reporter {
    type Message = ReporterMessage;
    type Arguments = ReporterArguments;
    const KIND: &'static str = "traffic_manager.reporter";

    async fn start(
        arguments: ReporterArguments,
        me: Address<ReporterMessage>,
    ) -> Result<Self, BoxError> {
        arguments.slots.site.reported_by(me.clone());
        Ok(Self {
            told: Duration::ZERO,
            under_way: BTreeMap::new(),
            owes: false,
            entries: 0,
            voters: Vec::new(),
            _ticker: ticker("reports", TICK, me.clone(), || ReporterMessage::Tick),
            _watcher: watcher(
                "view news",
                arguments.agreed.subscribe(),
                me.clone(),
                || ReporterMessage::News,
            ),
            me,
            arguments,
        })
    }

    async fn handle(&mut self, message: ReporterMessage) -> Result<(), BoxError> {
        match message {
            ReporterMessage::Look => {
                self.arguments.slots.site.looked();
                self.report();
            }
            ReporterMessage::Promised {
                voter,
                epoch,
                t_ms,
                promised,
            } => self.promised(&voter, epoch, t_ms, promised),
            ReporterMessage::Agreed { by, agreed } => {
                self.arguments.agreed.learn(&agreed);
                if let Some((voter, clock_ms)) = by.zip(agreed.clock_ms) {
                    let clock = (clock_ms, agreed.right_ms);
                    self.arguments.slots.heard_clock(&voter, clock);
                }
                if std::mem::take(&mut self.owes) {
                    // The next tick reports, lest one that is silent keep all others answering; a lone voter is this node.
                    self.told = Duration::ZERO;
                    if self.voters.len() == 1 {
                        self.report();
                    }
                }
            }
            ReporterMessage::News => {
                if self.arguments.agreed.latest().voters != self.voters {
                    self.report();
                }
            }
            ReporterMessage::Tick => {
                let now = self.arguments.clock.monotonic();
                let is_active = self.arguments.agreed.latest().view.phase == Phase::Active;
                if !is_active || now.saturating_sub(self.told) >= EVERY {
                    self.report();
                }
            }
        }
        self.wake_if_new();
        self.fence();
        Ok(())
    }
}

// === impl Reporter ===

impl Reporter {
    /// Shards look at the view that is known now.
    fn wake_if_new(&mut self) {
        let entries = self.arguments.agreed.latest().view.entries;
        if entries != self.entries {
            self.entries = entries;
            self.wake();
        }
    }

    fn wake(&self) {
        for shards in &self.arguments.shards {
            // One that is restarting looks by itself.
            let _ = shards.tell(ShardsMessage::Look);
        }
    }

    fn report(&mut self) {
        self.told = self.arguments.clock.monotonic();
        let latest = self.arguments.agreed.latest();
        if latest.voters.is_empty() {
            return self.ask_anybody(latest.view.entries);
        }
        let told = self.told_now();
        self.voters.clone_from(&latest.voters);
        for voter in latest.voters {
            let busy = self.under_way.get(&voter);
            if busy.is_some_and(|busy| busy.strong_count() > 0) {
                self.owes = true;
                continue;
            }
            let way = Arc::new(());
            self.under_way.insert(voter.clone(), Arc::downgrade(&way));
            let (nodes, me, told) = (self.arguments.nodes.clone(), self.me.clone(), told.clone());
            spawn_named("member report", async move {
                let answer = nodes.tell_voter(&voter, told, DEADLINE).await;
                drop(way);
                if let Ok(agreed) = answer {
                    let by = Some(voter);
                    let _ = me.tell(ReporterMessage::Agreed { by, agreed });
                }
            });
        }
    }

    fn told_now(&self) -> TellVoter {
        let ReporterArguments {
            slots,
            agreed,
            nodes,
            leaving,
            ..
        } = &self.arguments;
        let view = agreed.latest().view;
        TellVoter {
            report: Report {
                life: slots.site.life(),
                hears: nodes.heard().into_iter().collect(),
                leaving: leaving.load(Ordering::Relaxed),
            },
            epoch: view.epoch,
            entries: view.entries,
            complete: if view.phase == Phase::Sync {
                slots.complete(view.epoch)
            } else {
                Vec::new()
            },
            refused: slots.site.refused().filter(|at| *at > view.epoch),
            stalled: slots.site.take_stalled(),
            parts: slots.site.parts(view.epoch),
        }
    }

    /// Who votes is not known yet: others may know.
    fn ask_anybody(&self, entries: u64) {
        for node in self.arguments.nodes.heard() {
            let (nodes, me) = (self.arguments.nodes.clone(), self.me.clone());
            spawn_named("view question", async move {
                let asked = AskView { entries };
                if let Ok(agreed) = nodes.ask_view(&node, asked, DEADLINE).await {
                    let _ = me.tell(ReporterMessage::Agreed { by: None, agreed });
                }
            });
        }
    }

    /// Has voters fence what grants wait for.
    fn fence(&self) {
        let view = self.arguments.agreed.latest().view;
        if view.phase != Phase::Active {
            return;
        }
        let epoch = view.epoch;
        let Some(t_ms) = self.arguments.slots.site.due_fence(epoch, &view.voters) else {
            return;
        };
        for voter in &view.voters {
            let (nodes, me) = (self.arguments.nodes.clone(), self.me.clone());
            let voter = voter.clone();
            spawn_named("fence", async move {
                let promise = Promise::Fence { t_ms };
                let asked = AskVoter { epoch, promise };
                if let Ok(promised) = nodes.ask_voter(&voter, asked, DEADLINE).await {
                    let _ = me.tell(ReporterMessage::Promised {
                        voter,
                        epoch,
                        t_ms,
                        promised,
                    });
                }
            });
        }
    }

    /// Whether nobody else owns shards, nor has a say in who does.
    fn is_alone(&self) -> bool {
        let view = self.arguments.agreed.view();
        is_alone(&view, &self.arguments.nodes.me().node)
    }

    fn promised(&self, voter: &str, epoch: Epoch, t_ms: i64, promised: Promised) {
        let site = &self.arguments.slots.site;
        match promised {
            Promised::Fenced => {
                if site.fenced(voter, epoch, t_ms) {
                    self.wake();
                }
            }
            Promised::Refused { at } => site.refuse(at),
            // A node that is alone goes on while its disk takes nothing, as its keeper does.
            Promised::Failed if self.is_alone() => {
                if site.fenced(voter, epoch, t_ms) {
                    self.wake();
                }
            }
            Promised::Sealed(_) | Promised::Failed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::view::Life;

    use super::*;

    #[test]
    fn a_node_on_whose_views_another_votes_is_not_alone() {
        let alone = |members: &[&str], voters: &[&str]| {
            let view = View {
                members: members.iter().map(|node| Life::new(*node, 1)).collect(),
                voters: voters.iter().map(|voter| (*voter).to_owned()).collect(),
                ..View::default()
            };
            is_alone(&view, "a")
        };
        assert!(alone(&["a"], &["a"]));
        assert!(!alone(&["a"], &["b"]), "another decides");
        assert!(!alone(&["a"], &["a", "b", "c"]));
        assert!(!alone(&["a", "b"], &["a"]), "another counts");
        assert!(!alone(&["a"], &[]));
    }
}
