//! What is nearly what a reader of outside bytes expects: sound samples of which a little was changed, cut off, said again or taken
//! from elsewhere, the same in each run (ADR 0032). Tests of several crates have this file; none of it is in the binary.

/// What readers of texts and of frames stumble over.
const ODD: [&[u8]; 20] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\xfd\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xfb\xff\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\"",
    b"\\ud800",
    b"%00",
    b"%e",
    b"[[[[[[[[",
    b"{{{{{{{{",
    b"99999999999999999999",
    b"-1",
    b"1e999",
    b"null",
    b":",
    b"*",
];
/// Changes of one sample at most.
const CHANGES: usize = 4;
/// A piece is said again so often at most, as long as the whole does not exceed `MOST` bytes.
const AGAIN: usize = 64;
const MOST: usize = 64 * 1024;

/// Where chance comes from; it needs to be no better.
struct Chance(u64);

/// Says which bytes a test failed at.
struct Tried<'a>(&'a [u8]);

/// Has `read` try so many mutants of these samples, and the samples themselves first.
pub(crate) fn each_mutant(samples: &[&[u8]], count: usize, mut read: impl FnMut(&[u8])) {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut try_one = |bytes: &[u8]| {
        let tried = Tried(bytes);
        read(tried.0);
    };
    samples.iter().for_each(|sample| try_one(sample));
    for _ in 0..count {
        let mut bytes = samples[chance.below(samples.len())].to_vec();
        for _ in 0..=chance.below(CHANGES) {
            chance.change(&mut bytes, samples);
        }
        try_one(&bytes);
    }
}

// === impl Tried ===

impl Drop for Tried<'_> {
    #[allow(clippy::print_stderr, reason = "a test that fails says at what")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was b\"{}\"", self.0.escape_ascii());
        }
    }
}

// === impl Chance ===

impl Chance {
    /// A number below `bound`; 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    /// A short piece of that many bytes, more often than a long one.
    fn piece(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = [4, 16, length][self.below(3)];
        start..length.min(start + self.below(most + 1))
    }

    fn change(&mut self, bytes: &mut Vec<u8>, samples: &[&[u8]]) {
        let at = self.below(bytes.len() + 1);
        match self.below(7) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                let odd = ODD[self.below(ODD.len())];
                bytes.splice(at..at, odd.iter().copied());
            }
            2 => {
                let (gone, odd) = (self.piece(bytes.len()), ODD[self.below(ODD.len())]);
                bytes.splice(gone, odd.iter().copied());
            }
            3 => drop(bytes.drain(self.piece(bytes.len()))),
            4 => {
                let piece = bytes[self.piece(bytes.len())].to_vec();
                let room = MOST.saturating_sub(bytes.len());
                let times = self.below(AGAIN).min(room / piece.len().max(1));
                bytes.splice(at..at, piece.repeat(times));
            }
            5 => {
                let other = samples[self.below(samples.len())];
                let piece = self.piece(other.len());
                bytes.splice(at..at, other[piece].iter().copied());
            }
            _ => bytes.truncate(at),
        }
    }
}
