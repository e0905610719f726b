//! One direction of a socket: frames as they come, in a bounded buffer. A head goes on once it is known to be good, a
//! payload without being looked at; between two frames the gateway can say a Close of its own, and then nothing more
//! is passed on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use domain::websocket::{Follower, Frame, FrameFault, Sender};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What one direction holds at most.
const BUFFER: usize = 16 * 1024;

/// What is passed on from one side to the other.
#[derive(Debug)]
pub(super) struct Pump {
    follower: Follower,
    buffer: Box<[u8]>,
    /// Of the buffer: what was written, what may be, what was followed, what came.
    written: usize,
    ready: usize,
    followed: usize,
    came: usize,
    /// What the gateway says at the next end of a frame.
    goodbye: Option<Vec<u8>>,
    /// What is left to write of it, once that has come.
    saying: Option<io::Cursor<Vec<u8>>>,
    source: Source,
    /// Whether what comes still goes on, and not only up to the sender's Close.
    passes: bool,
    is_unreachable: bool,
    is_unflushed: bool,
    /// When something last came, or was taken; or the sender's end came.
    moved: Instant,
}

/// What is known of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Open,
    /// It has said its Close.
    Closed,
    Gone,
    Broke(FrameFault),
}

/// How a direction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The sender's Close was passed on.
    Closed,
    /// The gateway's was said, and the sender has said its own or will not.
    Parted,
    /// The sender went without a Close.
    Gone,
    /// The receiver takes nothing any more.
    Unreachable,
    /// The sender sends what are no frames of its own.
    Broke(FrameFault),
}

// === impl Pump ===

impl Pump {
    /// Of what `sender` sends, in frames of at most `most` bytes.
    pub(super) fn new(sender: Sender, most: u64) -> Self {
        Self {
            follower: Follower::new(sender, most),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            written: 0,
            ready: 0,
            followed: 0,
            came: 0,
            goodbye: None,
            saying: None,
            source: Source::Open,
            passes: true,
            is_unreachable: false,
            is_unflushed: false,
            moved: Instant::now(),
        }
    }

    /// Says a Close to the receiver at the next end of a frame, and passes nothing on after it. Whether it can be said:
    /// not behind the sender's own, nor in the middle of a frame whose end will not come.
    pub(super) fn part(&mut self, goodbye: Vec<u8>) -> bool {
        let ends = self.source == Source::Open || !self.follower.is_within();
        let can = self.passes && ends && self.source != Source::Closed && !self.is_unreachable;
        if can {
            self.goodbye = Some(goodbye);
        }
        can
    }

    /// Passes nothing on any more, and waits for the sender's Close.
    pub(super) fn forget(&mut self) {
        self.passes = false;
        (self.goodbye, self.saying) = (None, None);
        self.is_unflushed = false;
        self.follow();
    }

    /// When something last moved, and whether something waits to be taken.
    pub(super) fn moved(&self) -> (Instant, bool) {
        (
            self.moved,
            self.written < self.ready || self.saying.is_some() || self.is_unflushed,
        )
    }

    /// Passes on what comes; `passed` counts it. Ready when the direction has ended.
    pub(super) fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        mut from: Pin<&mut (impl AsyncRead + ?Sized)>,
        mut to: Pin<&mut (impl AsyncWrite + ?Sized)>,
        passed: &mut dyn FnMut(u64),
    ) -> Poll<End> {
        loop {
            if ready!(self.poll_write(cx, to.as_mut(), passed)).is_err() {
                self.is_unreachable = true;
                return Poll::Ready(End::Unreachable);
            }
            if self.part_now() {
                continue;
            }
            let end = match self.source {
                Source::Open => {
                    let read = self.poll_read(cx, from.as_mut());
                    if read.is_pending() {
                        let _ = self.poll_flush(cx, to.as_mut());
                        return Poll::Pending;
                    }
                    continue;
                }
                _ if !self.passes => End::Parted,
                Source::Closed => End::Closed,
                Source::Gone => End::Gone,
                Source::Broke(fault) => End::Broke(fault),
            };
            let flushed = ready!(self.poll_flush(cx, to.as_mut()));
            return Poll::Ready(flushed.map_or(End::Unreachable, |()| end));
        }
    }

    /// Writes what may be, and then what the gateway has to say.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut to: Pin<&mut (impl AsyncWrite + ?Sized)>,
        passed: &mut dyn FnMut(u64),
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.buffer.get(self.written..self.ready)
            && !rest.is_empty()
        {
            let written = ready!(to.as_mut().poll_write(cx, rest))?;
            self.wrote(written)?;
            self.written += written;
            passed(written as u64);
        }
        while let Some(saying) = &self.saying {
            let at = usize::try_from(saying.position()).unwrap_or(usize::MAX);
            let rest = saying.get_ref().get(at..).unwrap_or_default();
            if rest.is_empty() {
                self.saying = None;
                break;
            }
            let written = ready!(to.as_mut().poll_write(cx, rest))?;
            self.wrote(written)?;
            if let Some(saying) = &mut self.saying {
                saying.set_position((at + written) as u64);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.moved = Instant::now();
        self.is_unflushed = true;
        Ok(())
    }

    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        to: Pin<&mut (impl AsyncWrite + ?Sized)>,
    ) -> Poll<io::Result<()>> {
        if self.is_unflushed {
            ready!(to.poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Between two frames, and not behind the sender's Close: begins with what the gateway has to say, if it has. What
    /// has come behind goes nowhere.
    fn part_now(&mut self) -> bool {
        if self.follower.is_within() || self.source == Source::Closed {
            return false;
        }
        let Some(goodbye) = self.goodbye.take() else {
            return false;
        };
        self.saying = Some(io::Cursor::new(goodbye));
        self.passes = false;
        self.follow();
        true
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: Pin<&mut (impl AsyncRead + ?Sized)>,
    ) -> Poll<()> {
        // What is left is the beginning of a head at most.
        let left = self.ready.min(self.came)..self.came;
        self.came = left.len();
        self.buffer.copy_within(left, 0);
        (self.written, self.ready, self.followed) = (0, 0, self.came);
        let room = self.buffer.get_mut(self.came..).unwrap_or_default();
        let mut room = ReadBuf::new(room);
        let read = ready!(from.poll_read(cx, &mut room));
        let read = read.map_or(0, |()| room.filled().len());
        self.moved = Instant::now();
        if read == 0 {
            self.source = Source::Gone;
            return Poll::Ready(());
        }
        self.came += read;
        self.follow();
        Poll::Ready(())
    }

    /// Follows what has come: to the end, to the sender's Close, or to where the gateway says its own.
    fn follow(&mut self) {
        while self.source == Source::Open
            && let Some(rest) = self.buffer.get(self.followed..self.came)
            && !rest.is_empty()
        {
            let followed = match self.follower.follow(rest) {
                Ok(followed) => followed,
                Err(fault) => {
                    self.source = Source::Broke(fault);
                    break;
                }
            };
            self.followed += followed.taken;
            if self.passes {
                self.ready = self.followed.saturating_sub(self.follower.held());
            }
            if followed.ended == Some(Frame::Close) {
                self.source = Source::Closed;
            } else if followed.ended.is_some() && self.goodbye.is_some() {
                return;
            }
        }
        if !self.passes {
            // It goes nowhere, and makes room.
            (self.written, self.ready, self.came) = (0, 0, 0);
            self.followed = 0;
        }
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
