//! The ways from one node to the others of the agreed view, wherever they live.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cluster::{AskError, Cluster, Door, Health, Request};
use domain::view::Life;

use super::LIVES;
use super::message::{
    Agreed, AskView, AskVoter, OrderView, Ordered, Promised, TellView, TellVoter,
};
use super::voters::Candidate;

/// Who follows the view: those that own shards, and those that ask the owners.
const FOLLOWERS: [&str; 2] = ["traffic-manager", "gateway"];
/// Whoever has been there for so long may vote.
const A_WHILE: Duration = Duration::from_millis(1_000);
const A_WHILE_MS: u64 = 1_000;
/// A voter that is away for longer is replaced.
const COMES_BACK_MS: u64 = 600_000;
/// Whoever is told of a view may take so long.
const DEADLINE: Duration = Duration::from_secs(1);

/// What one node answers.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    pub(super) voter: Door<AskVoter>,
    pub(super) coordinator: Door<TellVoter>,
    pub(super) asked: Door<AskView>,
    pub(super) told: Door<TellView>,
    pub(super) orders: Door<OrderView>,
}

/// The nodes by their stable ids: this one, and those of its cluster. Cheap to clone; all clones know the same.
#[derive(Debug, Clone)]
pub struct Nodes {
    me: Life,
    /// Nodes of this process: this one, and in tests others.
    here: Arc<RwLock<BTreeMap<String, Doors>>>,
    cluster: Option<Cluster>,
}

// === impl Nodes ===

impl Nodes {
    /// A node that reaches nobody but itself and those that share `Nodes` with it.
    #[must_use]
    pub fn alone(me: Life) -> Self {
        Self {
            me,
            here: Arc::default(),
            cluster: None,
        }
    }

    /// A node of a cluster.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let me = cluster.me();
        Self {
            cluster: Some(cluster.clone()),
            ..Self::alone(Life::new(me.id.clone(), me.incarnation))
        }
    }

    /// Another node that is reached by the same ways.
    #[must_use]
    pub fn seen_by(&self, me: Life) -> Self {
        Self { me, ..self.clone() }
    }

    /// This node in this life.
    #[must_use]
    pub fn me(&self) -> &Life {
        &self.me
    }

    /// The cluster, where the node has one.
    #[must_use]
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// This node is reached through these doors from now on, by others of the cluster too.
    pub(super) fn admit(&self, doors: Doors) {
        if let Some(cluster) = &self.cluster {
            cluster.serve(doors.voter.clone());
            cluster.serve(doors.coordinator.clone());
            cluster.serve(doors.asked.clone());
            cluster.serve(doors.told.clone());
            cluster.serve(doors.orders.clone());
        }
        let mut here = self.here.write().unwrap_or_else(PoisonError::into_inner);
        here.insert(self.me.node.clone(), doors);
    }

    /// What people call a node; its id where that is not known.
    #[must_use]
    pub fn name(&self, id: &str) -> String {
        let Some(cluster) = &self.cluster else {
            return id.to_owned();
        };
        let me = cluster.me();
        if me.id == id {
            return me.name.clone();
        }
        let mut others = cluster.members().into_iter();
        let found = others.find(|state| state.member.id == id);
        found.map_or_else(|| id.to_owned(), |state| state.member.name)
    }

    /// Asks a node to have an operator's order agreed on, or what its register knows.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub(super) async fn ask_order(
        &self,
        node: &str,
        asked: OrderView,
        deadline: Duration,
    ) -> Result<Ordered, AskError> {
        let door = self.door(node).map(|doors| doors.orders);
        self.ask(node, door, asked, deadline).await
    }

    /// Asks a voter for a promise.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn ask_voter(
        &self,
        voter: &str,
        asked: AskVoter,
        deadline: Duration,
    ) -> Result<Promised, AskError> {
        let door = self.door(voter).map(|doors| doors.voter);
        self.ask(voter, door, asked, deadline).await
    }

    /// Tells a voter how this node is; gives what is agreed on.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn tell_voter(
        &self,
        voter: &str,
        told: TellVoter,
        deadline: Duration,
    ) -> Result<Agreed, AskError> {
        let door = self.door(voter).map(|doors| doors.coordinator);
        self.ask(voter, door, told, deadline).await
    }

    /// Asks a node what is agreed on.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn ask_view(
        &self,
        node: &str,
        asked: AskView,
        deadline: Duration,
    ) -> Result<Agreed, AskError> {
        let door = self.door(node).map(|doors| doors.asked);
        self.ask(node, door, asked, deadline).await
    }

    /// Tells everybody who follows the view, and waits for nobody.
    pub(super) fn tell_view(&self, told: &TellView) {
        if let Some(cluster) = &self.cluster {
            for role in FOLLOWERS {
                cluster.tell_all(role, told, DEADLINE);
            }
        }
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        for doors in here.values() {
            let (door, told) = (doors.told.clone(), told.clone());
            cluster::spawn_named("view news", async move {
                // Whoever was not told hears of it with the next answer of a voter.
                let _ = door.ask(told, DEADLINE).await;
            });
        }
    }

    /// Nobody reaches this node any more, and it reaches nobody.
    #[cfg(test)]
    pub(crate) fn cut_off(&self, node: &str) {
        let mut here = self.here.write().unwrap_or_else(PoisonError::into_inner);
        here.remove(node);
    }

    /// The nodes that this one hears, itself among them.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        let mut heard: Vec<String> = here.keys().cloned().collect();
        drop(here);
        if let Some(cluster) = &self.cluster {
            let up = |state: &cluster::MemberState| state.health == Health::Up;
            let members = cluster.members().into_iter().filter(up);
            heard.extend(members.map(|state| state.member.id));
        }
        heard
    }

    /// Whether a node is known to be down, or known to nobody here.
    pub(super) fn is_down(&self, node: &str) -> bool {
        if node == self.me.node {
            return false;
        }
        let Some(cluster) = &self.cluster else {
            return self.door(node).is_none();
        };
        let mut others = cluster.members().into_iter();
        let found = others.find(|state| state.member.id == node);
        found.is_none_or(|state| state.health == Health::Down)
    }

    /// Lives that have ended, or cannot be reached any more.
    pub(super) fn gone(&self) -> Vec<Life> {
        let members = self.cluster.iter().flat_map(Cluster::members);
        let gone = members.filter(|state| state.health == Health::Down);
        // Also all lives that its shards began after a failed step.
        let last = |incarnation: u64| incarnation.saturating_mul(LIVES).saturating_add(LIVES - 1);
        gone.map(|state| Life::new(state.member.id, last(state.member.incarnation)))
            .collect()
    }

    /// Who may vote when the boot clock, by which members turn, shows `now`: those that are there, and those of `voters`
    /// that may come back.
    pub(super) fn candidates(&self, voters: &[String], now: Duration) -> Vec<Candidate> {
        let Some(cluster) = &self.cluster else {
            return Vec::new();
        };
        let me = candidate(cluster.me(), cluster.up_for() >= A_WHILE);
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let others = cluster.members();
        let others = others
            .iter()
            .filter_map(|state| other_candidate(state, voters, now_ms));
        others.chain([me]).collect()
    }

    fn door(&self, node: &str) -> Option<Doors> {
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        here.get(node).cloned()
    }

    async fn ask<R: Request>(
        &self,
        node: &str,
        door: Option<Door<R>>,
        request: R,
        deadline: Duration,
    ) -> Result<R::Reply, AskError> {
        match (door, &self.cluster) {
            // Whom nobody reaches within a process reaches nobody.
            (Some(_), None) if self.door(&self.me.node).is_none() => Err(AskError::Unavailable),
            (Some(door), _) => door.ask(request, deadline).await,
            (None, Some(cluster)) => cluster.ask(node, &request, deadline).await,
            (None, None) => Err(AskError::Unavailable),
        }
    }
}

