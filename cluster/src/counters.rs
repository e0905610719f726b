//! What happened at the cluster's edge, for metrics; and one line of it in the log at a time.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::kinds::Kinds;
use crate::members::Health;
use crate::protocol::{PROTOCOL, PROTOCOL_BEFORE};
use crate::seldom::Seldom;
use crate::told::{Told, ToldByKind};

/// Between two lines about strangers that were closed for one reason: whoever dials without end fills no log.
const QUIET_STRANGERS: Duration = Duration::from_secs(60);
/// In this time there are some lines about newcomers that were refused for one kind of reason, and no more.
const QUIET_NEWCOMERS: Duration = Duration::from_secs(60);
/// How many: nodes of one cluster that are started at a time with one fault.
const NEWCOMERS: u32 = 5;
/// Between two lines about certificates.
const QUIET_CERTIFICATES: Duration = Duration::from_secs(60);
/// The same about asks of one kind that are not understood.
const QUIET_ASKS: Duration = Duration::from_secs(60);
/// The most characters of the reason for which a newcomer was refused, in the log.
const REASON: usize = 300;
/// The most characters of a newcomer's name in the log.
const NAME: usize = 63;

/// Counts of one node.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were closed before they were members'.
    pub turned_away: AtomicU64,
    /// Nodes that said who they are and were refused for good.
    pub newcomers_refused: AtomicU64,
    /// Probes that were sent.
    pub probes: AtomicU64,
    /// Probes that got no answer.
    pub probes_unanswered: AtomicU64,
    /// Asks that were sent to other nodes.
    pub asks: AtomicU64,
    /// Asks that failed.
    pub asks_failed: AtomicU64,
    /// Asks that went over a connection of their own, for what is large.
    pub bulk_asks: AtomicU64,
    /// Such connections that were opened.
    pub bulk_dialed: AtomicU64,
    /// Asks of that kind that went the common way: the peer takes no such connection, or none could be had.
    pub bulk_beside: AtomicU64,
    /// Asks of other nodes that were served.
    pub served: AtomicU64,
    /// Asks of other nodes that were not understood or too many.
    pub refused: AtomicU64,
    /// Asks and probes that were sent, by the version of the protocol.
    pub sent_in: Spoken,
    /// Asks and probes of other nodes that were served, likewise.
    pub served_in: Spoken,
    /// Asks by what they are.
    pub kinds: Kinds,
    /// How long answered probes took.
    pub probe_times: Times,
    /// Changes of members' states, by the new one.
    pub transitions: Transitions,
    /// When a stranger was told of, by the kind of reason.
    told_strangers: ToldByKind,
    /// When a newcomer's refusal was, by the kind of reason.
    told_refusals: ToldByKind,
    /// Which of them are told of, by their names and the reasons.
    told_newcomers: Mutex<Seldom>,
    told_newcomers_since: OnceLock<Instant>,
    /// When a certificate's was, of those who dial and of those who are dialed.
    told_certificates: [Told; 2],
    /// When an ask was that is not understood, by what it asks; one for all that is not known here.
    told_asks: ToldByKind,
}

/// Changes of members' states, by the new one.
#[derive(Debug, Default)]
pub struct Transitions([AtomicU64; 4]);

/// Counts by the version of the protocol that was spoken.
#[derive(Debug, Default)]
pub struct Spoken([AtomicU64; 2]);

/// The bounds of [`Times`], milliseconds.
const BOUNDS_MS: [u64; 8] = [1, 5, 25, 100, 500, 1_000, 2_000, 5_000];

/// Times in buckets, each with all that took no longer.
#[derive(Debug, Default)]
pub struct Times {
    buckets: [AtomicU64; 8],
    count: AtomicU64,
    sum_us: AtomicU64,
}

// === impl Spoken ===

impl Spoken {
    pub(crate) fn add(&self, protocol: u16) {
        let [before, now] = &self.0;
        Counters::add(if protocol < PROTOCOL { before } else { now });
    }

    /// How often each version was spoken.
    #[must_use]
    pub fn list(&self) -> [(u16, u64); 2] {
        let [before, now] = &self.0;
        [(PROTOCOL_BEFORE, before), (PROTOCOL, now)]
            .map(|(version, count)| (version, count.load(Ordering::Relaxed)))
    }
}

// === impl Transitions ===

impl Transitions {
    pub(crate) fn add(&self, to: Health) {
        if let Some(count) = self.0.get(to as usize) {
            Counters::add(count);
        }
    }

