//! Whatever frames are sent, in whatever pieces they come.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A frame by its first byte, mask and payload's length; the payload is noise that looks like heads.
fn written(sender: Sender, first: u8, length: usize) -> Vec<u8> {
    let masked = if sender == Sender::Client { MASKED } else { 0 };
    let mut frame = vec![first];
    match length {
        0..=125 => frame.push(masked | length as u8),
        126..=0xffff => {
            frame.push(masked | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            frame.push(masked | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if sender == Sender::Client {
        frame.extend_from_slice(&[0x88, 0x80, 0, 0xff]);
    }
    let noise = [0x88, 0x02, 0x03, 0xe8, 0x81, 0xff];
    frame.extend(noise.iter().cycle().take(length));
    frame
}

fn senders() -> impl Strategy<Value = Sender> {
    prop_oneof![Just(Sender::Client), Just(Sender::Server)]
}

/// First byte and length of frames that anybody may send.
fn frames() -> impl Strategy<Value = Vec<(u8, usize)>> {
    let lengths = prop_oneof![
        0usize..130,
        Just(125),
        Just(126),
        Just(0xffff),
        Just(0x1_0000)
    ];
    let data = ((0u8..8), any::<bool>(), 0u8..8, lengths)
        .prop_map(|(opcode, last, reserved, length)| (first(opcode, last, reserved), length));
    let control = ((8u8..16), 0u8..8, 0usize..126)
        .prop_map(|(opcode, reserved, length)| (first(opcode, true, reserved), length));
    vec(prop_oneof![data, control], 0..12)
}

fn first(opcode: u8, is_last: bool, reserved: u8) -> u8 {
    opcode | reserved << 4 | if is_last { FINAL } else { 0 }
}

/// Where frames end in `bytes` and what they are, followed piece by piece, up to a fault.
fn ends(sender: Sender, bytes: &[u8], cuts: &[usize]) -> (Vec<(usize, Frame)>, Option<FrameFault>) {
    let mut follower = Follower::new(sender, 1 << 32);
    let (mut ends, mut at) = (Vec::new(), 0);
    let mut cuts = cuts.iter().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let cut = (*cuts.next().unwrap_or(&usize::MAX)).clamp(1, rest.len());
        let (mut piece, behind) = rest.split_at(cut);
        rest = behind;
        while !piece.is_empty() {
            let followed = match follower.follow(piece) {
                Ok(followed) => followed,
                Err(fault) => return (ends, Some(fault)),
            };
            assert!((1..=piece.len()).contains(&followed.taken));
            at += followed.taken;
            piece = piece.split_at(followed.taken).1;
            match followed.ended {
                Some(frame) => {
                    assert!(!follower.is_within() && follower.held() == 0);
                    ends.push((at, frame));
                }
                None => {
                    assert!(piece.is_empty(), "more is there and a frame goes on");
                    assert_ne!(follower.is_within(), follower.held() > 0);
                }
            }
            assert!(follower.held() < HEAD);
        }
    }
    (ends, None)
}

proptest! {
    #[test]
    fn frames_end_where_they_were_written_to_end_in_whatever_pieces_they_come(
        sender in senders(),
        frames in frames(),
        cuts in vec(1usize..400, 1..20),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (first, length) in frames {
            bytes.extend(written(sender, first, length));
            let is_close = first & OPCODE == CLOSE;
            let frame = if is_close { Frame::Close } else { Frame::Other };
            expected.push((bytes.len(), frame));
        }
        prop_assert_eq!(ends(sender, &bytes, &cuts), (expected, None));
    }

    #[test]
    fn any_bytes_are_followed_or_refused_and_the_same_in_whatever_pieces_they_come(
        sender in senders(),
        bytes in vec(any::<u8>(), 0..600),
        cuts in vec(1usize..40, 1..20),
    ) {
        let whole = ends(sender, &bytes, &[]);
        prop_assert_eq!(ends(sender, &bytes, &cuts), whole);
    }

    #[test]
    fn a_close_is_followed_by_whoever_reads_it(reason in ".{0,200}", mask in any::<[u8; 4]>()) {
        for (sender, mask) in [(Sender::Server, None), (Sender::Client, Some(mask))] {
            let frame = close(CloseCode::Policy, &reason, mask);
            let ended = vec![(frame.len(), Frame::Close)];
            prop_assert_eq!(ends(sender, &frame, &[3, 1]), (ended, None));
        }
    }
}