/// Another node, where it may vote: it has been there for a while, or votes already and may come back.
fn other_candidate(
    state: &cluster::MemberState,
    voters: &[String],
    now_ms: u64,
) -> Option<Candidate> {
    let for_ms = now_ms.saturating_sub(state.since_ms);
    let is_there = state.health == Health::Up && !state.leaving && for_ms >= A_WHILE_MS;
    let may_come_back = voters.contains(&state.member.id)
        && (state.health != Health::Down || for_ms < COMES_BACK_MS);
    (is_there || may_come_back).then(|| candidate(&state.member, is_there))
}

fn candidate(member: &cluster::Member, is_there: bool) -> Candidate {
    Candidate {
        id: member.id.clone(),
        is_traffic_manager: member.has_role("traffic-manager"),
        is_control_plane: member.has_role(crate::CONTROL_PLANE),
        is_there,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 2 * COMES_BACK_MS;

    fn state(health: Health, since_ms: u64, leaving: bool) -> cluster::MemberState {
        let member = cluster::Member {
            id: "a".to_owned(),
            incarnation: 1,
            life: 1,
            name: "tm1".to_owned(),
            address: "tm1:4370".to_owned(),
            roles: vec!["traffic-manager".to_owned()],
            facts: Vec::new(),
        };
        cluster::MemberState {
            member,
            health,
            since_ms,
            leaving,
        }
    }

    /// Whether it may vote, and then whether it is there.
    fn may_vote(state: &cluster::MemberState, voters: &[&str]) -> Option<bool> {
        let voters: Vec<String> = voters.iter().map(|voter| (*voter).to_owned()).collect();
        let candidate = other_candidate(state, &voters, NOW_MS)?;
        assert!(candidate.is_traffic_manager && !candidate.is_control_plane);
        Some(candidate.is_there)
    }

    #[test]
    fn who_has_been_there_for_a_while_and_stays_may_vote() {
        let since = |ago_ms| NOW_MS - ago_ms;
        let up = |ago_ms, leaving| state(Health::Up, since(ago_ms), leaving);
        assert_eq!(may_vote(&up(A_WHILE_MS, false), &[]), Some(true));
        assert_eq!(may_vote(&up(A_WHILE_MS - 1, false), &[]), None, "just came");
        assert_eq!(may_vote(&up(A_WHILE_MS, true), &[]), None, "leaves");
        for health in [Health::Suspect, Health::Down, Health::Unmet] {
            let away = state(health, since(A_WHILE_MS), false);
            assert_eq!(may_vote(&away, &["b"]), None, "{health:?}");
        }
    }

    #[test]
    fn a_voter_that_is_away_stays_one_as_long_as_it_may_come_back() {
        let down = |ago_ms| state(Health::Down, NOW_MS - ago_ms, false);
        assert_eq!(may_vote(&down(COMES_BACK_MS - 1), &["a"]), Some(false));
        assert_eq!(may_vote(&down(COMES_BACK_MS), &["a"]), None);
        let silent = state(Health::Suspect, 0, false);
        assert_eq!(may_vote(&silent, &["a"]), Some(false), "it is not known");
        let leaving = state(Health::Up, 0, true);
        assert_eq!(may_vote(&leaving, &["a"]), Some(false));
    }
}
