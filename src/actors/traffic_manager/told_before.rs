//! Version 1 of what an owner tells gateways unasked, as it was: a change of the version of now changes nothing here (M1). A
//! reset is told like any other recall, whose answer confirms nothing to the owner.

use serde::{Deserialize, Serialize};

use cluster::Earlier;
use domain::ledger::Stamp;
use domain::window::WindowId;

use super::message::{LeaseAnswer, LeaseNews, LimitName, News, TellLeases};

/// Version 1 of [`TellLeases`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellLeasesBefore {
    /// See [`TellLeases::shard`].
    pub shard: u16,
    /// See [`TellLeases::node`].
    pub node: String,
    /// See [`TellLeases::incarnation`].
    pub incarnation: u64,
    /// See [`TellLeases::limits`].
    pub limits: Vec<LimitName>,
    /// The news.
    pub news: Vec<LeaseNewsBefore>,
}

/// [`LeaseNews`] of version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseNewsBefore {
    /// See [`LeaseNews::limit`].
    pub limit: u16,
    /// See [`LeaseNews::subject`].
    pub subject: String,
    /// See [`LeaseNews::lease`].
    pub lease: u64,
    /// What there is to say.
    pub news: NewsBefore,
}

/// [`News`] of version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewsBefore {
    /// See [`News::Answer`].
    Answer {
        /// The asker's clock when it asked.
        asked_at_ms: i64,
        /// The answer.
        answer: LeaseAnswer,
    },
    /// See [`News::Recall`]; [`News::RecallAnew`] as well.
    Recall {
        /// When the owner made it.
        stamp: Stamp,
        /// Of which window.
        window: WindowId,
        /// All that was granted to this lease in that window.
        granted: u64,
    },
    /// See [`News::Reopen`].
    Reopen {
        /// When the owner made it.
        stamp: Stamp,
    },
}

// === impl TellLeasesBefore ===

impl Earlier<TellLeases> for TellLeasesBefore {
    fn of(now: &TellLeases) -> Self {
        Self {
            shard: now.shard,
            node: now.node.clone(),
            incarnation: now.incarnation,
            limits: now.limits.clone(),
            news: now.news.iter().map(LeaseNewsBefore::of).collect(),
        }
    }

    fn into_now(self) -> TellLeases {
        let news = self.news.into_iter().map(LeaseNewsBefore::into_now);
        TellLeases {
            shard: self.shard,
            node: self.node,
            incarnation: self.incarnation,
            limits: self.limits,
            news: news.collect(),
        }
    }
}

// === impl LeaseNewsBefore ===

impl LeaseNewsBefore {
    fn of(now: &LeaseNews) -> Self {
        let news = match &now.news {
            News::Answer {
                asked_at_ms,
                answer,
            } => NewsBefore::Answer {
                asked_at_ms: *asked_at_ms,
                answer: answer.clone(),
            },
            News::Recall {
                stamp,
                window,
                granted,
            }
            | News::RecallAnew {
                stamp,
                window,
                granted,
            } => NewsBefore::Recall {
                stamp: *stamp,
                window: *window,
                granted: *granted,
            },
            News::Reopen { stamp } => NewsBefore::Reopen { stamp: *stamp },
        };
        Self {
            limit: now.limit,
            subject: now.subject.clone(),
            lease: now.lease,
            news,
        }
    }

    fn into_now(self) -> LeaseNews {
        let news = match self.news {
            NewsBefore::Answer {
                asked_at_ms,
                answer,
            } => News::Answer {
                asked_at_ms,
                answer,
            },
            NewsBefore::Recall {
                stamp,
                window,
                granted,
            } => News::Recall {
                stamp,
                window,
                granted,
            },
            NewsBefore::Reopen { stamp } => News::Reopen { stamp },
        };
        LeaseNews {
            limit: self.limit,
            subject: self.subject,
            lease: self.lease,
            news,
        }
    }
}
