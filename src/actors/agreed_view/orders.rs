//! What an operator orders of the register, at any node: `Orders` finds a node that votes, whose own register passes on
//! to whoever leads; the actor has it agreed on there. What is given up is judged by whoever leads.

use std::time::Duration;

use tokio::task::JoinSet;

use cluster::{Actor, Address, AskError, Asked, BoxError, Clock, spawn_named};

use super::claiming::ClaimHandle;
use super::follower::{AgreedView, Latest};
use super::founding::steady_ms;
use super::handle::Nodes;
use super::holding::millis;
use super::message::{AskView, GivenUp, Order, OrderView, Ordered, RegisterSeen, Retired};
use super::register::{Known, SharedRegister, Step};
use domain::view::{Entry, GivesUp, NotGivenUp, Watch, gives_up};

/// An order may take so long: whoever leads may have to be elected first.
const ORDERING: Duration = Duration::from_secs(10);
/// Whoever leads is looked for again after this time.
const ELSEWHERE: Duration = Duration::from_millis(200);
/// What is only looked at comes within this time: a person waits for it, for a second at most with all else.
const LOOKING: Duration = Duration::from_millis(800);
/// One that votes is asked so long after the one before it: of five that do the last one still has its time.
const NEXT: Duration = Duration::from_millis(120);
/// What is agreed on is known here after this time.
const LEARNING: Duration = Duration::from_secs(5);
/// A founder that is watched is looked at so often, milliseconds.
const WATCHING_MS: i64 = 500;

/// Orders of an operator; cheap to clone.
#[derive(Debug, Clone)]
pub struct Orders {
    nodes: Nodes,
    agreed: AgreedView,
    /// Where it is decided who founds the register, and a clock to watch that by.
    claims: Option<(ClaimHandle, Clock)>,
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
    /// It is not known what came of it: it may be agreed on by now.
    #[error("it is not known what came of it: {0}")]
    Unknown(String),
    /// Whoever leads finds that nothing is to be given up.
    #[error("whoever leads finds that {}", match .0 {
        NotGivenUp::MayBeThere => "the node is not known to be down",
        NotGivenUp::NothingLost => "nothing that the node held is lost",
    })]
    NotGivenUp(NotGivenUp),
    /// The founder of the register is there.
    #[error("the founder of the view register is there: {0}")]
    FounderIsThere(String),
}

/// What is written down of a node that is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookedUp {
    /// It was retired before, and was not admitted since.
    Retired,
    /// It is not, and was admitted so often with a token.
    Admitted(u64),
}

fn not_retired(said: Retired) -> String {
    let why = match said {
        Retired::Yes | Retired::No { .. } => "it was admitted with a token meanwhile",
        Retired::NoNode => "it is no node's id",
        Retired::IsThere => "a node of the control plane sees it yet",
        Retired::TooMany => "many were retired within this minute",
        Retired::Unavailable => "the control plane's database does not answer",
    };
    why.to_owned()
}

fn refused(ordered: Ordered) -> NotAgreed {
    match ordered {
        Ordered::NotGivenUp(why) => NotAgreed::NotGivenUp(why),
        Ordered::Refused(why) => NotAgreed::Refused(why),
        _ => NotAgreed::Refused("whoever leads does not understand the order".to_owned()),
    }
}

// === impl Orders ===

impl Orders {
    /// Orders at this node.
    #[must_use]
    pub fn new(nodes: &Nodes, agreed: &AgreedView) -> Self {
        Self {
            claims: None,
            nodes: nodes.clone(),
            agreed: agreed.clone(),
        }
    }

