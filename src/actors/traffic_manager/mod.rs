//! The traffic manager: sharded counters that hand out leases (PROTOCOLS L).

mod handle;
pub mod message;

pub use handle::TrafficManagerHandle;
