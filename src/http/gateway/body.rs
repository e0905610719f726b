//! Bodies of the data plane: streamed frame by frame with the back-pressure of both sides,
//! counted, limited, never held.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::patience::Waiting;

use super::account::Account;
use super::intake::Side;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum GatewayBody {
    /// Known whole.
    Full(Option<Bytes>),
    /// Passed through from the upstream; the account closes when it is dropped.
    Upstream {
        /// What the upstream sends.
        inner: Incoming,
        /// Where the call is accounted.
        account: Box<Account>,
        /// How long the upstream may say nothing.
        waiting: Waiting,
    },
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyFault {
    /// More bytes than the gateway takes.
    #[error("the body is larger than gateway.body_limit")]
    TooLarge,
    /// The client did not send it whole.
    #[error("the body did not arrive whole")]
    Broken(#[source] hyper::Error),
    /// The client sends it too slowly.
    #[error("the body did not arrive within gateway.body_timeout_ms a KiB")]
    Slow,
    /// The upstream ended it.
    #[error("the upstream did not send its body whole")]
    Upstream(#[source] hyper::Error),
    /// A change ended what the call rests on (S2).
    #[error("a change ended what the call rests on")]
    Ended,
    /// The upstream says nothing more.
    #[error("the upstream sent nothing within gateway.response_timeout_ms")]
    Stalled,
}

// === impl GatewayBody ===

impl GatewayBody {
    /// A known body.
    pub(super) const fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    /// A known body's bytes.
    pub(super) fn whole(self) -> Option<Bytes> {
        match self {
            Self::Full(bytes) => bytes,
            Self::Upstream { .. } => None,
        }
    }

    /// No body.
    pub(super) const fn empty() -> Self {
        Self::Full(None)
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut *self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream {
                inner,
                account,
                waiting,
            } => {
                if account.intake.is_cut() {
                    account.broken = true;
                    return Poll::Ready(Some(Err(BodyFault::Ended)));
                }
                let Poll::Ready(frame) = Pin::new(&mut *inner).poll_frame(cx) else {
                    let fault = match account.intake.poll_cut(cx, Side::Answer) {
                        Poll::Ready(_) => BodyFault::Ended,
                        Poll::Pending => {
                            ready!(waiting.poll_over(cx));
                            BodyFault::Stalled
                        }
                    };
                    account.broken = true;
                    return Poll::Ready(Some(Err(fault)));
                };
                match &frame {
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        account.passed(bytes as u64);
                        account.broken = !inner.is_end_stream();
                        waiting.came(bytes as u64);
                    }
                    Some(Err(_)) => account.broken = true,
                    None => account.broken = false,
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyFault::Upstream)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Upstream { inner, .. } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Upstream { inner, .. } => inner.size_hint(),
        }
    }
}
