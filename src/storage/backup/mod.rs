//! What a database has, row by row, in words that neither backend owns: a backup of a file is restored into a server,
//! and the other way round.
//!
//! [`Snapshot`] reads what two databases had at one moment; [`restoring::Restore`] writes it into empty ones. A column
//! is BIGINT, TEXT or BYTEA in all schemas, so a value is one of these or nothing.

pub(crate) mod mark;
pub mod restoring;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;

pub use snapshot::Snapshot;
pub use table::{Column, Kind, Table, Value};
