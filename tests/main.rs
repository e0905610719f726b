//! Black box: the real binary through HTTP. One binary, one module per noun.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "tests are read by their names, and nothing outside uses them"
)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

mod support;

mod bad_input;
mod bad_input_rows;
mod changes;
mod commands;
mod conflicts;
mod crash_points;
mod demo;
mod gateway;
mod hostile_definitions;
mod people;
mod publisher;
mod start;
mod supervision;
mod usage;
mod whole_life;
