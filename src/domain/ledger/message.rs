//! What gateways and the owner of a shard say to each other about leases (PROTOCOLS L7, L9).
//! Plain data: these travel between nodes. All counts are cumulative within one window of one lease, so a copy that
//! comes twice, late or out of order changes nothing.

use serde::{Deserialize, Serialize};

use crate::window::{Window, WindowId};

/// The key under which all keys beyond a shard's bound are counted together (PROTOCOLS L12).
pub const SHARED_KEY: &str = "*";

/// No life of a gateway: what is said to it is about all that it has, and what is counted of it is of a gateway whose leases
/// nobody has told of yet.
pub const ANY_LIFE: u64 = 0;

/// Names what is counted: one key of one policy of one tenant. Its window is the cell's state (PROTOCOLS L2).
///
/// Ordered by tenant, then policy, so that all cells of a policy lie side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellKey {
    /// The tenant's domain.
    pub tenant: String,
    /// The policy, with its level so that equal names of two levels stay apart: `subscription:Gold`.
    pub policy: String,
    /// Who or what is counted: an application, a subscription, an address.
    pub key: String,
}

/// Who holds units: one lease of one life of one gateway.
///
/// A gateway that forgets a lease takes the next `lease` number when it needs the key again: counts start anew, and
/// the owner folds what the old lease did not return into what is spent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The gateway's stable node id.
    pub node: String,
    /// Its incarnation (PROTOCOLS W1).
    pub incarnation: u64,
    /// Grows with every lease the gateway opens in this incarnation.
    pub lease: u64,
}

/// When a cell's state was made: a higher stamp replaces a lower one whole (PROTOCOLS L2).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Stamp {
    /// The view's epoch.
    pub epoch: u64,
    /// The owner's step within it.
    pub seq: u64,
}

/// A gateway asks for units, or gives some back, or both (PROTOCOLS L7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who asks.
    pub holder: Holder,
    /// For what.
    pub cell: CellKey,
    /// The change-log number of the policies the gateway knows (PROTOCOLS L12).
    pub policies: u64,
    /// The epoch of the last owner the gateway heard of this cell from; 0 when of none. Tells the owner that the
    /// counts below were made after it began.
    pub epoch: u64,
    /// The gateway's own clock when it asked, milliseconds; the reply echoes it.
    pub asked_at_ms: i64,
    /// The window the counts below are about; none when the gateway knows of none.
    pub window: Option<WindowId>,
    /// Units granted so far in that window, as far as the gateway knows.
    pub have: u64,
    /// Units given back so far in that window.
    pub returned: u64,
    /// Units wanted beyond `have`; 0 when this only gives back.
    pub want: u64,
    /// True when the gateway holds nothing unused of what it knows to be granted: after a [`Recall`], or when it asks
    /// empty-handed. Counts only if `have` is all that was granted.
    pub emptied: bool,
    /// Units of `want` that are used as soon as they are granted: streams overran by them (PROTOCOLS L11), or calls wait
    /// for them. They are nothing that a lease has at hand, so that no bound of a lease keeps them back.
    pub due: u64,
}

/// What the owner decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// `granted` says what the gateway may use.
    Granted,
    /// Nothing free now, perhaps soon: a recall is under way, or no grants are given in this phase. Ask again later;
    /// another reply to the same ask may come by itself before.
    Retry {
        /// After so many milliseconds.
        after_ms: u32,
    },
    /// The window is exhausted: no until it ends or a [`Reopen`] comes (PROTOCOLS L9).
    Final,
    /// The owner's policies are older than the gateway's (PROTOCOLS L12): ask again after a moment.
    Behind {
        /// The change-log number of the owner's policies.
        applied: u64,
    },
    /// The owner knows no such policy, and its policies are not older than the gateway's.
    UnknownPolicy,
    /// The shard is at its bound: until the window ends this key is counted under [`SHARED_KEY`] (PROTOCOLS L12).
    Shared,
}

