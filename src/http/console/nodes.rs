//! The nodes of the cluster: what each does and how it is doing, as this one sees it.

use std::time::Duration;

use cluster::{About, Health, Member};

use super::lasting;
use crate::seen::members;
use crate::services::Services;

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) address: String,
    pub(super) state: State,
    /// Where its version and its protocol are known.
    pub(super) version: String,
    pub(super) protocol: String,
    /// How long it has been so.
    pub(super) lasting: String,
    pub(super) is_me: bool,
}

/// How a node is doing: a word, and the class of how that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) word: &'static str,
    pub(super) look: &'static str,
}

// === impl State ===

impl State {
    const UP: Self = Self {
        word: "up",
        look: "good",
    };

    fn of(health: Health, leaving: bool, answers: bool) -> Self {
        let (word, look) = match (health, leaving, answers) {
            (Health::Up, false, true) => return Self::UP,
            (Health::Up, true, _) => ("leaving", "worry"),
            (Health::Up, false, false) => ("up, no answer", "worry"),
            (Health::Suspect, _, _) => ("suspect", "worry"),
            (Health::Unmet, _, _) => ("never met", "worry"),
            (Health::Down, _, _) => ("down", "bad"),
        };
        Self { word, look }
    }
}

/// All nodes that this one knows, itself first.
pub(super) async fn all(services: &Services) -> Vec<Node> {
    let others = members::others(services).await;
    let mut nodes = vec![Node {
        is_me: true,
        ..Node::of(
            services.cluster.me(),
            State::UP,
            services.cluster.about(),
            services.cluster.up_for(),
        )
    }];
    nodes.extend(others.iter().map(|told| {
        let (known, about) = (&told.state, told.about.as_ref());
        let state = State::of(known.health, known.leaving, about.is_some());
        Node::of(&known.member, state, about, told.since)
    }));
    nodes
}

/// All of them in a sentence, which is read to people when it changes.
pub(super) fn summary(nodes: &[Node]) -> String {
    let up = nodes.iter().filter(|node| node.state == State::UP).count();
    let mut text = match nodes.len() {
        1 => "1 node".to_owned(),
        number => format!("{number} nodes"),
    };
    text.push_str(&format!(": {up} up"));
    for node in nodes.iter().filter(|node| node.state != State::UP) {
        text.push_str(&format!(", {} {}", node.name, node.state.word));
    }
    text
}

// === impl Node ===

impl Node {
    fn of(member: &Member, state: State, about: Option<&About>, since: Duration) -> Self {
        Self {
            name: member.name.clone(),
            roles: member.roles.clone(),
            address: member.address.clone(),
            state,
            version: about.map_or_else(String::new, |about| about.version.clone()),
            protocol: about.map_or_else(String::new, About::protocol_text),
            lasting: lasting::words(since),
            is_me: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_not_answer_is_told_apart_from_one_that_is_well() {
        let word = |health, leaving, answers| State::of(health, leaving, answers).word;
        assert_eq!(word(Health::Up, false, true), "up");
        assert_eq!(word(Health::Up, false, false), "up, no answer");
        assert_eq!(word(Health::Up, true, true), "leaving");
        assert_eq!(word(Health::Suspect, false, false), "suspect");
        assert_eq!(word(Health::Down, true, false), "down");
        assert_eq!(State::of(Health::Down, false, false).look, "bad");
    }

    #[test]
    fn the_summary_names_whoever_is_not_well() {
        let node = |name: &str, state| Node {
            name: name.to_owned(),
            roles: Vec::new(),
            address: String::new(),
            state,
            version: String::new(),
            protocol: String::new(),
            lasting: String::new(),
            is_me: false,
        };
        let down = State::of(Health::Down, false, false);
        let nodes = [node("a", State::UP), node("b", down)];
        assert_eq!(summary(&nodes), "2 nodes: 1 up, b down");
        assert_eq!(summary(&nodes[..1]), "1 node: 1 up");
    }
}
