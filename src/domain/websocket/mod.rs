//! WebSocket as far as whoever passes it on has to know it (RFC 6455 §5): where each frame ends, so that a word of
//! one's own can be said between two of them; and that word, a Close. Payloads are not looked at, nor kept.

#[cfg(test)]
mod properties;

use thiserror::Error;

/// The longest head of a frame: two bytes, eight of a length, four of a mask.
const HEAD: usize = 14;
/// The longest payload of a control frame (RFC 6455 §5.5).
const CONTROL: u64 = 125;
/// What of that a reason may have beside the code.
const REASON: usize = 123;
const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 0x08;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// Who sends the frames that are followed: a client masks each, a server none (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Whoever asked for the socket.
    Client,
    /// Whoever agreed to it.
    Server,
}

/// What has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// A Close: its sender says nothing after it.
    Close,
    /// Any other one.
    Other,
}

/// How far bytes were followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// So many of them, up to the end of one frame or all.
    pub taken: usize,
    /// The frame that ends with the last of these.
    pub ended: Option<Frame>,
}

/// Why frames cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameFault {
    /// A client's frame without a mask, or a server's with one.
    #[error("a frame is masked otherwise than its sender may")]
    Mask,
    /// A control frame in parts, or of more than 125 bytes.
    #[error("a control frame is longer than 125 bytes, or only a part of one")]
    Control,
    /// A length beyond 2^63, or one that is not written as shortly as it can be.
    #[error("the length of a frame is not well-formed")]
    Length,
    /// More bytes than a frame may have here.
    #[error("a frame is larger than it may be")]
    TooLarge,
}

/// Why a socket is closed (RFC 6455 §7.4.1, and IANA's registry of close codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// Whoever says it goes.
    GoingAway,
    /// The other side breaks the protocol.
    Protocol,
    /// It may not be open, or not any more.
    Policy,
    /// A frame is too large.
    TooLarge,
    /// The server cannot go on with it.
    Internal,
    /// It may be opened again in a while.
    TryAgain,
}

/// Finds the ends of frames in what one side sends, in whatever pieces that comes.
#[derive(Debug)]
pub struct Follower {
    sender: Sender,
    /// The longest payload.
    most: u64,
    /// The head that has begun.
    head: [u8; HEAD],
    have: usize,
    /// What is still to come of the payload whose head was complete.
    left: u64,
    fault: Option<FrameFault>,
}

// === impl FrameFault ===

impl FrameFault {
    /// What its sender is told.
    #[must_use]
    pub const fn code(self) -> CloseCode {
        match self {
            Self::Mask | Self::Control | Self::Length => CloseCode::Protocol,
            Self::TooLarge => CloseCode::TooLarge,
        }
    }
}

// === impl CloseCode ===

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::Policy => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::TryAgain => 1013,
        }
    }
}

// === impl Follower ===

impl Follower {
    /// Of what `sender` sends from its first frame on, in frames of at most `most` bytes.
    #[must_use]
    pub const fn new(sender: Sender, most: u64) -> Self {
        Self {
            sender,
            most,
            head: [0; HEAD],
            have: 0,
            left: 0,
            fault: None,
        }
    }

