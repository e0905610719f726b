//! A context as the table compares it: short ones lie where they are looked for, because each place in
//! memory that is touched among 10,000 APIs is a cache miss.

use std::sync::Arc;

/// The longest context that lies in its slot, bytes.
const INLINE: usize = 46;

/// The text of a context.
#[derive(Debug, Clone)]
pub(super) enum Context {
    /// So many bytes of these.
    Inline(u8, [u8; INLINE]),
    /// A longer one.
    Shared(Arc<str>),
}

// === impl Context ===

impl Context {
    pub(super) fn new(text: &str) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Inline(length, bytes)
            }
            _ => Self::Shared(text.into()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Self::Shared(text) => text.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_the_same_text_wherever_it_lies() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 300] {
            let text = "ä".repeat(length / 2) + &"a".repeat(length % 2);
            assert_eq!(Context::new(&text).as_bytes(), text.as_bytes(), "{length}");
        }
        assert!(size_of::<Context>() <= 48);
    }
}
