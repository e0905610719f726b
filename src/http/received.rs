//! Bodies of requests as they come in. An answer that goes out before its request's body has come
//! whole would end an HTTP/2 stream with a reset, and some clients then throw the answer away: what
//! is left of a small body is read and dropped instead.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cluster::spawn_named;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// What is left of a body is read up to so many bytes, for so long.
const LEFT: u64 = 4 * 1024 * 1024;
const TIME: Duration = Duration::from_secs(5);

/// A body that may be dropped before its end.
#[derive(Debug)]
pub(crate) struct Received<B: Rest = Incoming> {
    inner: Option<B>,
    /// Over HTTP/1.1 a connection with an unread body just ends after the answer.
    multiplexed: bool,
}

/// A body that can be read to its end by a task of its own.
pub(crate) trait Rest: Body<Data = Bytes> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Rest for B {}

// === impl Received ===

impl<B: Rest> Received<B> {
    /// The body of a request of this version.
    pub(crate) fn new(inner: B, version: Version) -> Self {
        Self {
            inner: Some(inner),
            multiplexed: version == Version::HTTP_2,
        }
    }

    /// A request with such a body.
    pub(crate) fn of(request: Request<B>) -> Request<Self> {
        let version = request.version();
        request.map(|body| Self::new(body, version))
    }
}

impl<B: Rest> Body for Received<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.inner {
            Some(inner) => Pin::new(inner).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.as_ref();
        inner.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Rest> Drop for Received<B> {
    fn drop(&mut self) {
        let Some(rest) = self.inner.take_if(|_| self.multiplexed) else {
            return;
        };
        let unread = !rest.is_end_stream() && rest.size_hint().lower() <= LEFT;
        // While the process ends there is nobody left to read it.
        if unread && tokio::runtime::Handle::try_current().is_ok() {
            spawn_named("unread body", tokio::time::timeout(TIME, forget(rest)));
        }
    }
}

/// Reads to the end, or so far that the client has to learn it the hard way.
async fn forget(mut rest: impl Rest) {
    let mut read = 0;
    while let Some(Ok(frame)) = rest.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len) as u64;
        if read > LEFT {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A body of what is sent to it.
    struct Sent(Receiver<Bytes>);

    impl Body for Sent {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let next = self.0.poll_recv(cx);
            next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn body(version: Version) -> (Sender<Bytes>, Received<Sent>) {
        let (sender, receiver) = channel(1);
        (sender, Received::new(Sent(receiver), version))
    }

    const PIECE: Bytes = Bytes::from_static(&[0; 64 * 1024]);

    #[tokio::test]
    async fn what_nobody_reads_of_a_stream_is_taken_up_to_a_bound() {
        let (sender, received) = body(Version::HTTP_2);
        drop(received);
        let mut taken = 0;
        while sender.send(PIECE).await.is_ok() {
            taken += PIECE.len() as u64;
        }
        assert!(
            (LEFT..=LEFT + 3 * PIECE.len() as u64).contains(&taken),
            "{taken}"
        );
    }

    #[tokio::test]
    async fn a_body_over_http_1_is_left_alone() {
        let (sender, received) = body(Version::HTTP_11);
        drop(received);
        assert!(sender.send(PIECE).await.is_err());
    }
}
