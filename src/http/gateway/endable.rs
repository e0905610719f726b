//! A connection with an upstream that can be ended from elsewhere: hyper asks a body for nothing while
//! the socket takes nothing, so what a body says then is not heard.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

/// Makes connections that can be ended.
#[derive(Debug, Clone)]
pub(super) struct Endables<C>(pub(super) C);

/// One of them.
#[derive(Debug)]
pub(super) struct Endable<S> {
    inner: S,
    ending: Ending,
}

/// Ends it. Comes with each answer over it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    /// Whoever drives the connection, while it waits for the socket.
    driver: Mutex<Option<Waker>>,
}

// === impl Ending ===

impl Ending {
    /// From now on it neither reads nor writes.
    pub(super) fn end(&self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        let mut driver = self.0.driver.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = driver.take();
        drop(driver);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// What came of it, unless it is over.
    fn unless_over<T>(&self, cx: &Context<'_>, came: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if came.is_pending() {
            let mut driver = self.0.driver.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *driver {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *driver = Some(cx.waker().clone()),
            }
        }
        // After that: who ends it now either is seen here or finds the waker.
        if self.0.is_over.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        came
    }
}

// === impl Endables ===

type Connecting<S, E> = Pin<Box<dyn Future<Output = Result<Endable<S>, E>> + Send>>;

impl<C> Service<Uri> for Endables<C>
where
    C: Service<Uri>,
    C::Response: Send + 'static,
    C::Error: Send + 'static,
    C::Future: Send + 'static,
{
    type Response = Endable<C::Response>;
    type Error = C::Error;
    type Future = Connecting<C::Response, C::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            let inner = connecting.await?;
            let ending = Ending::default();
            Ok(Endable { inner, ending })
        })
    }
}

// === impl Endable ===

impl<S: Connection> Connection for Endable<S> {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(self.ending.clone())
    }
}

impl<S: Read + Unpin> Read for Endable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.ending.unless_over(cx, came)
    }
}

impl<S: Write + Unpin> Write for Endable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.ending.unless_over(cx, came)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.ending.unless_over(cx, came)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.inner).poll_flush(cx);
        self.ending.unless_over(cx, came)
    }

    /// Nothing is said to whoever takes nothing.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.ending.unless_over(cx, came)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper_util::rt::TokioIo;

    use super::*;

    #[tokio::test]
    async fn one_whose_other_end_takes_nothing_ends_when_it_is_told_to() {
        let (near, _far) = tokio::io::duplex(64);
        let ending = Ending::default();
        let mut endable = Endable {
            inner: TokioIo::new(near),
            ending: ending.clone(),
        };
        let writing = cluster::spawn_named("writing", async move {
            loop {
                poll_fn(|cx| Pin::new(&mut endable).poll_write(cx, &[0; 48])).await?;
            }
            #[allow(unreachable_code, reason = "says what the task gives")]
            Ok::<(), io::Error>(())
        });
        while ending.0.driver.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        ending.end();
        let error = writing.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
