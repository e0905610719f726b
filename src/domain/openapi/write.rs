//! The tree as JSON text. Numbers stay as they were written where JSON has that notation.

use std::borrow::Cow;

use super::node::Node;

/// The document as pretty JSON.
pub(super) fn to_json(root: &Node<'_>) -> String {
    let mut out = String::new();
    value(&mut out, root, 0);
    out
}

fn value(out: &mut String, node: &Node<'_>, depth: usize) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Node::Number(written) => match number(written) {
            Some(number) => out.push_str(&number),
            None => text(out, written),
        },
        Node::Text(written) => text(out, written),
        Node::List(items) => {
            let items = items.iter().map(|item| (None, item));
            sequence(out, items, ('[', ']'), depth);
        }
        Node::Map(members) => {
            let members = members.iter().map(|(name, node)| (Some(name), node));
            sequence(out, members, ('{', '}'), depth);
        }
    }
}

fn sequence<'n, 'a: 'n>(
    out: &mut String,
    parts: impl Iterator<Item = (Option<&'n str>, &'n Node<'a>)>,
    (open, close): (char, char),
    depth: usize,
) {
    let mut is_empty = true;
    out.push(open);
    for (name, node) in parts {
        if !is_empty {
            out.push(',');
        }
        is_empty = false;
        line(out, depth + 1);
        if let Some(name) = name {
            text(out, name);
            out.push_str(": ");
        }
        value(out, node, depth + 1);
    }
    if !is_empty {
        line(out, depth);
    }
    out.push(close);
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn text(out: &mut String, text: &str) {
    // a text is always writable
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A number in JSON's notation; none for what has none, such as `.inf`.
fn number(written: &str) -> Option<Cow<'_, str>> {
    if serde_json::from_str::<serde_json::Number>(written).is_ok() {
        return Some(Cow::Borrowed(written));
    }
    let of_radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok();
    let whole = match (written.strip_prefix("0x"), written.strip_prefix("0o")) {
        (Some(digits), _) => of_radix(digits, 16),
        (_, Some(digits)) => of_radix(digits, 8),
        _ => None,
    };
    if let Some(whole) = whole {
        return Some(Cow::Owned(whole.to_string()));
    }
    let number = serde_json::Number::from_f64(written.parse().ok()?)?;
    Some(Cow::Owned(number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::Limits;
    use crate::openapi::parse::parse;

    #[test]
    fn what_was_yaml_says_the_same_in_json() {
        let yaml = "a: [1.10, 0x1F, .5, +3, .inf, 007, 12345678901234567890]\n\
                    b: {c: \"x\\ty\", d: ~, e: [], f: {}}\ng: true\n";
        let (root, _) = parse(yaml.as_bytes(), &Limits::default()).unwrap();
        let json = to_json(&root);
        assert!(json.contains("1.10,"), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let wanted = serde_json::json!({
            "a": [1.10, 31, 0.5, 3.0, ".inf", 7.0, 12_345_678_901_234_567_890_u64],
            "b": {"c": "x\ty", "d": null, "e": [], "f": {}}, "g": true,
        });
        assert_eq!(value, wanted);
    }
}