    /// How often a member came into this state.
    #[must_use]
    pub fn count_of(&self, to: Health) -> u64 {
        let count = self.0.get(to as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

// === impl Times ===

impl Times {
    pub(crate) fn add(&self, took: Duration) {
        for (bucket, bound_ms) in self.buckets.iter().zip(BOUNDS_MS) {
            if took <= Duration::from_millis(bound_ms) {
                Counters::add(bucket);
            }
        }
        Counters::add(&self.count);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many took no longer than each bound, in milliseconds.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed));
        BOUNDS_MS.into_iter().zip(counts)
    }

    /// All of them, and their sum.
    #[must_use]
    pub fn total(&self) -> (u64, Duration) {
        let sum = Duration::from_micros(self.sum_us.load(Ordering::Relaxed));
        (self.count.load(Ordering::Relaxed), sum)
    }
}
// === impl Counters ===

impl Counters {
    /// Counts a stranger. Told once a minute by `kind`, so that a flood fills no log, and one for one reason hides
    /// nobody who is closed for another.
    pub(crate) fn turned_away(&self, peer: SocketAddr, kind: &'static str, reason: &dyn Display) {
        let count = self.turned_away.fetch_add(1, Ordering::Relaxed) + 1;
        let reason: String = reason.to_string().chars().take(REASON).collect();
        if self.told_strangers.may(kind, 1, QUIET_STRANGERS) {
            tracing::warn!(%peer, kind, %reason, count, "connection to the cluster port was closed");
        } else {
            tracing::debug!(%peer, kind, %reason, count, "connection to the cluster port was closed");
        }
    }

    /// Counts an ask that is not carried out, for another reason than what it is. Told once a minute:
    /// whoever sends one too many sends more of them.
    pub(crate) fn ask_refused(&self, reason: &str) {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if self.may_tell_of_asks("refused") {
            tracing::warn!(reason, count, "an ask of another node was refused");
        } else {
            tracing::debug!(reason, count, "an ask of another node was refused");
        }
    }

    /// Counts an ask that is not understood here: of a kind or a version that is not known, or
    /// malformed. Told once a minute by `name`, what it asks.
    pub(crate) fn ask_not_understood(&self, name: &'static str, reason: &dyn Display) {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let reason: String = reason.to_string().chars().take(REASON).collect();
        if self.may_tell_of_asks(name) {
            tracing::warn!(ask = name, %reason, count, "an ask of another node was not understood");
        } else {
            tracing::debug!(ask = name, %reason, count, "an ask of another node was not understood");
        }
    }

    fn may_tell_of_asks(&self, name: &'static str) -> bool {
        self.told_asks.may(name, 1, QUIET_ASKS)
    }

    /// Counts a node that may not come in, and says why: of each at the first time and then ever more seldom, of all
    /// that are refused for one `kind` of reason, whatever they are called, a few a minute.
    pub(crate) fn newcomer_refused(
        &self,
        peer: SocketAddr,
        name: &str,
        (kind, reason): (&'static str, &dyn Display),
    ) {
        let count = self.newcomers_refused.fetch_add(1, Ordering::Relaxed) + 1;
        let name: String = name.chars().take(NAME).collect();
        // Strangers' words may be part of it.
        let reason: String = reason.to_string().chars().take(REASON).collect();
        if self.may_tell_of_newcomer(&format!("{name}: {reason}"), kind) {
            tracing::warn!(%peer, name, kind, %reason, count, "a node was refused");
        } else {
            tracing::debug!(%peer, name, kind, %reason, count, "a node was refused");
        }
    }

    fn may_tell_of_newcomer(&self, newcomer: &str, kind: &'static str) -> bool {
        let began = self.told_newcomers_since.get_or_init(Instant::now);
        let now_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut told = (self.told_newcomers)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told.count(newcomer, now_ms).is_none() {
            return false;
        }
        let may = self.told_refusals.may(kind, NEWCOMERS, QUIET_NEWCOMERS);
        if !may && told.is_first(newcomer) {
            // Others were told of just now: the next time, then.
            told.forget(newcomer);
        }
        may
    }

    /// Counts one whose certificate is refused, or who refuses this node's: such as a node of another
    /// cluster. It tries again without end, so it is told of once in a while.
    pub(crate) fn certificate_refused(&self, peer: SocketAddr, reason: &dyn Display) {
        let count = self.newcomers_refused.fetch_add(1, Ordering::Relaxed) + 1;
        let [dialing, _] = &self.told_certificates;
        if dialing.may(QUIET_CERTIFICATES) {
            tracing::warn!(%peer, %reason, count, "a node of another authority was refused");
        } else {
            tracing::debug!(%peer, %reason, count, "a node of another authority was refused");
        }
    }

    /// Says, once in a while, that a certificate stands between this node and one that it dials.
    pub(crate) fn certificate_dialed(&self, address: &str, reason: &dyn Display) {
        let [_, dialed] = &self.told_certificates;
        if dialed.may(QUIET_CERTIFICATES) {
            tracing::warn!(address, %reason, "no connection with a node of another authority");
        } else {
            tracing::debug!(address, %reason, "no connection with a node of another authority");
        }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
