//! The change feed: serves the change log to followers and knows how far each of them is.

mod handle;
pub mod message;

pub use handle::{ChangeFeedHandle, Changed, WAIT};
pub use message::Applied;
