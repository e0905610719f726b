//! One other node, as this one sees it: pure.

use crate::member::Member;

use super::{Health, Turn};

/// The first pause before a node is dialed again, milliseconds; doubled by each failure.
const FIRST_PAUSE_MS: u64 = 250;
/// The longest.
const LONGEST_PAUSE_MS: u64 = 5_000;
/// The longest pause after a connection ended that had held, milliseconds: most likely the node is still there, and its
/// calls wait. Each side spreads over it, so that who lost many does not dial all at once.
const HELD_PAUSE_MS: u64 = 50;
/// How long a connection has held before its end says nothing against the next, milliseconds; one that ends earlier may
/// be refused for what it said, and would be dialed and lost in a circle.
const HELD_MS: u64 = 250;

/// When an address may be dialed again.
#[derive(Debug, Clone, Default)]
pub(super) struct Redial {
    pub(super) not_before_ms: u64,
    failures: u32,
}

/// A connection to a peer, from the welcome on.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) id: u64,
    /// Whether this node dialed.
    pub(super) outbound: bool,
    /// Whether asks can be sent.
    pub(super) ready: bool,
    /// Whom its first words named; nobody is believed before the connection is ready.
    pub(super) named: Vec<Member>,
    pub(super) since_ms: u64,
    /// When the peer last answered.
    pub(super) heard_ms: u64,
    /// When a probe was sent that is not answered.
    pub(super) probed_ms: Option<u64>,
}

/// One other node.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) member: Member,
    pub(super) health: Health,
    pub(super) leaving: bool,
    /// Whether nobody but itself has said that it is there, and no connection with it was ready.
    pub(super) stranger: bool,
    /// Since when its health is what it is.
    pub(super) turned_ms: u64,
    /// Since when this life of it has had its place here, whatever became of its connections.
    pub(super) placed: Option<(u64, u64)>,
    pub(super) link: Option<Link>,
    pub(super) redial: Redial,
    /// When it was last connected, or first heard of.
    pub(super) seen_ms: u64,
    /// Since when a later incarnation asks to replace it, and whether it has answered since.
    pub(super) challenge: Option<(u64, bool)>,
}

// === impl Redial ===

impl Redial {
    /// Puts the next dial off; `random` spreads nodes that failed together.
    pub(super) fn failed(&mut self, now_ms: u64, random: u64) {
        let pause = FIRST_PAUSE_MS << self.failures.min(10);
        let pause = pause.min(LONGEST_PAUSE_MS);
        self.failures = self.failures.saturating_add(1);
        self.not_before_ms = now_ms + pause / 2 + random % (pause / 2 + 1);
    }

    /// A connection that was there since `since_ms` has ended.
    pub(super) fn lost(&mut self, now_ms: u64, since_ms: u64, random: u64) {
        if now_ms.saturating_sub(since_ms) < HELD_MS {
            return self.failed(now_ms, random);
        }
        self.not_before_ms = now_ms + random % (HELD_PAUSE_MS + 1);
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

// === impl Peer ===

impl Peer {
    pub(super) fn unmet(member: Member, now_ms: u64) -> Self {
        Self {
            member,
            health: Health::Unmet,
            leaving: false,
            stranger: false,
            turned_ms: now_ms,
            placed: None,
            link: None,
            redial: Redial::default(),
            seen_ms: now_ms,
            challenge: None,
        }
    }

    /// Whether it is or may be alive: its name is taken, its facts count.
    pub(super) const fn is_alive(&self) -> bool {
        matches!(self.health, Health::Up | Health::Suspect)
    }

    /// It says whether it is about to go; gives its name where that is news.
    pub(super) fn leaves(&mut self, leaving: bool) -> Option<String> {
        let before = std::mem::replace(&mut self.leaving, leaving);
        let is_news = leaving && !before && !self.stranger;
        is_news.then(|| self.member.name.clone())
    }

    /// Takes another health; gives what there is to say of it.
    pub(super) fn turn(&mut self, now_ms: u64, to: Health, reason: &str) -> Option<Turn> {
        let from = std::mem::replace(&mut self.health, to);
        if from != to {
            self.turned_ms = now_ms;
        }
        let life = self.member.life;
        if to == Health::Up && self.placed.is_none_or(|(of, _)| of != life) {
            self.placed = Some((life, now_ms));
        }
        // Who is nobody yet fills no log.
        let is_told = from != to && !self.stranger;
        is_told.then(|| Turn {
            name: self.member.name.clone(),
            incarnation: self.member.incarnation,
            from,
            to,
            reason: reason.to_owned(),
        })
    }
}
