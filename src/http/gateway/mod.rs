//! The data plane: raw hyper in and out, one file per phase. `serve` reads as the list of phases.
//!
//! It reads the gateway's snapshots through `actors::gateway::GatewayHandle` and waits for an
//! actor only when a credential or a lease is not at hand.

mod account;
mod authenticate;
mod authorize;
mod body;
mod client;
mod cors;
mod crowd;
mod endable;
mod exchange;
mod fault;
mod fields;
mod forward;
mod full;
mod handshake;
mod held;
mod ingress;
mod intake;
mod listener;
mod matching;
mod meters;
mod open_calls;
mod pump;
mod query;
mod refusal;
mod remembered;
mod serve;
mod stamp;
mod throttle;
mod tunnel;
mod upload;

pub use crate::patience::Patience;
pub use ingress::{Current, Ingress, Settings};
pub use listener::listen;
