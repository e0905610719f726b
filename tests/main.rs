//! Black box: the real binary through HTTP. One binary, one module per noun.

#![allow(missing_docs, reason = "tests are read by their names")]

mod support;

mod bad_input;
mod changes;
mod commands;
mod conflicts;
mod crash_points;
mod demo;
mod people;
mod start;
mod supervision;
mod usage;
mod whole_life;
