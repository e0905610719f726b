//! How stable ids of nodes look (PROTOCOLS W1): each node makes its own, a UUID in small letters.

/// The lengths of a UUID's groups.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// Whether a text may be the stable id of a node, and is not its name or a word for something else.
#[must_use]
pub fn is_node_id(text: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let is_group =
        |(group, length): (&str, usize)| group.len() == length && group.chars().all(is_hex);
    text.split('-').count() == GROUPS.len() && text.split('-').zip(GROUPS).all(is_group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_for_what_is_no_node_are_no_ids() {
        assert!(is_node_id("0f8fad5b-d9cb-469f-a165-70867728950e"));
        for other in [
            "",
            "?",
            "tm1",
            "generation-3",
            "0f8fad5b-d9cb-469f-a165-70867728950",
            "0f8fad5b-d9cb-469f-a165-70867728950e-1",
            "0F8FAD5B-D9CB-469F-A165-70867728950E",
            "0f8fad5bd9cb469fa16570867728950e",
            "0f8fad5b-d9cb-469f-a165-7086772895ög",
        ] {
            assert!(!is_node_id(other), "{other}");
        }
    }
}
