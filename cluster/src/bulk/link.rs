//! The asker's end of such a connection.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use super::{ASKS, Places};
use crate::ask::AskError;
use crate::task::spawn_named;
use crate::transport::AnyStream;

/// One that nobody asks over for so long is closed; the next ask opens another.
const IDLE: Duration = Duration::from_secs(60);

/// An open connection.
pub(super) struct Link {
    frames: mpsc::Sender<Frame>,
    shared: Arc<Shared>,
}

/// What became of an ask.
pub(super) enum Sent {
    /// It was sent, and this came of it.
    Answered(Result<Vec<u8>, AskError>),
    /// The connection was over before: the ask with its places.
    Over(Vec<u8>, Places),
}

/// What the connection's task shares with those who ask.
struct Shared {
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    last: AtomicU64,
    over: CancellationToken,
    /// Parts of answers that came.
    parts: AtomicU64,
    /// An answer came whole.
    answered: Notify,
    /// The ask that was sent last.
    under_way: AtomicU64,
}

/// Someone who waits, or has given up: the places are taken until the answer is there.
struct Waiting {
    answer: oneshot::Sender<Vec<u8>>,
    places: Places,
}

// === impl Link ===

impl Link {
    /// Carries asks until `over`.
    pub(super) fn start(stream: AnyStream, over: CancellationToken) -> Self {
        // As many as have places, so that it is never full.
        let (frames, asked) = mpsc::channel(ASKS);
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            last: AtomicU64::new(0),
            over,
            parts: AtomicU64::new(0),
            answered: Notify::new(),
            under_way: AtomicU64::new(0),
        });
        let carried = Arc::clone(&shared);
        spawn_named(
            "bulk link",
            async move { carried.carry(stream, asked).await },
        );
        Self { frames, shared }
    }

    pub(super) fn is_over(&self) -> bool {
        self.shared.over.is_cancelled()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.shared.waiting().len()
    }

    /// Sends an ask and waits for its answer.
    pub(super) async fn ask(&self, bytes: Vec<u8>, deadline: Duration, places: Places) -> Sent {
        let number = self.shared.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { answer, places };
        self.shared.waiting().insert(number, waiting);
        let within_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let before = self.shared.parts.load(Ordering::Relaxed);
        let frame = Frame {
            number,
            within_ms,
            bytes,
        };
        if let Err(unsent) = self.frames.try_send(frame) {
            let frame = match unsent {
                mpsc::error::TrySendError::Full(frame)
                | mpsc::error::TrySendError::Closed(frame) => frame,
            };
            let kept = self.shared.waiting().remove(&number);
            return match kept {
                Some(kept) => Sent::Over(frame.bytes, kept.places),
                None => Sent::Answered(Err(AskError::Dropped)),
            };
        }
        Sent::Answered(match tokio::time::timeout(deadline, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(AskError::Dropped),
            Err(_) => {
                // Nothing at all came meanwhile: the next ask has a new connection. One that waited behind another's
                // cannot tell, as long as somebody waits for that.
                let is_silent = self.shared.parts.load(Ordering::Relaxed) == before;
                if is_silent && !self.shared.is_behind_another(number) {
                    self.shared.over.cancel();
                }
                Err(AskError::Timeout)
            }
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.over.cancel();
    }
}

// === impl Shared ===

impl Shared {
    async fn carry(&self, stream: AnyStream, mut asked: mpsc::Receiver<Frame>) {
        let (read, write) = tokio::io::split(stream);
        tokio::select! {
            () = self.over.cancelled() => {}
            ended = self.reading(read) => tell(&ended),
            ended = self.writing(write, &mut asked) => tell(&ended),
        }
        self.over.cancel();
        // In this order: what is handed over from now on comes back, what was before is dropped.
        drop(asked);
        self.waiting().clear();
    }

    async fn reading(&self, mut from: ReadHalf<AnyStream>) -> std::io::Result<()> {
        loop {
            let came = || {
                self.parts.fetch_add(1, Ordering::Relaxed);
            };
            let answer = Frame::read(&mut from, came).await?;
            let waiting = self.waiting().remove(&answer.number);
            if let Some(waiting) = waiting {
                let _ = waiting.answer.send(answer.bytes);
            }
            self.answered.notify_one();
        }
    }

    async fn writing(
        &self,
        mut to: WriteHalf<AnyStream>,
        asked: &mut mpsc::Receiver<Frame>,
    ) -> std::io::Result<()> {
        loop {
            match tokio::time::timeout(IDLE, asked.recv()).await {
                Ok(Some(frame)) if self.is_wanted(frame.number) => {
                    self.under_way.store(frame.number, Ordering::Relaxed);
                    frame.write(&mut to, || ()).await?;
                    // Whoever answers reads nothing meanwhile: an ask that lies before a closed window would end
                    // the connection, and with it the answer that comes.
                    self.answered.notified().await;
                }
                // Given up before it was sent.
                Ok(Some(_)) => {}
                Err(_) if !self.waiting().is_empty() => {}
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }

    fn is_wanted(&self, number: u64) -> bool {
        let mut waiting = self.waiting();
        let wanted = waiting
            .get(&number)
            .is_some_and(|waiting| !waiting.answer.is_closed());
        if !wanted {
            waiting.remove(&number);
        }
        wanted
    }

    /// Whether the ask was not sent, because another is under way whose answer somebody waits for.
    fn is_behind_another(&self, number: u64) -> bool {
        let under_way = self.under_way.load(Ordering::Relaxed);
        let waiting = self.waiting();
        let other = waiting.get(&under_way).filter(|_| under_way != number);
        other.is_some_and(|other| !other.answer.is_closed())
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(ended: &std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection for what is large has ended");
    }
}
