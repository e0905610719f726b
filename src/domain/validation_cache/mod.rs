//! The rules of a gateway's validation cache (PROTOCOLS V2, V3): a cached answer that was computed before a change can
//! never outlive it.
//!
//! `touches` keeps the number of the last change of each subject, in atomics that cache entries point at; `entry` is
//! what the cache holds and what every hit tests, without a lock; `questions` makes one question of many concurrent
//! misses and lets answers through only when they are current. The cache itself, found by the SHA-256 of a
//! credential, is the driver's: a hash may only find an entry, the entry decides (V3).

mod entry;
#[cfg(test)]
mod properties;
mod questions;
mod subject;
#[cfg(test)]
mod tests;
mod touches;
mod watched;

pub use entry::{Entry, Hit};
pub use questions::{Asked, Bounds, Effect, Input, Questions, Refusal};
pub use subject::{Subject, SubjectKind};
pub use touches::{Life, Touch, Touches};
pub use watched::Watched;
