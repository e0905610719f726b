//! A cell in the state that nearly all are in, without what only few have: no round is on, nobody else was told no, no
//! mark covers what a holder has, and no earlier pane counts.

use std::collections::BTreeSet;

use super::pool::Pool;
use super::subject::Subject;
use crate::ledger::cell::{Cell, Count, Held};
use crate::ledger::message::{CellKey, Holder, Stamp};
use crate::ledger::policy::Quota;
use crate::window::Window;

/// What the cells of a policy have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) tenant: String,
    pub(super) policy: String,
    pub(super) window: Window,
    pub(super) quota: Quota,
    pub(super) lag_ms: i64,
}

/// A life of a gateway.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GatewayLife {
    node: String,
    incarnation: u64,
}

/// What plain cells have in common.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub(super) terms: Pool<Term>,
    lives: Pool<GatewayLife>,
}

/// Such a cell.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) term: u32,
    pub(super) subject: Subject,
    pub(super) lost: bool,
    others_denied: bool,
    stamp: Stamp,
    spent: u64,
    holders: Few,
    marks: Marks,
}

/// What only cells of long windows have (L5).
#[derive(Debug)]
enum Marks {
    None,
    /// The last mark is of the epoch of the cell's last change, so many changes of the shard before it.
    Own {
        mark: u64,
        before: u32,
    },
    Any(Box<Marked>),
}

#[derive(Debug, Clone, Copy)]
struct Marked {
    coverage: u64,
    mark: u64,
    stamp: Stamp,
}

/// Mostly one.
#[derive(Debug)]
enum Few {
    None,
    One(Share),
    Many(Box<[Share]>),
}

/// What one gateway has.
#[derive(Debug)]
struct Share {
    lease: u64,
    granted: u64,
    returned: u64,
    life: u32,
    emptied: bool,
    silent: bool,
    denied: bool,
}

// === impl Pools ===

#[cfg(test)]
impl Pools {
    /// Values that anything uses.
    pub(super) fn uses(&self) -> usize {
        self.terms.len() + self.lives.len()
    }
}

// === impl Term ===

impl Term {
    fn take(key: &CellKey, of: (Window, Quota, i64), terms: &mut Pool<Self>) -> Option<u32> {
        let (window, quota, lag_ms) = of;
        let is_it = |term: &Self| {
            (term.window, term.quota, term.lag_ms) == of
                && (&term.tenant, &term.policy) == (&key.tenant, &key.policy)
        };
        terms.take(is_it, || Self {
            tenant: key.tenant.clone(),
            policy: key.policy.clone(),
            window,
            quota,
            lag_ms,
        })
    }
}

// === impl Plain ===

impl Plain {
    /// The cell of a key, if it is in such a state.
    pub(super) fn of(key: &CellKey, cell: &Cell, pools: &mut Pools) -> Option<Self> {
        // All of it, so that nothing that is added to a cell gets lost here.
        let Cell {
            window,
            quota,
            stamp,
            lost,
            spent,
            coverage,
            holders,
            earlier,
            lag_ms,
            mark,
            mark_stamp,
            round,
            silent,
            denied,
            others_denied,
        } = cell;
        let is_plain = holders.values().all(Share::fits)
            && denied.iter().all(|holder| {
                let held = holders.get(&holder.node);
                held.is_some_and(|held| is_of(held, holder))
            });
        if round.is_some() || earlier.is_some() || !silent.is_empty() || !is_plain {
            return None;
        }
        let term = Term::take(key, (*window, *quota, *lag_ms), &mut pools.terms)?;
        let shares = holders.iter();
        let shares = shares.map(|(node, held)| Share::of(node, held, denied, &mut pools.lives));
        let shares: Option<Vec<Share>> = shares.collect();
        let Some(mut shares) = shares else {
            pools.terms.give_back(term);
            return None;
        };
        let holders = match (shares.pop(), shares.is_empty()) {
            (None, _) => Few::None,
            (Some(only), true) => Few::One(only),
            (Some(last), false) => {
                shares.push(last);
                Few::Many(shares.into_boxed_slice())
            }
        };
        let marked = Marked {
            coverage: *coverage,
            mark: *mark,
            stamp: *mark_stamp,
        };
        Some(Self {
            term,
            subject: Subject::of(&key.key),
            lost: *lost,
            others_denied: *others_denied,
            stamp: *stamp,
            spent: *spent,
            holders,
            marks: Marks::of(marked, *stamp),
        })
    }

