//! The paths a file names: `crate::a::b`, and each leaf of `use crate::{a::b, c::{self, d}}`, as segments.

use crate::tokens::{Kind, Token};

/// One path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Its segments; a glob ends in `*`.
    pub(crate) segments: Vec<String>,
    /// Where it ends.
    pub(crate) line: usize,
    /// Whether `(` follows: a function or constructor is called.
    pub(crate) called: bool,
    /// Whether it directly follows `use`.
    pub(crate) used: bool,
}

/// Every path in the text, single identifiers too.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = path(tokens, at, &[], &mut found);
    }
    found
}

/// Reads a path at `at`; gives back where to go on, always further.
fn path(tokens: &[Token], at: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let Some(first) = tokens.get(at) else {
        return at + 1;
    };
    if first.is_punct('{') && !prefix.is_empty() {
        return group(tokens, at + 1, prefix, found);
    }
    if first.is_punct('*') && !prefix.is_empty() {
        let segments = prefix.iter().cloned().chain(["*".to_owned()]).collect();
        found.push(Path {
            segments,
            line: first.line,
            called: false,
            used: false,
        });
        return at + 1;
    }
    if first.kind != Kind::Ident {
        return at + 1;
    }
    let mut segments = prefix.to_vec();
    // `a::{self}` is `a`
    if prefix.is_empty() || first.text != "self" {
        segments.push(first.text.clone());
    }
    let used = at
        .checked_sub(1)
        .and_then(|before| tokens.get(before))
        .is_some_and(|token| token.is_ident("use"));
    let mut end = at + 1;
    while is_colons(tokens, end) {
        match tokens.get(end + 2) {
            Some(next) if next.kind == Kind::Ident => segments.push(next.text.clone()),
            Some(next) if next.is_punct('{') || next.is_punct('*') => {
                return path(tokens, end + 2, &segments, found);
            }
            _ => break,
        }
        end += 3;
    }
    let called = tokens.get(end).is_some_and(|token| token.is_punct('('));
    let line = tokens.get(end - 1).map_or(first.line, |token| token.line);
    found.push(Path {
        segments,
        line,
        called,
        used,
    });
    end
}

/// Reads up to the closing brace of a `use` group.
fn group(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    while let Some(token) = tokens.get(at) {
        if token.is_punct('}') {
            return at + 1;
        }
        at = if token.is_ident("as") {
            at + 2
        } else {
            path(tokens, at, prefix, found)
        };
    }
    at
}

fn is_colons(tokens: &[Token], at: usize) -> bool {
    [at, at + 1]
        .iter()
        .all(|at| tokens.get(*at).is_some_and(|token| token.is_punct(':')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::tokens;

    fn shown(text: &str) -> Vec<String> {
        let long = |path: &Path| path.segments.len() > 1;
        paths(&tokens(text))
            .iter()
            .filter(|path| long(path))
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn every_leaf_of_a_use_tree_is_found() {
        let text = "use crate::{a::b as x, c::{self, D}, e::*}; fn f() { g::h(i::<J>::k) }";
        assert_eq!(
            shown(text),
            [
                "crate::a::b",
                "crate::c",
                "crate::c::D",
                "crate::e::*",
                "g::h"
            ]
        );
    }

    #[test]
    fn a_call_is_told_from_a_name() {
        let found = paths(&tokens("crate::a::b(); crate::a::c"));
        let called = |name: &str| {
            found
                .iter()
                .any(|path| path.segments.ends_with(&[name.to_owned()]) && path.called)
        };
        assert!(called("b") && !called("c"));
    }
}
