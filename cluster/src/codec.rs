//! Bytes of messages: the only file that names bincode, so that it can be replaced in one place.
//!
//! A message is an envelope `{kind u16, version u16, length u32}` and the frozen struct of that
//! version (M1). Decoding never panics and never allocates more than [`MESSAGE_LIMIT`].

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest message body in bytes; larger things travel in chunks.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

const HEAD: usize = 8;

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

/// Reads one message of exactly this kind and version.
///
/// # Errors
/// Any [`CodecError`]; trailing bytes count as malformed.
pub fn decode<T: DeserializeOwned>(kind: u16, version: u16, bytes: &[u8]) -> Result<T, CodecError> {
    let malformed = |reason: &str| CodecError::Malformed {
        kind,
        reason: reason.to_owned(),
    };
    let (head, body) = bytes
        .split_at_checked(HEAD)
        .ok_or_else(|| malformed("shorter than its envelope"))?;
    let &[k0, k1, v0, v1, l0, l1, l2, l3] = head else {
        return Err(malformed("shorter than its envelope"));
    };
    let got = (u16::from_be_bytes([k0, k1]), u16::from_be_bytes([v0, v1]));
    if got != (kind, version) {
        return Err(CodecError::Unsupported {
            kind: got.0,
            version: got.1,
        });
    }
    if body.len() > MESSAGE_LIMIT {
        return Err(CodecError::TooLarge);
    }
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    if usize::try_from(length).map_err(|_| CodecError::TooLarge)? != body.len() {
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
