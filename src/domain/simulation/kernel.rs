//! Randomness from a seed, and a queue of events in time: all a simulated world needs to be repeatable.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::{self, Debug, Display};
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

/// What happens when; equal times keep their order.
#[derive(Debug)]
pub(super) struct Queue<E> {
    /// The spans up to this one are in `soon`, the others by their number in `later`: what is planned for hours
    /// ahead makes nothing of now slower.
    span: i64,
    soon: BinaryHeap<Reverse<Due>>,
    later: BTreeMap<i64, Vec<Reverse<Due>>>,
    /// Events are big, and are not moved about as others come and go.
    events: Vec<Option<E>>,
    free: Vec<usize>,
    count: u64,
}

/// When an event happens, how many came before it, and where it is.
type Due = (i64, u64, usize);

/// Of about so many milliseconds it is worth knowing the order.
const SPAN_MS: i64 = 8_000;

/// Everything that happens goes into it: two runs of a seed agree in all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest(u64);

/// How badly messages travel; chances in thousandths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) lost: u64,
    pub(super) repeated: u64,
    /// Chance of a long delay.
    pub(super) slow: u64,
    pub(super) usual_ms: i64,
    pub(super) slow_ms: i64,
}

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between `low` and `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high - low + 1).unwrap();
        low + i64::try_from(self.next() % width).unwrap()
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(len).unwrap()).unwrap()
    }

    /// True in so many of a thousand cases.
    pub(super) fn chance(&mut self, thousandths: u64) -> bool {
        self.next() % 1_000 < thousandths
    }
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self {
            span: 0,
            soon: BinaryHeap::new(),
            later: BTreeMap::new(),
            events: Vec::new(),
            free: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn at(&mut self, time_ms: i64, event: E) {
        self.count += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        let (span, due) = (time_ms / SPAN_MS, Reverse((time_ms, self.count, place)));
        if span <= self.span {
            self.soon.push(due);
        } else {
            self.later.entry(span).or_default().push(due);
        }
    }

    pub(super) fn pop(&mut self) -> Option<(i64, E)> {
        if self.soon.is_empty() {
            let (span, events) = self.later.pop_first()?;
            (self.span, self.soon) = (span, events.into());
        }
        let Reverse((time_ms, _, place)) = self.soon.pop()?;
        self.free.push(place);
        let event = self.events[place].take()?;
        Some((time_ms, event))
    }
}

impl Digest {
    pub(super) fn add(&mut self, now_ms: i64, event: &impl Debug) {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write_u64(self.0);
        hasher.write_i64(now_ms);
        hasher.write(format!("{event:?}").as_bytes());
        self.0 = hasher.finish();
    }
}

impl Digest {
    /// For worlds whose every event draws from the chances: where those stand says what happened before.
    pub(super) fn fold(&mut self, now_ms: i64, kind: u64, rng: &Rng) {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write_u64(self.0);
        hasher.write_i64(now_ms);
        hasher.write_u64(kind);
        hasher.write_u64(rng.0);
        self.0 = hasher.finish();
    }
}

impl Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "digest {:016x}", self.0)
    }
}

impl Network {
    pub(super) const GOOD: Self = Self {
        lost: 0,
        repeated: 0,
        slow: 0,
        usual_ms: 5,
        slow_ms: 5,
    };
    pub(super) const BAD: Self = Self {
        lost: 50,
        repeated: 100,
        slow: 50,
        usual_ms: 20,
        slow_ms: 3_000,
    };

    /// When the copies of a message sent now arrive: none, one or two.
    pub(super) fn deliveries(
        &self,
        now_ms: i64,
        rng: &mut Rng,
    ) -> impl Iterator<Item = i64> + use<> {
        let first = (!rng.chance(self.lost)).then(|| self.delay(rng));
        let second = rng.chance(self.repeated).then(|| self.delay(rng));
        let copies = first.into_iter().chain(second);
        copies.map(move |delay| now_ms + delay)
    }

    fn delay(&self, rng: &mut Rng) -> i64 {
        let most = if rng.chance(self.slow) {
            self.slow_ms
        } else {
            self.usual_ms
        };
        rng.between(1, most)
    }
}