/// The owner's answer to an [`Ask`]. Cumulative: applying it twice or late is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// For whom.
    pub holder: Holder,
    /// For what.
    pub cell: CellKey,
    /// When the owner made it; a gateway follows the highest from window to window.
    pub stamp: Stamp,
    /// Echo of the ask.
    pub asked_at_ms: i64,
    /// The owner's window; none when it could not tell (behind, unknown policy, not active).
    pub window: Option<Window>,
    /// Milliseconds of T until the window's end, read after the ask arrived: past `asked_at_ms + remaining_ms` of its
    /// own clock the gateway uses nothing of this window (PROTOCOLS L7).
    pub remaining_ms: i64,
    /// All units granted to this holder in this window.
    pub granted: u64,
    /// The policy's limit.
    pub limit: u64,
    /// Units of the window that nobody holds, for the `RateLimit` header; a hint.
    pub left: u64,
    /// What was decided.
    pub outcome: Outcome,
}

/// The owner wants unused units back (PROTOCOLS L9). Answered by an [`Ask`] with `emptied`; where calls
/// wait for them by one for the rest of them, later, or by silence. One of a reset is answered by another lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// From whom.
    pub holder: Holder,
    /// Of what.
    pub cell: CellKey,
    /// When the owner made it.
    pub stamp: Stamp,
    /// Of which window.
    pub window: WindowId,
    /// All units granted to this holder in this window: a reply that is still under way counts as received, so that
    /// nothing can arrive after the gateway said that it holds nothing.
    pub granted: u64,
    /// The key begins anew: the lease is over, whatever its units are used for, and the gateway goes on by another one. What
    /// a call holds while it waits elsewhere looks like a used unit, and may be put back and be used.
    pub anew: bool,
}

/// The owner has units again where it had said no: forget the cached refusal and ask (PROTOCOLS L9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reopen {
    /// For whom.
    pub holder: Holder,
    /// Of what.
    pub cell: CellKey,
    /// When the owner made it.
    pub stamp: Stamp,
}

// === impl Ask ===

impl Ask {
    /// Whether its gateway says it after an owner of this epoch has recalled whatever lease it had, and before it was granted
    /// anything by the one that followed: no other ask has an epoch and no window.
    pub(super) fn is_of_reset(&self, epoch: u64) -> bool {
        self.window.is_none() && self.epoch >= epoch
    }
}

// === impl Reopen ===

impl Reopen {
    /// For whatever lease a gateway has: an owner that goes on from disks does not know whom others told no (L9). Who does
    /// not understand it takes it for another lease's.
    pub fn of_any_lease(node: &str, cell: CellKey, stamp: Stamp) -> Self {
        let holder = Holder::any(node);
        Self {
            holder,
            cell,
            stamp,
        }
    }

    /// Whether it is about this lease.
    pub fn is_for(&self, holder: &Holder) -> bool {
        let is_any = self.holder.is_any() && self.holder.node == holder.node;
        is_any || self.holder == *holder
    }
}

// === impl CellKey ===

impl CellKey {
    /// A key of a policy of a tenant.
    pub fn new(
        tenant: impl Into<String>,
        policy: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        Self {
            tenant: tenant.into(),
            policy: policy.into(),
            key: key.into(),
        }
    }

    /// About so many bytes as it travels.
    pub(super) fn weight(&self) -> usize {
        self.tenant.len() + self.policy.len() + self.key.len() + 24
    }

    /// The cell that keys of the same policy share beyond the bound (PROTOCOLS L12).
    pub fn shared(&self) -> Self {
        Self::new(self.tenant.clone(), self.policy.clone(), SHARED_KEY)
    }
}

// === impl Holder ===

impl Holder {
    /// A lease of a gateway's incarnation.
    pub fn new(node: impl Into<String>, incarnation: u64, lease: u64) -> Self {
        Self {
            node: node.into(),
            incarnation,
            lease,
        }
    }

    /// Whatever lease a gateway has, in whichever life.
    pub fn any(node: impl Into<String>) -> Self {
        Self::new(node, ANY_LIFE, 0)
    }

    /// Whether it stands for whatever lease its gateway has.
    pub fn is_any(&self) -> bool {
        self.incarnation == ANY_LIFE
    }
}
