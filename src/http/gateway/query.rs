//! A query on its way: what is for the gateway is taken out, all else stays as it was written.

/// Appends the pairs that nobody takes, with this mark in front of the first one.
pub(super) fn push(
    target: &mut String,
    mut mark: char,
    query: &str,
    is_taken: impl Fn(&str) -> bool,
) {
    for pair in query.split('&').filter(|pair| !is_taken(pair)) {
        target.push(mark);
        target.push_str(pair);
        mark = '&';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_what_is_taken_is_what_it_was() {
        for (query, left) in [
            ("t=1", "/a"),
            ("x=1&t=1&y=%20&", "/a?x=1&y=%20&"),
            ("t=1&y&t=2", "/a?y"),
            ("", "/a?"),
        ] {
            let mut target = "/a".to_owned();
            push(&mut target, '?', query, |pair| pair.starts_with("t="));
            assert_eq!(target, left, "{query}");
        }
    }
}
