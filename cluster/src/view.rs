//! What this node knows of the others at the moment, as everybody in it reads it: a snapshot, so
//! that an ask waits for nobody to find its way (W2: whom to ask, never who owns what).

use std::sync::Arc;

use crate::member::Member;
use crate::members::{Health, MemberState};
use crate::path::Path;

/// One other node and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) state: MemberState,
    pub(crate) path: Option<Arc<Path>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) seen: Vec<Seen>,
}

// === impl View ===

impl View {
    /// The ways to the members with a role, best first: those that answer and stay, then those
    /// about to leave, then those that are suspected. `turn` spreads callers over equals.
    pub(crate) fn ways(&self, role: &str, turn: usize) -> Vec<Arc<Path>> {
        let rank = |state: &MemberState| match (state.health, state.leaving) {
            (Health::Up, false) => 0,
            (Health::Up, true) => 1,
            _ => 2,
        };
        let with_role = self
            .seen
            .iter()
            .filter(|seen| seen.state.member.has_role(role));
        let mut ways: Vec<(u8, Arc<Path>)> = with_role
            .filter_map(|seen| Some((rank(&seen.state), Arc::clone(seen.path.as_ref()?))))
            .collect();
        if !ways.is_empty() {
            let by = turn % ways.len();
            ways.rotate_left(by);
        }
        // Stable: within a rank the turn decides.
        ways.sort_by_key(|(rank, _)| *rank);
        ways.into_iter().map(|(_, path)| path).collect()
    }

    /// The way to whoever lives this life.
    pub(crate) fn way_of(&self, life: u64) -> Option<Arc<Path>> {
        let seen = self.seen.iter();
        let mut lives = seen.filter(|seen| seen.state.member.life == life);
        lives.find_map(|seen| seen.path.clone())
    }

    /// The way to whoever is this member, in this life.
    pub(crate) fn way_of_member(&self, member: &Member) -> Option<Arc<Path>> {
        let same = |one: &Member| {
            (one.life, one.incarnation, &one.id) == (member.life, member.incarnation, &member.id)
        };
        let seen = self.seen.iter().find(|seen| same(&seen.state.member))?;
        seen.path.clone()
    }

    /// The way to one member.
    pub(crate) fn way_to(&self, id: &str) -> Option<Arc<Path>> {
        let seen = self.seen.iter().find(|seen| seen.state.member.id == id)?;
        seen.path.clone()
    }
}
