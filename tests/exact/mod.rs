//! Counters of three traffic managers and three gateways while something of it dies, stands still or is cut off: what
//! arrived at the upstream is counted, not what the nodes say of themselves.
//!
//! A run has keys of its own, is offered twice what their limits let through, and meets its fault at a random moment;
//! what it draws from is its seed, which a failure names. `HEADGATE_EXACT_RUNS` says how many runs there are of each
//! fault, `HEADGATE_EXACT_SEED` the seed of the first, `HEADGATE_EXACT_TIMES=default` leaves the times of detection as
//! they are by default, and `HEADGATE_EXACT_TABLE` is a file that a row is added to for each fault.

mod clocks;
mod cluster;
mod cuts;
mod detours;
mod disturbed;
mod gateways;
mod keys;
mod load;
mod random;
mod report;
mod restarts;
mod sizes;
mod traffic_managers;
mod two_at_once;
mod whole;
