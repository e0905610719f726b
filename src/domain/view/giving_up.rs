//! What may be given up of a node (PROTOCOLS L6): what it held of lost shards, once it is not there to bring it back. Judged
//! where it would be agreed on, by what whoever leads knows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::register::{Phase, View};

/// What would be given up with a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivesUp {
    /// The lost shards that it held.
    pub shards: BTreeSet<u16>,
    /// Others that may bring some of it back as well, by their ids.
    pub others: BTreeSet<String>,
}

/// Why nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotGivenUp {
    /// It is not known to be down.
    MayBeThere,
    /// Nothing that it held is lost.
    NothingLost,
}

/// What is given up with this node; `is_down` where it is known to be, or nobody knows it.
///
/// # Errors
/// See [`NotGivenUp`].
pub fn gives_up(view: &View, node: &str, is_down: bool) -> Result<GivesUp, NotGivenUp> {
    let mut gives_up = GivesUp::default();
    let held = |holders: &[String]| holders.iter().any(|holder| holder == node);
    for loss in view.lost.iter().filter(|loss| held(&loss.holders)) {
        gives_up.shards.insert(loss.shard);
        let others = loss.holders.iter().filter(|holder| *holder != node);
        gives_up.others.extend(others.cloned());
    }
    // Whoever is there brings back what it has by itself: by the time that a view with it is active, what is missing still
    // is not on its disk.
    let is_member = view.members.iter().any(|life| life.node == node);
    let has_it_not = view.phase == Phase::Active && is_member && !gives_up.shards.is_empty();
    if !is_down && !has_it_not {
        return Err(NotGivenUp::MayBeThere);
    }
    if gives_up.shards.is_empty() {
        return Err(NotGivenUp::NothingLost);
    }
    Ok(gives_up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Epoch, Life, Loss};

    fn view() -> View {
        let loss = |shard, holders: [&str; 2]| Loss {
            shard,
            holders: holders.map(str::to_owned).to_vec(),
            t0_ms: 5,
            epoch: Epoch::default(),
            held: Epoch::default(),
            is_mixed: false,
        };
        View {
            lost: vec![
                loss(3, ["a", "b"]),
                loss(7, ["c", "a"]),
                loss(3, ["a", "c"]),
            ],
            ..View::default()
        }
    }

    #[test]
    fn what_is_given_up_with_a_node_is_what_it_held_of_lost_shards() {
        let given_up = gives_up(&view(), "a", true).unwrap();
        assert_eq!(given_up.shards, BTreeSet::from([3, 7]));
        assert_eq!(given_up.others, ["b", "c"].map(str::to_owned).into());
        assert_eq!(gives_up(&view(), "b", true).unwrap().shards.len(), 1);
    }

    #[test]
    fn what_a_node_that_is_there_has_lost_itself_is_given_up_as_well() {
        let mut view = view();
        view.members = vec![Life::new("a", 1)];
        let may_bring_it = gives_up(&view, "a", false);
        assert_eq!(may_bring_it, Err(NotGivenUp::MayBeThere));
        view.phase = Phase::Active;
        assert_eq!(gives_up(&view, "a", false).unwrap().shards.len(), 2);
    }

    #[test]
    fn who_is_there_and_who_lost_nothing_are_refused_with_the_reason() {
        let refused = |node, is_down| gives_up(&view(), node, is_down).unwrap_err();
        assert_eq!(refused("a", false), NotGivenUp::MayBeThere);
        assert_eq!(refused("d", false), NotGivenUp::MayBeThere);
        assert_eq!(refused("d", true), NotGivenUp::NothingLost);
    }
}
