//! Texts that their readers must take at a least rate. What is on its way to a reader takes room that
//! all readers share, so one who takes a few bytes now and then must not keep it: when the time is
//! over the text is let go, whether the reader asks for more or not, and the answer breaks off.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use cluster::spawn_named;
use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Time that every reader has, however short the text.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes of each second beyond.
const RATE: usize = 64 * 1_024;
/// Bytes handed over at once; copied, so that a connection holds these and not the text.
const PIECE: usize = 64 * 1_024;

/// A body that is taken in time or breaks off.
pub(super) struct LeastRate<T> {
    /// None when the time is over.
    text: Arc<Mutex<Option<T>>>,
    sent: usize,
    length: usize,
    _until: DropGuard,
}

/// The reader was too slow.
#[derive(Debug, thiserror::Error)]
#[error("the answer was not taken in time")]
pub(super) struct TooSlow;

// === impl LeastRate ===

impl<T: AsRef<[u8]> + Send + 'static> LeastRate<T> {
    /// Gives a text to a reader.
    pub(super) fn of(text: T) -> Self {
        let seconds = text.as_ref().len().div_ceil(RATE);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        Self::within(text, GRACE.saturating_add(Duration::from_secs(seconds)))
    }

    fn within(text: T, time: Duration) -> Self {
        let length = text.as_ref().len();
        let text = Arc::new(Mutex::new(Some(text)));
        let (taken, until) = (CancellationToken::new(), Arc::clone(&text));
        let guard = taken.clone().drop_guard();
        spawn_named("devportal.least_rate", async move {
            if tokio::time::timeout(time, taken.cancelled()).await.is_err() {
                drop(held(&until).take());
            }
        });
        Self {
            text,
            sent: 0,
            length,
            _until: guard,
        }
    }
}

fn held<T>(text: &Mutex<Option<T>>) -> std::sync::MutexGuard<'_, Option<T>> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: AsRef<[u8]> + Send + 'static> HttpBody for LeastRate<T> {
    type Data = Bytes;
    type Error = TooSlow;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooSlow>>> {
        if self.sent >= self.length {
            return Poll::Ready(None);
        }
        let end = self.length.min(self.sent.saturating_add(PIECE));
        let piece = held(&self.text)
            .as_ref()
            .and_then(|text| text.as_ref().get(self.sent..end))
            .map(Bytes::copy_from_slice);
        let Some(piece) = piece else {
            return Poll::Ready(Some(Err(TooSlow)));
        };
        self.sent = end;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent >= self.length
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.length.saturating_sub(self.sent);
        SizeHint::with_exact(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// A text that says when it is let go.
    struct Watched(Vec<u8>, Option<tokio::sync::oneshot::Sender<()>>);

    impl AsRef<[u8]> for Watched {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            let _ = self.1.take().map(|gone| gone.send(()));
        }
    }

    fn watched(length: usize) -> (Watched, tokio::sync::oneshot::Receiver<()>) {
        let (gone, is_gone) = tokio::sync::oneshot::channel();
        (Watched(vec![b'x'; length], Some(gone)), is_gone)
    }

    #[tokio::test]
    async fn a_text_is_let_go_when_its_time_is_over_though_its_reader_asks_for_nothing() {
        let (text, is_gone) = watched(3 * PIECE);
        let mut body = LeastRate::within(text, Duration::from_millis(5));
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap().len(), PIECE);
        let gone = tokio::time::timeout(Duration::from_secs(20), is_gone).await;
        gone.expect("it is let go").unwrap();
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_text_that_is_taken_in_time_comes_whole_and_is_let_go_at_once() {
        let (text, is_gone) = watched(2 * PIECE + 1);
        let body = LeastRate::of(text);
        assert_eq!(body.size_hint().exact(), u64::try_from(2 * PIECE + 1).ok());
        let taken = body.collect().await.unwrap().to_bytes();
        assert_eq!(taken.len(), 2 * PIECE + 1);
        is_gone.await.unwrap();
    }
}
