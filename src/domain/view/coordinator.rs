//! Who proposes the next view (PROTOCOLS L4): the leader among the voters. It holds nothing that another leader would
//! not learn anew, and what it gets wrong costs time, never a unit: an entry that does not fit is void.

use std::collections::{BTreeMap, BTreeSet};

use super::epoch::Epoch;
use super::placement::{Rank, asked, outsiders, pair};
use super::reach::{Patience, Reach, Report};
use super::register::{Entry, Found, Life, Loss, Phase, Settled, View};
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
    /// A traffic manager says whom it hears; to be told a few times within [`Patience::fresh_ms`], by this node too.
    Report(Report),
    /// This life of a traffic manager has ended, or cannot be reached.
    Gone(Life),
    /// A member waits for its own disk for longer than it may; in an active view an owner for this standby; in Sync an owner
    /// for this source.
    Stalled {
        /// The view.
        epoch: Epoch,
        /// Who waits.
        from: String,
        /// Whoever is waited for.
        by: String,
    },
    /// So many parts of copies came to a member and from it in this view.
    Moved {
        /// The view.
        epoch: Epoch,
        /// To whom.
        from: String,
        /// How many.
        parts: u64,
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
        /// What was lost before with the views of these epochs, and is found again.
        found: Vec<Epoch>,
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
    pub(super) leads: bool,
    /// Since when.
    leads_ms: i64,
    view: View,
    reach: Reach,
    voters: Vec<String>,
    refused: Epoch,
    /// By voter, of the view's epoch.
    sealed: BTreeMap<String, Option<i64>>,
    complete: BTreeMap<u16, (Origin, Vec<Epoch>)>,
    /// Who asks whom in vain for what was granted before, in this Sync, and when it said so last; by those who are asked.
    asked_in_vain: BTreeMap<String, BTreeMap<String, i64>>,
    /// How many parts of copies came to whom in this Sync.
    parts: BTreeMap<String, u64>,
    /// When the view of now came, or made progress last.
    moved_ms: i64,
    proposed_ms: Option<i64>,
    asked_ms: Option<i64>,
    #[cfg(test)]
    pub(crate) planted: Option<crate::simulation::Planted>,
}

// === impl Coordinator ===

impl Coordinator {
    /// A coordinator of so many shards.
    pub fn new(shards: u16, rank: Rank, patience: Patience) -> Self {
        Self {
            shards,
            rank,
            leads: false,
            leads_ms: 0,
            view: View::default(),
            reach: Reach::new(patience),
            voters: Vec::new(),
            refused: Epoch::default(),
            sealed: BTreeMap::new(),
            complete: BTreeMap::new(),
            asked_in_vain: BTreeMap::new(),
            parts: BTreeMap::new(),
            moved_ms: 0,
            proposed_ms: None,
            asked_ms: None,
            #[cfg(test)]
            planted: None,
        }
    }

