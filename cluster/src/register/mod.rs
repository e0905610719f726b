//! The view register (PROTOCOLS W3): a small log that 1, 3 or 5 voters agree on, on openraft, and one value that
//! follows from it. It knows bytes only: whoever runs it says what they mean ([`Value`]), where they are kept
//! ([`RegisterStore`]) and how they get to others ([`RegisterLink`]).
//!
//! `actor` owns what runs and is started again with it, `founding` how a log begins, `handle` is the door, `known` what is known, `order` what is
//! asked; `log`, `machine` and `network` are what openraft asks of us, `election`, `heartbeat` and `quiet` what it does not do well enough,
//! `words` all shapes that are sent or kept.

mod actor;
mod answering;
mod changing;
mod election;
mod founding;
mod handle;
mod heartbeat;
mod known;
mod link;
mod log;
mod machine;
mod network;
mod order;
mod quiet;
mod store;
mod timing;
mod types;
mod value;
mod voter_id;
mod words;

pub use actor::RegisterSettings;
pub use founding::RegisterSeed;
pub use handle::{Register, register};
pub use known::{Known, RegisterState};
pub use link::{AskRegister, Asking, RegisterLink};
pub use order::{ENTRY_LIMIT, OrderError};
pub use store::{RegisterStore, Stored, Storing};
pub use timing::RegisterTiming;
pub use types::{LogPlace, Voters};
pub use value::{Agreed, Sealing, Value};

#[cfg(test)]
mod tests;
