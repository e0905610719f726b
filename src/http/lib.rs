//! Everything that speaks HTTP: the management APIs on axum, the gateway's data plane on hyper.
//!
//! Handlers reach the rest of Headgate through the handles in [`Services`] alone.

mod accept;
pub mod admin;
mod answering;
pub mod auth;
pub mod body;
mod caller_address;
mod console;
pub mod devportal;
mod document;
mod entity_tag;
pub mod error;
mod failure;
pub mod gateway;
pub mod inspection;
pub mod key_manager;
mod leaving;
mod looks;
pub mod management;
mod media_range;
#[cfg(test)]
#[path = "../../fuzz/mutants.rs"]
mod mutants;
mod node_cookies;
pub mod operation;
mod orderer;
#[cfg(test)]
mod outside_tests;
pub mod page;
mod patience;
mod places;
mod plan;
pub mod publisher;
mod query;
mod readiness;
mod received;
mod search;
mod seen;
pub mod server;
mod services;
mod serving;
mod shape;
mod socket;
mod spell;
#[cfg(test)]
#[path = "../../fuzz/tally.rs"]
mod tally;
mod target;
mod timed_body;
mod turn;
mod turned_away;
mod untaken;
mod wait;
mod watched;

pub use accept::Acceptance;
pub use leaving::Leaving;
pub use looks::Looks;
pub use places::{Most, Places};
pub use readiness::{Checked, Readiness};
pub use services::{Ingress, Reached, Reloaded, Services, Setting};
pub use turned_away::TurnedAway;
