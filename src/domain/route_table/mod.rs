//! The gateway's match structure: virtual host, context with version, resource.
//!
//! A deployment changes one [`Shard`]; the gateway's actor keeps each of the [`SHARDS`] behind an
//! `ArcSwap` and puts a new one in its place, so a request loads one snapshot and takes no lock.
//! Requests go [`Vhosts::resolve`] → [`shard_of`] → [`Shard::find`] → [`Resources::find`], all on
//! the one canonical path (see `path`).
//!
//! | file | what it holds |
//! |---|---|
//! | `vhosts` | which virtual host a `Host` header means |
//! | `route` | one deployed API and the contexts it answers at |
//! | `shard` | the contexts of one shard |
//! | `resources` | the resources of one API, as a tree of segments |
//! | `table` | all shards in one value, for those who need no concurrency |

mod context;
mod resources;
mod route;
mod shard;
mod table;
#[cfg(test)]
mod tests;
mod vhosts;

pub use resources::{Match, ResourceFault, Resources};
pub use route::{MAX_CONTEXT_SEGMENTS, Route, RouteFault, check_context};
pub use shard::{Hit, SHARDS, Shard, shard_of};
pub use table::RouteTable;
pub use vhosts::Vhosts;
