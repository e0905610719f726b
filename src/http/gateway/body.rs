//! Bodies of the data plane: streamed frame by frame with the back-pressure of both sides,
//! counted, limited, never held.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use cluster::Clock;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::patience::{PIECE, Waiting};
use crate::received::Received;

use super::account::Account;
use super::ingress::Settings;
use super::intake::{Intake, Side};
use super::meters::Meters;
use super::open_calls::Entered;

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

/// The body of a request on its way to the upstream.
#[derive(Debug)]
pub(super) struct RequestBody {
    inner: Received,
    intake: Arc<Intake>,
    /// None when there is no body.
    clock: Option<Clock>,
    limit: u64,
    /// Counts the bytes, when a policy limits them.
    meters: Option<Arc<Meters>>,
    waiting: Waiting,
    /// The call's place among the open ones, which ends no earlier than this.
    _open: Option<Arc<Entered>>,
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

// === impl RequestBody ===

impl RequestBody {
    /// At most `body_limit` bytes, each KiB within the patience for bodies.
    pub(super) fn new(
        inner: Received,
        intake: Arc<Intake>,
        clock: &Clock,
        settings: &Settings,
        meters: Option<Arc<Meters>>,
        open: Option<Arc<Entered>>,
    ) -> Self {
        let clock = (!inner.is_end_stream()).then(|| clock.clone());
        Self {
            inner,
            intake,
            clock,
            limit: settings.body_limit,
            meters,
            waiting: Waiting::new(settings.patience.body, PIECE),
            _open: open,
        }
    }

    /// It is somebody else's turn from now on.
    fn turn(&self, told: impl FnOnce(&Intake, Duration)) {
        if let Some(clock) = &self.clock {
            told(&self.intake, clock.monotonic());
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
        if self.intake.is_cut() {
            return Poll::Ready(Some(Err(BodyFault::Ended)));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            if self.intake.poll_cut(cx, Side::Request).is_ready() {
                return Poll::Ready(Some(Err(BodyFault::Ended)));
            }
            self.turn(Intake::wanting);
            ready!(self.waiting.poll_over(cx));
            return Poll::Ready(Some(Err(BodyFault::Slow)));
        };
        self.turn(Intake::handed_on);
        let Some(frame) = frame else {
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
        self.waiting.came(bytes);
        if let Some(meters) = &self.meters {
            meters.count(bytes);
        }
        if self.intake.came(bytes) > self.limit {
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
