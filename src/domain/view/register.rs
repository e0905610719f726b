//! The value of the view register (PROTOCOLS W3): a majority of voters agrees on each entry, and every node that has
//! the entries has the same value. Plain data and one `apply`.

use serde::{Deserialize, Serialize};

use super::epoch::Epoch;

/// One life of a node: what it held in memory ends with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life {
    /// The stable id.
    pub node: String,
    /// The incarnation (PROTOCOLS W1).
    pub incarnation: u64,
}

/// How far a view has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// New owners copy their shards; nobody grants.
    #[default]
    Sync,
    /// Owners grant.
    Active,
}

/// A view in which grants were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its members.
    pub members: Vec<Life>,
    /// Who voted then: a majority of them knows the highest T that was fenced.
    pub voters: Vec<String>,
    /// The highest T that was fenced before it.
    pub t0_ms: Option<i64>,
}

/// A shard lost owner and standby together (PROTOCOLS L6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The shard.
    pub shard: u16,
    /// Who had it.
    pub holders: Vec<String>,
    /// Its windows that had begun by this T are full.
    pub t0_ms: i64,
}

/// What is agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Where the view was agreed on.
    pub epoch: Epoch,
    /// How far it has come.
    pub phase: Phase,
    /// The traffic managers that own shards, in the order of their ids.
    pub members: Vec<Life>,
    /// Those that own nothing and have what others go on from: they hand over (PROTOCOLS M3), or are cut off from some.
    pub sources: Vec<Life>,
    /// The nodes whose majority decides.
    pub voters: Vec<String>,
    /// The last view in which grants were given; its pairs are what new owners copy from.
    pub last_active: Option<Settled>,
    /// The highest T that was fenced before the last active view.
    pub t0_ms: Option<i64>,
    /// What was lost and has neither come back nor been given up; one a shard.
    pub lost: Vec<Loss>,
    /// Entries it was made of: of two values the one with more is the later.
    pub entries: u64,
}

/// One step of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A new view begins: all others end here, and nobody grants until it is active.
    Sync {
        /// See [`View::members`].
        members: Vec<Life>,
        /// See [`View::sources`].
        sources: Vec<Life>,
        /// See [`View::voters`].
        voters: Vec<String>,
    },
    /// All pairs of a view have what they need. Void if another view began meanwhile.
    Active {
        /// The view's epoch.
        of: Epoch,
        /// The highest T fenced before it.
        t0_ms: Option<i64>,
        /// What was lost with the view before it.
        lost: Vec<Loss>,
    },
    /// An operator gives up what this node held (`headgate cluster forget`).
    Forget {
        /// The node's id.
        node: String,
    },
}

// === impl Life ===

impl Life {
    /// A life of a node.
    pub fn new(node: impl Into<String>, incarnation: u64) -> Self {
        let node = node.into();
        Self { node, incarnation }
    }
}

// === impl View ===

impl View {
    /// Takes in the entry at `at`; entries come in order, each once. Gives whether anything changed.
    pub fn apply(&mut self, at: Epoch, entry: Entry) -> bool {
        self.entries += 1;
        match entry {
            Entry::Sync {
                mut members,
                sources,
                voters,
            } => {
                members.sort();
                members.dedup_by(|one, other| one.node == other.node);
                self.epoch = at;
                self.phase = Phase::Sync;
                (self.members, self.sources, self.voters) = (members, sources, voters);
                true
            }
            Entry::Active { of, t0_ms, lost } => {
                if of != self.epoch || self.phase == Phase::Active {
                    return false;
                }
                self.phase = Phase::Active;
                self.t0_ms = self.t0_ms.max(t0_ms);
                lost.into_iter().for_each(|loss| self.lose(loss));
                self.last_active = Some(Settled {
                    epoch: of,
                    members: self.members.clone(),
                    voters: self.voters.clone(),
                    t0_ms: self.t0_ms,
                });
                true
            }
            Entry::Forget { node } => {
                let before = self.lost.len();
                self.lost.retain(|loss| !loss.holders.contains(&node));
                before != self.lost.len()
            }
        }
    }

    /// Whether this value has entries that `other` has not.
    pub fn is_later(&self, other: &Self) -> bool {
        self.entries > other.entries
    }

    /// A shard may be lost again before what was lost before has come back.
    fn lose(&mut self, loss: Loss) {
        let known = self.lost.iter_mut().find(|known| known.shard == loss.shard);
        let Some(known) = known else {
            return self.lost.push(loss);
        };
        known.t0_ms = known.t0_ms.max(loss.t0_ms);
        for holder in loss.holders {
            if !known.holders.contains(&holder) {
                known.holders.push(holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> Epoch {
        Epoch::new(1, index).unwrap()
    }

    fn sync(nodes: &[&str]) -> Entry {
        Entry::Sync {
            members: nodes.iter().map(|node| Life::new(*node, 1)).collect(),
            sources: Vec::new(),
            voters: vec!["a".to_owned()],
        }
    }

    fn active(of: Epoch, t0_ms: i64) -> Entry {
        let loss = Loss {
            shard: 3,
            holders: vec!["a".to_owned(), "b".to_owned()],
            t0_ms,
        };
        Entry::Active {
            of,
            t0_ms: Some(t0_ms),
            lost: vec![loss],
        }
    }

    #[test]
    fn a_view_that_was_overtaken_never_becomes_active() {
        let mut view = View::default();
        assert!(view.apply(at(1), sync(&["b", "a"])));
        assert_eq!(view.members, [Life::new("a", 1), Life::new("b", 1)]);
        assert!(view.apply(at(2), active(at(1), 5)));
        assert!(view.apply(at(3), sync(&["a"])));
        assert!(!view.apply(at(4), active(at(1), 9)), "of the view before");
        assert_eq!((view.phase, view.t0_ms), (Phase::Sync, Some(5)));
        let settled = view.last_active.clone().unwrap();
        assert_eq!((settled.epoch, settled.members.len()), (at(1), 2));
        let before = view.clone();
        assert!(view.apply(at(5), active(at(3), 4)));
        assert!(view.is_later(&before) && !before.is_later(&view));
        assert_eq!(view.t0_ms, Some(5), "never goes back");
        assert!(!view.apply(at(6), active(at(3), 9)), "once");
    }

    #[test]
    fn what_an_operator_gives_up_is_lost_no_more() {
        let mut view = View::default();
        view.apply(at(1), sync(&["a"]));
        view.apply(at(2), active(at(1), 5));
        view.apply(at(2), sync(&["a"]));
        view.apply(at(3), active(at(2), 7));
        assert_eq!(view.lost.len(), 1, "one a shard");
        assert_eq!(view.lost[0].t0_ms, 7);
        let forget = |node: &str| Entry::Forget {
            node: node.to_owned(),
        };
        assert!(!view.apply(at(3), forget("c")));
        let before = view.clone();
        assert!(view.apply(at(4), forget("b")));
        assert_eq!(view.lost, []);
        assert!(view.is_later(&before), "though it is the same view");
    }
}
