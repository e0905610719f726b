//! What was granted by which generation of the register, and in whose place another founded: what W3 promises of both.

use std::collections::{BTreeMap, BTreeSet};

use super::seeds::Seen;
use crate::view::renewal_ms;

/// A generation of the register.
#[derive(Debug)]
struct Generation {
    /// The disk that it was founded on.
    disk: u64,
    /// Windows that had begun by this T count as full in it.
    t0_ms: i64,
    /// The latest T in which it granted.
    granted_ms: Option<i64>,
    /// Whether some of it was granted by what an earlier life was told, by whatever clock.
    by_kept: bool,
}

/// What is known of all of them.
#[derive(Debug, Default)]
pub(super) struct Truth {
    generations: BTreeMap<u64, Generation>,
    /// When each disk's node said last that it is there, and was heard.
    said: BTreeMap<u64, i64>,
    /// Disks that an operator gave up, or that let go, and whether that was untrue: it runs all the same.
    given_up: BTreeMap<u64, bool>,
    let_go: BTreeSet<u64>,
    /// When anybody granted last.
    pub(super) granted_at_ms: i64,
    pub(super) seen: Seen,
    pub(super) broken: Vec<String>,
}

// === impl Truth ===

impl Truth {
    pub(super) fn said(&mut self, disk: u64, now_ms: i64) {
        self.said.insert(disk, now_ms);
        self.given_up.remove(&disk);
        self.let_go.remove(&disk);
        self.seen.once("said");
    }

    pub(super) fn let_go(&mut self, disk: u64) {
        self.let_go.insert(disk);
        self.seen.once("let go");
    }

    /// An operator's word was taken; `runs` where that node is there all the same, and `can_say` where it can say so.
    pub(super) fn given_up(&mut self, disk: u64, (runs, can_say): (bool, bool), now: (i64, i64)) {
        let (now_ms, hold_ms) = now;
        self.seen.once("given up");
        let said_ms = self.said.get(&disk).copied();
        if can_say && said_ms.is_some_and(|said_ms| now_ms - said_ms <= renewal_ms(hold_ms)) {
            let broken = format!("W3: at {now_ms} {disk} is given up, which said that it is there");
            self.broken.push(broken);
        }
        self.given_up.insert(disk, runs);
    }

    /// A node with this disk runs, whatever was said of it.
    pub(super) fn runs(&mut self, disk: u64) {
        if let Some(is_untrue) = self.given_up.get_mut(&disk) {
            *is_untrue = true;
        }
    }

    /// A generation is founded on a disk; what it counted by itself goes on to the T that the disk notes.
    pub(super) fn founded(
        &mut self,
        (number, disk): (u64, u64),
        (t0_ms, noted_ms): (i64, i64),
        (now_ms, hold_ms): (i64, i64),
    ) {
        self.seen.once("founded");
        if let Some((_, last)) = self.generations.last_key_value()
            && last.disk != disk
            && !self.given_up.contains_key(&last.disk)
            && !self.let_go.contains(&last.disk)
        {
            let said_ms = self.said.get(&last.disk).copied();
            if said_ms.is_some_and(|said_ms| now_ms - said_ms < hold_ms) {
                let other = last.disk;
                let broken =
                    format!("W3: at {now_ms} {disk} takes the place of {other} within its hold");
                self.broken.push(broken);
            }
        }
        let generation = Generation {
            disk,
            t0_ms,
            granted_ms: None,
            by_kept: false,
        };
        if let Some(before) = self.generations.insert(number, generation) {
            let other = before.disk;
            let broken = format!("W3: {other} and {disk} both founded generation {number}");
            self.broken.push(broken);
        }
        for (earlier, before) in self.generations.range(..number) {
            let full_ms = match before.disk == disk {
                true => t0_ms.max(noted_ms),
                false => t0_ms,
            };
            let Some(granted_ms) = before.granted_ms.filter(|granted_ms| *granted_ms > full_ms)
            else {
                continue;
            };
            // An operator's word is about what it said; nobody knows by which clock a life goes that nobody heard.
            let is_excused = match self.given_up.get(&before.disk) {
                Some(is_untrue) => *is_untrue || before.by_kept,
                None => false,
            };
            if !is_excused {
                self.broken.push(format!(
                    "W3: at {now_ms} generation {number} counts from {t0_ms}, and {earlier} granted in {granted_ms}"
                ));
            }
        }
    }

    /// A unit is granted in this T.
    pub(super) fn granted(&mut self, number: u64, t_ms: i64, (now_ms, by_kept): (i64, bool)) {
        self.seen.once("granted");
        self.granted_at_ms = now_ms;
        let later = self.generations.range(number + 1..).next();
        let Some(of) = self.generations.get(&number) else {
            self.broken
                .push(format!("W3: generation {number} was never founded"));
            return;
        };
        let is_untrue = self.given_up.get(&of.disk).is_some_and(|untrue| *untrue);
        if let Some((_, later)) = later
            && of.disk != later.disk
        {
            self.seen.once("granted after another founded");
            if t_ms > later.t0_ms && !is_untrue {
                let t0_ms = later.t0_ms;
                self.broken.push(format!(
                    "W3: at {now_ms} generation {number} grants in {t_ms}, which a later one counts from {t0_ms}"
                ));
            }
        }
        if let Some(of) = self.generations.get_mut(&number) {
            of.granted_ms = of.granted_ms.max(Some(t_ms));
            of.by_kept |= by_kept;
        }
    }
}
