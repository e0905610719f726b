//! Founds the view register where nobody has (W3): every traffic manager whose register is empty claims it, and one of
//! them founds it. The others wait until they are told of a view; whether they vote is decided by who leads.

use std::time::Duration;

use cluster::{Actor, Address, BoxError, Child, Clock, OrderError, RegisterState, System, child};
use domain::view::{Cover, Epoch, Founding, Others, Watch, unsaid_ms};
use storage::Database;

use super::claiming::ClaimHandle;
use super::follower::AgreedView;
use super::handle::Nodes;
use super::holding::{hold_ms, holder, millis};
use super::message::{Claim, Claimed};
use super::of_cluster::seed;
use crate::ticker::{Ticker, ticker};

/// It is looked whether something is to be done so often, until nothing is any more.
const TICK: Duration = Duration::from_millis(50);
/// It asks again after so long at first, and after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MOST_PAUSE: Duration = Duration::from_secs(2);
/// Whoever waits for so long says for what.
const SILENCE: Duration = Duration::from_secs(10);

/// What the founder of a node is started with.
#[derive(Clone)]
pub struct FounderArguments {
    /// The node, and whom it hears.
    pub nodes: Nodes,
    /// Its name, by which another takes its place when its disk is lost.
    pub name: String,
    /// Whether it counts: who does not founds nothing, but may lead those that vote.
    pub counts: bool,
    /// Its register.
    pub register: cluster::Register,
    /// The latest view that its disk took part in; none where nothing was ever granted by it.
    pub counted_in: Option<Epoch>,
    /// Whether it has others to meet first: whoever they refuse founds nothing.
    pub has_seeds: bool,
    /// What it knows of the view.
    pub agreed: AgreedView,
    /// Where it is decided who founds.
    pub claims: ClaimHandle,
    /// Where it is kept how far it may go.
    pub carbon: Database,
    /// How far its voter may fence.
    pub cover: Cover,
    /// For how long it goes on where nobody can be told that it is there.
    pub hold: Duration,
    /// Whether it is decided on this node who founds: its next life asks itself, and has nobody to wait for.
    pub is_asked_here: bool,
}

/// The founder of a node that counts, and what holds the register for it: to be started after that. The founder is done,
/// and idle, once the register has voters or the node follows another's.
#[must_use]
pub fn founder(system: &System, arguments: FounderArguments) -> [Child; 2] {
    let holder = holder(system, arguments.clone());
    let started = (system.clock.clone(), arguments);
    let (_, child) = child::<FounderActor>(system, "agreed-view/founder", started);
    [holder, child]
}

/// Time passed.
struct Tick;

/// The actor.
struct FounderActor {
    clock: Clock,
    arguments: FounderArguments,
    /// When it asks next, and how long it waits after that.
    due: Duration,
    pause: Duration,
    began: Duration,
    /// The latest generation of the register that it was told of here: what is written down may be set back.
    told_of: u64,
    /// What it sees of the founder of the same name, and for how long that may go on unsaid, milliseconds.
    watched: Option<(Watch, i64)>,
    /// Whether it said that it waits, and for what.
    has_told: bool,
    /// None once there is nothing left to do.
    ticker: Option<Ticker>,
}

/// Whether a node that `has_seeds` was let in, or has waited for long enough; `heard` are those that `me` hears, itself
/// among them.
fn has_met(has_seeds: bool, waited: Duration, (me, heard): (&str, &[String])) -> bool {
    let hears_others = heard.iter().any(|node| node != me);
    !has_seeds || waited > SILENCE || hears_others
}

/// A clock that neither steps nor stands still with this process, milliseconds.
pub(super) fn steady_ms(clock: &Clock) -> i64 {
    i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX)
}

// === impl Actor ===

impl Actor for FounderActor {
    type Message = Tick;
    type Arguments = (Clock, FounderArguments);
    const KIND: &'static str = "agreed_view.founder";

