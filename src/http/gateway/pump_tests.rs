use std::future::poll_fn;

use domain::websocket::{CloseCode, close};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter, DuplexStream, duplex};

use super::*;

const GOODBYE: CloseCode = CloseCode::GoingAway;

/// A pump between two pipes, whose other ends are a server and its client.
struct Between {
    pump: Pump,
    server: DuplexStream,
    from: DuplexStream,
    to: DuplexStream,
    client: DuplexStream,
    passed: u64,
}

impl Between {
    fn new() -> Self {
        let (server, from) = duplex(1 << 20);
        let (to, client) = duplex(1 << 20);
        Self {
            pump: Pump::new(Sender::Server, 1 << 20),
            server,
            from,
            to,
            client,
            passed: 0,
        }
    }

    async fn sends(&mut self, bytes: &[u8]) {
        self.server.write_all(bytes).await.unwrap();
    }

    /// Passes on all that is there; gives how the direction ended, if it has.
    async fn passes(&mut self) -> Option<End> {
        // Who never waits gets nothing any more from tokio's pipes.
        tokio::task::yield_now().await;
        let Self {
            pump,
            from,
            to,
            passed,
            ..
        } = self;
        let mut count = |bytes| *passed += bytes;
        let end = poll_fn(|cx| {
            let (from, to) = (Pin::new(&mut *from), Pin::new(&mut *to));
            Poll::Ready(match pump.poll_pass(cx, from, to, &mut count) {
                Poll::Ready(end) => Some(end),
                Poll::Pending => None,
            })
        });
        end.await
    }

