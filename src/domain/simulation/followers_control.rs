//! A node of the control plane in a followers world: what it has heard, what it is asked, and what it writes. It has
//! nothing that outlives a crash.

use std::collections::VecDeque;

use super::Planted;
use super::plight::Plight;
use crate::change_log::{Answer, Followers, Heard, Log, Position, Registered, Word};

/// A follower, in one of the lives of its process.
pub(super) type From = (usize, u64);

/// What a feed is told.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Beat(Beat),
    Pull(Poll),
    /// The wait of a change, by its place among them.
    Wait(usize),
    /// Another node has committed.
    Told(u64),
    /// Who is registered is looked at for the changes that wait.
    LookAtRegistered,
    LookAtHead,
    Tick,
}

#[derive(Debug, Clone)]
pub(super) struct Beat {
    pub(super) from: From,
    pub(super) number: u64,
    pub(super) word: Word,
    pub(super) leaves: bool,
}

/// A question for what comes next, which may be open for a while.
#[derive(Debug, Clone)]
pub(super) struct Poll {
    pub(super) from: From,
    pub(super) name: String,
    pub(super) after: Position,
    pub(super) wait_ms: i64,
    /// None before the feed heard of it.
    pub(super) until_ms: Option<i64>,
}

/// What a look of a feed at the database finds.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Beat(Log, Option<Registered>),
    Entries(Result<Vec<Position>, Answer>, u64),
    Registered(Log, Vec<Registered>),
    Head(Log),
}

/// A change that waits for its followers.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) change: usize,
    pub(super) n: u64,
    pub(super) until_ms: i64,
    pub(super) registered: Option<Vec<Registered>>,
}

/// What a registrar is told.
#[derive(Debug, Clone)]
pub(super) enum Order {
    Write(Beat),
    Fence { said_ms: i64 },
}

/// What a registrar has under way.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) order: Order,
    pub(super) began_ms: i64,
    /// The database's own moment.
    pub(super) moment_ms: i64,
    /// Who is to be fenced, and when each registered.
    pub(super) silent: Vec<(String, i64)>,
}

#[derive(Debug)]
pub(super) struct Control {
    /// The life of its process; its followers' words of before are lost with it.
    pub(super) run: u64,
    pub(super) starts_ms: Option<i64>,
    pub(super) plight: Plight,
    pub(super) followers: Followers,
    pub(super) head: u64,
    pub(super) ticks: u32,
    pub(super) ticked_ms: i64,
    pub(super) polls: Vec<Poll>,
    pub(super) waits: Vec<Wait>,
    pub(super) inbox: VecDeque<Said>,
    /// What the feed looks at the database for.
    pub(super) looks: Option<Said>,
    /// Which look that is: what comes of an earlier one is nobody's.
    pub(super) look: u64,
    pub(super) orders: VecDeque<Order>,
    pub(super) writing: Option<Writing>,
    /// It does not reach its database until then.
    pub(super) cut_until_ms: i64,
    /// When anything last held its feed up that is no follower.
    pub(super) held_up_ms: i64,
}

// === impl Control ===

impl Control {
    pub(super) fn new(run: u64, plight: Plight, planted: Option<Planted>) -> Self {
        let mut followers = Followers::default();
        followers.planted = planted;
        Self {
            run,
            starts_ms: None,
            plight,
            followers,
            head: 0,
            ticks: 0,
            ticked_ms: 0,
            polls: Vec::new(),
            waits: Vec::new(),
            inbox: VecDeque::new(),
            looks: None,
            look: 0,
            orders: VecDeque::new(),
            writing: None,
            cut_until_ms: 0,
            held_up_ms: 0,
        }
    }

    /// The feed begins anew in the same process: what is known of the followers lies beside it.
    pub(super) fn feed_begins_anew(&mut self, clock_ms: i64) {
        (self.head, self.ticks, self.ticked_ms) = (0, 0, clock_ms);
        self.polls.clear();
        self.waits.clear();
        self.inbox.clear();
        self.looks = None;
        self.look += 1;
        self.followers.forgive(clock_ms);
    }

    /// The head is this now; lower than before where a backup was restored (C2). Who polls from elsewhere is to be
    /// served.
    pub(super) fn look_at(&mut self, head: u64) {
        let is_another = self.followers.looked_at(head);
        self.goes_by(head, is_another);
    }

    /// The same with what the database has of the highest position that was acknowledged.
    pub(super) fn compares(&mut self, log: &Log) {
        let is_another = self.followers.compared(log);
        self.goes_by(log.head, is_another);
    }

    fn goes_by(&mut self, head: u64, is_another: bool) {
        if is_another {
            self.head = head;
            for poll in std::mem::take(&mut self.polls) {
                self.inbox.push_front(Said::Pull(poll));
            }
        } else {
            self.has_head(head.max(self.head));
        }
    }

    pub(super) fn has_head(&mut self, head: u64) {
        self.head = head;
        self.followers.has_head(head);
        let (behind, level): (Vec<_>, Vec<_>) = std::mem::take(&mut self.polls)
            .into_iter()
            .partition(|poll| poll.after.n < head);
        self.polls = level;
        for poll in behind {
            self.inbox.push_front(Said::Pull(poll));
        }
    }
}

/// What a follower is answered.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// What it said is of another history, or of an earlier life.
    Said(Heard),
    Head(u64),
}
