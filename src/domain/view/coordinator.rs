//! Who proposes the next view (PROTOCOLS L4): the leader among the voters. It holds nothing that another leader would
//! not learn anew, and what it gets wrong costs time, never a unit: an entry that does not fit is void.

use std::collections::{BTreeMap, BTreeSet};

use super::epoch::Epoch;
use super::placement::{Rank, pair};
use super::register::{Entry, Life, Loss, Phase, Settled, View};
use super::seat::Origin;
use super::voter::Sealed;

/// A proposal is waited for so long before it is made again.
const PATIENCE_MS: i64 = 1_000;
/// Voters are asked to seal so often until they do.
const AGAIN_MS: i64 = 100;

/// What the coordinator is told.
#[derive(Debug, Clone)]
pub enum News {
    /// This node leads the register now, or does not any more.
    Leads(bool),
    /// The register's value.
    View(View),
    /// Who may own shards, and who hands over, by what this node sees.
    Alive {
        /// Traffic managers that all others reach.
        members: Vec<Life>,
        /// Those that are about to stop.
        leaving: Vec<Life>,
    },
    /// The nodes that vote.
    Voters(Vec<String>),
    /// A voter sealed.
    Sealed {
        /// Who.
        voter: String,
        /// At what.
        sealed: Sealed,
    },
    /// Somebody refused for an epoch above the view's (W4): it takes a view above that.
    Refused {
        /// The epoch.
        at: Epoch,
    },
    /// The pair of this shard has what it needs in this view.
    Complete {
        /// The view.
        epoch: Epoch,
        /// The shard.
        shard: u16,
        /// Where it comes from.
        origin: Origin,
    },
    /// Time passed.
    Tick,
}

/// What the coordinator wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Propose this to the register.
    Propose(Entry),
    /// Ask these voters to seal, and tell what they said.
    Seal {
        /// At this epoch.
        epoch: Epoch,
        /// Those that have not yet.
        voters: Vec<String>,
    },
}

/// The coordinator of one node; idle while another leads.
#[derive(Debug)]
pub struct Coordinator {
    shards: u16,
    rank: Rank,
    leads: bool,
    view: View,
    alive: (Vec<Life>, Vec<Life>),
    voters: Vec<String>,
    refused: Epoch,
    /// By voter, of the view's epoch.
    sealed: BTreeMap<String, Option<i64>>,
    complete: BTreeMap<u16, Origin>,
    proposed_ms: Option<i64>,
    asked_ms: Option<i64>,
    #[cfg(test)]
    pub(crate) planted: Option<crate::simulation::Planted>,
}

// === impl Coordinator ===

impl Coordinator {
    /// A coordinator of so many shards.
    pub fn new(shards: u16, rank: Rank) -> Self {
        Self {
            shards,
            rank,
            leads: false,
            view: View::default(),
            alive: (Vec::new(), Vec::new()),
            voters: Vec::new(),
            refused: Epoch::default(),
            sealed: BTreeMap::new(),
            complete: BTreeMap::new(),
            proposed_ms: None,
            asked_ms: None,
            #[cfg(test)]
            planted: None,
        }
    }

    /// One step at `now_ms` of the node's own clock.
    pub fn step(&mut self, news: News, now_ms: i64) -> Vec<Duty> {
        match news {
            News::Leads(leads) => {
                self.leads = leads;
                self.proposed_ms = None;
            }
            News::View(view) => self.follow(view),
            News::Alive {
                mut members,
                leaving,
            } => {
                members.sort();
                members.dedup_by(|one, other| one.node == other.node);
                self.alive = (members, leaving);
            }
            News::Voters(voters) => self.voters = voters,
            News::Sealed { voter, sealed } => {
                if sealed.at == self.view.epoch {
                    self.sealed.insert(voter, sealed.fenced_ms);
                } else {
                    self.refused = self.refused.max(sealed.at);
                }
            }
            News::Refused { at } => self.refused = self.refused.max(at),
            News::Complete {
                epoch,
                shard,
                origin,
            } => {
                if epoch == self.view.epoch && shard < self.shards {
                    self.complete.insert(shard, origin);
                }
            }
            News::Tick => {}
        }
        if self.leads {
            self.lead(now_ms)
        } else {
            Vec::new()
        }
    }

    fn follow(&mut self, view: View) {
        if view.epoch != self.view.epoch {
            self.sealed.clear();
            self.complete.clear();
            self.asked_ms = None;
        }
        if view != self.view {
            self.proposed_ms = None;
            self.view = view;
        }
    }

