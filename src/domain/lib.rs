//! The nouns of API management and the rules between them: pure, without I/O, clock or async.
//!
//! Time and randomness are parameters. Every other layer shares these words.

pub mod address;
pub mod api;
pub mod api_rules;
pub mod application;
pub mod artifact;
pub mod change;
pub mod change_log;
pub mod condition;
pub mod consumer;
pub mod deny_policy;
pub mod endpoint;
pub mod known_consumers;
pub mod lease;
pub mod ledger;
pub mod lifecycle;
pub mod node_id;
pub mod open_call;
pub mod openapi;
pub mod path;
pub mod policy;
pub mod role;
pub mod route_table;
pub mod serving_lease;
pub mod subscription;
pub mod template;
pub mod usage;
pub mod validation;
pub mod validation_cache;
pub mod verb;
pub mod view;
pub mod websocket;
pub mod window;

#[cfg(test)]
#[path = "../../fuzz/mutants.rs"]
mod mutants;
#[cfg(test)]
mod outside_tests;
pub mod scope;
#[cfg(test)]
mod simulation;
#[cfg(test)]
#[path = "../../fuzz/tally.rs"]
mod tally;
pub mod token;
