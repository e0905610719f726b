//! Whose turn it is on a connection: the caller's, to send a head, or ours, to answer. The stream
//! (`watched`) and the service tell it; the listener asks it when a connection has lasted too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use cluster::Clock;

use crate::patience::Patience;
use crate::untaken::{Place, Untaken};

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Turn {
    clock: Clock,
    /// Requests whose answer is not complete.
    open: AtomicUsize,
    /// On HTTP/2 heads are frames among others: there only idleness is judged.
    http2: AtomicBool,
    /// Not a byte has come.
    fresh: AtomicBool,
    /// The first byte of a head is there, its end is not.
    in_head: AtomicBool,
    /// The request that is open asks for another protocol.
    may_switch: AtomicBool,
    /// Everything that was answered has been written out.
    quiet: AtomicBool,
    /// Since when the caller idles or sends its head.
    since_ms: AtomicU64,
    /// Since when the caller takes nothing of what is written; 0 when it does.
    stuck_ms: AtomicU64,
    /// Answers whose caller takes nothing of them, on HTTP/2.
    untaken: Untaken,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Open {
    turn: Arc<Turn>,
    place: Place,
}

/// How a connection that has lasted too long ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Between requests: a request that comes at this moment is still answered.
    Gently,
    /// At once.
    Now,
}

// === impl Turn ===

impl Turn {
    /// A new connection: the caller's turn.
    pub(super) fn new(clock: Clock) -> Self {
        let now = milliseconds(&clock);
        Self {
            clock,
            open: AtomicUsize::new(0),
            http2: AtomicBool::new(false),
            fresh: AtomicBool::new(true),
            in_head: AtomicBool::new(false),
            may_switch: AtomicBool::new(false),
            quiet: AtomicBool::new(true),
            since_ms: AtomicU64::new(now),
            stuck_ms: AtomicU64::new(0),
            untaken: Untaken::new(now),
        }
    }

