//! How long the edges of the data plane wait: for a head, for a request on an idle connection, for
//! the next piece of a body (threats 33).

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A caller's body must bring so many bytes, or its end, within [`Patience::body`].
pub(super) const PIECE: u64 = 1024;

/// How long a caller may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first byte of a head to its last; for a TLS handshake.
    pub head: Duration,
    /// Without a request on an open connection, and without taking anything of an answer.
    pub idle: Duration,
    /// For the next KiB of a body.
    pub body: Duration,
}

/// Time spent waiting for one side of a stream. It stands still while the other side is waited
/// for, and a stream that flows costs no timer.
#[derive(Debug)]
pub(super) struct Waiting {
    limit: Duration,
    piece: u64,
    left: Duration,
    got: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Patience ===

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(30),
        }
    }
}

// === impl Waiting ===

impl Waiting {
    /// Waits at most `limit` for each `piece` bytes.
    pub(super) const fn new(limit: Duration, piece: u64) -> Self {
        Self {
            limit,
            piece,
            left: limit,
            got: 0,
            timer: None,
        }
    }

    /// Something came.
    pub(super) fn came(&mut self, bytes: u64) {
        self.got = self.got.saturating_add(bytes);
        let timer = self.timer.take();
        if self.got >= self.piece {
            self.got = 0;
            self.left = self.limit;
        } else if let Some(timer) = timer {
            self.left = timer.deadline().saturating_duration_since(Instant::now());
        }
    }

    /// Nothing is there; ready when that has lasted too long.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.left;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(left)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn a_trickle_below_the_piece_uses_up_the_time_and_a_piece_gives_it_back() {
        let mut waiting = Waiting::new(LIMIT, 10);
        let began = Instant::now();
        poll_fn(|cx| Poll::Ready(waiting.poll_over(cx).is_ready())).await;
        sleep(LIMIT / 2).await;
        waiting.came(9);
        poll_fn(|cx| waiting.poll_over(cx)).await;
        assert!(began.elapsed() < LIMIT * 2, "the trickle got a new limit");
        waiting.came(1);
        assert_eq!(waiting.left, LIMIT);
    }

    #[tokio::test]
    async fn time_that_the_other_side_takes_does_not_count() {
        let mut waiting = Waiting::new(LIMIT, 10);
        waiting.came(1);
        sleep(LIMIT * 2).await;
        let over = poll_fn(|cx| Poll::Ready(waiting.poll_over(cx).is_ready())).await;
        assert!(!over);
    }
}
