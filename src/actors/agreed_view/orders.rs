//! What an operator orders of the register, at any node: `Orders` finds a node that votes, whose own register passes on
//! to whoever leads; the actor has it agreed on there.

use std::time::Duration;

use cluster::{Actor, Address, AskError, Asked, BoxError, spawn_named};

use super::follower::{AgreedView, Latest};
use super::handle::Nodes;
use super::message::{AskView, Order, OrderView, Ordered, RegisterSeen};
use super::register::{Known, SharedRegister, Step};
use domain::view::Entry;

/// An order may take so long: whoever leads may have to be elected first.
const ORDERING: Duration = Duration::from_secs(10);
/// What is only looked at comes within this time.
const LOOKING: Duration = Duration::from_secs(1);
/// What is agreed on is known here after this time.
const LEARNING: Duration = Duration::from_secs(5);

/// Orders of an operator; cheap to clone.
#[derive(Debug, Clone)]
pub struct Orders {
    nodes: Nodes,
    agreed: AgreedView,
}

/// Why an order was not carried out, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAgreed {
    /// It is not known who votes, or none of them answers.
    #[error("no node that votes answers: {0}")]
    NobodyAnswers(String),
    /// The register said no, or could not say yes.
    #[error("{0}")]
    Refused(String),
}

// === impl Orders ===

impl Orders {
    /// Orders at this node.
    #[must_use]
    pub fn new(nodes: &Nodes, agreed: &AgreedView) -> Self {
        Self {
            nodes: nodes.clone(),
            agreed: agreed.clone(),
        }
    }

    /// What is agreed on, as far as this node knows.
    #[must_use]
    pub fn latest(&self) -> Latest {
        self.agreed.latest()
    }

    /// What people call a node.
    #[must_use]
    pub fn name(&self, id: &str) -> String {
        self.nodes.name(id)
    }

    /// What the register of a node that votes knows; the default where none of them says so within a second.
    pub async fn look(&self) -> RegisterSeen {
        for voter in self.voters() {
            let looked = self
                .nodes
                .ask_order(&voter, OrderView { order: Order::Look }, LOOKING);
            match looked.await {
                Ok(Ordered::Seen(seen)) if !seen.voters.is_empty() => return seen,
                _ => {}
            }
        }
        RegisterSeen::default()
    }

    /// Whether a node answers, and has part in the agreed view at all.
    pub async fn answers(&self, node: &str) -> bool {
        let entries = u64::MAX;
        let asked = self.nodes.ask_view(node, AskView { entries }, LOOKING);
        asked.await.is_ok()
    }

    /// Has these vote and no others, or whoever is best for it where none is named. Whoever leads carries it out once it
    /// is agreed on, and so does every leader after it.
    ///
    /// # Errors
    /// See [`NotAgreed`].
    pub async fn choose(&self, voters: Vec<String>) -> Result<(), NotAgreed> {
        self.order(Order::Voters(voters)).await
    }

    /// Gives up what a node held of lost shards, and gives whether that is known here already.
    ///
    /// # Errors
    /// See [`NotAgreed`].
    pub async fn forget(&self, node: &str) -> Result<bool, NotAgreed> {
        self.order(Order::Forget(node.to_owned())).await?;
        let mut latest = self.agreed.subscribe();
        let is_gone = |latest: &Latest| {
            let mut lost = latest.view.lost.iter();
            !lost.any(|loss| loss.holders.iter().any(|holder| holder == node))
        };
        let known = tokio::time::timeout(LEARNING, latest.wait_for(is_gone));
        Ok(matches!(known.await, Ok(Ok(_))))
    }

    async fn order(&self, order: Order) -> Result<(), NotAgreed> {
        let mut failed = NotAgreed::NobodyAnswers("it is not known who votes".to_owned());
        for voter in self.voters() {
            let order = OrderView {
                order: order.clone(),
            };
            match self.nodes.ask_order(&voter, order, ORDERING).await {
                Ok(Ordered::Agreed) => return Ok(()),
                Ok(Ordered::Refused(why)) => failed = NotAgreed::Refused(why),
                Ok(Ordered::Seen(_)) => {}
                // It may be agreed on by now; whoever orders it may look, and order it again.
                Err(error @ (AskError::Timeout | AskError::Dropped)) => {
                    return Err(NotAgreed::Refused(error.to_string()));
                }
                Err(error) => {
                    let node = self.nodes.name(&voter);
                    failed = NotAgreed::NobodyAnswers(format!("{node}: {error}"));
                }
            }
        }
        Err(failed)
    }

    /// Those that vote, this node first.
    fn voters(&self) -> Vec<String> {
        let mut voters = self.agreed.latest().voters;
        let me = &self.nodes.me().node;
        voters.sort_by_key(|voter| voter != me);
        voters
    }
}

/// What the actor is started with.
#[derive(Clone)]
pub(super) struct OrdersArguments {
    pub(super) register: SharedRegister,
}

/// What it is told.
pub(super) struct OrdersMessage(pub(super) Asked<OrderView>);

/// The actor.
pub(super) struct OrdersActor(OrdersArguments);

// === impl Actor ===

impl Actor for OrdersActor {
    type Message = OrdersMessage;
    type Arguments = OrdersArguments;
    const KIND: &'static str = "agreed_view.orders";

    async fn start(
        arguments: OrdersArguments,
        _me: Address<OrdersMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self(arguments))
    }

    async fn handle(&mut self, message: OrdersMessage) -> Result<(), BoxError> {
        let Asked { request, reply } = message.0;
        let register = &self.0.register;
        let step = match request.order {
            Order::Look => {
                let known = register.known().borrow().clone();
                reply.send(Ordered::Seen(RegisterSeen::of(known)));
                return Ok(());
            }
            Order::Voters(chosen) => Step::Voters(chosen),
            Order::Forget(node) => Step::View(Entry::Forget { node }),
        };
        let agreeing = register.agree(step);
        spawn_named("operator's order", async move {
            reply.send(match agreeing.await {
                Ok(()) => Ordered::Agreed,
                Err(why) => Ordered::Refused(why),
            });
        });
        Ok(())
    }
}

// === impl RegisterSeen ===

impl RegisterSeen {
    fn of(known: Known) -> Self {
        let Known {
            voters,
            next,
            chosen,
            leader,
            ..
        } = known;
        Self {
            voters,
            next,
            chosen,
            leader,
        }
    }
}
