//! Who owns a shard by a view (PROTOCOLS L1), and from whom the owner has it (L4).

use serde::{Deserialize, Serialize};

use super::epoch::Epoch;
use super::register::{Life, Loss, Phase, View};

/// How much a node wants a shard; the same on every node and in every version. The highest owns it, the second stands
/// by.
pub type Rank = fn(shard: u16, node: &str) -> u64;

/// What a node is to a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// Grants its units.
    Owner {
        /// Has a copy of everything that is released; none in a view of one.
        standby: Option<Life>,
    },
    /// Keeps the copy.
    Standby {
        /// Who fills it.
        owner: Life,
    },
    /// Nothing, or what it was before.
    #[default]
    Apart,
}

/// Who may have what was granted before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The life that it is in by the view.
    pub life: Life,
    /// Whether that is the life in which it was granted; else it has what its disk has (L5).
    pub in_memory: bool,
}

/// All that a view says of one shard to one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The view's epoch.
    pub epoch: Epoch,
    /// Whether it is active.
    pub active: bool,
    /// What the node is.
    pub role: Role,
    /// The last view in which grants were given, and the highest T fenced before that one; none where there is nothing
    /// to go on from.
    pub settled: Option<(Epoch, Option<i64>)>,
    /// Owner and standby of the last active view, as far as they are reachable; those in memory first.
    pub sources: Vec<Holding>,
    /// The highest T fenced before the view.
    pub t0_ms: Option<i64>,
    /// Windows that had begun by this T are full, whatever anybody has of them (L6).
    pub lost_ms: Option<i64>,
    /// The last view that had to begin without what was lost.
    pub lost_in: Epoch,
    /// What was lost and may be found again.
    pub missing: Vec<Missing>,
    /// Whether the view knows of this life of the node.
    pub is_known: bool,
}

/// A loss of the shard, as its next owner may make it good (L6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// See [`super::Loss::epoch`].
    pub epoch: Epoch,
    /// See [`super::Loss::held`].
    pub held: Epoch,
    /// See [`super::Loss::t0_ms`].
    pub t0_ms: i64,
    /// Those of its holders that are there, in whatever life: their disks have all that was released (L5).
    pub holders: Vec<Life>,
    /// All its holders.
    pub names: Vec<String>,
}

// === impl Place ===

impl Place {
    /// What `view` says of `shard` to `me`. A life that the view does not name is nothing to it, whatever an earlier or
    /// a later life of the same node is.
    pub fn of(view: &View, shard: u16, me: &Life, rank: Rank) -> Self {
        let role = match pair(shard, &view.members, rank) {
            Some((owner, standby)) if owner == me => Role::Owner {
                standby: standby.cloned(),
            },
            Some((owner, Some(standby))) if standby == me => Role::Standby {
                owner: owner.clone(),
            },
            _ => Role::Apart,
        };
        let lost: Vec<&Loss> = view
            .lost
            .iter()
            .filter(|loss| loss.shard == shard)
            .collect();
        let named = || view.members.iter().chain(&view.sources);
        let missing = |loss: &&Loss| Missing {
            epoch: loss.epoch,
            held: loss.held,
            t0_ms: loss.t0_ms,
            holders: named()
                .filter(|life| loss.holders.contains(&life.node))
                .cloned()
                .collect(),
            names: loss.holders.clone(),
        };
        Self {
            epoch: view.epoch,
            active: view.phase == Phase::Active,
            role,
            settled: view
                .last_active
                .as_ref()
                .map(|last| (last.epoch, last.t0_ms)),
            sources: sources(view, shard, rank),
            t0_ms: view.t0_ms,
            lost_ms: lost.iter().map(|loss| loss.t0_ms).max(),
            lost_in: lost.iter().map(|loss| loss.epoch).max().unwrap_or_default(),
            missing: lost
                .iter()
                .filter(|loss| !loss.is_mixed)
                .map(missing)
                .collect(),
            is_known: named().any(|life| life == me),
        }
    }
}

// === impl View ===

impl View {
    /// Who owns a shard by this view, however far the view has come: whoever routes to it asks there, and is told no
    /// before the view is active.
    pub fn owner(&self, shard: u16, rank: Rank) -> Option<&Life> {
        pair(shard, &self.members, rank).map(|(owner, _)| owner)
    }

    /// Who stands by for a shard by this view; nobody in a view of one.
    pub fn standby(&self, shard: u16, rank: Rank) -> Option<&Life> {
        pair(shard, &self.members, rank)?.1
    }
}