    /// What has come through.
    async fn heard(&mut self) -> Vec<u8> {
        tokio::task::yield_now().await;
        let mut heard = vec![0; 1 << 20];
        let mut have = 0;
        poll_fn(|cx| {
            loop {
                let mut room = ReadBuf::new(&mut heard[have..]);
                match Pin::new(&mut self.client).poll_read(cx, &mut room) {
                    Poll::Ready(Ok(())) if !room.filled().is_empty() => have += room.filled().len(),
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
        heard.truncate(have);
        heard
    }
}

fn goodbye() -> Vec<u8> {
    close(GOODBYE, "it goes", None)
}

#[tokio::test]
async fn what_comes_goes_on_at_once_but_for_a_head_that_is_not_whole() {
    let mut between = Between::new();
    between.sends(b"\x82\x7e\x01").await;
    assert_eq!(between.passes().await, None);
    assert_eq!(between.heard().await, b"");
    between.sends(b"\0one").await;
    assert_eq!(between.passes().await, None);
    assert_eq!(between.heard().await, b"\x82\x7e\x01\0one");
    between.sends(&[b'.'; 253]).await;
    between.sends(b"\x81").await;
    assert_eq!(between.passes().await, None);
    assert_eq!(between.heard().await, [b'.'; 253]);
    assert_eq!(between.passed, 260);
}

#[tokio::test]
async fn a_word_of_the_gateways_comes_at_the_end_of_the_frame_and_nothing_behind_it() {
    // So much of the frame has gone by when it is to be said.
    for before in [0, 1, 3, 7] {
        let mut between = Between::new();
        let frames = b"\x82\x05Hello\x81\x02no\x88\x02\x03\xe8";
        let (gone, rest) = frames.split_at(before);
        between.sends(gone).await;
        assert_eq!(between.passes().await, None);
        assert!(between.pump.part(goodbye()));
        between.passes().await;
        between.sends(rest).await;
        // The sender's own Close is read, and that is all.
        assert_eq!(between.passes().await, Some(End::Parted), "{before}");
        let frame: &[u8] = if before < 3 { b"" } else { b"\x82\x05Hello" };
        assert_eq!(between.heard().await, [frame, &goodbye()].concat());
    }
}

#[tokio::test]
async fn nothing_is_said_behind_a_close_or_in_the_middle_of_a_frame_that_does_not_end() {
    let mut closed = Between::new();
    closed.sends(b"\x88\x02\x03\xe8\x81\x04more").await;
    assert_eq!(closed.passes().await, Some(End::Closed));
    assert!(!closed.pump.part(goodbye()));
    assert_eq!(closed.heard().await, b"\x88\x02\x03\xe8");
    // It is to be said while the sender's own Close is on its way.
    let mut crossed = Between::new();
    crossed.sends(b"\x81\x02").await;
    assert_eq!(crossed.passes().await, None);
    assert!(crossed.pump.part(goodbye()));
    crossed.sends(b"hi\x88\x02\x03\xe8").await;
    assert_eq!(crossed.passes().await, Some(End::Parted));
    assert_eq!(
        crossed.heard().await,
        [b"\x81\x02hi", &goodbye()[..]].concat()
    );
    let mut broken = Between::new();
    broken.sends(b"\x81\x05He").await;
    broken.server.shutdown().await.unwrap();
    assert_eq!(broken.passes().await, Some(End::Gone));
    assert!(!broken.pump.part(goodbye()));
    let mut whole = Between::new();
    whole.sends(b"\x81\x02hi\x81").await;
    whole.server.shutdown().await.unwrap();
    assert_eq!(whole.passes().await, Some(End::Gone));
    assert!(whole.pump.part(goodbye()));
    assert_eq!(whole.passes().await, Some(End::Parted));
    assert_eq!(
        whole.heard().await,
        [b"\x81\x02hi", &goodbye()[..]].concat()
    );
}

#[tokio::test]
async fn a_frame_that_is_none_goes_nowhere_and_what_came_before_it_does() {
    let mut between = Between::new();
    between.sends(b"\x81\x02hi\x82\x81").await;
    assert_eq!(between.passes().await, Some(End::Broke(FrameFault::Mask)));
    assert_eq!(between.heard().await, b"\x81\x02hi");
    assert!(between.pump.part(goodbye()));
    assert_eq!(between.passes().await, Some(End::Parted));
    assert_eq!(between.heard().await, goodbye());
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_holds_the_sender_back() {
    let (mut server, from) = duplex(1 << 20);
    let (to, _client) = duplex(64);
    let mut between = Between {
        from,
        to,
        ..Between::new()
    };
    let frame = [&b"\x82\x7f\0\0\0\0\0\x08\0\0"[..], &vec![0; 1 << 19]].concat();
    server.write_all(&frame).await.unwrap();
    for _ in 0..100 {
        assert_eq!(between.passes().await, None);
    }
    assert_eq!(between.passed, 64);
    assert!(between.pump.moved().1, "something waits");
    let mut left = Vec::new();
    drop(server);
    between.from.read_to_end(&mut left).await.unwrap();
    assert!(left.len() >= frame.len() - BUFFER, "{}", left.len());
}

#[tokio::test]
async fn what_its_receiver_does_not_take_of_a_buffer_below_waits() {
    let (mut server, mut from) = duplex(1 << 10);
    let (to, _client) = duplex(16);
    let mut to = BufWriter::new(to);
    let mut pump = Pump::new(Sender::Server, 1 << 20);
    let frames = [&b"\x82\x40"[..], &[0; 64], b"\x88\x02\x03\xe8"].concat();
    server.write_all(&frames).await.unwrap();
    tokio::task::yield_now().await;
    let mut passed = 0;
    let end = poll_fn(|cx| {
        let mut count = |bytes| passed += bytes;
        let (from, to) = (Pin::new(&mut from), Pin::new(&mut to));
        Poll::Ready(pump.poll_pass(cx, from, to, &mut count))
    });
    assert!(end.await.is_pending());
    assert_eq!(passed, frames.len() as u64, "all was written");
    assert!(pump.moved().1, "something waits");
}

#[tokio::test]
async fn the_end_of_what_the_sender_says_is_something_that_moves() {
    let mut between = Between::new();
    between.sends(b"\x81\x02hi").await;
    assert_eq!(between.passes().await, None);
    let before = Instant::now();
    assert!(between.pump.moved().0 <= before);
    between.server.shutdown().await.unwrap();
    assert_eq!(between.passes().await, Some(End::Gone));
    assert!(between.pump.moved().0 > before);
}

/// Frames of many lengths in pieces of many lengths, and a word of the gateway's after any of these.
#[tokio::test]
async fn whenever_the_gateway_parts_what_went_before_is_whole_frames() {
    let mut frames = Vec::new();
    let mut ends = vec![0];
    for length in [0_u8, 1, 2, 30, 125, 3, 0, 7] {
        frames.extend_from_slice(&[0x82, length]);
        frames.extend(std::iter::repeat_n(0x88, length.into()));
        ends.push(frames.len());
    }
    for size in [1, 2, 3, 5, 64] {
        for parts_after in 0..frames.len().div_ceil(size) {
            let mut between = Between::new();
            for (n, piece) in frames.chunks(size).enumerate() {
                if n == parts_after {
                    assert!(between.pump.part(goodbye()));
                }
                between.sends(piece).await;
                assert_eq!(between.passes().await, None);
            }
            let heard = between.heard().await;
            let (before, said) = heard.split_at(heard.len() - goodbye().len());
            assert_eq!(said, goodbye());
            assert!(ends.contains(&before.len()), "{size} {parts_after}");
            assert_eq!(before, &frames[..before.len()]);
            assert!(before.len() + 128 >= parts_after * size);
        }
    }
}
