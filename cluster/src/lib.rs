//! A generic actor runtime on ractor: one way to spawn, supervise, ask and observe actors.
//!
//! Nothing here knows of API management. Everything above reaches an actor through an
//! [`Address`] (same process) or a [`Door`] (location-transparent), is supervised by a
//! [`supervisor`] tree, and is counted by the [`Registry`].

mod about;
mod actor;
mod address;
mod answering;
mod ask;
mod askers;
mod authority;
mod bulk;
mod certificate;
mod clock;
mod cluster;
pub mod codec;
mod counters;
mod credentials;
mod door;
mod fault;
mod hello;
mod inspect;
mod join;
mod judged;
mod kinds;
mod member;
mod members;
mod node;
mod own_certificate;
mod path;
mod protocol;
mod register;
mod registry;
mod renewal;
mod ring;
mod router;
mod security;
mod seldom;
mod self_report;
mod supervisor;
mod task;
mod ticker;
mod times;
mod told;
mod transport;
mod untaken;
mod view;

pub use about::{About, AskAbout};
pub use actor::{Actor, BoxError};
pub use address::{Address, MAILBOX_LIMIT, Undelivered};
pub use ask::{AskError, Reply, hastily};
pub use authority::Authority;
pub use certificate::CredentialError;
pub use clock::Clock;
pub use cluster::Cluster;
pub use codec::{CodecError, MESSAGE_LIMIT, decode, encode};
pub use counters::{Counters, Spoken};
pub use credentials::{Credentials, NewKey};
pub use door::{Asked, Door, Request};
pub use hello::Refusal as JoinRefusal;
pub use inspect::{
    ActorFound, ActorRestarts, ActorSeen, ActorsSeen, AskActor, AskActors, AskSettings,
    RestartActor, SettingSeen, SettingsSeen,
};
pub use join::{
    Admission, Admitted, Admitting, JoinAsk, JoinError, JoinToken, NotAdmitted, TokenError, join,
};
pub use judged::{Shown, judged_by};
pub use kinds::{KindCounts, Kinds};
pub use member::{Fact, Member};
pub use members::{Health, MemberState, Timing};
pub use node::{NodeHandle, NodeSettings, Notice, node};
pub use protocol::{Before, Earlier, PROTOCOL, PROTOCOL_BEFORE};
pub use register::{
    Agreed, AskRegister, Asking, ENTRY_LIMIT, Known, LogPlace, OrderError, Register, RegisterLink,
    RegisterSeed, RegisterSettings, RegisterState, RegisterStore, RegisterTiming, Sealing, Stored,
    Storing, Value, Voters, register,
};
pub use registry::{ActorReport, Registry, System};
pub use renewal::{RenewCertificate, RenewedCertificate};
pub use ring::{rank, rendezvous};
pub use security::{Mutual, Security};
pub use self_report::SelfReport;
pub use supervisor::{Child, RestartRule, Root, branch, child, pool, start_root};
pub use task::spawn_named;
pub use ticker::Ticker;
pub use times::Lately;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
#[path = "../../fuzz/mutants.rs"]
mod mutants;
#[cfg(test)]
mod outside_tests;
#[cfg(test)]
mod silent;
#[cfg(test)]
#[path = "../../fuzz/tally.rs"]
mod tally;
#[cfg(test)]
mod tests;
