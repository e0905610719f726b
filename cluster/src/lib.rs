//! A generic actor runtime on ractor: one way to spawn, supervise, ask and observe actors.
//!
//! Nothing here knows of API management. Everything above reaches an actor through an
//! [`Address`] (same process) or a [`Door`] (location-transparent), is supervised by a
//! [`supervisor`] tree, and is counted by the [`Registry`].

mod actor;
mod address;
mod ask;
mod clock;
pub mod codec;
mod door;
mod fault;
mod hello;
mod member;
mod members;
mod registry;
mod supervisor;
mod task;
mod ticker;

pub use actor::{Actor, BoxError};
pub use address::{Address, MAILBOX_LIMIT, Undelivered};
pub use ask::{AskError, Reply};
pub use clock::Clock;
pub use codec::{CodecError, MESSAGE_LIMIT, decode, encode};
pub use door::{Asked, Door, Request};
pub use registry::{ActorReport, Registry, System};
pub use supervisor::{Child, RestartRule, Root, branch, child, pool, start_root};
pub use task::spawn_named;
pub use ticker::Ticker;

#[cfg(test)]
mod tests;