    /// The cell.
    pub(super) fn cell(&self, pools: &Pools) -> Option<Cell> {
        let term = pools.terms.get(self.term)?;
        let mut cell = Cell::new(term.window, term.quota);
        cell.stamp = self.stamp;
        cell.lag_ms = term.lag_ms;
        cell.lost = self.lost;
        cell.spent = self.spent;
        cell.others_denied = self.others_denied;
        let marked = self.marks.marked(self.stamp);
        (cell.coverage, cell.mark, cell.mark_stamp) = (marked.coverage, marked.mark, marked.stamp);
        let (mut held, mut denied) = (Vec::with_capacity(self.shares().len()), BTreeSet::new());
        for share in self.shares() {
            let life = pools.lives.get(share.life)?;
            if share.denied {
                denied.insert(Holder::new(
                    life.node.clone(),
                    life.incarnation,
                    share.lease,
                ));
            }
            held.push((life.node.clone(), share.held(life)));
        }
        cell.holders = held.into_iter().collect();
        cell.denied = denied;
        Some(cell)
    }

    /// Its key.
    pub(super) fn key(&self, pools: &Pools) -> Option<CellKey> {
        let term = pools.terms.get(self.term)?;
        let (tenant, policy) = (term.tenant.clone(), term.policy.clone());
        Some(CellKey::new(tenant, policy, self.subject.text()))
    }

    /// It is over.
    pub(super) fn give_back(&self, pools: &mut Pools) {
        pools.terms.give_back(self.term);
        for share in self.shares() {
            pools.lives.give_back(share.life);
        }
    }

    fn shares(&self) -> &[Share] {
        match &self.holders {
            Few::None => &[],
            Few::One(share) => std::slice::from_ref(share),
            Few::Many(shares) => shares,
        }
    }
}

// === impl Marks ===

impl Marks {
    fn of(marked: Marked, changed: Stamp) -> Self {
        let Marked {
            coverage,
            mark,
            stamp,
        } = marked;
        if (coverage, mark, stamp) == (0, 0, Stamp::default()) {
            return Self::None;
        }
        let before = changed.seq.checked_sub(stamp.seq);
        let before = before.and_then(|before| u32::try_from(before).ok());
        match before {
            Some(before) if coverage == 0 && stamp.epoch == changed.epoch => {
                Self::Own { mark, before }
            }
            _ => Self::Any(Box::new(marked)),
        }
    }

    fn marked(&self, changed: Stamp) -> Marked {
        match self {
            Self::None => Marked {
                coverage: 0,
                mark: 0,
                stamp: Stamp::default(),
            },
            Self::Own { mark, before } => Marked {
                coverage: 0,
                mark: *mark,
                stamp: Stamp {
                    seq: changed.seq.saturating_sub(u64::from(*before)),
                    ..changed
                },
            },
            Self::Any(marked) => **marked,
        }
    }
}

// === impl Share ===

impl Share {
    fn fits(held: &Held) -> bool {
        (held.count.covered, held.count.forgiven, held.awaited) == (0, 0, None)
    }

    fn of(
        node: &str,
        held: &Held,
        denied: &BTreeSet<Holder>,
        lives: &mut Pool<GatewayLife>,
    ) -> Option<Self> {
        let Held {
            count,
            emptied,
            silent,
            awaited: None,
        } = held
        else {
            return None;
        };
        let Count {
            incarnation,
            lease,
            granted,
            returned,
            forgiven: 0,
            covered: 0,
        } = count
        else {
            return None;
        };
        let is_it = |life: &GatewayLife| life.incarnation == *incarnation && life.node == node;
        let life = lives.take(is_it, || GatewayLife {
            node: node.to_owned(),
            incarnation: *incarnation,
        })?;
        Some(Self {
            lease: *lease,
            granted: *granted,
            returned: *returned,
            life,
            emptied: *emptied,
            silent: *silent,
            denied: denied.iter().any(|holder| holder.node == node),
        })
    }

    fn held(&self, life: &GatewayLife) -> Held {
        Held {
            count: Count {
                incarnation: life.incarnation,
                lease: self.lease,
                granted: self.granted,
                returned: self.returned,
                forgiven: 0,
                covered: 0,
            },
            emptied: self.emptied,
            silent: self.silent,
            awaited: None,
        }
    }
}

fn is_of(held: &Held, holder: &Holder) -> bool {
    (held.count.incarnation, held.count.lease) == (holder.incarnation, holder.lease)
}
