//! Names and constructs that have no place: modules named after nothing, unfinished code, ignored tests, lints
//! silenced without a reason, `bincode` and `sqlx` outside their one place.

use crate::stage::Finding;
use crate::tokens::{Kind, Token};
use crate::workspace::Source;

const MODULES: [&str; 5] = ["utils", "util", "common", "helpers", "helper"];
/// Crate, and where alone it may be named.
const PLACES: [(&str, &str); 2] = [
    ("bincode", "cluster/src/codec.rs"),
    ("sqlx", "src/storage/"),
];

/// What the file may not have.
pub(crate) fn findings(source: &Source) -> Vec<Finding> {
    let mut findings = file_name(source);
    for (at, token) in source.tokens.iter().enumerate() {
        let rest = source.tokens.get(at..).unwrap_or_default();
        let what = construct(rest)
            .or_else(|| attribute(rest))
            .or_else(|| place(&source.path, token));
        findings.extend(what.map(|what| Finding::new(&source.path, token.line, what)));
    }
    findings
}

fn file_name(source: &Source) -> Vec<Finding> {
    let mut parts = source
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"));
    let found = parts.find(|part| MODULES.contains(part));
    found
        .map(|name| {
            Finding::new(
                &source.path,
                0,
                format!("a module named {name}: name it after its noun"),
            )
        })
        .into_iter()
        .collect()
}

fn construct(rest: &[Token]) -> Option<String> {
    let [first, second, ..] = rest else {
        return None;
    };
    if first.kind != Kind::Ident {
        return None;
    }
    if first.text == "mod" && MODULES.contains(&second.text.as_str()) {
        return Some(format!(
            "a module named {}: name it after its noun",
            second.text
        ));
    }
    let unfinished =
        matches!(first.text.as_str(), "todo" | "unimplemented") && second.is_punct('!');
    unfinished.then(|| format!("{}! is unfinished code", first.text))
}

/// Judges the attribute that starts here: `#[…]` or `#![…]`.
fn attribute(rest: &[Token]) -> Option<String> {
    let inside = match rest {
        [hash, open, ..] if hash.is_punct('#') && open.is_punct('[') => rest.get(2..)?,
        [hash, bang, open, ..]
            if hash.is_punct('#') && bang.is_punct('!') && open.is_punct('[') =>
        {
            rest.get(3..)?
        }
        _ => return None,
    };
    let inside = inside.get(..group_end(inside))?;
    if let [first, after @ ..] = inside {
        let conditional =
            first.is_ident("cfg_attr") && after.iter().any(|token| token.is_ident("ignore"));
        if first.is_ident("ignore") || conditional {
            return Some("an ignored test keeps no promise: run it or remove it".to_owned());
        }
    }
    for (at, token) in inside.iter().enumerate() {
        let silences = token.is_ident("allow") || token.is_ident("expect");
        if silences && inside.get(at + 1).is_some_and(|next| next.is_punct('(')) {
            let lints = inside.get(at + 2..)?;
            let lints = lints.get(..group_end(lints))?;
            if !lints.iter().any(|token| token.is_ident("reason")) {
                return Some(format!("{} without reason = \"…\"", token.text));
            }
        }
    }
    None
}

/// Where the group ends whose opening bracket lies just before.
fn group_end(tokens: &[Token]) -> usize {
    let mut depth = 1_usize;
    for (at, token) in tokens.iter().enumerate() {
        match (token.kind, token.text.as_str()) {
            (Kind::Punct, "(" | "[" | "{") => depth += 1,
            (Kind::Punct, ")" | "]" | "}") => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

fn place(path: &str, token: &Token) -> Option<String> {
    let (name, place) = PLACES.iter().find(|(name, _)| token.is_ident(name))?;
    (!path.starts_with(place)).then(|| format!("{name} is named outside {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, text: &str) -> usize {
        findings(&Source::of(path, text)).len()
    }

    #[test]
    fn a_module_is_named_after_a_noun() {
        assert_eq!(refused("src/http/utils.rs", ""), 1);
        assert_eq!(refused("tests/common/mod.rs", ""), 1);
        assert_eq!(refused("src/http/auth.rs", "mod helpers { }"), 1);
        assert_eq!(
            refused("tests/support/mod.rs", "mod node; fn common() {}"),
            0
        );
    }

    #[test]
    fn unfinished_code_and_ignored_tests_are_refused() {
        assert_eq!(
            refused(
                "src/app.rs",
                "fn f() { todo!() } fn g() { unimplemented!(\"x\") }"
            ),
            2
        );
        assert_eq!(
            refused("tests/a.rs", "#[test] #[ignore = \"slow\"] fn f() {}"),
            1
        );
        assert_eq!(
            refused(
                "tests/a.rs",
                "#[cfg_attr(debug_assertions, ignore)] fn f() {}"
            ),
            1
        );
        assert_eq!(
            refused(
                "src/app.rs",
                "// todo!()\nconst A: &str = \"#[ignore]\"; let todo = !ignore;"
            ),
            0
        );
    }

    #[test]
    fn a_silenced_lint_says_why() {
        assert_eq!(refused("src/app.rs", "#[allow(dead_code)] fn f() {}"), 1);
        assert_eq!(
            refused("src/app.rs", "#![cfg_attr(test, allow(dead_code))]"),
            1
        );
        assert_eq!(refused("src/app.rs", "#[expect(dead_code)] fn f() {}"), 1);
        assert_eq!(
            refused(
                "src/app.rs",
                "#[allow(dead_code, reason = \"read by serde\")] fn f() { x.expect(1) }"
            ),
            0
        );
    }

    #[test]
    fn bincode_and_sqlx_stay_in_their_place() {
        assert_eq!(refused("cluster/src/codec.rs", "use bincode::serde;"), 0);
        assert_eq!(refused("cluster/src/ask.rs", "use bincode::serde;"), 1);
        assert_eq!(refused("src/storage/apim/apis.rs", "use sqlx::Row;"), 0);
        assert_eq!(refused("tests/start.rs", "sqlx::query(\"select 1\")"), 1);
    }
}