    /// The same, where it is decided elsewhere who founds the register.
    #[must_use]
    pub fn over(self, claims: &ClaimHandle, clock: &Clock) -> Self {
        let claims = Some((claims.clone(), clock.clone()));
        Self { claims, ..self }
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

    /// What the register of a node that votes knows; the default where none of them says so in time. While one does not
    /// answer the next is asked beside it.
    pub async fn look(&self) -> RegisterSeen {
        let mut looking = JoinSet::new();
        for (turn, voter) in (0..).zip(self.voters()) {
            let (nodes, wait) = (self.nodes.clone(), NEXT.saturating_mul(turn));
            looking.spawn(async move {
                tokio::time::sleep(wait).await;
                let look = OrderView { order: Order::Look };
                let left = LOOKING.saturating_sub(wait);
                nodes.ask_order(&voter, look, left).await
            });
        }
        while let Some(looked) = looking.join_next().await {
            match looked {
                Ok(Ok(Ordered::Seen(seen))) if !seen.voters.is_empty() => return seen,
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

    /// What would be given up with a node, by the knowledge of whoever leads.
    ///
    /// # Errors
    /// See [`NotAgreed`].
    pub async fn gives_up(&self, node: &str) -> Result<GivesUp, NotAgreed> {
        match self.ask_leader(&Order::LookAt(node.to_owned())).await? {
            Ordered::GivesUp(gives_up) => Ok(gives_up),
            other => Err(refused(other)),
        }
    }

    /// Gives up what a node held of lost shards, if whoever leads finds that it may be, and gives whether that is known here
    /// already.
    ///
    /// # Errors
    /// See [`NotAgreed`].
    pub async fn forget(&self, node: &str) -> Result<bool, NotAgreed> {
        match self.ask_leader(&Order::Forget(node.to_owned())).await? {
            Ordered::Agreed => {}
            other => return Err(refused(other)),
        }
        let mut latest = self.agreed.subscribe();
        let is_gone = |latest: &Latest| {
            let mut lost = latest.view.lost.iter();
            !lost.any(|loss| loss.holders.iter().any(|holder| holder == node))
        };
        let known = tokio::time::timeout(LEARNING, latest.wait_for(is_gone));
        Ok(matches!(known.await, Ok(Ok(_))))
    }

    /// Whether a node is down as whoever leads sees it, of which nothing is lost any more. Of one that is not it may be
    /// there.
    ///
    /// # Errors
    /// See [`NotAgreed`].
    pub async fn is_down(&self, node: &str) -> Result<bool, NotAgreed> {
        let judging = async {
            loop {
                match self.gives_up(node).await {
                    Err(NotAgreed::NotGivenUp(why)) => return Ok(why == NotGivenUp::NothingLost),
                    Err(error) => return Err(error),
                    // It was given up, and whoever leads by now has not heard so.
                    Ok(_) => tokio::time::sleep(ELSEWHERE).await,
                }
            }
        };
        let judged = tokio::time::timeout(LEARNING, judging).await;
        let more = "more of what it held is lost by now, as whoever leads says";
        judged.unwrap_or_else(|_| Err(NotAgreed::Unknown(more.to_owned())))
    }

    /// The id of the founder of the register, which alone decides, where this node is that as far as is written down: it may
    /// be named otherwise. Empty where whoever looked does not say.
    ///
    /// # Errors
    /// See [`NotAgreed`].
    pub async fn founder(&self, node: &str) -> Result<Option<String>, NotAgreed> {
        let Some((claims, _)) = &self.claims else {
            return Ok(None);
        };
        Ok(match said_of_founder(claims, node, None).await? {
            GivenUp::Yes { founder } | GivenUp::Watch { founder, .. } => Some(founder),
            _ => None,
        })
    }

    /// The founder of the register, which alone decides, never runs again; gives its id as [`Self::founder`] does, where it is
    /// that. It is watched before: nobody's word gives up one that says meanwhile that it is there.
    ///
    /// # Errors
    /// See [`NotAgreed`].
    pub async fn give_up_founder(&self, node: &str) -> Result<Option<String>, NotAgreed> {
        let Some((claims, clock)) = &self.claims else {
            return Ok(None);
        };
        let (mut watch, mut watched, mut looked_ms) = (None, None, steady_ms(clock));
        loop {
            let (renewals, for_ms) = match said_of_founder(claims, node, watched).await? {
                GivenUp::Watch {
                    renewals, for_ms, ..
                } => (renewals, for_ms),
                GivenUp::Yes { founder } => return Ok(Some(founder)),
                _ => return Ok(None),
            };
            let now_ms = steady_ms(clock);
            let watch = watch.get_or_insert_with(|| Watch::new(renewals, now_ms));
            if watch.sees(renewals, now_ms) {
                let ago_s = now_ms.saturating_sub(looked_ms) / 1_000 + 1;
                let said = format!("it renewed its hold {ago_s} s ago at most");
                return Err(NotAgreed::FounderIsThere(said));
            }
            looked_ms = now_ms;
            watched = watch.silent_for(for_ms.saturating_add(WATCHING_MS), now_ms);
            if watched.is_none() {
                tokio::time::sleep(millis(WATCHING_MS)).await;
            }
        }
    }

    /// Whether a node is retired already, and how often it was admitted with a token if it is not: to be looked at before it
    /// is judged to be down.
    ///
    /// # Errors
    /// Why that is not known.
    pub async fn looked_up(&self, node: &str) -> Result<LookedUp, String> {
        match self.said_of_retired(node, None).await? {
            Retired::Yes => Ok(LookedUp::Retired),
            Retired::No { admissions } => Ok(LookedUp::Admitted(admissions)),
            other => Err(not_retired(other)),
        }
    }

    /// A node that was forgotten, and was admitted so often before, has its certificate renewed by nobody from now on.
    ///
    /// # Errors
    /// Why that is not known to be written down.
    pub async fn retire(&self, node: &str, admissions: u64) -> Result<(), String> {
        let retiring = async {
            loop {
                match self.said_of_retired(node, Some(admissions)).await? {
                    Retired::Yes => return Ok(()),
                    // Whoever is asked may see a moment later than whoever leads that it is gone.
                    Retired::IsThere => tokio::time::sleep(ELSEWHERE).await,
                    other => return Err(not_retired(other)),
                }
            }
        };
        let retired = tokio::time::timeout(LEARNING, retiring).await;
        retired.unwrap_or_else(|_| Err(not_retired(Retired::IsThere)))
    }

    async fn said_of_retired(
        &self,
        node: &str,
        admissions: Option<u64>,
    ) -> Result<Retired, String> {
        let Some((claims, _)) = &self.claims else {
            return Err("no node of the control plane is known here".to_owned());
        };
        let said = claims.retire(node, admissions).await;
        said.map_err(|error| error.to_string())
    }

    /// Whoever leads judges by what it knows, so that no two nodes answer differently. Another may be about to.
    async fn ask_leader(&self, order: &Order) -> Result<Ordered, NotAgreed> {
        let asking = async {
            loop {
                let leader = self.look().await.leader;
                let order = OrderView {
                    order: order.clone(),
                };
                let Some(leader) = leader else {
                    tokio::time::sleep(ELSEWHERE).await;
                    continue;
                };
                match self.nodes.ask_order(&leader, order, ORDERING).await {
                    Ok(Ordered::Elsewhere) | Err(AskError::Unavailable) => {
                        tokio::time::sleep(ELSEWHERE).await;
                    }
                    Ok(ordered) => return Ok(ordered),
                    // Whoever orders it may look, and order it again.
                    Err(error) => return Err(NotAgreed::Unknown(error.to_string())),
                }
            }
        };
        let asked = tokio::time::timeout(ORDERING, asking).await;
        let nobody = "it is not known who leads those that vote";
        asked.unwrap_or_else(|_| Err(NotAgreed::NobodyAnswers(nobody.to_owned())))
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
                Ok(_) => {}
                // Whoever orders it may look, and order it again.
                Err(error @ (AskError::Timeout | AskError::Dropped)) => {
                    return Err(NotAgreed::Unknown(error.to_string()));
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

/// What is written down of this node as the founder.
async fn said_of_founder(
    claims: &ClaimHandle,
    node: &str,
    watched: Option<u64>,
) -> Result<GivenUp, NotAgreed> {
    match claims.give_up(node, watched).await {
        Ok(GivenUp::Unavailable) => Err(NotAgreed::Refused(
            "the control plane's database does not answer".to_owned(),
        )),
        Ok(GivenUp::There) => Err(NotAgreed::FounderIsThere("it answers itself".to_owned())),
        Ok(said) => Ok(said),
        Err(error @ (AskError::Timeout | AskError::Dropped)) if watched.is_some() => {
            Err(NotAgreed::Unknown(error.to_string()))
        }
        Err(error) => Err(NotAgreed::NobodyAnswers(error.to_string())),
    }
}

/// What the actor is started with.
#[derive(Clone)]
pub(super) struct OrdersArguments {
    pub(super) nodes: Nodes,
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
        let OrdersArguments { nodes, register } = &self.0;
        let known = register.known().borrow().clone();
        let judge = |node: &str| gives_up(&known.view, node, nodes.is_down(node));
        let step = match request.order {
            Order::Look => {
                reply.send(Ordered::Seen(RegisterSeen::of(known)));
                return Ok(());
            }
            Order::Voters(chosen) => Step::Voters(chosen),
            Order::LookAt(_) | Order::Forget(_) if !known.leads => {
                reply.send(Ordered::Elsewhere);
                return Ok(());
            }
            Order::LookAt(node) => {
                reply.send(judge(&node).map_or_else(Ordered::NotGivenUp, Ordered::GivesUp));
                return Ok(());
            }
            Order::Forget(node) => match judge(&node) {
                Ok(_) => Step::View(Entry::Forget { node }),
                Err(why) => {
                    reply.send(Ordered::NotGivenUp(why));
                    return Ok(());
                }
            },
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
