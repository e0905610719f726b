//! Connections between nodes: our own accept and dial loops, with deadlines and bounds, because
//! those of the library below have none. A connection is handed on only when both ends have said
//! who they are and want each other.

mod accept;
mod dial;
mod link;
mod places;
mod port;
mod socket;

pub(crate) use accept::{Arrival, Gate, accept};
pub(crate) use dial::{DialError, Dialed, dial, dial_for_bulk};
pub(crate) use link::{LinkStream, Shut};
pub(crate) use port::Port;

use tokio::io::{AsyncRead, AsyncWrite};

/// Any stream of bytes, plain or encrypted.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A stream of any kind.
pub(crate) type AnyStream = Box<dyn Stream>;
