//! Who is turned away from what administrators alone see and do: lines of the audit log, few enough that no flood fills a
//! disk with them. Of each the first ones of a minute are told one by one, and then how many others there were.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long others are counted after a first one.
const SPELL: Duration = Duration::from_secs(60);
/// So many of one spell are told one by one.
const EACH: u64 = 5;
/// Callers that are told apart, those with a name and those without one each; others are counted together.
const MOST: usize = 50;
/// The most characters that are told of what was asked for.
const SHOWN: usize = 300;

/// Who was turned away.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stranger {
    /// User name without tenant; empty where nobody proved to be one.
    pub(crate) user: String,
    /// Tenant domain; empty with the user's name.
    pub(crate) tenant: String,
    /// Where they come from; none of several together.
    pub(crate) address: Option<IpAddr>,
}

/// The last minute's, on the boot clock.
#[derive(Debug, Default)]
pub struct TurnedAway {
    spells: Mutex<Spells>,
    /// Whether somebody is counted: what everybody asks costs nothing else.
    counts: AtomicBool,
}

#[derive(Debug, Default)]
struct Spells(BTreeMap<Stranger, Spell>);

#[derive(Debug)]
struct Spell {
    began: Duration,
    count: u64,
}

// === impl Stranger ===

impl Stranger {
    /// Somebody without a name.
    pub(crate) fn nameless(address: IpAddr) -> Self {
        Self {
            address: Some(address),
            ..Self::default()
        }
    }

    fn is_named(&self) -> bool {
        !self.user.is_empty()
    }

    fn from(&self) -> String {
        let address = self.address.as_ref().map(ToString::to_string);
        address.unwrap_or_else(|| "several".to_owned())
    }
}

// === impl TurnedAway ===

impl TurnedAway {
    /// Somebody was, and `why`. What they asked for is told without its query, which may hold anything.
    pub(crate) fn tell(&self, who: Stranger, (method, path): (&str, &str), why: &str) {
        let (user, tenant, address) = (&who.user, &who.tenant, who.from());
        let at: String = path.chars().take(SHOWN).collect();
        let outcome = format!("refused: {why}");
        tracing::info!(target: "audit", user, tenant, address, method, at, outcome, "somebody is turned away from what administrators see and do");
    }

    /// Counts one; gives whether it is to be told by itself. Tells of those whose minute is over.
    pub(crate) fn counts(&self, who: &Stranger, now: Duration) -> bool {
        let mut spells = self.spells.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = spells.end(now);
        let is_told = spells.add(who.clone(), now);
        self.counts.store(true, Ordering::Relaxed);
        drop(spells);
        tell_ended(&ended);
        is_told
    }

    /// Tells how many there were of those whose minute is over.
    pub(crate) fn look(&self, now: Duration) {
        if !self.counts.load(Ordering::Relaxed) {
            return;
        }
        let mut spells = self.spells.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = spells.end(now);
        self.counts.store(!spells.0.is_empty(), Ordering::Relaxed);
        drop(spells);
        tell_ended(&ended);
    }
}

fn tell_ended(ended: &[(Stranger, u64)]) {
    for (who, others) in ended {
        let (user, tenant, address) = (&who.user, &who.tenant, who.from());
        tracing::info!(target: "audit", user, tenant, address, others, outcome = "refused", "others were turned away within a minute");
    }
}

// === impl Spells ===

impl Spells {
    /// Whether this one is among the first of its spell.
    fn add(&mut self, mut who: Stranger, now: Duration) -> bool {
        let alike = self
            .0
            .keys()
            .filter(|known| known.is_named() == who.is_named());
        if !self.0.contains_key(&who) && alike.count() >= MOST {
            // Those with a name stay apart from those without, who may be as many as they like.
            let user = if who.is_named() { "several" } else { "" };
            who = Stranger {
                user: user.to_owned(),
                ..Stranger::default()
            };
        }
        let began = Spell {
            began: now,
            count: 0,
        };
        let spell = self.0.entry(who).or_insert(began);
        spell.count += 1;
        spell.count <= EACH
    }

    /// Forgets spells that are over; gives how many of each were not told.
    fn end(&mut self, now: Duration) -> Vec<(Stranger, u64)> {
        let is_over = |spell: &Spell| now.saturating_sub(spell.began) >= SPELL;
        let mut ended = Vec::new();
        self.0.retain(|who, spell| {
            let is_over = is_over(spell);
            if is_over && spell.count > EACH {
                ended.push((who.clone(), spell.count - EACH));
            }
            !is_over
        });
        ended
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn from(last: usize) -> Stranger {
        let last = u32::try_from(last).unwrap();
        Stranger::nameless(Ipv4Addr::from_bits(0xc000_0200 + last).into())
    }

    fn ann(last: usize) -> Stranger {
        Stranger {
            user: "ann".to_owned(),
            tenant: "carbon.super".to_owned(),
            ..from(last)
        }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_of_a_minute_are_told_one_by_one_and_the_others_by_their_count() {
        let mut spells = Spells::default();
        let told = (0..1_000).filter(|_| spells.add(from(1), at(0))).count();
        assert_eq!(told, 5);
        assert!(spells.add(from(2), at(1)), "another one's");
        assert!(spells.add(ann(1), at(1)), "one with a name");
        assert_eq!(spells.end(at(59)), []);
        assert!(!spells.add(from(1), at(59)));
        assert_eq!(spells.end(at(60)), [(from(1), 996)]);
        assert!(spells.add(from(1), at(60)));
        assert_eq!(spells.end(at(500)), []);
        assert!(spells.0.is_empty());
    }

    #[test]
    fn a_flood_from_everywhere_is_a_few_lines_a_minute_and_hides_nobody_with_a_name() {
        let mut spells = Spells::default();
        let told = (0..60_000).filter(|&n| spells.add(from(n), at(0))).count();
        assert_eq!(
            told, 55,
            "one of each that is told apart, and five of others"
        );
        assert!((0..5).all(|_| spells.add(ann(70_000), at(1))));
        let ended = spells.end(at(60));
        let others = Stranger::default();
        assert_eq!(ended, [(others, 60_000 - 55)]);
    }
}
