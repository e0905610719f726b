//! Bytes of messages: the only file that names bincode, so that it can be replaced in one place.
//!
//! A message is an envelope `{kind u16, version u16, length u32}` and the frozen struct of that
//! version (M1). Decoding never panics and never allocates more than [`MESSAGE_LIMIT`].

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest message body in bytes; larger things travel in chunks.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// Bytes of an envelope.
pub(crate) const HEAD: usize = 8;

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The message is larger than [`MESSAGE_LIMIT`].
    #[error("message exceeds {MESSAGE_LIMIT} bytes")]
    TooLarge,
    /// The bytes end early, are followed by others, or say nonsense.
    #[error("malformed message of kind {kind}: {reason}")]
    Malformed {
        /// The kind that was expected.
        kind: u16,
        /// What is wrong, without any content.
        reason: String,
    },
    /// Another kind or version than expected.
    #[error("message of kind {kind} version {version} is not understood here")]
    Unsupported {
        /// The kind that came.
        kind: u16,
        /// The version that came.
        version: u16,
    },
}

/// Writes one message.
///
/// # Errors
/// [`CodecError::TooLarge`] when it exceeds the limit, [`CodecError::Malformed`] when the type
/// cannot be written.
pub fn encode<T: Serialize>(kind: u16, version: u16, body: &T) -> Result<Vec<u8>, CodecError> {
    let config = bincode::config::standard().with_limit::<MESSAGE_LIMIT>();
    let body =
        bincode::serde::encode_to_vec(body, config).map_err(|error| CodecError::Malformed {
            kind,
            reason: error.to_string(),
        })?;
    if body.len() > MESSAGE_LIMIT {
        return Err(CodecError::TooLarge);
    }
    let length = u32::try_from(body.len()).map_err(|_| CodecError::TooLarge)?;
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Kind, version and body length of the message that `bytes` begin with.
pub(crate) fn head(bytes: &[u8]) -> Option<(u16, u16, usize)> {
    let &[k0, k1, v0, v1, l0, l1, l2, l3] = bytes.get(..HEAD)? else {
        return None;
    };
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    let kind = u16::from_be_bytes([k0, k1]);
    let version = u16::from_be_bytes([v0, v1]);
    Some((kind, version, usize::try_from(length).ok()?))
}

/// Reads one message of exactly this kind and version.
///
/// # Errors
/// Any [`CodecError`]; trailing bytes count as malformed.
pub fn decode<T: DeserializeOwned>(kind: u16, version: u16, bytes: &[u8]) -> Result<T, CodecError> {
    let malformed = |reason: &str| CodecError::Malformed {
        kind,
        reason: reason.to_owned(),
    };
    let Some((got_kind, got_version, length)) = head(bytes) else {
        return Err(malformed("shorter than its envelope"));
    };
    if (got_kind, got_version) != (kind, version) {
        return Err(CodecError::Unsupported {
            kind: got_kind,
            version: got_version,
        });
    }
    let body = bytes.get(HEAD..).unwrap_or_default();
    if body.len() > MESSAGE_LIMIT {
        return Err(CodecError::TooLarge);
    }
    if length != body.len() {
        return Err(malformed("length differs from its envelope"));
    }
    let config = bincode::config::standard().with_limit::<MESSAGE_LIMIT>();
    let (value, consumed) = bincode::serde::decode_from_slice(body, config)
        .map_err(|error| malformed(&error.to_string()))?;
    if consumed != body.len() {
        return Err(malformed("bytes after its end"));
    }
    Ok(value)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
