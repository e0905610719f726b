//! Messages to people start in lower case and end without a full stop: literals of tracing macros, of thiserror's
//! `#[error("…")]`, and of anyhow's macros and contexts.

use crate::stage::Finding;
use crate::tokens::{Kind, Token};
use crate::workspace::Source;

const MACROS: [&str; 9] = [
    "trace", "debug", "info", "warn", "error", "event", "bail", "anyhow", "ensure",
];
/// Capitalised words that are names; words with two capitals or a digit need no entry.
const NAMES: [&str; 24] = [
    "Accept",
    "Argon",
    "Authorization",
    "Bearer",
    "Broker",
    "Carbon",
    "Cargo",
    "Cookie",
    "Debian",
    "Default",
    "Docker",
    "Headgate",
    "Host",
    "Internal",
    "Kubernetes",
    "Linux",
    "Location",
    "Origin",
    "Postgres",
    "Prometheus",
    "Rust",
    "Shared",
    "Swagger",
    "Unix",
];

/// Messages that break the style.
pub(crate) fn findings(source: &Source) -> Vec<Finding> {
    let messages = (0..source.tokens.len()).filter_map(|at| message(&source.tokens, at));
    messages
        .filter_map(|token| Some(Finding::new(&source.path, token.line, fault(&token.text)?)))
        .collect()
}

/// The message of the macro, attribute or call that starts at `at`.
fn message(tokens: &[Token], at: usize) -> Option<&Token> {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    let after = |ahead: usize| tokens.get(at + ahead);
    let opens =
        |ahead: usize| after(ahead).is_some_and(|token| token.is_punct('(') || token.is_punct('{'));
    let name = after(0).filter(|token| token.kind == Kind::Ident)?;
    let is_macro = MACROS.contains(&name.text.as_str()) && after(1)?.is_punct('!') && opens(2);
    if is_macro {
        return first_literal(tokens, at + 3);
    }
    let is_attribute = name.text == "error" && before(1)?.is_punct('[') && before(2)?.is_punct('#');
    let is_context = name.text == "context" && before(1)?.is_punct('.');
    let literal = after(2).filter(|token| token.kind == Kind::Text)?;
    ((is_attribute || is_context) && opens(1)).then_some(literal)
}

/// The first literal that is an argument by itself: neither a field's value nor inside a nested call.
fn first_literal(tokens: &[Token], start: usize) -> Option<&Token> {
    let mut depth = 0_usize;
    let mut begins = true;
    for token in tokens.get(start..)? {
        match (token.kind, token.text.as_str()) {
            (Kind::Punct, "(" | "[" | "{") => depth += 1,
            (Kind::Punct, ")" | "]" | "}") => depth = depth.checked_sub(1)?,
            (Kind::Text, _) if depth == 0 && begins => return Some(token),
            _ => {}
        }
        begins = depth == 0 && token.is_punct(',');
    }
    None
}

fn fault(message: &str) -> Option<String> {
    let shown: String = message.chars().take(40).collect();
    if message.trim_end().ends_with('.') {
        return Some(format!("message \"{shown}\" ends with a full stop"));
    }
    let word: String = message
        .chars()
        .take_while(|sign| sign.is_alphanumeric() || "-_'".contains(*sign))
        .collect();
    let capitalised = word.starts_with(char::is_uppercase);
    let marked = word
        .chars()
        .filter(|sign| sign.is_uppercase() || sign.is_ascii_digit())
        .count()
        > 1;
    if capitalised && !marked && !NAMES.contains(&word.as_str()) {
        return Some(format!(
            "message \"{shown}\" starts with a capital; a name belongs in xtask's list"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> usize {
        findings(&Source::of("src/app.rs", text)).len()
    }

    #[test]
    fn a_log_message_starts_in_lower_case_and_has_no_full_stop() {
        assert_eq!(
            refused(
                "info!(port, \"listening\"); tracing::warn!(%error, \"cannot bind {port}\", port = 1);"
            ),
            0
        );
        assert_eq!(refused("info!(port, \"Listening\");"), 1);
        assert_eq!(refused("tracing::error!(\"cannot bind.\");"), 1);
        assert_eq!(
            refused("debug!(target: \"Wire\", name = \"Peer.\", found = f(1, \"X.\"), \"Sent\")"),
            1
        );
    }

    #[test]
    fn an_error_message_follows_the_same_style() {
        assert_eq!(
            refused("#[error(\"no such API: {0}\")] #[error(transparent)] #[error(\"{0}\")]"),
            0
        );
        assert_eq!(refused("#[error(\"No such api\")]"), 1);
        assert_eq!(
            refused("bail!(\"Wrong\"); ensure!(a == \"B\", \"not so.\"); x.context(\"Reading\")"),
            3
        );
    }

    #[test]
    fn acronyms_and_names_may_begin_a_message() {
        for name in [
            "OpenAPI",
            "WSO2",
            "JWT",
            "PostgreSQL",
            "SQLite",
            "Headgate",
            "X-Request-ID",
            "If-Match",
            "Argon2id",
        ] {
            assert_eq!(
                refused(&format!("warn!(\"{name} was refused\")")),
                0,
                "{name}"
            );
        }
    }

    #[test]
    fn text_that_is_no_message_is_left_alone() {
        assert_eq!(
            refused(
                "// info!(\"Upper.\")\nlet a = \"Upper.\"; println!(\"Upper.\"); context(\"A.\")"
            ),
            0
        );
    }
}