    fn lead(&mut self, now_ms: i64) -> Vec<Duty> {
        let waits = |since: Option<i64>, patience: i64| {
            since.is_some_and(|at| now_ms.saturating_sub(at) < patience)
        };
        if waits(self.proposed_ms, PATIENCE_MS) {
            return Vec::new();
        }
        if let Some(entry) = self.next_view().or_else(|| self.activation()) {
            self.proposed_ms = Some(now_ms);
            return vec![Duty::Propose(entry)];
        }
        let voters = self.unsealed();
        if self.view.phase == Phase::Active || voters.is_empty() || waits(self.asked_ms, AGAIN_MS) {
            return Vec::new();
        }
        self.asked_ms = Some(now_ms);
        let epoch = self.view.epoch;
        vec![Duty::Seal { epoch, voters }]
    }

    /// Another view, if the one of now is not of those who are there, or cannot go on.
    fn next_view(&self) -> Option<Entry> {
        let (members, leaving) = &self.alive;
        let fits = *members == self.view.members
            && self.view.voters == self.voters
            && self.refused <= self.view.epoch
            // Who has handed over may go; who begins to leave is a change.
            && leaving.iter().all(|life| self.view.leaving.contains(life));
        if fits || members.is_empty() || self.voters.is_empty() {
            return None;
        }
        Some(Entry::Sync {
            members: members.clone(),
            leaving: leaving.clone(),
            voters: self.voters.clone(),
        })
    }

    /// The view of now becomes active, if all its pairs are complete and enough voters told what they fenced.
    fn activation(&self) -> Option<Entry> {
        let is_due = self.view.phase == Phase::Sync
            && self.view.epoch > Epoch::default()
            && self.complete.len() == usize::from(self.shards)
            && self.has_majority(&self.view.voters)
            && self
                .before()
                .is_none_or(|before| self.has_majority(&before.voters));
        if !is_due {
            return None;
        }
        let fenced_ms = self.sealed.values().copied().flatten().max();
        #[cfg(test)]
        let fenced_ms = match self.planted {
            Some(crate::simulation::Planted::FenceOfOneVoter) => {
                self.sealed.values().copied().flatten().min()
            }
            _ => fenced_ms,
        };
        let t0_ms = self.view.t0_ms.max(fenced_ms);
        let mut lost = self.view.lost.clone();
        if let (Some(t0_ms), Some(before)) = (t0_ms, self.before()) {
            let gone = self
                .complete
                .iter()
                .filter(|(_, origin)| **origin == Origin::Lost);
            lost.extend(gone.map(|(shard, _)| self.loss(*shard, before, t0_ms)));
        }
        let of = self.view.epoch;
        Some(Entry::Active { of, t0_ms, lost })
    }

    fn loss(&self, shard: u16, before: &Settled, t0_ms: i64) -> Loss {
        let held = pair(shard, &before.members, self.rank);
        let holders = held.map(|(owner, standby)| {
            let lives = [Some(owner), standby].into_iter().flatten();
            lives.map(|life| life.node.clone()).collect()
        });
        Loss {
            shard,
            holders: holders.unwrap_or_default(),
            t0_ms,
        }
    }

    fn before(&self) -> Option<&Settled> {
        self.view.last_active.as_ref()
    }

    fn has_majority(&self, voters: &[String]) -> bool {
        let sealed = voters
            .iter()
            .filter(|voter| self.sealed.contains_key(*voter));
        sealed.count() * 2 > voters.len()
    }

