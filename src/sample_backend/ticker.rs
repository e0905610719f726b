//! A response body that comes line by line, so that a person sees whether a gateway streams.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use cluster::Clock;

/// `count` lines, one each interval, the first at once.
pub(crate) struct Ticker {
    clock: Clock,
    interval: Interval,
    sent: u32,
    count: u32,
}

// === impl Ticker ===

impl Ticker {
    pub(crate) fn new(clock: Clock, count: u32, every: Duration) -> Self {
        let mut interval = interval(every.max(Duration::from_millis(1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            clock,
            interval,
            sent: 0,
            count,
        }
    }
}

impl Body for Ticker {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.sent >= this.count {
            return Poll::Ready(None);
        }
        ready!(this.interval.poll_tick(cx));
        this.sent += 1;
        let line = format!(
            "{{\"tick\":{},\"at\":{}}}\n",
            this.sent,
            this.clock.now_ms()
        );
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(line)))))
    }
}