    /// Follows what has come, to the end of a frame at most; what is left of it is for the next time.
    ///
    /// # Errors
    /// When it is no frame that its sender may send; from then on always. Of the head that is wrong nothing counts as
    /// taken, nor what came of it before.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<Followed, FrameFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut taken = 0;
        if self.left == 0 {
            let complete = self.read_head(bytes, &mut taken);
            let complete = complete.inspect_err(|fault| self.fault = Some(*fault))?;
            if !complete {
                return Ok(Followed { taken, ended: None });
            }
        }
        let here = u64::try_from(bytes.len() - taken).unwrap_or(u64::MAX);
        let passes = self.left.min(here);
        self.left -= passes;
        taken += usize::try_from(passes).unwrap_or(usize::MAX);
        let ended = (self.left == 0).then_some(match self.first() & OPCODE {
            CLOSE => Frame::Close,
            _ => Frame::Other,
        });
        Ok(Followed { taken, ended })
    }

    /// Bytes of a head that is not complete: whoever waits with passing them on passes on none that is wrong.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.have
    }

    /// Whether a payload has begun and not ended: nobody else may say anything before its end.
    #[must_use]
    pub const fn is_within(&self) -> bool {
        self.left > 0
    }

    /// Reads on in a head; whether it is complete, and then how long its payload is.
    fn read_head(&mut self, bytes: &[u8], taken: &mut usize) -> Result<bool, FrameFault> {
        for byte in bytes {
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *byte;
            }
            self.have += 1;
            *taken += 1;
            if self.have == 2 {
                self.judge_first()?;
            }
            if self.have >= 2 && self.have == self.length_of_head() {
                self.left = self.judge_length()?;
                self.have = 0;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the first two bytes say by themselves.
    fn judge_first(&self) -> Result<(), FrameFault> {
        let (first, second) = (self.first(), self.second());
        if (second & MASKED != 0) != (self.sender == Sender::Client) {
            return Err(FrameFault::Mask);
        }
        let is_control = first & CLOSE != 0;
        let is_short = u64::from(second & LENGTH) <= CONTROL;
        if is_control && (first & FINAL == 0 || !is_short) {
            return Err(FrameFault::Control);
        }
        Ok(())
    }

    fn judge_length(&self) -> Result<u64, FrameFault> {
        let said = self.second() & LENGTH;
        let written = self.head.iter().skip(2).take(self.length_of_length());
        let written = written.fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        let (length, shortest) = match said {
            126 => (written, CONTROL + 1),
            127 => (written, 1 << 16),
            short => (u64::from(short), 0),
        };
        if length < shortest || length > u64::MAX >> 1 {
            return Err(FrameFault::Length);
        }
        if length > self.most {
            return Err(FrameFault::TooLarge);
        }
        Ok(length)
    }

    fn length_of_head(&self) -> usize {
        let mask = match self.sender {
            Sender::Client => 4,
            Sender::Server => 0,
        };
        2 + self.length_of_length() + mask
    }

    fn length_of_length(&self) -> usize {
        match self.second() & LENGTH {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn first(&self) -> u8 {
        let [first, ..] = self.head;
        first
    }

    fn second(&self) -> u8 {
        let [_, second, ..] = self.head;
        second
    }
}

/// A Close with this code and reason, which is cut to 123 bytes; a client's is masked, by four bytes that nobody
/// foresees.
#[must_use]
pub fn close(code: CloseCode, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let reason = reason.get(..reason.floor_char_boundary(REASON));
    let mut payload = code.number().to_be_bytes().to_vec();
    payload.extend_from_slice(reason.unwrap_or_default().as_bytes());
    let length = u8::try_from(payload.len()).unwrap_or(0);
    let mut frame = vec![FINAL | CLOSE, length];
    if let Some(mask) = mask {
        let masked = [FINAL | CLOSE, MASKED | length];
        frame = [&masked[..], &mask[..]].concat();
        let keys = mask.iter().cycle();
        payload.iter_mut().zip(keys).for_each(|(byte, key)| {
            *byte ^= key;
        });
    }
    frame.append(&mut payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(bytes: &[u8]) -> Result<Followed, FrameFault> {
        Follower::new(Sender::Client, 1 << 20).follow(bytes)
    }

    fn server(bytes: &[u8]) -> Result<Followed, FrameFault> {
        Follower::new(Sender::Server, 1 << 20).follow(bytes)
    }

    #[test]
    fn the_examples_of_the_standard_end_where_they_end() {
        let hello = b"\x81\x05Hello";
        let ended = |taken, ended| Ok(Followed { taken, ended });
        assert_eq!(server(hello), ended(7, Some(Frame::Other)));
        let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(client(masked), ended(11, Some(Frame::Other)));
        // Two parts of a message, a ping between them.
        assert_eq!(server(b"\x01\x03Hel\x89\0"), ended(5, Some(Frame::Other)));
        assert_eq!(
            server(b"\x88\x02\x03\xe8\x88"),
            ended(4, Some(Frame::Close))
        );
        assert_eq!(server(b"\x82\x7e\x01\0"), ended(4, None));
        assert_eq!(server(b"\x82\x7f\0\0\0\0\0\x01\0\0."), ended(11, None));
    }

    #[test]
    fn what_no_sender_may_send_is_refused_before_its_payload() {
        for (bytes, fault) in [
            (&b"\x81\x05"[..], FrameFault::Mask),
            // Parts of a ping, and a Close of 126 bytes.
            (b"\x09\x80", FrameFault::Control),
            (b"\x88\xfe", FrameFault::Control),
            (b"\x88\xff", FrameFault::Control),
            (b"\x82\xfe\0\x7d\0\0\0\0", FrameFault::Length),
            (b"\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", FrameFault::Length),
            (b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", FrameFault::Length),
            (
                b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0",
                FrameFault::TooLarge,
            ),
        ] {
            assert_eq!(client(bytes), Err(fault), "{bytes:x?}");
        }
        assert_eq!(server(b"\x81\x85"), Err(FrameFault::Mask));
        let mut follower = Follower::new(Sender::Server, 1);
        assert_eq!(follower.follow(b"\x82\x02"), Err(FrameFault::TooLarge));
        let later = follower.follow(b"\x82\x01.");
        assert_eq!(later, Err(FrameFault::TooLarge), "it is followed no more");
    }

    #[test]
    fn a_head_is_held_until_it_is_complete() {
        let mut follower = Follower::new(Sender::Client, 10);
        for (byte, held) in [(0x82, 1), (0x81, 2), (1, 3), (2, 4), (3, 5)] {
            assert_eq!(follower.follow(&[byte]).unwrap().ended, None);
            assert_eq!((follower.held(), follower.is_within()), (held, false));
        }
        follower.follow(&[4]).unwrap();
        assert_eq!((follower.held(), follower.is_within()), (0, true));
        let ended = follower.follow(&[5]).unwrap().ended;
        assert_eq!((ended, follower.is_within()), (Some(Frame::Other), false));
    }

    #[test]
    fn a_close_is_a_frame_that_its_sender_may_send_however_long_its_reason() {
        let short = close(CloseCode::Policy, "no", None);
        assert_eq!(short, b"\x88\x04\x03\xf0no");
        let masked = close(CloseCode::GoingAway, "", Some([1, 2, 3, 4]));
        assert_eq!(masked, b"\x88\x82\x01\x02\x03\x04\x02\xeb");
        let long = close(CloseCode::Internal, &"é".repeat(100), None);
        let ended = Some(Frame::Close);
        let taken = long.len();
        assert_eq!((taken, server(&long)), (126, Ok(Followed { taken, ended })));
        let long = close(CloseCode::Internal, &"e".repeat(200), Some([9; 4]));
        let taken = long.len();
        assert_eq!((taken, client(&long)), (131, Ok(Followed { taken, ended })));
    }
}
