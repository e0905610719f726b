//! The four databases: one module per database, one file per noun.
//!
//! `database` alone knows the backends; SQL is one text for SQLite and PostgreSQL. Functions are
//! named `find`, `list`, `create`, `update`, `save`, `delete`, and take time as a parameter.

pub mod apim;
pub mod backup;
pub mod broker;
pub mod carbon;
mod checksum;
#[cfg(test)]
mod conformance;
mod contraction;
mod crash;
pub mod crash_sweep;
mod database;
pub mod database_identity;
mod error;
mod health;
mod pools;
mod row;
pub mod shared;

pub use database::{Backend, Database, Read, Write};
pub use error::StoreError;
