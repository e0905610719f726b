//! Bytes into the tree: size, encoding, notation.
//!
//! The reader calls it; `json` and `yaml` do the work.

use super::definition::{DefinitionError, FaultKind, Limits, Media};
use super::node::Node;
use super::{json, yaml};

/// Reads a document in whichever notation it is: what begins with a brace or bracket is JSON.
pub(super) fn parse<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(Node<'a>, Media), DefinitionError> {
    let fault = |kind, message| DefinitionError {
        pointer: String::new(),
        message,
        kind,
    };
    if bytes.len() > limits.bytes {
        let message = format!(
            "the document has {} bytes, {} are allowed",
            bytes.len(),
            limits.bytes
        );
        return Err(fault(FaultKind::TooLarge, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = lines(bytes, error.valid_up_to());
        fault(
            FaultKind::Encoding,
            format!("the document is not UTF-8 at line {line}"),
        )
    })?;
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let line = lines(bytes, at);
        return Err(fault(
            FaultKind::Encoding,
            format!("the document has a NUL byte at line {line}"),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim_start().chars().next() {
        None => Err(fault(FaultKind::Syntax, "the document is empty".to_owned())),
        Some('{' | '[') => Ok((json::parse(text, limits)?, Media::Json)),
        Some(_) => Ok((yaml::parse(text, limits)?, Media::Yaml)),
    }
}

/// The line of an offset, counted from one.
fn lines(bytes: &[u8], offset: usize) -> usize {
    bytes
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}
