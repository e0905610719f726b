//! `$ref`: followed only where routing needs it, only within the document, never round in circles.

use super::definition::FaultKind;
use super::findings::Findings;
use super::node::{Node, Place, clip};

/// The most references that are followed from one value.
const MOST_HOPS: usize = 16;

/// The longest reference that is followed: many that go a long way must not become much work.
const MAX_REFERENCE: usize = 1024;

/// What it costs to follow a reference, beside its length.
const HOP_EFFORT: usize = 16;

/// A value that a reference led to, and where it is.
pub(super) struct Target<'n, 'a> {
    pub(super) node: &'n Node<'a>,
    /// Its JSON pointer; `None` when there was no reference to follow.
    pub(super) pointer: Option<String>,
}

/// Follows the `$ref` of a value, if it has one, until a value without.
///
/// A reference that is remote, circular or leads nowhere is noted as a fault of the place where it
/// was written; so is one too many in a document that already asked for many times its size.
pub(super) fn follow<'n, 'a>(
    root: &'n Node<'a>,
    node: &'n Node<'a>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Option<Target<'n, 'a>> {
    let mut target = Target {
        node,
        pointer: None,
    };
    for _ in 0..MOST_HOPS {
        let Some(reference) = target.node.map().and_then(|members| members.get("$ref")) else {
            return Some(target);
        };
        let pointer = target.pointer.take();
        let base = pointer.as_deref().map(Place::base);
        let here = base.as_ref().unwrap_or(place);
        let here = here.member("$ref");
        let Some(text) = reference.scalar() else {
            let message = format!("must be a string, not {}", reference.sort());
            findings.error(&here, FaultKind::Wrong, message);
            return None;
        };
        let Some(fragment) = text.strip_prefix('#') else {
            let text = clip(text);
            let message =
                format!("\"{text}\" is outside the document; nothing is fetched: inline it");
            findings.error(&here, FaultKind::Reference, message);
            return None;
        };
        findings.spend(HOP_EFFORT + fragment.len());
        if findings.is_spent() {
            findings.repeats(&here);
            return None;
        }
        let found = Some(fragment)
            .filter(|fragment| fragment.len() <= MAX_REFERENCE)
            .and_then(unescape)
            .and_then(|pointer| Some((look_up(root, &pointer)?, pointer)));
        let Some((node, pointer)) = found else {
            let message = format!("\"{}\" leads nowhere", clip(text));
            findings.error(&here, FaultKind::Reference, message);
            return None;
        };
        target = Target {
            node,
            pointer: Some(pointer),
        };
    }
    let message =
        format!("the reference goes round in circles, or on for more than {MOST_HOPS} steps");
    findings.error(&place.member("$ref"), FaultKind::Reference, message);
    None
}

/// The value of the document that a reference leads to, without the references that it may have
/// itself.
pub(super) fn target<'n, 'a>(root: &'n Node<'a>, reference: &str) -> Option<&'n Node<'a>> {
    look_up(root, &unescape(reference.strip_prefix('#')?)?)
}

/// The value at a JSON pointer.
fn look_up<'n, 'a>(root: &'n Node<'a>, pointer: &str) -> Option<&'n Node<'a>> {
    if pointer.is_empty() {
        return Some(root);
    }
    let mut node = root;
    for step in pointer.strip_prefix('/')?.split('/') {
        node = match node {
            Node::Map(members) if step.contains('~') => {
                members.get(&step.replace("~1", "/").replace("~0", "~"))?
            }
            Node::Map(members) => members.get(step)?,
            Node::List(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(node)
}

/// Undoes the percent-encoding of a fragment (RFC 6901 §6).
fn unescape(fragment: &str) -> Option<String> {
    if !fragment.contains('%') {
        return Some(fragment.to_owned());
    }
    let mut out = Vec::with_capacity(fragment.len());
    let mut bytes = fragment.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
