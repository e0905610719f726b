//! Who founds the view register, and what it begins with (PROTOCOLS W3): once for a cluster, and anew only by the node
//! that was its only voter and has lost its disk, above everything that was agreed on before.

use serde::{Deserialize, Serialize};

use super::epoch::Epoch;
use super::register::{Life, Settled, View};

/// Terms that one generation of the register may use, and places of entries that views are told apart by.
const TERMS: u64 = 1 << 16;
const ENTRIES: u32 = 40;

/// Who takes part beside the founder; it never becomes less.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Others {
    /// Nobody.
    #[default]
    None,
    /// Others own shards, and the founder alone decides.
    Own,
    /// Others decide.
    Vote,
}

/// What was before a generation of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    /// Nothing: it is the first.
    Nothing,
    /// This node alone counted, so its disk has all that is needed of it, if it is there.
    Node(String),
    /// No one disk has all of it.
    Scattered,
}

/// A founding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// How many there were, this one among them.
    pub generation: u64,
    /// What was before it.
    pub before: Before,
}

/// What is written down of the founder, where all nodes see the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Founder {
    /// How often the register was founded, or may have been; 0 before the first time.
    pub generation: u64,
    /// The founder's stable id.
    pub node: String,
    /// Its name, by which whoever replaces it is known.
    pub name: String,
    /// The incarnation that claimed it.
    pub life: u64,
    /// Who founded the generation before.
    pub before: String,
    /// Whether no one disk has all that was counted before.
    pub is_scattered: bool,
    /// Who takes part beside it.
    pub others: Others,
}

// === impl Founder ===

impl Founder {
    /// Whether this node may found the register, when it has an empty one.
    pub fn may_be(&self, node: &str, name: &str) -> bool {
        let is_same = self.node == node || self.name == name;
        self.generation == 0 || is_same && self.others < Others::Vote
    }

    /// A node whose register is empty claims to found it; nothing where another has. What one incarnation is told it is
    /// told again: its register was empty all the time. Another incarnation may have founded before, so it is told a
    /// generation of its own. Each is above all that its disk counted in, whose marks give way to later ones only.
    pub fn claim(
        &mut self,
        (node, name): (&str, &str),
        life: u64,
        counted_in: u64,
    ) -> Option<Founding> {
        if !self.may_be(node, name) {
            return None;
        }
        if (self.node.as_str(), self.life) != (node, life) || self.generation == 0 {
            // What the last generation had lost itself, its founder's disk knows nothing of.
            let had_lost = !self.before.is_empty() && self.before != self.node;
            self.is_scattered |= had_lost || self.others == Others::Own;
            self.before = std::mem::replace(&mut self.node, node.to_owned());
            if self.before.is_empty() && counted_in > 0 {
                // Whatever was written down before is lost, and its disk is not.
                node.clone_into(&mut self.before);
            }
            self.generation = self.generation.max(counted_in) + 1;
            self.life = life;
        }
        name.clone_into(&mut self.name);
        Some(self.founding())
    }

    /// Others are about to take part; gives whether they may, because it is known now that they do. Once others decide,
    /// whoever asks is one of them.
    pub fn share(&mut self, node: &str, others: Others) -> bool {
        let is_shared = self.others == Others::Vote;
        let is_founder = self.generation > 0 && self.node == node;
        if is_founder {
            self.others = self.others.max(others);
        }
        is_shared || is_founder
    }

    fn founding(&self) -> Founding {
        let before = match (self.is_scattered, self.before.as_str()) {
            (_, "") => Before::Nothing,
            (true, _) => Before::Scattered,
            (false, node) => Before::Node(node.to_owned()),
        };
        Founding {
            generation: self.generation,
            before,
        }
    }
}

// === impl Founding ===

impl Founding {
    /// The generation whose views have such epochs.
    pub fn generation_of(epoch: Epoch) -> u64 {
        epoch.term() / TERMS
    }

    /// All terms of this generation are above this one, and above all terms of those before.
    pub fn term(&self) -> u64 {
        self.generation.saturating_mul(TERMS)
    }

    /// The same as node `me` takes it, whose disk took part in a view before or never did. A founder that was cut short
    /// between its claim and its founding has granted nothing, so there is nothing to go on from.
    #[must_use]
    pub fn by(self, me: &str, has_counted: bool) -> Self {
        let is_first = matches!(&self.before, Before::Node(node) if node == me) && !has_counted;
        let before = if is_first {
            Before::Nothing
        } else {
            self.before
        };
        Self { before, ..self }
    }

