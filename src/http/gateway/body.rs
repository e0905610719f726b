//! Bodies of the data plane: streamed frame by frame with the back-pressure of both sides,
//! counted, limited, never held.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::account::Account;
use super::meters::Meters;

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
    },
}

/// The body of a request on its way to the upstream.
#[derive(Debug)]
pub(super) struct RequestBody {
    inner: Incoming,
    counted: Arc<AtomicU64>,
    limit: u64,
    /// Counts the bytes, when a policy limits them.
    meters: Option<Arc<Meters>>,
}

/// Why a request body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyFault {
    /// More bytes than the gateway takes.
    #[error("the body is larger than gateway.body_limit")]
    TooLarge,
    /// The client did not send it whole.
    #[error("the body did not arrive whole")]
    Broken(#[source] hyper::Error),
}

// === impl GatewayBody ===

impl GatewayBody {
    /// A known body.
    pub(super) const fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    /// No body.
    pub(super) const fn empty() -> Self {
        Self::Full(None)
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream { inner, account } => {
                let frame = ready!(Pin::new(inner).poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        account.passed(bytes as u64);
                    }
                    Some(Err(_)) => account.broken = true,
                    None => {}
                }
                Poll::Ready(frame)
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

// === impl RequestBody ===

impl RequestBody {
    pub(super) const fn new(
        inner: Incoming,
        counted: Arc<AtomicU64>,
        limit: u64,
        meters: Option<Arc<Meters>>,
    ) -> Self {
        Self {
            inner,
            counted,
            limit,
            meters,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Poll::Ready(Some(Err(BodyFault::Broken(error)))),
        };
        // Trailers could carry what was stripped from the head.
        let Ok(data) = frame.into_data() else {
            return Poll::Ready(None);
        };
        let bytes = data.len() as u64;
        let sum = self.counted.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(meters) = &self.meters {
            meters.count(bytes);
        }
        if sum > self.limit {
            return Poll::Ready(Some(Err(BodyFault::TooLarge)));
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
