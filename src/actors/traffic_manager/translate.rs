//! Between the words of the ledger's machines and the messages that travel: pure, used by the
//! owner's side and by the gateways' alike.

use domain::ledger::{Ask, CellKey, Holder, Recall, Reopen, Reply};
use domain::policy::PolicyLevel;

use super::message::{
    LeaseAnswer, LeaseAsk, LeaseMany, LeaseNews, LimitName, News, TellLeases, ThrottleKey,
};

/// News for one gateway, in the machines' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tidings {
    Answer(Reply),
    Recall(Recall),
    Reopen(Reopen),
}

/// The limits of a message, each in one place.
#[derive(Default)]
struct Limits(Vec<LimitName>);

// === impl ThrottleKey ===

impl ThrottleKey {
    /// The ledger's name of what is counted.
    #[must_use]
    pub fn cell(&self) -> CellKey {
        let name = limit_name(self.level, &self.policy, self.limit);
        CellKey::new(self.tenant.clone(), name, self.subject.clone())
    }

    /// Reads what [`Self::cell`] wrote.
    pub(super) fn of(cell: &CellKey) -> Option<Self> {
        let limit = LimitName::of(cell)?;
        Some(Self::new(&limit, &cell.key))
    }

    fn new(limit: &LimitName, subject: &str) -> Self {
        Self {
            tenant: limit.tenant.clone(),
            level: limit.level,
            policy: limit.policy.clone(),
            limit: limit.limit,
            subject: subject.to_owned(),
        }
    }
}

/// The ledger's name of one limit of a policy.
pub(super) fn limit_name(level: PolicyLevel, policy: &str, limit: u16) -> String {
    format!("{}:{policy}#{limit}", level.as_str())
}

// === impl LimitName ===

impl LimitName {
    /// Reads what [`limit_name`] wrote; a policy's own name may hold both of its signs.
    fn of(cell: &CellKey) -> Option<Self> {
        let (level, rest) = cell.policy.split_once(':')?;
        let (policy, limit) = rest.rsplit_once('#')?;
        Some(Self {
            tenant: cell.tenant.clone(),
            level: PolicyLevel::parse(level)?,
            policy: policy.to_owned(),
            limit: limit.parse().ok()?,
        })
    }
}

// === impl Limits ===

impl Limits {
    fn place(&mut self, cell: &CellKey) -> Option<u16> {
        let name = LimitName::of(cell)?;
        let known = self.0.iter().position(|other| *other == name);
        let place = known.unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        });
        u16::try_from(place).ok()
    }
}

// === impl LeaseMany ===

