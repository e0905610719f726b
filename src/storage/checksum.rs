//! A checksum of what must not be read when it was damaged: CRC-32, as in zip and PNG files.

/// The checksum of these pieces, each with its length.
pub(crate) fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut state = u32::MAX;
    for piece in pieces {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes();
        state = take(take(state, &length), piece);
    }
    !state
}

fn take(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, byte| {
        (0..8).fold(state ^ u32::from(*byte), |state, _| {
            let carry = if state & 1 == 1 { 0xedb8_8320 } else { 0 };
            state >> 1 ^ carry
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_that_others_compute_and_sees_where_a_piece_ends() {
        assert_eq!(!take(u32::MAX, b"123456789"), 0xcbf4_3926);
        assert_ne!(checksum(&[b"ab", b"c"]), checksum(&[b"a", b"bc"]));
        assert_ne!(checksum(&[b"ab"]), checksum(&[b"ab", b""]));
    }
}
