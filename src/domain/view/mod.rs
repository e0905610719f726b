//! The agreed view (PROTOCOLS W3, W4, L1 to L6): which traffic managers count, since when, and from whom each shard
//! goes on, so that counters stay exact while nodes die, hang, are cut off, come and go.
//!
//! `register` is the value that a majority of voters agrees on, `founder` who may begin it and holds it, `renewal` how it says so and how another sees that, `cover` how far its voter goes, `founding` what it begins with, `placement` who owns what by it, `giving_up` what of it an operator may give up, `voter` what a voter
//! promises, `coordinator` who proposes the next view, `reach` whom it may be made of, `fences` how a member proves that voters know of the time it
//! grants in, `time` is that time at one node, `right_clock` how it is set right, `waits` whom its shards wait for, `seat` what one member does for one shard. All pure; the driver gives time, and carries messages.

mod coordinator;
#[cfg(test)]
mod coordinator_tests;
mod cover;
mod epoch;
mod fences;
mod founder;
mod founding;
mod giving_up;
mod placement;
mod reach;
mod register;
mod renewal;
mod right_clock;
mod seat;
mod time;
mod voter;
mod waits;

pub use coordinator::{Coordinator, Duty, News};
pub use cover::{Cover, LetGo};
pub use epoch::Epoch;
pub use fences::Fences;
pub use founder::{Claimant, Founder, Hold, Holder, Verdict, Word};
pub use founding::{Before, Founding, Others};
pub use giving_up::{GivesUp, NotGivenUp, gives_up};
pub use placement::{Holding, Missing, Place, Rank, Role};
pub use reach::{Patience, Report};
pub use register::{Entry, Found, Life, Loss, Phase, Settled, View};
pub use renewal::{Watch, renewal_ms, unsaid_ms};
pub use right_clock::RightClock;
pub use seat::{Deed, Event, Origin, Question, Seat, Words};
pub use time::{NodeTime, Now};
pub use voter::{Sealed, Voter};
pub use waits::Waits;