    async fn start(
        (clock, arguments): (Clock, FounderArguments),
        me: Address<Tick>,
    ) -> Result<Self, BoxError> {
        let now = clock.monotonic();
        Ok(Self {
            clock,
            arguments,
            due: now,
            pause: FIRST_PAUSE,
            began: now,
            told_of: 0,
            watched: None,
            has_told: false,
            ticker: Some(ticker("view register founding", TICK, me, || Tick)),
        })
    }

    async fn handle(&mut self, _: Tick) -> Result<(), BoxError> {
        let known = self.arguments.register.known();
        if !known.voters.sets.is_empty() {
            self.ticker = None;
            return Ok(());
        }
        // What it has on disk is known once it runs.
        let runs = known.state == RegisterState::Running && self.has_met();
        if runs && self.ticker.is_some() && self.clock.monotonic() >= self.due {
            self.ask().await;
            self.due = self.clock.monotonic() + self.pause;
            self.pause = (self.pause * 2).min(MOST_PAUSE);
        }
        Ok(())
    }
}

// === impl FounderActor ===

impl FounderActor {
    /// Whether it was let in, or has nobody to be let in by.
    fn has_met(&self) -> bool {
        let FounderArguments {
            has_seeds, nodes, ..
        } = &self.arguments;
        let waited = self.clock.monotonic().saturating_sub(self.began);
        has_met(*has_seeds, waited, (&nodes.me().node, &nodes.heard()))
    }

    async fn ask(&mut self) {
        let FounderArguments {
            nodes,
            name,
            claims,
            counted_in,
            agreed,
            hold,
            ..
        } = &self.arguments;
        let claim = Claim {
            node: nodes.me().node.clone(),
            name: name.clone(),
            life: nodes.me().incarnation,
            counted_in: counted_in.map_or(0, Founding::generation_of),
            known: Founding::generation_of_view(&agreed.view()).max(self.told_of),
            hold_ms: hold_ms(*hold),
            watched: self.watched_out(),
        };
        match claims.claim(claim).await {
            Ok(Claimed::Yours { founding, now_ms }) => self.found(&founding, now_ms).await,
            Ok(Claimed::Others {
                name,
                others,
                generation,
            }) => {
                self.told_of = self.told_of.max(generation);
                self.waits_for(&name, others);
            }
            Ok(Claimed::Held {
                node,
                renewals,
                hold_ms,
                generation,
            }) => {
                self.told_of = self.told_of.max(generation);
                self.watches(&node, renewals, hold_ms);
            }
            Ok(Claimed::Unavailable) => self.waits_for_an_answer("its database does not answer"),
            Err(error) => self.waits_for_an_answer(&error.to_string()),
        }
    }

    async fn found(&self, founding: &Founding, now_ms: i64) {
        let FounderArguments {
            nodes,
            register,
            agreed,
            counted_in,
            ..
        } = &self.arguments;
        let founding = &founding.clone().by(&nodes.me().node, counted_in.is_some());
        let generation = founding.generation;
        // No clock of those that granted before was later, as far as is known here.
        let t0_ms = agreed.latest().view.t0_ms.unwrap_or(i64::MIN);
        let now_ms = now_ms.max(self.clock.now_ms()).max(t0_ms);
        let seed = match seed(founding, &nodes.me().node, now_ms) {
            Ok(seed) => seed,
            Err(error) => {
                tracing::error!(%error, generation, "the view register cannot be founded");
                return;
            }
        };
        match register.found(seed).await {
            Ok(()) if generation == 1 => tracing::info!("founded the view register"),
            Ok(()) => tracing::warn!(
                generation,
                before = ?founding.before,
                "founded the view register anew, because this node had none any more: limits whose windows had \
                 begun and of which nothing is known count as used up until those end, or until an operator gives \
                 them up (headgate cluster forget)"
            ),
            // It has heard of another's meanwhile.
            Err(OrderError::NotEmpty) => {}
            Err(error) => {
                tracing::warn!(%error, generation, "the view register could not be founded, trying again");
            }
        }
    }