    /// What the register begins with; `now_ms` is no earlier than any T in which the generation before granted. None
    /// beyond four thousand generations, which no cluster comes to.
    pub fn view(&self, me: &str, now_ms: i64) -> Option<View> {
        let epoch = Epoch::new(self.term(), 0)?;
        let holder = match &self.before {
            Before::Nothing => None,
            Before::Node(node) => Some(node.clone()),
            // Nobody's name: no disk that comes back makes it good, an operator gives it up.
            Before::Scattered => Some(format!("generation-{}", self.generation - 1)),
        };
        let settled = |holder: String| Settled {
            epoch,
            members: vec![Life::new(holder, 0)],
            voters: vec![me.to_owned()],
            t0_ms: Some(now_ms),
        };
        let t0_ms = holder.as_ref().map(|_| now_ms);
        Some(View {
            last_active: holder.map(settled),
            t0_ms,
            entries: self.generation << ENTRIES,
            ..View::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{
        Coordinator, Duty, Entry, News, Origin, Patience, Phase, Place, Report, Sealed,
    };

    fn rank(shard: u16, node: &str) -> u64 {
        node.bytes().map(u64::from).sum::<u64>() ^ u64::from(shard)
    }

    fn first() -> Founder {
        let mut founder = Founder::default();
        let founding = founder.claim(("a", "tm1"), 1, 0).unwrap();
        assert_eq!((founding.generation, founding.before), (1, Before::Nothing));
        founder
    }

    fn claimed(founder: &mut Founder, node: &str, life: u64) -> (u64, Before) {
        let founding = founder.claim((node, "tm1"), life, 0).unwrap();
        (founding.generation, founding.before)
    }

    #[test]
    fn the_first_to_claim_founds_and_is_told_the_same_until_it_starts_again() {
        let mut founder = first();
        assert_eq!(claimed(&mut founder, "a", 1), (1, Before::Nothing));
        assert_eq!(founder.claim(("b", "tm2"), 1, 0), None);
        let own = Before::Node("a".to_owned());
        assert_eq!(claimed(&mut founder, "a", 2), (2, own.clone()));
        assert_eq!(claimed(&mut founder, "a", 3), (3, own));
        assert_eq!(founder.claim(("b", "tm2"), 1, 0), None);
    }

    #[test]
    fn a_founder_that_never_counted_goes_on_from_nothing() {
        let mut founder = first();
        let founding = founder.claim(("a", "tm1"), 2, 0).unwrap();
        assert_eq!(founding.clone().by("a", false).before, Before::Nothing);
        assert_eq!(founding.clone().by("a", true), founding);
        let other = founder.claim(("b", "tm1"), 1, 0).unwrap();
        assert_eq!(
            other.clone().by("b", false),
            other,
            "the one before may have counted"
        );
    }

    #[test]
    fn a_founding_is_above_all_that_the_founders_disk_counted_in() {
        let mut founder = Founder::default();
        let founding = founder.claim(("a", "tm1"), 7, 3).unwrap();
        let own = Before::Node("a".to_owned());
        assert_eq!((founding.generation, founding.before.clone()), (4, own));
        let view = founding.view("a", 5).unwrap();
        let settled = view.last_active.unwrap();
        assert_eq!(Founding::generation_of(settled.epoch), 4);
    }

    #[test]
    fn whoever_has_the_founders_name_founds_anew_until_others_decide() {
        let mut founder = first();
        let lost = Before::Node("a".to_owned());
        assert_eq!(claimed(&mut founder, "b", 1), (2, lost));
        // The old one is nobody any more, but for its name.
        assert!(!founder.share("a", Others::Vote));
        assert!(founder.share("b", Others::Vote));
        assert!(founder.share("c", Others::Vote), "one that decides by now");
        let before = founder.clone();
        for node in ["a", "b", "c"] {
            assert_eq!(founder.claim((node, "tm1"), 9, 0), None);
        }
        founder.share("b", Others::Own);
        assert_eq!(founder, before, "it never becomes less");
    }

    #[test]
    fn no_disk_makes_good_what_several_counted_or_lost() {
        let mut founder = first();
        assert!(founder.share("a", Others::Own));
        assert_eq!(claimed(&mut founder, "a", 2), (2, Before::Scattered));
        assert_eq!(claimed(&mut founder, "a", 3), (3, Before::Scattered));
        let mut founder = first();
        claimed(&mut founder, "b", 1);
        // Cut short, or lost again: nobody knows.
        assert_eq!(claimed(&mut founder, "b", 2), (3, Before::Scattered));
        assert!(!Founder::default().share("a", Others::Own));
    }

    /// Where the only member has its shard from, as a seat sees it.
    fn origin_of(view: &View, me: &Life) -> Origin {
        let place = Place::of(view, 0, me, rank);
        match (&place.settled, place.sources.first()) {
            (None, _) => Origin::First,
            (_, None) => Origin::Lost,
            (_, Some(own)) => {
                assert_eq!((&own.life, own.in_memory), (me, false));
                Origin::Disk
            }
        }
    }

    /// What a coordinator makes of the view that `node` founds.
    fn activated(before: Before, node: &str) -> (Founding, View, Option<Origin>) {
        let generation = if before == Before::Nothing { 1 } else { 2 };
        let founding = Founding { generation, before };
        let mut view = founding.view(node, 9_000).unwrap();
        let patience = Patience {
            fresh_ms: 400,
            join_ms: 5_000,
            gather_ms: 1_000,
            stuck_ms: 2_000,
        };
        let mut coordinator = Coordinator::new(1, rank, patience);
        let me = Life::new(node, 65_536);
        let report = Report {
            life: me.clone(),
            hears: [node.to_owned()].into(),
            leaving: false,
        };
        let (mut index, mut origin) = (0, None);
        let mut news = vec![
            News::View(view.clone()),
            News::Voters(vec![node.to_owned()]),
            News::Leads(true),
        ];
        // Whoever is named as the one before has the time to come back.
        for now_ms in (0..2_500).step_by(50) {
            news.push(News::Report(report.clone()));
            for news in std::mem::take(&mut news).into_iter().chain([News::Tick]) {
                for duty in coordinator.step(news, now_ms) {
                    match duty {
                        Duty::Propose(entry) => {
                            index += 1;
                            view.apply(Epoch::new(founding.term() + 1, index).unwrap(), entry);
                        }
                        Duty::Seal { epoch, .. } => {
                            let sealed = Sealed {
                                at: epoch,
                                fenced_ms: None,
                            };
                            let voter = node.to_owned();
                            coordinator.step(News::Sealed { voter, sealed }, now_ms);
                        }
                    }
                }
            }
            news.push(News::View(view.clone()));
            if view.phase == Phase::Sync && view.epoch > Epoch::default() {
                let found = origin_of(&view, &me);
                origin = Some(found);
                news.push(News::Complete {
                    epoch: view.epoch,
                    shard: 0,
                    origin: found,
                    found: Vec::new(),
                });
            }
        }
        (founding, view, origin)
    }

    #[test]
    fn a_lost_disk_costs_the_windows_that_had_begun_and_one_that_is_there_costs_short_ones() {
        let node = |name: &str| Before::Node(name.to_owned());
        for (before, origin, holders) in [
            (Before::Nothing, Origin::First, None),
            (node("b"), Origin::Disk, None),
            (node("a"), Origin::Lost, Some("a")),
            (Before::Scattered, Origin::Lost, Some("generation-1")),
        ] {
            let (founding, view, found) = activated(before, "b");
            assert_eq!((view.phase, found), (Phase::Active, Some(origin)));
            let is_first = founding.before == Before::Nothing;
            assert_eq!(view.t0_ms, (!is_first).then_some(9_000));
            assert!(view.epoch > Epoch::new(founding.term(), 0).unwrap());
            let lost: Vec<_> = view
                .lost
                .iter()
                .map(|loss| (loss.holders.join(" "), loss.t0_ms))
                .collect();
            let expected = holders.map(|holder| (holder.to_owned(), 9_000));
            assert_eq!(lost, Vec::from_iter(expected));
            let mut view = view;
            if let Some(holder) = holders {
                let node = holder.to_owned();
                assert!(view.apply(
                    Epoch::new(founding.term() + 2, 9).unwrap(),
                    Entry::Forget { node }
                ));
                assert_eq!(view.lost, []);
            }
        }
    }

    #[test]
    fn each_generation_is_later_than_all_that_the_one_before_agreed_on() {
        let founding = |generation| Founding {
            generation,
            before: Before::Scattered,
        };
        let (one, two) = (founding(1), founding(2));
        let last = Epoch::new(two.term() - 1, (1 << 36) - 1).unwrap();
        assert!(two.view("a", 1).unwrap().last_active.unwrap().epoch > last);
        let mut old = one.view("a", 1).unwrap();
        old.entries += (1 << 40) - 1;
        assert!(two.view("a", 1).unwrap().is_later(&old));
        assert_eq!(founding(4_096).view("a", 1), None);
        assert!(founding(4_095).view("a", 1).is_some());
    }
}
