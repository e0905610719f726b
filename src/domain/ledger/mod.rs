//! The lease ledger (PROTOCOLS L): who may use how many units of a key's window. Never more than the limit, whatever
//! is lost, repeated, late or restarted.
//!
//! `owner` is the machine of a shard's owner and its one `step`; `grant` decides about a cell, `resets` lets its key begin anew, `silent` knows who has not answered that, `round` is a recall round and `answers` says how long
//! that lasts, `cell` holds its counts, `marks` says of them what disks need, `earlier` those of panes before it, `cells` keeps all of a shard in little memory, `recovery` is what a new
//! owner starts from, `steady` the time by which windows that slide count, `stop` what a stop in order writes, `share` what it has in common with the other
//! members, `policy` the limits, `inspection` what
//! operators see, `message` what gateways and owner say to
//! each other. The gateway's side is [`crate::lease`].

mod answers;
mod cell;
mod cells;
mod earlier;
mod grant;
mod held_back;
mod holders;
mod inspection;
#[cfg(test)]
mod lifted_tests;
mod marks;
mod message;
mod owner;
#[cfg(test)]
mod paned_properties;
#[cfg(test)]
mod paned_tests;
#[cfg(test)]
mod paned_world;
mod policy;
#[cfg(test)]
mod properties;
mod recovery;
#[cfg(test)]
mod refund_tests;
#[cfg(test)]
mod reset_tests;
mod resets;
mod round;
#[cfg(test)]
mod round_tests;
mod share;
mod silent;
#[cfg(test)]
mod slow_link_tests;
mod steady;
mod stop;
#[cfg(test)]
mod stranger_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod view_tests;
#[cfg(test)]
mod void_properties;

pub use cell::{CellImage, Count, Mark};
pub use earlier::{Earlier, EndedPane};
pub use inspection::Counted;
pub use message::{
    ANY_LIFE, Ask, CellKey, Holder, Outcome, Recall, Reopen, Reply, SHARED_KEY, Stamp,
};
pub use owner::{Effect, Input, Ledger};
pub use policy::{Policies, Quota};
pub use recovery::{PastImage, Recovery, Source};
pub use share::{Cursor, ShardImage};

/// Virtual shards of a cluster, the same in every version that shares one (M1).
pub const SHARDS: u16 = 256;
