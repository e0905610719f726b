//! Versions of what nodes say to each other (M1). The protocol as a whole has one number, on which two
//! nodes agree once for each connection; from it follows the shape of every message there.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ask::AskError;
use crate::codec::{CodecError, decode, encode, head};
use crate::door::Request;

/// The version that this build speaks best.
pub const PROTOCOL: u16 = 3;
/// The one before, spoken with nodes that know no better.
pub const PROTOCOL_BEFORE: u16 = 2;

/// An earlier shape of a message, which says less than the one of now, or the same otherwise.
pub trait Earlier<T>: Serialize + DeserializeOwned {
    /// What of `now` can be said in it.
    fn of(now: &T) -> Self;
    /// What it means now.
    fn into_now(self) -> T;
}

/// The shape of a request and its answer in [`PROTOCOL_BEFORE`], where it was another.
#[derive(Debug)]
pub struct Before<R: Request> {
    version: u16,
    write: fn(u16, &R) -> Result<Vec<u8>, CodecError>,
    read: fn(u16, &[u8]) -> Result<R, CodecError>,
    write_reply: fn(u16, &R::Reply) -> Result<Vec<u8>, CodecError>,
    read_reply: fn(u16, &[u8]) -> Result<R::Reply, CodecError>,
}

/// Whatever has not changed is its own earlier shape.
impl<T: Clone + Serialize + DeserializeOwned> Earlier<T> for T {
    fn of(now: &T) -> Self {
        now.clone()
    }

    fn into_now(self) -> T {
        self
    }
}

// === impl Before ===

impl<R: Request> Before<R> {
    /// The version `version` of the kind: the request was a `Q`, its answer an `A`.
    #[must_use]
    pub const fn new<Q: Earlier<R>, A: Earlier<R::Reply>>(version: u16) -> Self {
        Self {
            version,
            write: earlier::<R, R, Q>,
            read: later::<R, R, Q>,
            write_reply: earlier::<R, R::Reply, A>,
            read_reply: later::<R, R::Reply, A>,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }
}

fn earlier<R: Request, T, E: Earlier<T>>(version: u16, now: &T) -> Result<Vec<u8>, CodecError> {
    encode(R::KIND, version, &E::of(now))
}

fn later<R: Request, T, E: Earlier<T>>(version: u16, bytes: &[u8]) -> Result<T, CodecError> {
    decode::<E>(R::KIND, version, bytes).map(E::into_now)
}

/// The shape of before that these bytes have.
fn before<R: Request>(bytes: &[u8]) -> Option<Before<R>> {
    let (_, version, _) = head(bytes)?;
    R::BEFORE.filter(|before| before.version == version)
}

/// An ask in the shape of now, for a peer that speaks this version of the protocol.
///
/// # Errors
/// [`AskError::Unsupported`] where that has no such ask.
pub(crate) fn shaped<R: Request>(bytes: Vec<u8>, protocol: u16) -> Result<Vec<u8>, AskError> {
    if protocol >= R::SINCE {
        return Ok(bytes);
    }
    let before = R::BEFORE.ok_or(AskError::Unsupported)?;
    let now = decode::<R>(R::KIND, R::VERSION, &bytes);
    now.and_then(|now| (before.write)(before.version, &now))
        .map_err(|_| AskError::Unsupported)
}

/// Reads an ask of a peer that speaks this version of the protocol.
///
/// # Errors
/// Any [`CodecError`].
pub(crate) fn read<R: Request>(bytes: &[u8], protocol: u16) -> Result<R, CodecError> {
    match before::<R>(bytes) {
        Some(before) => (before.read)(before.version, bytes),
        None if protocol >= R::SINCE => decode(R::KIND, R::VERSION, bytes),
        None => {
            let (kind, version, _) = head(bytes).unwrap_or_default();
            Err(CodecError::Unsupported { kind, version })
        }
    }
}

/// Writes an answer in the shape of its `ask`.
///
/// # Errors
/// Any [`CodecError`].
pub(crate) fn write_reply<R: Request>(ask: &[u8], reply: &R::Reply) -> Result<Vec<u8>, CodecError> {
    match before::<R>(ask) {
        Some(before) => (before.write_reply)(before.version, reply),
        None => encode(R::KIND, R::VERSION, reply),
    }
}

/// Reads an answer, whichever shape it has.
///
/// # Errors
/// Any [`CodecError`].
pub(crate) fn read_reply<R: Request>(bytes: &[u8]) -> Result<R::Reply, CodecError> {
    match before::<R>(bytes) {
        Some(before) => (before.read_reply)(before.version, bytes),
        None => decode(R::KIND, R::VERSION, bytes),
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
