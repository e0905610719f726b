//! Request bodies that have to come in time (threat 21): each piece within some seconds, and the
//! whole within minutes, so that whoever sends slowly holds no connection for long.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// Between two pieces of a body.
const PAUSE: Duration = Duration::from_secs(10);
/// A body from its begin to its end.
const WHOLE: Duration = Duration::from_secs(120);

/// A body that ends with [`Late`] when it does not come in time.
pub(crate) struct TimedBody {
    inner: Body,
    limit: Duration,
    pause: Pin<Box<Sleep>>,
    whole: Pin<Box<Sleep>>,
}

/// The body did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not come in time")]
pub(crate) struct Late;

// === impl TimedBody ===

impl TimedBody {
    /// Gives a body its time.
    pub(crate) fn wrap(inner: Body) -> Body {
        if inner.is_end_stream() {
            return inner;
        }
        Body::new(Self::within(inner, PAUSE, WHOLE))
    }

    fn within(inner: Body, pause: Duration, whole: Duration) -> Self {
        Self {
            inner,
            limit: pause,
            pause: Box::pin(sleep(pause)),
            whole: Box::pin(sleep(whole)),
        }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.pause = Box::pin(sleep(self.limit));
            if self.whole.as_mut().poll(context).is_pending() {
                return Poll::Ready(frame);
            }
        } else if self.whole.as_mut().poll(context).is_pending() {
            ready!(self.pause.as_mut().poll(context));
        }
        Poll::Ready(Some(Err(axum::Error::new(Late))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether a body was cut off because it came late.
pub(crate) fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<Late>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    /// Never goes on.
    struct Stalled;

    impl HttpBody for Stalled {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Pending
        }
    }

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_body_that_stops_or_takes_too_long_ends_as_late_and_others_pass() {
        for (pause, whole) in [(SHORT, LONG), (LONG, SHORT)] {
            let body = TimedBody::within(Body::new(Stalled), pause, whole);
            let error = body.collect().await.unwrap_err();
            assert!(is_late(&error), "{error:?}");
        }
        let whole = Body::new(Full::new(Bytes::from_static(b"abc")));
        let body = TimedBody::within(whole, SHORT, SHORT);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }
}
