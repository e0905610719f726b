//! Everything that speaks HTTP: the management APIs on axum, the gateway's data plane on hyper.
//!
//! Handlers reach the rest of Headgate through the handles in [`Services`] alone.

pub mod auth;
pub mod body;
pub mod error;
pub mod inspection;
pub mod key_manager;
pub mod management;
pub mod operation;
pub mod page;
pub mod publisher;
mod readiness;
pub mod server;
mod services;

pub use readiness::{Checked, Readiness};
pub use services::Services;