    /// Voters of this view and of the last active one that have not sealed yet.
    fn unsealed(&self) -> Vec<String> {
        let before = self.before().map(|before| before.voters.as_slice());
        let all: BTreeSet<&String> = self
            .view
            .voters
            .iter()
            .chain(before.unwrap_or_default())
            .collect();
        all.into_iter()
            .filter(|voter| !self.sealed.contains_key(*voter))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARDS: u16 = 2;

    fn rank(_: u16, node: &str) -> u64 {
        u64::from(node.bytes().next().unwrap_or(0))
    }

    fn alive(nodes: &[(&str, u64)]) -> News {
        News::Alive {
            members: nodes
                .iter()
                .map(|(node, life)| Life::new(*node, *life))
                .collect(),
            leaving: Vec::new(),
        }
    }

    fn sealed(voter: &str, at: Epoch, fenced_ms: Option<i64>) -> News {
        let voter = voter.to_owned();
        let sealed = Sealed { at, fenced_ms };
        News::Sealed { voter, sealed }
    }

    struct Lead {
        coordinator: Coordinator,
        view: View,
        index: u64,
        now_ms: i64,
    }

    impl Lead {
        fn new() -> Self {
            let mut lead = Self {
                coordinator: Coordinator::new(SHARDS, rank),
                view: View::default(),
                index: 0,
                now_ms: 0,
            };
            let voters = ["v1", "v2", "v3"].map(str::to_owned).to_vec();
            lead.tell(News::Voters(voters));
            lead.tell(News::Leads(true));
            lead
        }

        /// Tells news; a proposal is agreed on at once. Gives what was proposed.
        fn tell(&mut self, news: News) -> Option<Entry> {
            self.now_ms += 1;
            let duties = self.coordinator.step(news, self.now_ms);
            let entry = duties.into_iter().find_map(|duty| match duty {
                Duty::Propose(entry) => Some(entry),
                Duty::Seal { .. } => None,
            })?;
            self.index += 1;
            let at = Epoch::new(1, self.index).unwrap();
            self.view.apply(at, entry.clone());
            let next = self.tell(News::View(self.view.clone()));
            assert_eq!(next, None);
            Some(entry)
        }

        fn complete(&mut self, origin: Origin) {
            for shard in 0..SHARDS {
                let epoch = self.view.epoch;
                self.tell(News::Complete {
                    epoch,
                    shard,
                    origin,
                });
            }
        }
    }

    #[test]
    fn a_view_is_active_when_all_pairs_are_complete_and_a_majority_told_what_it_fenced() {
        let mut lead = Lead::new();
        assert!(lead.tell(alive(&[("b", 1), ("a", 1)])).is_some());
        let first = lead.view.epoch;
        lead.complete(Origin::First);
        assert_eq!(lead.tell(sealed("v1", first, None)), None, "one of three");
        assert_eq!(lead.tell(sealed("x", first, None)), None, "no voter");
        assert!(lead.tell(sealed("v3", first, None)).is_some());
        assert_eq!(lead.view.phase, Phase::Active);
        assert_eq!((lead.view.t0_ms, lead.view.lost.len()), (None, 0));

        // Both are gone, another is there: everything up to the highest fence is lost.
        assert!(lead.tell(alive(&[("c", 1)])).is_some());
        let second = lead.view.epoch;
        assert_eq!(lead.tell(sealed("v1", second, Some(40))), None);
        assert_eq!(lead.tell(sealed("v2", second, Some(70))), None);
        lead.complete(Origin::Lost);
        assert_eq!(
            (lead.view.phase, lead.view.t0_ms),
            (Phase::Active, Some(70))
        );
        let holders = vec!["b".to_owned(), "a".to_owned()];
        let shard = 1;
        assert_eq!(
            lead.view.lost[1],
            Loss {
                shard,
                holders,
                t0_ms: 70
            }
        );
        assert_eq!(lead.tell(alive(&[("c", 1)])), None, "nothing to change");
        assert!(lead.tell(alive(&[("c", 2)])).is_some(), "another life");
    }

    #[test]
    fn who_is_sealed_above_the_view_forces_a_later_one() {
        let mut lead = Lead::new();
        lead.tell(alive(&[("a", 1)]));
        let first = lead.view.epoch;
        lead.index = 8;
        let above = Epoch::new(1, 5).unwrap();
        assert!(lead.tell(sealed("v1", above, None)).is_some());
        assert!(lead.view.epoch > above && lead.view.epoch > first);
        assert_eq!(lead.tell(News::Refused { at: above }), None, "it is above");
    }

    #[test]
    fn who_does_not_lead_proposes_nothing_and_a_proposal_is_made_once() {
        let mut coordinator = Coordinator::new(SHARDS, rank);
        let voters = vec!["v1".to_owned()];
        assert_eq!(coordinator.step(News::Voters(voters), 0), []);
        assert_eq!(coordinator.step(alive(&[("a", 1)]), 0), []);
        assert_eq!(coordinator.step(News::Leads(true), 0).len(), 1);
        assert_eq!(coordinator.step(News::Tick, 999), []);
        assert_eq!(
            coordinator.step(News::Tick, 1_000).len(),
            1,
            "lost, perhaps"
        );
    }
}
