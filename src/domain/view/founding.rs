//! What the view register begins with (PROTOCOLS W3): once for a cluster, and anew only where its only voter has lost its
//! disk, above everything that was agreed on before. Who may found it is `founder`'s.

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

// === impl Founding ===

impl Founding {
    /// The generation whose views have such epochs.
    pub fn generation_of(epoch: Epoch) -> u64 {
        epoch.term() / TERMS
    }

    /// The generation of a register whose value is this one; 0 of one that has no value.
    pub fn generation_of_view(view: &View) -> u64 {
        view.entries >> ENTRIES
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
