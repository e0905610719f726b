//! What the register agrees on: bytes that whoever runs it understands.

use super::store::Storing;
use super::types::{LogPlace, Voters};
use crate::actor::BoxError;

/// The value, as a function of what was agreed on: every node that has the same entries has the same value.
pub trait Value: Send + Sync + 'static {
    /// The value before any entry.
    fn initial(&self) -> Vec<u8>;

    /// The value after one more entry; entries come in order, each once.
    ///
    /// # Errors
    /// When the value or the entry is not understood, as after a later version wrote it. The register of this node
    /// stops then, before it takes in half of something.
    fn apply(&self, value: &[u8], at: LogPlace, agreed: Agreed<'_>) -> Result<Vec<u8>, BoxError>;

    /// Whether a value that comes from another node or from the disk is understood.
    ///
    /// # Errors
    /// Why it is not; it is not taken then.
    fn check(&self, value: &[u8]) -> Result<(), BoxError>;
}

/// What was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed<'a> {
    /// An entry that was proposed.
    Entry(&'a [u8]),
    /// Who votes from here on; also the same ones once more, when somebody begins or ceases to follow the log.
    Voters(&'a Voters),
}

/// What a voter hears of before it acknowledges it (PROTOCOLS W4): here it seals.
pub trait Sealing: Send + Sync + 'static {
    /// These were appended to the log of this node. They may be agreed on or be cut off again. Called again at each
    /// start with all that the log has.
    ///
    /// # Errors
    /// When the seal is not on disk; the register of this node stops then, and acknowledges nothing.
    fn appended<'a>(&'a self, entries: &'a [(LogPlace, Vec<u8>)]) -> Storing<'a, ()>;

    /// This value, which all entries up to `at` led to, comes from another node, or from the disk at a start.
    ///
    /// # Errors
    /// As above.
    fn installed<'a>(&'a self, at: LogPlace, value: &'a [u8]) -> Storing<'a, ()>;

    /// Others are about to vote beside this node, or instead of it, which voted alone until now: from here on it can
    /// found nothing anew.
    ///
    /// # Errors
    /// When that is not known wherever foundings are decided; the voters stay as they are then.
    fn shared(&self) -> Storing<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