/// Owner and standby of a shard among `members`.
pub(super) fn pair(shard: u16, members: &[Life], rank: Rank) -> Option<(&Life, Option<&Life>)> {
    let weight = |life: &Life| rank(shard, &life.node);
    let owner = members
        .iter()
        .max_by_key(|&life| (weight(life), &life.node))?;
    let others = members.iter().filter(|life| life.node != owner.node);
    let standby = others.max_by_key(|&life| (weight(life), &life.node));
    Some((owner, standby))
}

/// Those who are asked for what a shard goes on from: disks only where nobody's memory is left.
pub(super) fn asked(view: &View, shard: u16, rank: Rank) -> Vec<Life> {
    let sources = sources(view, shard, rank);
    let in_memory = sources.iter().any(|holding| holding.in_memory);
    let asked = sources.into_iter();
    let asked = asked.filter(|holding| holding.in_memory == in_memory);
    asked.map(|holding| holding.life).collect()
}

/// Those outside of the view's members who alone have what a shard goes on from.
pub(super) fn outsiders(view: &View, shard: u16, rank: Rank) -> Vec<Life> {
    let asked = asked(view, shard, rank);
    if asked.iter().any(|life| view.members.contains(life)) {
        return Vec::new();
    }
    asked
}

fn sources(view: &View, shard: u16, rank: Rank) -> Vec<Holding> {
    let before = view.last_active.as_ref();
    let Some((owner, standby)) = before.and_then(|view| pair(shard, &view.members, rank)) else {
        return Vec::new();
    };
    let there = |life: &Life| {
        let mut now = view.members.iter().chain(&view.sources);
        let now = now.find(|now| now.node == life.node)?;
        Some(Holding {
            life: now.clone(),
            in_memory: now.incarnation == life.incarnation,
        })
    };
    let mut found: Vec<Holding> = [Some(owner), standby]
        .into_iter()
        .flatten()
        .filter_map(there)
        .collect();
    found.sort_by_key(|holding| !holding.in_memory);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::register::Entry;

    fn rank(_: u16, node: &str) -> u64 {
        u64::from(node.bytes().next().unwrap_or(0))
    }

    fn lives(lives: &[(&str, u64)]) -> Vec<Life> {
        lives
            .iter()
            .map(|(node, life)| Life::new(*node, *life))
            .collect()
    }

    #[test]
    fn the_last_active_pair_is_who_a_shard_is_copied_from() {
        let at = |index| Epoch::new(1, index).unwrap();
        let sync = |members, sources| Entry::Sync {
            members,
            sources,
            voters: vec!["a".to_owned()],
        };
        let mut view = View::default();
        view.apply(
            at(1),
            sync(lives(&[("a", 1), ("b", 1), ("c", 1)]), Vec::new()),
        );
        let place = Place::of(&view, 0, &Life::new("c", 1), rank);
        let standby = Some(Life::new("b", 1));
        assert_eq!(view.owner(0, rank), Some(&Life::new("c", 1)), "in Sync too");
        assert_eq!(view.standby(0, rank), standby.as_ref());
        assert_eq!(place.role, Role::Owner { standby });
        assert!(place.settled.is_none() && place.sources.is_empty());
        assert_eq!(
            Place::of(&view, 0, &Life::new("a", 1), rank).role,
            Role::Apart
        );
        let (of, t0_ms) = (at(1), Some(7));
        let (lost, found) = (Vec::new(), Vec::new());
        let active = Entry::Active {
            of,
            t0_ms,
            lost,
            found,
        };
        view.apply(at(2), active);
        // The owner leaves, the standby was started again.
        view.apply(
            at(3),
            sync(lives(&[("a", 1), ("b", 2)]), lives(&[("c", 1)])),
        );
        let place = Place::of(&view, 0, &Life::new("a", 1), rank);
        let owner = Life::new("b", 2);
        assert_eq!(place.role, Role::Standby { owner });
        let holding = |life: Life, in_memory| Holding { life, in_memory };
        let sources = [
            holding(Life::new("c", 1), true),
            holding(Life::new("b", 2), false),
        ];
        assert_eq!(place.sources, sources);
        let former = Place::of(&view, 0, &Life::new("b", 1), rank);
        assert_eq!(former.role, Role::Apart, "the view names its later life");
        view.apply(at(4), sync(lives(&[("a", 1)]), Vec::new()));
        assert_eq!(view.owner(0, rank), Some(&Life::new("a", 1)));
        assert_eq!(view.standby(0, rank), None);
        assert_eq!(Place::of(&view, 0, &Life::new("a", 1), rank).sources, []);
        assert_eq!(
            Place::of(&view, 0, &Life::new("a", 1), rank).settled,
            Some((at(1), Some(7)))
        );
    }
}
