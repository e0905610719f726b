//! A connection with an upstream that can be ended from elsewhere: hyper asks a body for nothing while
//! the socket takes nothing, so what a body says then is not heard.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cluster::Clock;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

/// Makes connections that can be ended.
#[derive(Debug, Clone)]
pub(super) struct Endables<C> {
    connector: C,
    clock: Clock,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Endable<S> {
    inner: S,
    clock: Clock,
    ending: Ending,
}

/// Ends it, and knows when it took something. Comes with each answer over it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    /// Microseconds of the boot clock when something was last written.
    taken: AtomicU64,
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

    /// When the other end, or what lies on the way to it, last took something. hyper asks a body for more only once
    /// all of what it had is written: of what flows slowly that may be long after.
    pub(super) fn taken(&self) -> Duration {
        Duration::from_micros(self.0.taken.load(Ordering::Relaxed))
    }

    fn took(&self, now: Duration) {
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.0.taken.store(now, Ordering::Relaxed);
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

impl<C> Endables<C> {
    /// Those that `connector` makes.
    pub(super) const fn new(connector: C, clock: Clock) -> Self {
        Self { connector, clock }
    }
}

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
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.connector.call(to);
        let clock = self.clock.clone();
        Box::pin(async move {
            let inner = connecting.await?;
            Ok(Endable::new(inner, clock))
        })
    }
}

// === impl Endable ===

impl<S> Endable<S> {
    pub(super) fn new(inner: S, clock: Clock) -> Self {
        Self {
            inner,
            clock,
            ending: Ending::default(),
        }
    }

    /// What ends it.
    #[cfg(test)]
    pub(super) const fn ending(&self) -> &Ending {
        &self.ending
    }

    fn wrote(&self, cx: &Context<'_>, came: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(came, Poll::Ready(Ok(1..))) {
            self.ending.took(self.clock.monotonic());
        }
        self.ending.unless_over(cx, came)
    }
}

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
        self.wrote(cx, came)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.wrote(cx, came)
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
        let mut endable = Endable::new(TokioIo::new(near), Clock::system());
        let ending = endable.ending.clone();
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

    #[tokio::test]
    async fn what_is_written_is_taken_then_and_what_is_not_never() {
        let (near, _far) = tokio::io::duplex(64);
        let clock = Clock::system();
        let mut endable = Endable::new(TokioIo::new(near), clock.clone());
        let ending = endable.ending.clone();
        assert_eq!(ending.taken(), Duration::ZERO);
        let mut all = 0;
        while all < 64 {
            let began = clock.monotonic();
            let pieces = [IoSlice::new(&[0; 8]), IoSlice::new(&[0; 8])];
            let written = poll_fn(|cx| match all {
                0..32 => Pin::new(&mut endable).poll_write(cx, &[0; 8]),
                _ => Pin::new(&mut endable).poll_write_vectored(cx, &pieces),
            });
            all += written.await.unwrap();
            assert!(ending.taken() + Duration::from_micros(1) > began);
        }
        let taken = ending.taken();
        while clock.monotonic() <= taken + Duration::from_micros(1) {
            tokio::task::yield_now().await;
        }
        let written = poll_fn(|cx| Poll::Ready(Pin::new(&mut endable).poll_write(cx, &[0; 8])));
        assert!(written.await.is_pending());
        assert_eq!(ending.taken(), taken);
    }
}
