//! What this node knows to be agreed on, whether it votes or not: told by whoever leads, and by the answers of voters.
//! Answers others that ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, SelfReport, spawn_named};
use tokio::sync::watch;

use domain::view::{Epoch, Phase, View};

use super::handle::Nodes;
use super::message::{Agreed, AskView, Seen, TellView};
use crate::ticker::{Ticker, ticker};

/// Somebody is asked so often.
const EVERY: Duration = Duration::from_millis(500);

/// The latest that is known; all clones know the same.
#[derive(Debug, Clone)]
pub struct AgreedView {
    latest: Arc<watch::Sender<Latest>>,
    /// See [`Self::set_right`].
    right_ms: Arc<AtomicI64>,
}

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latest {
    /// The view; of no entries before there is one.
    pub view: Arc<View>,
    /// Who votes, as far as known.
    pub voters: Vec<String>,
    /// As of which place of the register's log; none where that is not known.
    pub voters_at: Option<Epoch>,
}

/// Counts the views that this node has heard of, by how far they had come then.
fn count_change(before: &View, view: &View) {
    if (before.epoch, before.phase) != (view.epoch, view.phase) {
        let phase = match view.phase {
            Phase::Sync => "sync",
            Phase::Active => "active",
        };
        metrics::counter!("headgate_view_changes_total", "phase" => phase).increment(1);
    }
}

/// What it is started with.
#[derive(Clone)]
pub(super) struct FollowerArguments {
    pub(super) agreed: AgreedView,
    pub(super) nodes: Nodes,
}

/// What it is told.
pub(super) enum FollowerMessage {
    Told(Asked<TellView>),
    Asked(Asked<AskView>),
    Tick,
}

/// The actor.
pub(super) struct FollowerActor {
    arguments: FollowerArguments,
    /// Whom it asks next.
    turn: usize,
    _ticker: Ticker,
}

// === impl AgreedView ===

impl AgreedView {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self {
            latest: Arc::new(watch::Sender::default()),
            right_ms: Arc::default(),
        }
    }

    /// What is known now.
    #[must_use]
    pub fn latest(&self) -> Latest {
        self.latest.borrow().clone()
    }

    /// The view that is known now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.latest.borrow().view)
    }

    /// What is known, as that changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Latest> {
        self.latest.subscribe()
    }

    /// This node's clock is wrong by so many milliseconds, as voters' clocks say: what it tells others of its clock is
    /// set right by them, lest clocks that are wrong one after the other become the most (PROTOCOLS L10).
    pub fn set_right(&self, right_ms: i64) {
        self.right_ms.store(right_ms, Ordering::Relaxed);
    }

    /// By how much.
    #[must_use]
    pub fn right_ms(&self) -> i64 {
        self.right_ms.load(Ordering::Relaxed)
    }

    /// Somebody said this; what is older than what is known changes nothing.
    pub fn learn(&self, agreed: &Agreed) {
        let Agreed {
            view,
            voters,
            voters_at,
            ..
        } = agreed;
        let later = |known: &View| view.as_ref().filter(|view| view.is_later(known));
        self.latest.send_if_modified(|latest| {
            let mut changed = false;
            if let Some(view) = later(&latest.view) {
                count_change(&latest.view, view);
                latest.view = Arc::new(View::clone(view));
                changed = true;
            }
            // Before there is a view nobody else says who votes.
            if !voters.is_empty() && *voters_at >= latest.voters_at {
                changed |= latest.voters != *voters;
                latest.voters.clone_from(voters);
                latest.voters_at = *voters_at;
            }
            changed
        });
    }
}

impl Default for AgreedView {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Actor ===

impl Actor for FollowerActor {
    type Message = FollowerMessage;
    type Arguments = FollowerArguments;
    const KIND: &'static str = "agreed_view.follower";

    async fn start(
        arguments: FollowerArguments,
        me: Address<FollowerMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            arguments,
            turn: 0,
            _ticker: ticker("view questions", EVERY, me, || FollowerMessage::Tick),
        })
    }

    async fn handle(&mut self, message: FollowerMessage) -> Result<(), BoxError> {
        match message {
            FollowerMessage::Told(Asked { request, reply }) => {
                let TellView {
                    view,
                    voters,
                    voters_at,
                } = request;
                self.arguments.agreed.learn(&Agreed {
                    view: Some(view),
                    voters,
                    clock_ms: None,
                    voters_at,
                    right_ms: 0,
                });
                let entries = self.arguments.agreed.latest().view.entries;
                reply.send(Seen { entries });
            }
            FollowerMessage::Asked(Asked { request, reply }) => {
                let Latest {
                    view,
                    voters,
                    voters_at,
                } = self.arguments.agreed.latest();
                let later = (view.entries > request.entries).then(|| Box::new(View::clone(&view)));
                reply.send(Agreed {
                    view: later,
                    voters,
                    clock_ms: None,
                    voters_at,
                    right_ms: 0,
                });
            }
            FollowerMessage::Tick => self.ask(),
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        let Latest { view, voters, .. } = self.arguments.agreed.latest();
        SelfReport::default()
            .with("epoch", view.epoch.number())
            .with("phase", format!("{:?}", view.phase).to_lowercase())
            .with("members", view.members.len())
            .with("lost shards", view.lost.len())
            .with("voters", voters.len())
            .linked_all(view.members.iter().map(|life| &life.node))
    }
}

// === impl FollowerActor ===

impl FollowerActor {
    /// Asks one of those that are heard, lest what it was not told stay unknown.
    fn ask(&mut self) {
        let nodes = &self.arguments.nodes;
        let heard = nodes.heard();
        let others: Vec<String> = heard
            .into_iter()
            .filter(|node| *node != nodes.me().node)
            .collect();
        self.turn = self.turn.wrapping_add(1);
        let Some(node) = others.get(self.turn % others.len().max(1)).cloned() else {
            return;
        };
        let (nodes, agreed) = (nodes.clone(), self.arguments.agreed.clone());
        let entries = agreed.latest().view.entries;
        spawn_named("view question", async move {
            let asked = AskView { entries };
            if let Ok(said) = nodes.ask_view(&node, asked, EVERY).await {
                agreed.learn(&said);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_word_of_who_votes_replaces_no_later_one() {
        let agreed = AgreedView::new();
        let said = |voters: &[&str], at: Option<u64>| {
            agreed.learn(&Agreed {
                view: None,
                voters: voters.iter().map(|voter| (*voter).to_owned()).collect(),
                clock_ms: None,
                voters_at: at.and_then(|index| Epoch::new(1, index)),
                right_ms: 0,
            });
            agreed.latest().voters.join(" ")
        };
        assert_eq!(said(&["a"], None), "a");
        assert_eq!(said(&["a", "b", "c"], Some(7)), "a b c");
        assert_eq!(said(&["a"], Some(6)), "a b c");
        assert_eq!(said(&["a"], None), "a b c");
        assert_eq!(said(&[], Some(9)), "a b c");
        assert_eq!(said(&["b", "c", "d"], Some(8)), "b c d");
        let mut news = agreed.subscribe();
        news.mark_unchanged();
        assert_eq!(said(&["b", "c", "d"], Some(9)), "b c d");
        assert!(!news.has_changed().unwrap(), "it is no news");
        assert_eq!(said(&["a"], Some(8)), "b c d");
    }
}
