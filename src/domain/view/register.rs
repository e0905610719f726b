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

/// Losses of one shard that are told apart.
const MOST_LOSSES: usize = 4;

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
    /// The view that had to begin without it.
    pub epoch: Epoch,
    /// The last view in which it was granted from.
    pub held: Epoch,
    /// Several losses that were made one, so that the register stays small: no disk has all of it.
    pub is_mixed: bool,
}

/// A holder of what was lost is back, and the shard's new owner and its standby have its marks (PROTOCOLS L6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The shard.
    pub shard: u16,
    /// The view that had to begin without it: see [`Loss::epoch`].
    pub epoch: Epoch,
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
    /// What was lost and has neither come back nor been given up; a few of a shard at most.
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
        /// What was lost before and has been found again.
        found: Vec<Found>,
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
            Entry::Active {
                of,
                t0_ms,
                lost,
                found,
            } => {
                if of != self.epoch || self.phase == Phase::Active {
                    return false;
                }
                self.phase = Phase::Active;
                self.t0_ms = self.t0_ms.max(t0_ms);
                let is_found = |loss: &Loss| {
                    let mut found = found.iter();
                    found.any(|found| (found.shard, found.epoch) == (loss.shard, loss.epoch))
                };
                self.lost.retain(|loss| !is_found(loss));
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

    /// A shard may be lost again before what was lost before has come back. Each has holders of its own: what was
    /// granted before the first loss, those of the second one never knew.
    fn lose(&mut self, loss: Loss) {
        let shard = loss.shard;
        self.lost.push(loss);
        let of_shard = |loss: &&Loss| loss.shard == shard;
        if self.lost.iter().filter(of_shard).count() <= MOST_LOSSES {
            return;
        }
        let Some(first) = self.lost.iter().position(|loss| loss.shard == shard) else {
            return;
        };
        let oldest = self.lost.remove(first);
        if let Some(next) = self.lost.iter_mut().find(|loss| loss.shard == shard) {
            next.is_mixed = true;
            next.t0_ms = next.t0_ms.max(oldest.t0_ms);
            let unknown = |holder: &String| !next.holders.contains(holder);
            let unknown: Vec<String> = oldest.holders.into_iter().filter(unknown).collect();
            next.holders.extend(unknown);
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

    fn active(of: Epoch, t0_ms: i64, found: &[Epoch]) -> Entry {
        let loss = Loss {
            shard: 3,
            holders: vec!["a".to_owned(), format!("b{t0_ms}")],
            t0_ms,
            epoch: of,
            held: Epoch::default(),
            is_mixed: false,
        };
        let found = found.iter().map(|epoch| Found {
            shard: 3,
            epoch: *epoch,
        });
        Entry::Active {
            of,
            t0_ms: Some(t0_ms),
            lost: vec![loss],
            found: found.collect(),
        }
    }

    #[test]
    fn a_view_that_was_overtaken_never_becomes_active() {
        let mut view = View::default();
        assert!(view.apply(at(1), sync(&["b", "a"])));
        assert_eq!(view.members, [Life::new("a", 1), Life::new("b", 1)]);
        assert!(view.apply(at(2), active(at(1), 5, &[])));
        assert!(view.apply(at(3), sync(&["a"])));
        let late = active(at(1), 9, &[]);
        assert!(!view.apply(at(4), late), "of the view before");
        assert_eq!((view.phase, view.t0_ms), (Phase::Sync, Some(5)));
        let settled = view.last_active.clone().unwrap();
        assert_eq!((settled.epoch, settled.members.len()), (at(1), 2));
        let before = view.clone();
        assert!(view.apply(at(5), active(at(3), 4, &[])));
        assert!(view.is_later(&before) && !before.is_later(&view));
        assert_eq!(view.t0_ms, Some(5), "never goes back");
        assert!(!view.apply(at(6), active(at(3), 9, &[])), "once");
    }

    /// A view after so many, in each of which the shard was lost.
    fn lost(times: u64) -> View {
        let mut view = View::default();
        for time in 0..times {
            view.apply(at(2 * time), sync(&["a"]));
            let t0_ms = i64::try_from(time).unwrap();
            view.apply(at(2 * time + 1), active(at(2 * time), t0_ms, &[]));
        }
        view
    }

    #[test]
    fn each_loss_is_found_by_its_own_holders() {
        let mut view = lost(2);
        assert_eq!(view.lost.len(), 2);
        view.apply(at(8), sync(&["a"]));
        view.apply(at(9), active(at(8), 8, &[at(0), at(7)]));
        let left: Vec<Epoch> = view.lost.iter().map(|loss| loss.epoch).collect();
        assert_eq!(left, [at(2), at(8)]);
    }

    #[test]
    fn the_register_stays_small_however_often_a_shard_is_lost() {
        let view = lost(9);
        assert_eq!(view.lost.len(), MOST_LOSSES);
        let mixed: Vec<bool> = view.lost.iter().map(|loss| loss.is_mixed).collect();
        assert_eq!(mixed, [true, false, false, false]);
        assert_eq!((view.lost[0].t0_ms, view.lost[0].holders.len()), (5, 7));
    }

    #[test]
    fn what_an_operator_gives_up_is_lost_no_more() {
        let mut view = lost(2);
        let forget = |node: &str| Entry::Forget {
            node: node.to_owned(),
        };
        assert!(!view.apply(at(8), forget("c")));
        let before = view.clone();
        assert!(view.apply(at(8), forget("b1")));
        assert_eq!(view.lost.len(), 1, "the other one had it not");
        assert!(view.apply(at(9), forget("a")));
        assert_eq!(view.lost, []);
        assert!(view.is_later(&before), "though it is the same view");
    }
}
