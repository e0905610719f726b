//! The canonical form of a request path: the one string that the gateway matches *and* forwards.
//!
//! Routing on one reading of a path and forwarding another is how access rules are walked around,
//! so every path is brought into a single form first: escapes of characters that need none are
//! decoded once, the rest stay escaped in upper case, and whatever two readers could understand
//! differently (`%2f`, `\`, `;`, dot and empty segments, control characters) is refused.
//! The gateway's match phase and the templates and contexts of `route_table` use it.

use std::borrow::Cow;

use thiserror::Error;

/// Why a path is refused (answered with 400).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathFault {
    /// It does not begin with `/`.
    #[error("the path must begin with /")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits behind it.
    #[error("the path has a % that is not followed by two hexadecimal digits")]
    BadEscape,
    /// An escaped slash: servers disagree whether it separates segments.
    #[error("the path has an escaped slash (%2F)")]
    EncodedSlash,
    /// A backslash, raw or escaped: some servers read it as a slash.
    #[error("the path has a backslash")]
    Backslash,
    /// A control character, NUL included, raw or escaped.
    #[error("the path has a control character")]
    Control,
    /// A semicolon, raw or escaped: some servers drop what follows it in a segment.
    #[error("the path has a semicolon")]
    Semicolon,
    /// A `.` or `..` segment, raw or escaped.
    #[error("the path has a dot segment")]
    DotSegment,
    /// Two slashes in a row: some servers read them as one.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// The decoded path is not UTF-8 (overlong forms among others).
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A character that ends the path of a URI (`?`, `#`).
    #[error("the path has a character that a path cannot hold")]
    BadCharacter,
}

/// Brings a raw request path (without its query) into canonical form.
///
/// The result is a valid URI path in which each character has one spelling (RFC 3986 §6.2.2), so
/// equal canonical paths are equal resources; it is matched and forwarded as it is. A `%2B` keeps
/// its escape, because many servers read a raw `+` as a space. A path that is canonical already is
/// returned without allocation when it has no `%`.
///
/// # Errors
/// A [`PathFault`] for whatever two readers could understand differently.
pub fn canonical(raw_path: &str) -> Result<Cow<'_, str>, PathFault> {
    let Some(body) = raw_path.strip_prefix('/') else {
        return Err(PathFault::NotAbsolute);
    };
    if is_canonical(body) {
        return Ok(Cow::Borrowed(raw_path));
    }
    let path = canonical_piece(raw_path)?;
    check_segments(&path)?;
    Ok(path)
}

/// Whether what follows the first slash is plain, without empty and dot segments: one pass for the
/// paths that nearly all requests have. An empty segment is sound at the end only.
fn is_canonical(body: &str) -> bool {
    let (mut length, mut dots) = (0_usize, 0_usize);
    for byte in body.bytes() {
        if byte == b'/' {
            if length == 0 || (length == dots && dots <= 2) {
                return false;
            }
            (length, dots) = (0, 0);
        } else if is_plain(byte) {
            length += 1;
            dots += usize::from(byte == b'.');
        } else {
            return false;
        }
    }
    length == 0 || length > dots || dots > 2
}

/// The canonical form of a part of a path: escapes and characters only, segments unchecked.
pub(crate) fn canonical_piece(raw: &str) -> Result<Cow<'_, str>, PathFault> {
    if raw.bytes().all(is_plain) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len().saturating_add(16));
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let value = escaped(bytes.next(), bytes.next()).ok_or(PathFault::BadEscape)?;
            if value == b'/' {
                return Err(PathFault::EncodedSlash);
            }
            refuse(value)?;
            decoded.push(value);
            push(&mut out, value, is_plain(value) && value != b'+');
        } else {
            refuse(byte)?;
            if matches!(byte, b'?' | b'#') {
                return Err(PathFault::BadCharacter);
            }
            decoded.push(byte);
            push(&mut out, byte, is_plain(byte));
        }
    }
    if !decoded.is_ascii() && std::str::from_utf8(&decoded).is_err() {
        return Err(PathFault::NotUtf8);
    }
    Ok(if out == raw {
        Cow::Borrowed(raw)
    } else {
        Cow::Owned(out)
    })
}

