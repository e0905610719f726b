//! Plain scalars: null, booleans and numbers; everything else is a text.

use std::borrow::Cow;

use super::super::node::Node;

/// The value of a plain scalar by the core schema (YAML 1.2.2 §10.3.2).
pub(super) fn resolve(text: Cow<'_, str>) -> Node<'_> {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "true" | "True" | "TRUE" => Node::Bool(true),
        "false" | "False" | "FALSE" => Node::Bool(false),
        number if is_number(number) => Node::Number(text),
        _ => Node::Text(text),
    }
}

fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits = exponent
        .is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    let mantissa_fits = match mantissa.split_once('.') {
        Some((whole, "")) => digits(whole),
        Some(("", part)) => digits(part),
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(mantissa),
    };
    exponent_fits && mantissa_fits
}
