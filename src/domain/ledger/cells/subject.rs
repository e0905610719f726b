//! The text of a key as it is kept: most name an application and a user, or an application and an API, and identifiers
//! are less than half as long as numbers than they are as text.

use std::fmt;

/// Texts that are no longer than this when packed lie where they are used.
const INLINE: usize = 38;
/// An identifier as text.
const TEXT: usize = 36;
/// An identifier as a number.
const NUMBER: usize = 16;
/// Stands before a number; no text has this byte.
const MARKER: u8 = 0xff;
/// Where an identifier's text has a hyphen.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// A text, packed. Equal texts are equal when packed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Short { length: u8, bytes: [u8; INLINE] },
    Long(Box<[u8]>),
}

// === impl Subject ===

impl Subject {
    pub(super) fn of(text: &str) -> Self {
        // No identifier is that short.
        let short = text.len() < TEXT;
        let short = short.then(|| Self::short(text.as_bytes())).flatten();
        short.unwrap_or_else(|| {
            let packed = pack(text);
            Self::short(&packed).unwrap_or_else(|| Self::Long(packed.into_boxed_slice()))
        })
    }

    fn short(packed: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE];
        let length = u8::try_from(packed.len()).ok()?;
        bytes.get_mut(..packed.len())?.copy_from_slice(packed);
        Some(Self::Short { length, bytes })
    }

    pub(super) fn text(&self) -> String {
        unpack(self.packed())
    }

    fn packed(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Self::Long(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

/// Identifiers at the beginning and after a colon become numbers.
fn pack(text: &str) -> Vec<u8> {
    let mut packed = Vec::with_capacity(text.len());
    for (place, part) in text.split(':').enumerate() {
        if place > 0 {
            packed.push(b':');
        }
        match number(part.as_bytes()) {
            Some(number) => {
                packed.push(MARKER);
                packed.extend(number);
            }
            None => packed.extend(part.as_bytes()),
        }
    }
    packed
}

fn unpack(packed: &[u8]) -> String {
    let mut text = Vec::with_capacity(packed.len() * 2);
    let mut rest = packed;
    while let Some((first, after)) = rest.split_first() {
        match after.split_at_checked(NUMBER) {
            Some((number, after)) if *first == MARKER => {
                write(number, &mut text);
                rest = after;
            }
            _ => {
                text.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The number of an identifier, if the text is exactly how [`write`] writes it.
fn number(text: &[u8]) -> Option<[u8; NUMBER]> {
    if text.len() != TEXT {
        return None;
    }
    let mut number = [0; NUMBER];
    let mut digits = 0;
    for (place, byte) in text.iter().enumerate() {
        if HYPHENS.contains(&place) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        let whole = number.get_mut(digits / 2)?;
        *whole = *whole << 4 | digit;
        digits += 1;
    }
    Some(number)
}

fn write(number: &[u8], text: &mut Vec<u8>) {
    let digit = |value: u8| match value {
        0..=9 => b'0' + value,
        _ => b'a' + value - 10,
    };
    for (place, byte) in number.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push(b'-');
        }
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "00ff8400-e29b-41d4-a716-44665544ffff";

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let texts = [
            String::new(),
            ":".to_owned(),
            ID.to_owned(),
            format!("{ID}:{ID}"),
            format!("{ID}:zoë@carbon.super"),
            format!(":{ID}:{}", ID.to_uppercase()),
            format!("{ID}{ID}"),
            "x".repeat(INLINE),
            "x".repeat(INLINE + 1),
            "ÿ".repeat(200),
        ];
        for text in &texts {
            assert_eq!(Subject::of(text).text(), *text);
        }
        let lengths = texts.map(|text| Subject::of(&text).packed().len());
        assert_eq!(lengths[2..4], [17, 35]);
    }

    proptest! {
        #[test]
        fn two_are_equal_if_their_texts_are(
            one in "[0a:-]{0,3}([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?(:.*)?",
            other in ".{0,80}",
        ) {
            let packed = [Subject::of(&one), Subject::of(&other)];
            prop_assert_eq!(packed[0].text(), one.clone());
            prop_assert_eq!(packed[1].text(), other.clone());
            prop_assert_eq!(packed[0] == packed[1], one == other);
        }
    }
}