    /// The same on this node.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.reach.is_known_on(node);
        self
    }

    /// One step at `now_ms` of the node's own clock.
    pub fn step(&mut self, news: News, now_ms: i64) -> Vec<Duty> {
        match news {
            News::Leads(leads) => {
                if leads != self.leads {
                    self.leads = leads;
                    self.leads_ms = now_ms;
                    self.moved_ms = now_ms;
                    self.proposed_ms = None;
                }
            }
            News::View(view) => self.follow(view, now_ms),
            News::Report(report) => self.reach.hear(report, now_ms),
            News::Gone(life) => self.reach.gone(&life),
            News::Stalled { epoch, from, by } => {
                if epoch == self.view.epoch && self.leads {
                    if by == from || self.view.phase == Phase::Active {
                        self.reach.blame(&by, now_ms);
                    } else {
                        let askers = self.asked_in_vain.entry(by).or_default();
                        askers.insert(from, now_ms);
                    }
                }
            }
            News::Moved { epoch, from, parts } => {
                if epoch == self.view.epoch && self.parts.get(&from) < Some(&parts) && parts > 0 {
                    self.parts.insert(from, parts);
                    self.moved_ms = now_ms;
                }
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
                found,
            } => {
                if epoch == self.view.epoch
                    && shard < self.shards
                    && self.complete.insert(shard, (origin, found)).is_none()
                {
                    self.moved_ms = now_ms;
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

    fn follow(&mut self, view: View, now_ms: i64) {
        if view.epoch != self.view.epoch {
            self.sealed.clear();
            self.complete.clear();
            self.asked_in_vain.clear();
            self.parts.clear();
            self.asked_ms = None;
            self.moved_ms = now_ms;
        }
        if view.phase == Phase::Active && self.view.phase == Phase::Sync {
            self.reach.forgive(&view.members);
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
        self.blame_who_is_waited_for(now_ms);
        if let Some(entry) = self.next_view(now_ms).or_else(|| self.activation()) {
            self.proposed_ms = Some(now_ms);
            return vec![Duty::Propose(entry)];
        }
        if self.view.phase == Phase::Active || waits(self.asked_ms, AGAIN_MS) {
            return Vec::new();
        }
        let voters = self.unsealed();
        if voters.is_empty() {
            return Vec::new();
        }
        self.asked_ms = Some(now_ms);
        let epoch = self.view.epoch;
        vec![Duty::Seal { epoch, voters }]
    }

    /// Another view, if the one of now is not of those who are there, or cannot go on.
    fn next_view(&mut self, now_ms: i64) -> Option<Entry> {
        let has_listened = now_ms.saturating_sub(self.leads_ms) >= self.reach.patience().fresh_ms;
        if !has_listened && !self.reach.knows_all(&self.view.members) {
            return None;
        }
        let standing = self.reach.standing(&self.view, &self.voters, now_ms);
        let (members, sources) = (&standing.members, &standing.sources);
        // Once a view is active, what others have is needed no more. While it is needed, whoever has gone with it is
        // not waited for.
        let known = &self.view.sources;
        let is_asked = |life: &Life| sources.contains(&life) || !known.contains(life);
        let has_sources = self.view.phase == Phase::Active
            || (sources.iter().all(|life| known.contains(life))
                && self.needed_outside().iter().all(is_asked));
        let fits = members.iter().copied().eq(&self.view.members)
            && self.view.voters == self.voters
            && self.refused <= self.view.epoch
            && has_sources;
        let lives = |lives: &[&Life]| lives.iter().copied().cloned().collect();
        let is_wanted = !fits && !members.is_empty() && !self.voters.is_empty();
        let entry = is_wanted.then(|| Entry::Sync {
            members: lives(members),
            sources: lives(sources),
            voters: self.voters.clone(),
        });
        let gathering_ms = standing.gathering_ms;
        self.reach.gathers(gathering_ms);
        entry
    }

    /// Those outside of the view's members who alone have what pairs still wait for.
    fn needed_outside(&self) -> BTreeSet<Life> {
        let waiting = (0..self.shards).filter(|shard| !self.complete.contains_key(shard));
        waiting
            .flat_map(|shard| outsiders(&self.view, shard, self.rank))
            .collect()
    }

    /// A disk that hangs, or a cut that nobody else sees, must not hold up all: the next view is made without whoever
    /// most of the pairs that are not complete wait for.
    fn blame_who_is_waited_for(&mut self, now_ms: i64) {
        let stuck_ms = self.reach.patience().stuck_ms;
        let waits = self.view.phase == Phase::Sync
            && self.view.epoch > Epoch::default()
            && self.complete.len() < usize::from(self.shards);
        if !waits || now_ms.saturating_sub(self.moved_ms) < stuck_ms {
            return;
        }
        let mut waited_for: BTreeMap<String, u32> = BTreeMap::new();
        let incomplete = (0..self.shards).filter(|shard| !self.complete.contains_key(shard));
        let incomplete: Vec<u16> = incomplete.collect();
        let silent = self.silent_outside(&incomplete, now_ms);
        for shard in incomplete {
            let outsiders = outsiders(&self.view, shard, self.rank).into_iter();
            let is_given_up = outsiders.filter_map(|life| silent.get(&life)).max();
            let Some((owner, standby)) = pair(shard, &self.view.members, self.rank) else {
                continue;
            };
            let hangs = self.silent_inside(shard, owner, now_ms);
            let waits = match is_given_up {
                Some(true) => vec![],
                // Another is to ask.
                Some(false) => vec![owner],
                None if !hangs.is_empty() => hangs.iter().collect::<Vec<&Life>>(),
                None => [Some(owner), standby].into_iter().flatten().collect(),
            };
            for life in waits {
                *waited_for.entry(life.node.clone()).or_default() += 1;
            }
        }
        // Of two that wait for each other it is rather the one that was waited for before.
        let weight = |(node, shards): &(String, u32)| (*shards, self.reach.times_blamed(node));
        if let Some((node, _)) = waited_for.into_iter().max_by_key(weight) {
            self.moved_ms = now_ms;
            self.reach.blame(&node, now_ms);
        }
    }

    /// Those of the view's members who alone have what a shard goes on from, and whom its owner asks in vain for it. They are
    /// left out in its place: they stay sources, so nothing is lost where it is the owner that is cut off.
    fn silent_inside(&self, shard: u16, owner: &Life, now_ms: i64) -> Vec<Life> {
        let asked = asked(&self.view, shard, self.rank);
        if asked.contains(owner) {
            return Vec::new();
        }
        let members = asked.into_iter();
        members
            .filter(|life| self.view.members.contains(life))
            .filter(|life| self.askers(life, now_ms).contains(&owner.node))
            .collect()
    }

    /// Who asks this life in vain, and said so a moment ago.
    fn askers(&self, life: &Life, now_ms: i64) -> BTreeSet<String> {
        let fresh_ms = self.reach.patience().fresh_ms;
        let still = |at_ms: i64| now_ms.saturating_sub(at_ms) <= fresh_ms;
        let askers = self.asked_in_vain.get(&life.node).into_iter().flatten();
        let askers = askers.filter(|(_, at_ms)| still(**at_ms));
        askers.map(|(asker, _)| asker.clone()).collect()
    }

    /// Those outside of the view who alone have what these shards go on from and are asked in vain for it, and whether
    /// they are given up. A pair that has it and waits for a disk of its own, or for each other, says so of nobody.
    fn silent_outside(&mut self, incomplete: &[u16], now_ms: i64) -> BTreeMap<Life, bool> {
        let asked: BTreeSet<Life> = incomplete
            .iter()
            .flat_map(|shard| outsiders(&self.view, *shard, self.rank))
            .collect();
        let mut silent = BTreeMap::new();
        for life in asked {
            let askers = self.askers(&life, now_ms);
            if !askers.is_empty() {
                self.moved_ms = now_ms;
                let is_given_up = self.reach.gives_up(&life, &askers, now_ms);
                silent.insert(life, is_given_up);
            }
        }
        silent
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
        let mut lost = Vec::new();
        if let (Some(t0_ms), Some(before)) = (t0_ms, self.before()) {
            let gone = self
                .complete
                .iter()
                .filter(|(_, (origin, _))| *origin == Origin::Lost);
            lost.extend(gone.map(|(shard, _)| self.loss(*shard, before, t0_ms)));
        }
        let found = self.complete.iter().flat_map(|(shard, (_, found))| {
            let shard = *shard;
            found.iter().map(move |epoch| Found {
                shard,
                epoch: *epoch,
            })
        });
        Some(Entry::Active {
            of: self.view.epoch,
            t0_ms,
            lost,
            found: found.collect(),
        })
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
            epoch: self.view.epoch,
            held: before.epoch,
            is_mixed: false,
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
