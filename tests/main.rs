//! Black box: the real binary through HTTP. One binary, one module per noun.

#![allow(missing_docs, reason = "tests are read by their names")]

mod support;

mod bad_input;
mod bad_input_rows;
mod changes;
mod commands;
mod conflicts;
mod crash_points;
mod demo;
mod hostile_definitions;
mod people;
mod start;
mod supervision;
mod usage;
mod whole_life;