/// Refuses dot segments, and empty segments other than the last.
fn check_segments(path: &str) -> Result<(), PathFault> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(PathFault::DotSegment),
            "" if segments.peek().is_some() => return Err(PathFault::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

/// Characters that stand in a path for themselves: `pchar` and `/` (RFC 3986 §3.3) without `;`.
const fn is_plain(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

const fn refuse(byte: u8) -> Result<(), PathFault> {
    match byte {
        b'\\' => Err(PathFault::Backslash),
        b';' => Err(PathFault::Semicolon),
        0..=0x1f | 0x7f => Err(PathFault::Control),
        _ => Ok(()),
    }
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let high = char::from(high?).to_digit(16)?;
    let low = char::from(low?).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

fn push(out: &mut String, byte: u8, plain: bool) {
    if plain {
        out.push(char::from(byte));
    } else {
        out.push('%');
        for digit in [byte >> 4, byte & 0x0f] {
            out.push(
                char::from_digit(u32::from(digit), 16)
                    .unwrap_or('0')
                    .to_ascii_uppercase(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_path_is_returned_without_allocation() {
        for path in [
            "/",
            "/pizza/1.0.0/menu",
            "/a/b.json/",
            "/v1/x:cancel",
            "/a/...",
            "/~u/@me",
        ] {
            assert!(
                matches!(canonical(path), Ok(Cow::Borrowed(same)) if same == path),
                "{path}"
            );
        }
    }

    #[test]
    fn escapes_are_decoded_once_and_spelt_one_way() {
        for (raw, expected) in [
            ("/%61dmin", "/admin"),
            ("/v1/x%3Acancel", "/v1/x:cancel"),
            ("/a%20b", "/a%20b"),
            ("/a b", "/a%20b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/a%2bb+c", "/a%2Bb+c"),
            ("/100%25", "/100%25"),
            ("/%252e%252e/x", "/%252e%252e/x"),
            ("/a%3fb%23c", "/a%3Fb%23c"),
            ("/{x}", "/%7Bx%7D"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn whatever_two_readers_could_read_differently_is_refused() {
        for (raw, fault) in [
            ("", PathFault::NotAbsolute),
            ("*", PathFault::NotAbsolute),
            ("/a%2fb", PathFault::EncodedSlash),
            ("/a%2Fb", PathFault::EncodedSlash),
            ("/a%5cb", PathFault::Backslash),
            ("/a\\b", PathFault::Backslash),
            ("/a%00", PathFault::Control),
            ("/a%0d%0ab", PathFault::Control),
            ("/a\tb", PathFault::Control),
            ("/a%7f", PathFault::Control),
            ("/a;b", PathFault::Semicolon),
            ("/a/..;/b", PathFault::Semicolon),
            ("/a%3Bb", PathFault::Semicolon),
            ("/a/../b", PathFault::DotSegment),
            ("/a/.", PathFault::DotSegment),
            ("/a/%2e%2E/b", PathFault::DotSegment),
            ("/.%2e", PathFault::DotSegment),
            ("//a", PathFault::EmptySegment),
            ("/a//b", PathFault::EmptySegment),
            ("/a%", PathFault::BadEscape),
            ("/a%4", PathFault::BadEscape),
            ("/a%zz", PathFault::BadEscape),
            ("/a%+1", PathFault::BadEscape),
            ("/%ff", PathFault::NotUtf8),
            ("/%c0%af", PathFault::NotUtf8),
            ("/a?b", PathFault::BadCharacter),
        ] {
            assert_eq!(canonical(raw), Err(fault), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_path_is_its_own_canonical_form(raw in "/[a-c./%;2eE5fF\\\\ +é]{0,24}") {
            if let Ok(path) = canonical(&raw) {
                prop_assert!(path.is_ascii());
                prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
                prop_assert!(!path.contains(';') && !path.contains("%2F") && !path.contains("%5C"));
                let again = canonical(&path);
                prop_assert_eq!(again.as_deref(), Ok(&*path));
            }
        }

        #[test]
        fn no_text_makes_it_panic(raw in ".*") {
            let _ = canonical(&raw);
        }
    }
}
