//! Standard error behind a bounded buffer. Whoever logs leaves a line and goes on; one thread
//! writes. When nobody reads standard error, requests go on all the same: what does not fit any
//! more is dropped, counted, and told about as soon as there is room.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that may wait to be written; as many again may be on their way.
const LIMIT: usize = 1 << 20;

/// Lines on their way out.
#[derive(Debug)]
pub(super) struct Lines {
    limit: usize,
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
    dropped: u64,
    /// Dropped ones that a line has told about.
    told: u64,
}

// === impl Lines ===

impl Lines {
    /// Begins writing to `out`, on a thread of its own.
    ///
    /// # Errors
    /// When the machine has no room for a thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let lines = Arc::new(Self::bounded(LIMIT));
        let mine = Arc::clone(&lines);
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || mine.write_to(out))?;
        Ok(lines)
    }

    fn bounded(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        }
    }

    /// Lines dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// Waits until everything is written, at most so long: a reader that is gone must not keep
    /// the process from ending.
    pub(super) fn finish(&self, within: Duration) {
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        let _ = self
            .written
            .wait_timeout_while(self.state(), within, busy)
            .unwrap_or_else(PoisonError::into_inner);
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len().saturating_add(line.len()) > self.limit {
            state.dropped = state.dropped.saturating_add(1);
            return;
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.filled.notify_one();
    }

    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            self.take(&mut batch);
            // Nobody can be told that standard error is gone.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            let untold = self.done();
            if untold > 0 {
                tracing::warn!(
                    lines = untold,
                    "log lines were dropped, standard error is read too slowly"
                );
            }
        }
    }

    /// Swaps what waits for an empty batch; blocks until there is something.
    fn take(&self, batch: &mut Vec<u8>) {
        let empty = |state: &mut State| state.waiting.is_empty();
        let mut state = self
            .filled
            .wait_while(self.state(), empty)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, batch);
        state.writing = true;
    }

    /// A batch is out; gives how many dropped lines nobody was told about.
    fn done(&self) -> u64 {
        let mut state = self.state();
        state.writing = false;
        let untold = state.dropped.saturating_sub(state.told);
        state.told = state.dropped;
        drop(state);
        self.written.notify_all();
        untold
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// One call is one line: that is how the subscriber writes.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes each batch only when told to.
    struct Slow {
        go: mpsc::Receiver<()>,
        seen: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            let _ = self.seen.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_does_not_fit_is_dropped_and_counted_and_the_others_come_in_order() {
        let lines = Lines::bounded(10);
        for line in ["one\n", "two\n", "three\n", "x\n"] {
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        let mut batch = Vec::new();
        lines.take(&mut batch);
        assert_eq!(batch, b"one\ntwo\nx\n");
        assert_eq!((lines.done(), lines.dropped()), (1, 1));
        (&lines).write_all(b"four\n").unwrap();
        batch.clear();
        lines.take(&mut batch);
        assert_eq!(batch, b"four\n");
        assert_eq!(lines.done(), 0, "told once");
    }

    #[test]
    fn nobody_waits_for_a_reader_and_finishing_waits_for_what_is_left_or_gives_up() {
        let (release, go) = mpsc::channel();
        let (sender, seen) = mpsc::channel();
        let lines = Lines::start(Slow { go, seen: sender }).unwrap();
        (&*lines).write_all(b"first\n").unwrap();
        (&*lines).write_all(b"second\n").unwrap();
        lines.finish(Duration::from_millis(1));
        assert!(seen.try_recv().is_err(), "the reader is stuck");
        for _ in 0..3 {
            release.send(()).unwrap();
        }
        lines.finish(Duration::from_secs(60));
        let all: Vec<u8> = seen.try_iter().flatten().collect();
        assert_eq!(all, b"first\nsecond\n");
    }
}
