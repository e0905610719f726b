//! The lease ledger (PROTOCOLS L): who may use how many units of a key's window.
//!
//! `message` is what gateways and owner say to each other, `policy` the limits.

mod message;
mod policy;

pub use message::{Ask, CellKey, Holder, Outcome, Recall, Reopen, Reply, SHARED_KEY, Stamp};
pub use policy::{Policies, Quota};
