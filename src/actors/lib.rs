//! The components: supervised actors that own state, each behind its `handle`.
//!
//! A component reaches another only through that handle, which hides whether the other lives in
//! this process or on another node.

pub mod admin;
pub mod change_feed;
pub mod devportal;
mod failure;
pub mod gateway;
#[cfg(test)]
mod golden_tests;
pub mod key_manager;
pub mod publisher;
pub mod register;
mod ticker;
pub mod traffic_manager;
pub mod usage;

/// The role that every node with the control plane's databases has for other nodes.
pub const CONTROL_PLANE: &str = "control-plane";

pub use failure::{Failure, failure};
