//! The tree as JSON text. Numbers stay as they were written where JSON has that notation.

use std::borrow::Cow;

use super::node::Node;

/// How a document is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// For people.
    Indented,
    /// Without a space.
    Compact,
}

/// A text that grows.
struct Writer {
    out: String,
    layout: Layout,
}

/// The document as JSON.
pub(super) fn to_json(root: &Node<'_>, layout: Layout) -> String {
    let mut writer = Writer {
        out: String::new(),
        layout,
    };
    writer.value(root, 0);
    writer.out
}

// === impl Writer ===

impl Writer {
    fn value(&mut self, node: &Node<'_>, depth: usize) {
        match node {
            Node::Null => self.out.push_str("null"),
            Node::Bool(flag) => self.out.push_str(if *flag { "true" } else { "false" }),
            Node::Number(written) => match number(written) {
                Some(number) => self.out.push_str(&number),
                None => self.text(written),
            },
            Node::Text(written) => self.text(written),
            Node::List(items) => {
                let items = items.iter().map(|item| (None, item));
                self.sequence(items, ('[', ']'), depth);
            }
            Node::Map(members) => {
                let members = members.iter().map(|(name, node)| (Some(name), node));
                self.sequence(members, ('{', '}'), depth);
            }
        }
    }

    fn sequence<'n, 'a: 'n>(
        &mut self,
        parts: impl Iterator<Item = (Option<&'n str>, &'n Node<'a>)>,
        (open, close): (char, char),
        depth: usize,
    ) {
        let mut is_empty = true;
        self.out.push(open);
        for (name, node) in parts {
            if !is_empty {
                self.out.push(',');
            }
            is_empty = false;
            self.line(depth + 1);
            if let Some(name) = name {
                self.text(name);
                self.out.push(':');
                if self.layout == Layout::Indented {
                    self.out.push(' ');
                }
            }
            self.value(node, depth + 1);
        }
        if !is_empty {
            self.line(depth);
        }
        self.out.push(close);
    }

    fn line(&mut self, depth: usize) {
        if self.layout == Layout::Indented {
            self.out.push('\n');
            for _ in 0..depth {
                self.out.push_str("  ");
            }
        }
    }

    fn text(&mut self, text: &str) {
        // a text is always writable
        self.out
            .push_str(&serde_json::to_string(text).unwrap_or_default());
    }
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
        let json = to_json(&root, Layout::Indented);
        assert!(json.contains("1.10,\n"), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let compact = to_json(&root, Layout::Compact);
        assert!(!compact.contains([' ', '\n']), "{compact}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&compact).unwrap(),
            value
        );
        let wanted = serde_json::json!({
            "a": [1.10, 31, 0.5, 3.0, ".inf", 7.0, 12_345_678_901_234_567_890_u64],
            "b": {"c": "x\ty", "d": null, "e": [], "f": {}}, "g": true,
        });
        assert_eq!(value, wanted);
    }
}
