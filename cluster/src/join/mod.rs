//! How a node without a certificate gets one: it dials a member that holds the cluster's authority,
//! over TLS pinned to that authority's fingerprint, and shows a token that is good once.

mod client;
mod token;
mod words;

pub use client::{JoinError, join};
pub use token::{JoinToken, TokenError};
pub use words::{Admitted, JoinAsk, NotAdmitted};
pub(crate) use words::{answer, heard};

use std::future::Future;
use std::pin::Pin;

/// What an [`Admission`] decides.
pub type Admitting = Pin<Box<dyn Future<Output = Result<Admitted, NotAdmitted>> + Send>>;

/// Decides who is admitted: the cluster's owner keeps the tokens and the authority.
pub trait Admission: Send + Sync {
    /// Uses up the token that was shown, and signs.
    fn admit(&self, ask: JoinAsk) -> Admitting;
}
