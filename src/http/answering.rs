//! The body of an answer on its connection, which is told whether the caller takes it.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use crate::turn::Open;

/// An answer's body, for as long as its connection is ours.
#[derive(Debug)]
pub(crate) struct Answering<B> {
    inner: B,
    open: Open,
}

// === impl Answering ===

impl<B> Answering<B> {
    /// An answer that is ready to be taken.
    pub(crate) fn new(inner: B, mut open: Open) -> Self {
        open.asked(true);
        Self { inner, open }
    }
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        self.open.asked(frame.is_ready());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
