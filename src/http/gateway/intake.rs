//! How far the body of a request has come, whose turn it is, and whether a change has ended the call:
//! shared by the body, by who waits for the answer, and by the account.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::fault::Fault;
use super::upload::Upload;

/// The state of one request's body.
#[derive(Debug, Default)]
pub(super) struct Intake {
    bytes: AtomicU64,
    /// Microseconds of the boot clock since which it is somebody's turn; twice, plus one for the
    /// caller.
    turn: AtomicU64,
    /// What a new call like this one is answered, once a change has ended what it rests on.
    cut: OnceLock<Box<Fault>>,
    /// Who waits on either side, to be woken then.
    wakers: Mutex<[Option<Waker>; 2]>,
    /// The body itself, where there is one.
    upload: OnceLock<Weak<Upload>>,
}

/// A side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Whoever waits for the caller's body.
    Request,
    /// Whoever waits for the upstream's answer.
    Answer,
}

/// Whom the gateway waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The caller has more to send.
    Caller,
    /// The upstream has something to take or to answer.
    Upstream,
}

// === impl Intake ===

impl Intake {
    /// Bytes from the caller so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many bytes more; gives the sum.
    pub(super) fn came(&self, bytes: u64) -> u64 {
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Everything that came is the upstream's, which has its time from now on.
    pub(super) fn handed_on(&self, now: Duration) {
        self.set(now, 0);
    }

    /// The caller is waited for from now on, if not before.
    pub(super) fn wanting(&self, now: Duration) {
        if self.turn.load(Ordering::Relaxed) & 1 == 0 {
            self.set(now, 1);
        }
    }

    /// Whose turn it is, and since when.
    pub(super) fn turn(&self) -> (Turn, Duration) {
        let turn = self.turn.load(Ordering::Relaxed);
        let whose = if turn & 1 == 1 {
            Turn::Caller
        } else {
            Turn::Upstream
        };
        (whose, Duration::from_micros(turn >> 1))
    }

    /// The request has this body.
    pub(super) fn carries(&self, upload: Weak<Upload>) {
        let _ = self.upload.set(upload);
    }

    /// The request's body, while there is somebody who may ask for it.
    pub(super) fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.get().and_then(Weak::upgrade)
    }

    /// Whether a change has ended the call.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.get().is_some()
    }

    /// A change has ended what the call rests on: both sides end. Whether it is the first to do so.
    pub(super) fn cut(&self, fault: Fault) -> bool {
        let is_first = self.cut.set(Box::new(fault)).is_ok();
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut *wakers);
        drop(wakers);
        waiting.into_iter().flatten().for_each(Waker::wake);
        // Nobody may ask for it, for as long as the upstream takes nothing.
        if let Some(upload) = self.upload() {
            upload.end();
        }
        is_first
    }

    /// Ready once a change has ended the call.
    pub(super) fn poll_cut(&self, cx: &Context<'_>, side: Side) -> Poll<&Fault> {
        {
            let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            let [request, answer] = &mut *wakers;
            let place = match side {
                Side::Request => request,
                Side::Answer => answer,
            };
            match place {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *place = Some(cx.waker().clone()),
            }
        }
        // After that: who cuts it now either is seen here or finds the waker.
        match self.cut.get() {
            Some(fault) => Poll::Ready(fault),
            None => Poll::Pending,
        }
    }

    /// Waits for a change that ends the call.
    pub(super) async fn ended(&self, side: Side) -> Fault {
        poll_fn(|cx| self.poll_cut(cx, side).map(Fault::clone)).await
    }

    fn set(&self, now: Duration, caller: u64) {
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX >> 1);
        self.turn.store(now << 1 | caller, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_time_begins_with_the_last_byte_and_the_callers_with_the_first_wait() {
        let at = Duration::from_millis;
        let intake = Intake::default();
        intake.handed_on(at(10));
        assert_eq!(intake.turn(), (Turn::Upstream, at(10)));
        intake.wanting(at(20));
        intake.wanting(at(30));
        assert_eq!(intake.turn(), (Turn::Caller, at(20)));
        assert_eq!((intake.came(3), intake.came(4)), (3, 7));
        intake.handed_on(at(40));
        assert_eq!(intake.turn(), (Turn::Upstream, at(40)));
        assert_eq!(intake.bytes(), 7);
    }
}
