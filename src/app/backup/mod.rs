//! Backups of the control plane: what API-M and Shared had at one moment, and the files that a node cannot make anew, in
//! one file; and how they are put back.
//!
//! Nothing is taken of what nodes count and promise (Carbon, Broker): whoever went on from an old copy of that would
//! grant what was granted since, or vote twice. A node that begins without it asks the others, or says that it does not
//! know (L6, W3).

mod archive;
mod files;
mod line;
mod restore;
mod take;
#[cfg(test)]
mod tests;

pub(crate) use archive::{Contents, check};
pub(crate) use restore::{is_known, restore};
pub(crate) use take::take;
