//! The stream of a connection, between the socket (or TLS) and hyper. It notes when the first byte
//! of a head came and when everything was written out (`turn`), can give hyper's bare refusals
//! a body, and reads on for a moment after the end, so that the last answer is not
//! lost to a reset.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::patience::Waiting;
use crate::turn::Turn;

/// How long a caller may go on sending after our end: closing at once would reset the connection,
/// and the answer could be lost.
const LINGER: Duration = Duration::from_secs(2);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is said where hyper refuses a head with a bare status.
pub(super) trait Refusals: Unpin {
    /// The answer in place of these bytes of hyper's, if they are such a refusal; so many bytes of
    /// the head's first line had come.
    fn in_place_of(&self, bytes: &[u8], line: usize) -> Option<Bytes>;
}

/// Hyper's refusals as they are.
pub(super) struct Bare;

/// A stream that knows whose turn it is.
pub(super) struct Watched<S, R> {
    inner: S,
    turn: Arc<Turn>,
    refusals: R,
    /// How much of HTTP/2's preface has come, while nothing else has.
    preface: Option<usize>,
    /// The first line of the head that is coming: its bytes so far, and whether that is all.
    line: (usize, bool),
    /// What is left of an answer in place of hyper's; everything else is then dropped.
    refusal: Option<Bytes>,
    /// The time since our end, once that was told.
    lingering: Option<Waiting>,
}

// === impl Bare ===

impl Refusals for Bare {
    fn in_place_of(&self, _bytes: &[u8], _line: usize) -> Option<Bytes> {
        None
    }
}

// === impl Watched ===

impl<S: AsyncRead + AsyncWrite + Unpin, R: Refusals> Watched<S, R> {
    pub(super) const fn new(inner: S, turn: Arc<Turn>, refusals: R) -> Self {
        Self {
            inner,
            turn,
            refusals,
            preface: Some(0),
            line: (0, false),
            refusal: None,
            lingering: None,
        }
    }

    fn note(&mut self, came: &[u8]) {
        if self.turn.came() {
            self.line = (0, false);
        }
        if let (length, false) = self.line {
            let end = came.iter().position(|byte| *byte == b'\n');
            self.line = (length + end.unwrap_or(came.len()), end.is_some());
        }
        let Some(known) = self.preface else {
            return;
        };
        let wanted = PREFACE.get(known..).unwrap_or_default();
        let length = wanted.len().min(came.len());
        self.preface = (came.get(..length) == wanted.get(..length)).then_some(known + length);
        if self.preface == Some(PREFACE.len()) {
            self.preface = None;
            self.turn.is_preface();
        }
    }

    /// Whether `bytes` are a refusal of hyper's own; they are then replaced.
    fn is_replaced(&mut self, bytes: &[u8]) -> bool {
        if self.refusal.is_some() {
            return true;
        }
        if !self.turn.is_quiet() || self.turn.is_http2() {
            return false;
        }
        let Some(text) = self.refusals.in_place_of(bytes, self.line.0) else {
            return false;
        };
        self.refusal = Some(text);
        true
    }

    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.refusal.as_mut().filter(|left| left.has_remaining()) {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => left.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and drops what the caller still sends, until it ends or it has had its time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        loop {
            let mut scratch = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(())) if !scratch.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        if let Some(waiting) = &mut self.lingering {
            ready!(waiting.poll_over(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Refusals> AsyncRead for Watched<S, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let came = buf.filled().get(before..).unwrap_or_default();
        if !came.is_empty() {
            self.note(came);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Refusals> AsyncWrite for Watched<S, R> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_replaced(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = pieces.iter().find(|piece| !piece.is_empty());
        if first.is_some_and(|first| self.is_replaced(first)) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.turn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.lingering = Some(Waiting::new(LINGER, u64::MAX));
        }
        if self.turn.is_http2() {
            return Poll::Ready(Ok(()));
        }
        self.poll_linger(cx)
    }
}
