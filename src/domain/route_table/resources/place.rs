//! How a place of the tree lies in memory: in one run of words, so that a request that comes by touches a cache line
//! or two of it and no more.
//!
//! | words | what they say |
//! |---|---|
//! | 4 | how many literals, how many patterns, where a parameter leads (0: nowhere), how many ends of each kind (a byte each) |
//! | 5 for each literal, sorted | the first eight bytes (two words), the length, where the other bytes are in the text, where it leads |
//! | 2 for each pattern, the most literal first | which one, where it leads |
//! | 1 for each end: exact, with a slash, with `/*` | the operation's position and its verb |

use std::cmp::Ordering;
use std::num::NonZeroU32;

use crate::verb::Verb;

/// Up to this many literals of a place are searched one by one.
const FEW: usize = 8;
/// The bytes of a literal that lie in its words.
const HEAD: usize = 8;
/// The bits of an end that are its verb.
const VERB_BITS: u32 = 3;

/// A literal's words.
type Literal = [u32; 5];
/// A pattern's words: its number, where it leads.
type Pattern = [u32; 2];

/// A place as a search sees it.
#[derive(Clone, Copy)]
pub(super) struct Place<'r> {
    literals: &'r [Literal],
    /// The patterns, with the place behind each.
    pub(super) patterns: &'r [Pattern],
    /// The place behind a parameter.
    pub(super) parameter: Option<NonZeroU32>,
    /// The operations that end here: without a slash, with one, with whatever follows.
    pub(super) exact: Ends<'r>,
    pub(super) slash: Ends<'r>,
    pub(super) wildcard: Ends<'r>,
}

/// Operations that end at a place in one way.
#[derive(Clone, Copy)]
pub(super) struct Ends<'r>(&'r [u32]);

/// What a place is made of, to be written down.
pub(super) struct Draft {
    /// Sorted by [`order`].
    pub(super) literals: Vec<(String, u32)>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) parameter: u32,
    pub(super) exact: Vec<(Verb, u32)>,
    pub(super) slash: Vec<(Verb, u32)>,
    pub(super) wildcard: Vec<(Verb, u32)>,
}

// === impl Place ===

impl<'r> Place<'r> {
    /// The place that begins at a word.
    pub(super) fn at(words: &'r [u32], offset: u32) -> Option<Self> {
        let words = words.get(offset as usize..)?;
        let ([literals, patterns, parameter, ends], rest) = words.split_first_chunk()?;
        let (literals, rest) =
            rest.split_at_checked(*literals as usize * size_of::<Literal>() / 4)?;
        let (patterns, rest) =
            rest.split_at_checked(*patterns as usize * size_of::<Pattern>() / 4)?;
        let [exact, slash, wildcard, _] = ends.to_le_bytes();
        let (exact, rest) = rest.split_at_checked(exact.into())?;
        let (slash, rest) = rest.split_at_checked(slash.into())?;
        Some(Self {
            literals: literals.as_chunks().0,
            patterns: patterns.as_chunks().0,
            parameter: NonZeroU32::new(*parameter),
            exact: Ends(exact),
            slash: Ends(slash),
            wildcard: Ends(rest.get(..wildcard.into())?),
        })
    }

    /// Where a literal segment leads.
    pub(super) fn literal(&self, segment: &str, text: &[u8]) -> Option<u32> {
        let wanted = segment.as_bytes();
        let (head, length) = (head(wanted), number(wanted.len()));
        let tail = wanted.get(HEAD..).unwrap_or_default();
        let compare = |literal: &Literal| {
            let [first, second, its_length, at, _] = *literal;
            let by_words = ([first, second], its_length).cmp(&(head, length));
            by_words.then_with(|| its_tail(text, at, tail.len()).cmp(tail))
        };
        let found = if self.literals.len() <= FEW {
            let mut all = self.literals.iter();
            all.find(|literal| compare(literal) == Ordering::Equal)
        } else {
            let found = self.literals.binary_search_by(compare);
            found.ok().and_then(|at| self.literals.get(at))
        };
        found.map(|[.., child]| *child)
    }
}

// === impl Ends ===

impl Ends<'_> {
    /// The verb of each operation, and its position in the list that was compiled.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Verb, u32)> {
        self.0.iter().filter_map(|end| {
            let verb = Verb::ALL.get((end & ((1 << VERB_BITS) - 1)) as usize)?;
            Some((*verb, end >> VERB_BITS))
        })
    }
}

// === impl Draft ===

impl Draft {
    /// How many words it will be.
    pub(super) fn words(&self) -> u32 {
        let ends = self.exact.len() + self.slash.len() + self.wildcard.len();
        number(4 + 5 * self.literals.len() + 2 * self.patterns.len() + ends)
    }

    /// Writes it down; `offset` gives the word at which another place begins.
    pub(super) fn write(
        self,
        words: &mut Vec<u32>,
        text: &mut Vec<u8>,
        offset: impl Fn(u32) -> u32,
    ) {
        let count = |ends: &[_]| u8::try_from(ends.len()).unwrap_or(u8::MAX);
        words.extend([
            number(self.literals.len()),
            number(self.patterns.len()),
            offset(self.parameter),
            u32::from_le_bytes([
                count(&self.exact),
                count(&self.slash),
                count(&self.wildcard),
                0,
            ]),
        ]);
        for (literal, child) in self.literals {
            let bytes = literal.as_bytes();
            let [first, second] = head(bytes);
            words.extend([
                first,
                second,
                number(bytes.len()),
                number(text.len()),
                offset(child),
            ]);
            text.extend_from_slice(bytes.get(HEAD..).unwrap_or_default());
        }
        for [pattern, child] in self.patterns {
            words.extend([pattern, offset(child)]);
        }
        let ends = [self.exact, self.slash, self.wildcard];
        words.extend(
            ends.iter()
                .flatten()
                .map(|(verb, position)| position << VERB_BITS | *verb as u32),
        );
    }
}

/// The order in which literals lie: by what their words say, then by the other bytes.
pub(super) fn order(one: &str, other: &str) -> Ordering {
    let key = |text: &str| (head(text.as_bytes()), text.len());
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}

/// The first eight bytes of a segment as two words that compare as the bytes do; zeros fill what is missing.
fn head(segment: &[u8]) -> [u32; 2] {
    let mut bytes = [0; HEAD];
    for (to, from) in bytes.iter_mut().zip(segment) {
        *to = *from;
    }
    let [a, b, c, d, e, f, g, h] = bytes;
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ]
}

fn its_tail(text: &[u8], at: u32, length: usize) -> &[u8] {
    let at = at as usize;
    text.get(at..at.saturating_add(length)).unwrap_or_default()
}

/// A count as a word; templates are far fewer and shorter than would not fit.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
