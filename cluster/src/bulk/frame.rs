//! A frame: `{length u32, within u32, number u64}`, big-endian, and an ask or an answer as they
//! travel over the other connection. An answer bears its ask's number, and says nothing of time.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::codec::MESSAGE_LIMIT;

/// Bytes before the message.
const HEAD: usize = 16;
/// The most bytes of a message, with what is around it.
const LIMIT: usize = MESSAGE_LIMIT + 1_024;
/// Read and written at a time.
const PART: usize = 64 * 1024;
/// A frame of which nothing moves for so long ends the connection. It may be slow.
pub(super) const STALLED: Duration = Duration::from_secs(15);

/// One message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Of the ask.
    pub(super) number: u64,
    /// What the asker waits for at most, milliseconds.
    pub(super) within_ms: u32,
    pub(super) bytes: Vec<u8>,
}

// === impl Frame ===

impl Frame {
    /// Waits for one as long as it takes to begin; then for each part of it. `moved` is told of
    /// each. Only the end between two frames is [`io::ErrorKind::UnexpectedEof`].
    pub(super) async fn read(
        from: &mut (impl AsyncRead + Unpin),
        moved: impl Fn(),
    ) -> io::Result<Self> {
        Self::read_within(STALLED, from, moved).await
    }

    /// The same, with a pause of its own.
    pub(super) async fn read_within(
        a_part: Duration,
        from: &mut (impl AsyncRead + Unpin),
        moved: impl Fn(),
    ) -> io::Result<Self> {
        let first = from.read_u8().await?;
        let mut rest = [0; HEAD - 1];
        let head = in_time(a_part, from.read_exact(&mut rest)).await;
        head.map_err(within_a_frame)?;
        moved();
        let [l1, l2, l3, w0, w1, w2, w3, number @ ..] = rest;
        let length = u32::from_be_bytes([first, l1, l2, l3]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LIMIT {
            let too_large = "a frame is larger than a message";
            return Err(io::Error::new(io::ErrorKind::InvalidData, too_large));
        }
        // Memory as it comes, not as it is announced.
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let from_here = bytes.len();
            bytes.resize(length.min(from_here + PART), 0);
            let part = bytes.get_mut(from_here..).unwrap_or_default();
            let count = in_time(a_part, from.read(part)).await?;
            if count == 0 {
                return Err(within_a_frame(io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.truncate(from_here + count);
            moved();
        }
        Ok(Self {
            number: u64::from_be_bytes(number),
            within_ms: u32::from_be_bytes([w0, w1, w2, w3]),
            bytes,
        })
    }

    pub(super) async fn write(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        moved: impl Fn(),
    ) -> io::Result<()> {
        let length = self.bytes.len();
        let announced = u32::try_from(length).ok().filter(|_| length <= LIMIT);
        let announced = announced.ok_or(io::ErrorKind::InvalidInput)?;
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(&announced.to_be_bytes());
        head.extend_from_slice(&self.within_ms.to_be_bytes());
        head.extend_from_slice(&self.number.to_be_bytes());
        for whole in [&head, &self.bytes] {
            let mut left = whole.as_slice();
            while !left.is_empty() {
                let part = left.get(..PART).unwrap_or(left);
                let count = in_time(STALLED, to.write(part)).await?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                left = left.get(count..).unwrap_or_default();
                moved();
            }
        }
        in_time(STALLED, to.flush()).await
    }
}

/// The end of a connection is none of a frame.
fn within_a_frame(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            io::Error::new(io::ErrorKind::InvalidData, "a frame was cut")
        }
        _ => error,
    }
}

async fn in_time<T>(most: Duration, moving: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let moved = tokio::time::timeout(most, moving).await;
    moved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_keeps_its_bytes() {
        let frame = Frame {
            number: 0x0102,
            within_ms: 20_000,
            bytes: vec![0xaa, 0xbb],
        };
        let mut bytes = Vec::new();
        frame.write(&mut bytes, || ()).await.unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0000000200004e200000000000000102aabb");
        assert_eq!(Frame::read(&mut &bytes[..], || ()).await.unwrap(), frame);
        for end in 0..bytes.len() {
            let error = Frame::read(&mut &bytes[..end], || ()).await.unwrap_err();
            let is_between = error.kind() == io::ErrorKind::UnexpectedEof;
            assert_eq!(is_between, end == 0, "{end}: {error}");
        }
    }

    #[tokio::test]
    async fn a_frame_that_is_larger_than_a_message_is_neither_read_nor_written() {
        let frame = Frame {
            number: 1,
            within_ms: 1,
            bytes: vec![0; LIMIT + 1],
        };
        assert!(frame.write(&mut Vec::new(), || ()).await.is_err());
        let endless = [0xff; 4096];
        let read = Frame::read(&mut &endless[..], || ()).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_slow_frame_is_waited_for_and_one_that_stands_still_is_not() {
        let a_part = Duration::from_millis(400);
        let (mut from, mut to) = tokio::io::duplex(64);
        let head = |length| [0, 0, 0, length, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        let slowly = crate::task::spawn_named("slowly", async move {
            to.write_all(&head(30)).await.unwrap();
            for _ in 0..30 {
                tokio::time::sleep(a_part / 20).await;
                to.write_all(&[7]).await.unwrap();
            }
            to.write_all(&head(30)).await.unwrap();
            to
        });
        let whole = Frame::read_within(a_part, &mut from, || ()).await.unwrap();
        assert_eq!(whole.bytes, vec![7; 30]);
        let _open = slowly.await.unwrap();
        let none = Frame::read_within(a_part, &mut from, || ()).await;
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