    /// Hands were shaken: the caller's time for its first head begins.
    pub(super) fn shaken(&self) {
        self.since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The caller was told that the connection ends: its time to leave begins.
    pub(super) fn told(&self) {
        self.since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// A head is complete.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.in_head.store(false, Ordering::Relaxed);
        self.quiet.store(false, Ordering::Relaxed);
        Open {
            turn: Arc::clone(self),
            place: Place::default(),
        }
    }

    /// Bytes came; whether they begin a head.
    pub(super) fn came(&self) -> bool {
        if self.open.load(Ordering::Relaxed) > 0
            || self.is_http2()
            || self.in_head.swap(true, Ordering::Relaxed)
        {
            return false;
        }
        self.fresh.store(false, Ordering::Relaxed);
        self.since_ms.store(self.now_ms(), Ordering::Relaxed);
        true
    }

    /// The connection speaks HTTP/2.
    pub(super) fn is_preface(&self) {
        self.http2.store(true, Ordering::Relaxed);
        self.in_head.store(false, Ordering::Relaxed);
        self.since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Whether it does.
    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Whether a request may be on its way that nothing is known of: a head has begun, or none has come yet.
    pub(super) fn is_awaited(&self) -> bool {
        self.fresh.load(Ordering::Relaxed) || self.in_head.load(Ordering::Relaxed)
    }

    /// Whether the connection may be another protocol's once the request that is open has been answered.
    pub(super) fn may_switch(&self) -> bool {
        self.may_switch.load(Ordering::Relaxed)
    }

    /// Whether no answer of ours is under way: what is written now comes from below us.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed) && self.open.load(Ordering::Relaxed) == 0
    }

    /// Whether the caller takes what is written to it.
    pub(super) fn taken(&self, taken: bool) {
        let stuck = self.stuck_ms.load(Ordering::Relaxed) > 0;
        if stuck == taken {
            let since = if taken { 0 } else { self.now_ms().max(1) };
            self.stuck_ms.store(since, Ordering::Relaxed);
        }
    }

    /// Everything has been written out.
    pub(super) fn flushed(&self) {
        if self.open.load(Ordering::Relaxed) == 0 && !self.quiet.swap(true, Ordering::Relaxed) {
            self.since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Waits until the connection has lasted too long.
    pub(super) async fn over(&self, patience: &Patience) -> End {
        loop {
            match self.judge(self.now_ms(), patience) {
                Ok(left_ms) => tokio::time::sleep(Duration::from_millis(left_ms.max(1))).await,
                Err(end) => return end,
            }
        }
    }

    /// When to look again, in milliseconds, or how it ends. What begins after a look lasts at
    /// least as long as the shorter limit, so no look comes too late.
    fn judge(&self, now_ms: u64, patience: &Patience) -> Result<u64, End> {
        let (head, idle) = (as_ms(patience.head), as_ms(patience.idle));
        let step = head.min(idle);
        let left = |since: u64, limit: u64, end: End| match limit
            .saturating_sub(now_ms.saturating_sub(since))
        {
            0 => Err(end),
            left => Ok(left.min(step)),
        };
        let stuck = self.stuck_ms.load(Ordering::Relaxed);
        if stuck > 0 {
            return left(stuck, idle, End::Now);
        }
        if self.open.load(Ordering::Relaxed) > 0 {
            if self.is_http2() && self.untaken.is_over(now_ms, idle) {
                return Err(End::Now);
            }
            return Ok(step.min(idle / 2));
        }
        let since = self.since_ms.load(Ordering::Relaxed);
        if self.is_http2() {
            return left(since, idle, End::Gently);
        }
        if !self.quiet.load(Ordering::Relaxed) {
            return Ok(step);
        }
        if self.in_head.load(Ordering::Relaxed) {
            return left(since, head, End::Now);
        }
        left(since, idle, End::Gently)
    }

    fn now_ms(&self) -> u64 {
        milliseconds(&self.clock)
    }
}

// === impl Open ===

impl Open {
    /// The request asks for another protocol.
    pub(super) fn may_switch(&mut self) {
        let turn = &self.turn;
        turn.may_switch.store(!turn.is_http2(), Ordering::Relaxed);
    }

    /// The answer was asked for a piece, and had one or not. Over HTTP/1.1 the socket tells whether it is taken.
    pub(super) fn asked(&mut self, had: bool) {
        if !self.turn.is_http2() {
            return;
        }
        if had {
            self.turn.untaken.offered(&mut self.place);
        } else {
            self.turn.untaken.withdrawn(&mut self.place);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let turn = &self.turn;
        turn.untaken.withdrawn(&mut self.place);
        turn.since_ms.store(turn.now_ms(), Ordering::Relaxed);
        turn.may_switch.store(false, Ordering::Relaxed);
        turn.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn milliseconds(clock: &Clock) -> u64 {
    as_ms(clock.monotonic())
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn() -> (Arc<Turn>, u64) {
        let turn = Arc::new(Turn::new(Clock::system()));
        let now = turn.since_ms.load(Ordering::Relaxed);
        (turn, now)
    }

    fn judge(turn: &Turn, at_ms: u64) -> Result<u64, End> {
        turn.judge(at_ms, &Patience::default())
    }

    #[test]
    fn an_idle_connection_lives_longer_than_a_slow_head() {
        let (turn, now) = turn();
        assert!(judge(&turn, now + 59_000).is_ok());
        assert_eq!(judge(&turn, now + 60_000), Err(End::Gently));
        assert!(turn.came() && !turn.came(), "a head begins once");
        let began = turn.since_ms.load(Ordering::Relaxed);
        assert!(judge(&turn, began + 9_999).is_ok());
        assert_eq!(judge(&turn, began + 10_000), Err(End::Now));
    }

    #[test]
    fn while_a_request_is_answered_the_caller_is_not_waited_for() {
        let (turn, now) = turn();
        turn.came();
        let open = turn.begin();
        assert!(judge(&turn, now + 3_600_000).is_ok());
        assert!(!turn.came(), "bytes of a body begin no head");
        turn.taken(false);
        let stuck = turn.stuck_ms.load(Ordering::Relaxed);
        assert_eq!(judge(&turn, stuck + 60_000), Err(End::Now));
        turn.taken(true);
        drop(open);
        assert!(!turn.is_quiet() && judge(&turn, now + 3_600_000).is_ok());
        turn.flushed();
        let since = turn.since_ms.load(Ordering::Relaxed);
        assert!(turn.is_quiet());
        assert_eq!(judge(&turn, since + 60_000), Err(End::Gently));
    }

    #[test]
    fn on_http2_an_answer_that_is_never_taken_ends_the_connection() {
        let (turn, now) = turn();
        turn.is_preface();
        let mut left = turn.begin();
        let mut others = turn.begin();
        let step = 10_000;
        for at in 1..20 {
            others.asked(true);
            assert!(judge(&turn, now + at * step).is_ok());
        }
        left.asked(true);
        let mut looks = (20..40).map(|at| {
            others.asked(true);
            judge(&turn, now + at * step)
        });
        assert_eq!(looks.find(Result::is_err), Some(Err(End::Now)));
    }

    #[test]
    fn on_http2_frames_between_requests_are_no_slow_head() {
        let (turn, now) = turn();
        turn.came();
        turn.is_preface();
        assert!(!turn.came());
        assert!(judge(&turn, now + 20_000).is_ok());
        let since = turn.since_ms.load(Ordering::Relaxed);
        assert_eq!(judge(&turn, since + 60_000), Err(End::Gently));
    }
}
