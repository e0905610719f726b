//! A connection that can be shut from outside, whatever its owner is doing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ractor_cluster::{BoxRead, BoxWrite, ClusterBidiStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::AnyStream;

/// The handle by which a connection is shut.
#[derive(Debug, Clone)]
pub(crate) struct Shut(CancellationToken);

/// The stream as the node server gets it.
pub(crate) struct LinkStream {
    label: String,
    stream: AnyStream,
    shut: CancellationToken,
}

struct Reader {
    half: ReadHalf<AnyStream>,
    shut: Pin<Box<WaitForCancellationFutureOwned>>,
}

struct Writer {
    half: WriteHalf<AnyStream>,
    shut: Pin<Box<WaitForCancellationFutureOwned>>,
}

// === impl Shut ===

impl Shut {
    /// Ends the connection; both directions fail from now on.
    pub(crate) fn shut(&self) {
        self.0.cancel();
    }
}

// === impl LinkStream ===

impl LinkStream {
    pub(crate) fn new(label: String, stream: AnyStream) -> (Self, Shut) {
        let shut = CancellationToken::new();
        let handle = Shut(shut.clone());
        let link = Self {
            label,
            stream,
            shut,
        };
        (link, handle)
    }
}

impl ClusterBidiStream for LinkStream {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        let (read, write) = tokio::io::split(self.stream);
        let reader = Reader {
            half: read,
            shut: Box::pin(self.shut.clone().cancelled_owned()),
        };
        let writer = Writer {
            half: write,
            shut: Box::pin(self.shut.cancelled_owned()),
        };
        (Box::new(reader), Box::new(writer))
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.label.clone())
    }
}

// === impl Reader, Writer ===

fn was_shut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was shut")
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.shut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(was_shut()));
        }
        Pin::new(&mut self.half).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.shut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(was_shut()));
        }
        Pin::new(&mut self.half).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(was_shut()));
        }
        Pin::new(&mut self.half).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}