impl LeaseMany {
    /// Asks of one gateway, made at one time, in one message; none without an ask.
    #[must_use]
    pub fn of(shard: u16, asks: &[Ask]) -> Option<Self> {
        let first = asks.first()?;
        let mut limits = Limits::default();
        let asks = asks
            .iter()
            .map(|ask| {
                Some(LeaseAsk {
                    limit: limits.place(&ask.cell)?,
                    subject: ask.cell.key.clone(),
                    lease: ask.holder.lease,
                    epoch: ask.epoch,
                    window: ask.window,
                    have: ask.have,
                    returned: ask.returned,
                    want: ask.want,
                    emptied: ask.emptied,
                    due: ask.due,
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            shard,
            node: first.holder.node.clone(),
            incarnation: first.holder.incarnation,
            applied: first.policies,
            asked_at_ms: first.asked_at_ms,
            limits: limits.0,
            asks,
        })
    }

    /// What each question is about; none when a question names a limit that the message lacks.
    pub(super) fn keys(&self) -> Option<Vec<ThrottleKey>> {
        let key = |ask: &LeaseAsk| {
            let limit = self.limits.get(usize::from(ask.limit))?;
            Some(ThrottleKey::new(limit, &ask.subject))
        };
        self.asks.iter().map(key).collect()
    }

    /// A question in the ledger's words.
    pub(super) fn ask(&self, ask: &LeaseAsk, cell: CellKey) -> Ask {
        Ask {
            holder: Holder::new(self.node.clone(), self.incarnation, ask.lease),
            cell,
            // Compared with the view already, which may be newer than its table (L12).
            policies: 0,
            epoch: ask.epoch,
            asked_at_ms: self.asked_at_ms,
            window: ask.window,
            have: ask.have,
            returned: ask.returned,
            want: ask.want,
            emptied: ask.emptied,
            due: ask.due,
        }
    }
}

// === impl LeaseAnswer ===

impl LeaseAnswer {
    pub(super) fn of(reply: &Reply) -> Self {
        Self {
            stamp: reply.stamp,
            window: reply.window.map(|window| window.id),
            remaining_ms: reply.remaining_ms,
            granted: reply.granted,
            limit: reply.limit,
            left: reply.left,
            outcome: reply.outcome,
        }
    }

    /// The answer to what `holder` asked about `cell` at `asked_at_ms`, in the ledger's words.
    #[must_use]
    pub fn reply(&self, holder: Holder, cell: CellKey, asked_at_ms: i64) -> Reply {
        Reply {
            holder,
            cell,
            stamp: self.stamp,
            asked_at_ms,
            window: self.window.map(|id| id.spec.numbered(id.number)),
            remaining_ms: self.remaining_ms,
            granted: self.granted,
            limit: self.limit,
            left: self.left,
            outcome: self.outcome,
        }
    }
}

// === impl Tidings ===

impl Tidings {
    pub(super) fn holder(&self) -> &Holder {
        match self {
            Self::Answer(reply) => &reply.holder,
            Self::Recall(recall) => &recall.holder,
            Self::Reopen(reopen) => &reopen.holder,
        }
    }

    fn cell(&self) -> &CellKey {
        match self {
            Self::Answer(reply) => &reply.cell,
            Self::Recall(recall) => &recall.cell,
            Self::Reopen(reopen) => &reopen.cell,
        }
    }

    fn news(&self) -> News {
        match self {
            Self::Answer(reply) => News::Answer {
                asked_at_ms: reply.asked_at_ms,
                answer: LeaseAnswer::of(reply),
            },
            Self::Recall(recall) => {
                let (stamp, window, granted) = (recall.stamp, recall.window, recall.granted);
                match recall.anew {
                    true => News::RecallAnew {
                        stamp,
                        window,
                        granted,
                    },
                    false => News::Recall {
                        stamp,
                        window,
                        granted,
                    },
                }
            }
            Self::Reopen(reopen) => News::Reopen {
                stamp: reopen.stamp,
            },
        }
    }
}

// === impl TellLeases ===

impl TellLeases {
    /// Tidings for one life of one gateway in one message; none without any.
    pub(crate) fn of(shard: u16, tidings: &[Tidings]) -> Option<Self> {
        let to = tidings.first()?.holder();
        let mut limits = Limits::default();
        let news = tidings
            .iter()
            .map(|one| {
                Some(LeaseNews {
                    limit: limits.place(one.cell())?,
                    subject: one.cell().key.clone(),
                    lease: one.holder().lease,
                    news: one.news(),
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            shard,
            node: to.node.clone(),
            incarnation: to.incarnation,
            limits: limits.0,
            news,
        })
    }

    /// Each key with what there is to say about it; what names a limit that the message lacks is left out.
    pub(crate) fn tidings(&self) -> Vec<(ThrottleKey, Tidings)> {
        let of = |told: &LeaseNews| {
            let limit = self.limits.get(usize::from(told.limit))?;
            let key = ThrottleKey::new(limit, &told.subject);
            let holder = Holder::new(self.node.clone(), self.incarnation, told.lease);
            let cell = key.cell();
            let tidings = match &told.news {
                News::Answer {
                    asked_at_ms,
                    answer,
                } => Tidings::Answer(answer.reply(holder, cell, *asked_at_ms)),
                News::Recall {
                    stamp,
                    window,
                    granted,
                }
                | News::RecallAnew {
                    stamp,
                    window,
                    granted,
                } => Tidings::Recall(Recall {
                    holder,
                    cell,
                    stamp: *stamp,
                    window: *window,
                    granted: *granted,
                    anew: matches!(told.news, News::RecallAnew { .. }),
                }),
                News::Reopen { stamp } => Tidings::Reopen(Reopen {
                    holder,
                    cell,
                    stamp: *stamp,
                }),
            };
            Some((key, tidings))
        };
        self.news.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic_manager::told_before::TellLeasesBefore;
    use cluster::Earlier as _;
    use domain::ledger::{Outcome, Stamp};
    use domain::policy::TimeUnit;
    use domain::window::WindowSpec;

    fn key(policy: &str, subject: &str) -> ThrottleKey {
        ThrottleKey {
            tenant: "t".to_owned(),
            level: PolicyLevel::Api,
            policy: policy.to_owned(),
            limit: 3,
            subject: subject.to_owned(),
        }
    }

    fn ask(key: &ThrottleKey, lease: u64) -> Ask {
        Ask {
            holder: Holder::new("gw", 7, lease),
            cell: key.cell(),
            policies: 0,
            epoch: 4,
            asked_at_ms: 9,
            window: Some(WindowSpec::new(TimeUnit::Min, 1).at(0).id),
            have: 5,
            returned: 2,
            want: 1,
            emptied: false,
            due: 7,
        }
    }

    #[test]
    fn asks_arrive_as_they_were_made_and_name_each_limit_once() {
        let keys = [key("a:b#2", "x"), key("a:b#2", "y"), key("c", "x")];
        let asks: Vec<Ask> = (1..)
            .zip(&keys)
            .map(|(lease, key)| ask(key, lease))
            .collect();
        let sent = LeaseMany::of(3, &asks).unwrap();
        assert_eq!(sent.limits.len(), 2);
        let heard = sent.keys().unwrap();
        assert_eq!(heard, keys);
        let read = sent.asks.iter().zip(heard);
        let read: Vec<Ask> = read.map(|(ask, key)| sent.ask(ask, key.cell())).collect();
        assert_eq!(read, asks);
    }

    #[test]
    fn news_arrives_as_it_was_told() {
        let (holder, key) = (Holder::new("gw", 7, 8), key("p", "*"));
        let (stamp, cell) = (Stamp { epoch: 1, seq: 2 }, key.cell());
        let window = WindowSpec::new(TimeUnit::Month, 1).at(0);
        let answer = Reply {
            holder: holder.clone(),
            cell: cell.clone(),
            stamp,
            asked_at_ms: 5,
            window: Some(window),
            remaining_ms: 6,
            granted: 7,
            limit: 8,
            left: 9,
            outcome: Outcome::Final,
        };
        let recall = Recall {
            holder: holder.clone(),
            cell: cell.clone(),
            stamp,
            window: window.id,
            granted: 4,
            anew: false,
        };
        let anew = Recall {
            anew: true,
            ..recall.clone()
        };
        let reopen = Reopen {
            holder,
            cell,
            stamp,
        };
        let told = [
            Tidings::Answer(answer),
            Tidings::Recall(recall.clone()),
            Tidings::Reopen(reopen),
            Tidings::Recall(anew),
        ];
        let sent = TellLeases::of(3, &told).unwrap();
        let expected = told.map(|one| (key.clone(), one));
        assert_eq!(sent.tidings(), expected);
        // Who speaks the protocol of before gives back what it has.
        let before = TellLeasesBefore::of(&sent).into_now();
        assert_eq!(before.tidings()[3].1, Tidings::Recall(recall));
    }

    #[test]
    fn a_message_that_names_a_limit_it_lacks_is_nobodys() {
        let mut sent = LeaseMany::of(3, &[ask(&key("p", "x"), 1)]).unwrap();
        sent.limits.clear();
        assert_eq!(sent.keys(), None);
    }
}