    /// Another founded. Once that one's voters are heard nothing is left to do: they say whether this node votes.
    fn waits_for(&mut self, founder: &str, others: Others) {
        if self.hears_a_voter() {
            self.ticker = None;
        } else if self.has_waited() {
            let remedy = match others {
                Others::Vote => {
                    "bring back a majority of the nodes that vote; if that can never be, say so (headgate cluster forget \
                     with the name of that founder, here)"
                }
                Others::None | Others::Own => {
                    "start that node; if its data directory is lost start it with an empty one, under the same name"
                }
            };
            tracing::warn!(
                founder,
                "the view register was founded by another node and nobody who votes is heard: calls with limits are \
                 not let through until then; {remedy}"
            );
        }
    }

    /// Whether it knows of a view and hears one of those that vote.
    fn hears_a_voter(&self) -> bool {
        let latest = self.arguments.agreed.latest();
        let heard = self.arguments.nodes.heard();
        let mut voters = latest.voters.iter();
        latest.view.entries > 0 && voters.any(|voter| heard.contains(voter))
    }

    /// What the founder of the same name has said all the while that it may go on, if that while is over.
    fn watched_out(&self) -> Option<u64> {
        let (watch, hold_ms) = self.watched?;
        let for_ms = hold_ms.saturating_add(unsaid_ms(hold_ms));
        watch.silent_for(for_ms, steady_ms(&self.clock))
    }

    /// Another node of this one's name founded, and may be there.
    fn watches(&mut self, founder: &str, renewals: u64, hold_ms: i64) {
        if self.hears_a_voter() {
            // Whoever is written down, somebody decides.
            self.watched = None;
            return;
        }
        let now_ms = steady_ms(&self.clock);
        let new = || (Watch::new(renewals, now_ms), hold_ms);
        let (watch, hold) = self.watched.get_or_insert_with(new);
        if watch.sees(renewals, now_ms) {
            *hold = hold_ms;
        }
        if self.has_waited() {
            tracing::warn!(
                founder,
                name = self.arguments.name,
                hold_s = (hold_ms > 0).then(|| millis(hold_ms).as_secs()),
                "the view register was founded by another node of this name, which may be there still, so this one counts \
                 nothing and lets no calls with limits through: if the other one runs, give this one another name \
                 (node.name) and seeds, or databases of its own; if that never runs again, say so (headgate cluster forget with \
                 the id of that founder){}",
                or_wait(hold_ms)
            );
        }
    }

    fn waits_for_an_answer(&mut self, why: &str) {
        if self.has_waited() {
            tracing::warn!(
                why,
                "no node of the control plane says who founds the view register: calls with limits are not let \
                 through until one does"
            );
        }
    }

    /// Whether it has waited for so long that it is to be said; once.
    fn has_waited(&mut self) -> bool {
        let waited = self.clock.monotonic().saturating_sub(self.began);
        waited > SILENCE && !std::mem::replace(&mut self.has_told, true)
    }
}

/// What else ends the wait for a founder: one that has the file says nothing, and a restored row is all that is left of it.
fn or_wait(hold_ms: i64) -> &'static str {
    match hold_ms {
        0 => "; nothing else ends this",
        _ => ", or wait until it has said nothing for hold_s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_others_to_meet_claims_nothing_before_it_hears_one_or_has_waited() {
        let met = |has_seeds, waited, heard: &[&str]| {
            let heard: Vec<String> = heard.iter().map(|node| (*node).to_owned()).collect();
            has_met(has_seeds, waited, ("me", &heard))
        };
        let at_once = Duration::ZERO;
        assert!(met(false, at_once, &["me"]), "it has nobody to meet");
        assert!(!met(true, at_once, &["me"]));
        assert!(!met(true, SILENCE, &[]));
        assert!(met(true, at_once, &["me", "other"]));
        assert!(met(true, SILENCE + Duration::from_millis(1), &["me"]));
    }

    #[test]
    fn only_for_a_founder_that_is_given_up_after_a_while_one_is_told_to_wait() {
        assert!(or_wait(5_000).contains("wait until it has said nothing for hold_s"));
        assert!(!or_wait(0).contains("wait"));
    }
}
