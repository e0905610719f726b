//! `/admin/ui/actors`: the actors of every node as a tree, with their depths and rates.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cluster::{ActorReport, AskActors};

use super::frame::Frame;
use super::lasting;
use super::person::Person;
use super::{ACTORS, answer};
use crate::seen;
use crate::services::Services;

#[derive(Template)]
#[template(path = "actors.html")]
struct Page {
    frame: Frame,
    news: String,
    nodes: Vec<OfNode>,
}

/// The actors of a node.
struct OfNode {
    name: String,
    /// How many there are.
    number: usize,
    /// Messages that wait, of all of them.
    depth: u64,
    rows: Vec<Row>,
    /// Why there are none, or not all.
    lack: Option<String>,
}

/// A row of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// The names of those above it, each with a `/` behind.
    above: String,
    /// Its own.
    name: String,
    /// How deep it stands; at most [`DEEPEST`], beyond which nothing is indented.
    level: usize,
    /// What it is; none for what holds others and is no actor.
    actor: Option<Actor>,
}

/// An actor's numbers as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Actor {
    kind: String,
    depth: u64,
    /// Messages a second, of the last minute.
    rate: String,
    /// Which part of that it was busy.
    busy: String,
    /// Within which time 99 of a hundred messages were handled.
    slowest: String,
    restarts: u64,
    last_error: String,
}

/// The deepest level that is indented.
const DEEPEST: usize = 3;

/// The page.
pub(super) async fn page(person: Person, State(services): State<Services>) -> Response {
    let ask = AskActors {
        prefix: String::new(),
        kind: String::new(),
    };
    let told = seen::actors::all(&services, &ask).await;
    let nodes: Vec<OfNode> = told.iter().map(OfNode::of).collect();
    let page = Page {
        frame: Frame::of(&services, person, ACTORS),
        news: summary(&nodes),
        nodes,
    };
    answer::page(StatusCode::OK, &page)
}

fn summary(nodes: &[OfNode]) -> String {
    let actors: usize = nodes.iter().map(|node| node.number).sum();
    let mut text = match nodes.len() {
        1 => format!("{actors} actors on 1 node"),
        number => format!("{actors} actors on {number} nodes"),
    };
    for node in nodes.iter().filter(|node| node.lack.is_some()) {
        text.push_str(&format!(", not all of {}", node.name));
    }
    text
}

// === impl OfNode ===

impl OfNode {
    fn of(told: &seen::actors::Told) -> Self {
        let actors = told.seen.as_ref().map(|seen| seen.actors.as_slice());
        let actors = actors.unwrap_or_default();
        Self {
            name: told.node.clone(),
            number: actors.len(),
            depth: actors.iter().map(|actor| actor.depth).sum(),
            rows: tree(actors),
            lack: told.lack(),
        }
    }
}

/// The tree: everybody below who holds them, numbers in their own order.
fn tree(actors: &[ActorReport]) -> Vec<Row> {
    let mut actors: Vec<_> = actors
        .iter()
        .map(|actor| (place(&actor.name), actor))
        .collect();
    actors.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut rows: Vec<Row> = Vec::new();
    let mut last: Vec<&str> = Vec::new();
    for (_, actor) in actors {
        let parts: Vec<&str> = actor.name.split('/').collect();
        let shared = parts.iter().zip(&last).take_while(|(a, b)| a == b).count();
        // Whoever holds this one and is no actor has a row without numbers.
        for level in shared..parts.len().saturating_sub(1) {
            rows.push(Row::of(&parts, level, None));
        }
        let level = parts.len().saturating_sub(1);
        rows.push(Row::of(&parts, level, Some(Actor::of(actor))));
        last = parts;
    }
    rows
}

/// By what a name is put in order: its parts, numbers as numbers.
fn place(name: &str) -> Vec<(u64, &str)> {
    let parts = name.split('/');
    parts
        .map(|part| (part.parse().unwrap_or(0), part))
        .collect()
}

// === impl Row ===

impl Row {
    fn of(parts: &[&str], level: usize, actor: Option<Actor>) -> Self {
        let above = parts.iter().take(level);
        Self {
            above: above.map(|part| format!("{part}/")).collect(),
            name: parts.get(level).copied().unwrap_or_default().to_owned(),
            level: level.min(DEEPEST),
            actor,
        }
    }
}

// === impl Actor ===

impl Actor {
    fn of(report: &ActorReport) -> Self {
        let lately = report.lately.as_ref().filter(|lately| lately.for_ms > 0);
        let unknown = || "–".to_owned();
        let rate = lately.map(|lately| lately.handled as f64 * 1e3 / lately.for_ms as f64);
        let busy = lately.map(|lately| lately.busy_ns as f64 / 1e4 / lately.for_ms as f64);
        let [_, _, slowest] = report.times_ns;
        Self {
            kind: report.kind.clone(),
            depth: report.depth,
            rate: rate.map_or_else(unknown, |rate| format!("{rate:.1}")),
            busy: busy.map_or_else(unknown, |busy| format!("{busy:.1} %")),
            slowest: if report.handled == 0 {
                unknown()
            } else {
                lasting::work(slowest)
            },
            restarts: report.restarts,
            last_error: report.last_error.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use cluster::Lately;

    use super::*;

    fn report(name: &str) -> ActorReport {
        ActorReport {
            name: name.to_owned(),
            kind: "a.kind".to_owned(),
            received: 3,
            handled: 3,
            depth: 2,
            errors: 0,
            restarts: 1,
            busy_ns: 5,
            last_error: None,
            times_ns: [1_000, 2_000, 3_000],
            lately: Some(Lately {
                for_ms: 60_000,
                received: 90,
                handled: 90,
                busy_ns: 600_000_000,
            }),
        }
    }

    #[test]
    fn actors_stand_below_who_holds_them_and_numbers_in_their_order() {
        let names = [
            "t",
            "t/shards/10",
            "t/shards/2",
            "gateway-x",
            "gateway/v",
            "gateway",
        ];
        let rows = tree(&names.map(report));
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    format!("{}{}", row.above, row.name),
                    row.level,
                    row.actor.is_some(),
                )
            })
            .collect();
        let expected = [
            ("gateway", 0, true),
            ("gateway/v", 1, true),
            ("gateway-x", 0, true),
            ("t", 0, true),
            ("t/shards", 1, false),
            ("t/shards/2", 2, true),
            ("t/shards/10", 2, true),
        ];
        assert_eq!(
            shown,
            expected.map(|(name, level, is)| (name.to_owned(), level, is))
        );
    }

    #[test]
    fn rates_are_those_of_the_last_minute_and_nothing_is_made_up_before_there_is_one() {
        let shown = Actor::of(&report("a"));
        assert_eq!(
            (shown.rate.as_str(), shown.busy.as_str(), shown.depth),
            ("1.5", "1.0 %", 2)
        );
        assert_eq!(shown.slowest, "3 µs");
        let new = ActorReport {
            lately: None,
            handled: 0,
            ..report("a")
        };
        let shown = Actor::of(&new);
        assert_eq!((shown.rate.as_str(), shown.slowest.as_str()), ("–", "–"));
    }

    #[test]
    fn a_name_that_is_markup_is_shown_as_text() {
        let page = Page {
            frame: Frame {
                node: "<script>n</script>".to_owned(),
                user: "<script>u</script>".to_owned(),
                mark: "m".to_owned(),
                sign_out: "/",
                pages: [("/", "a", true), ("/", "b", false), ("/", "c", false)],
            },
            news: "<script>s</script>".to_owned(),
            nodes: vec![OfNode {
                name: "\"><script>o</script>".to_owned(),
                number: 1,
                depth: 0,
                rows: tree(&[ActorReport {
                    kind: "<script>k</script>".to_owned(),
                    last_error: Some("<script>e</script>".to_owned()),
                    ..report("<script>a<")
                }]),
                lack: Some("<script>l</script>".to_owned()),
            }],
        };
        let html = page.render().unwrap();
        for letter in ["n", "u", "s", "o", "k", "e", "l", "a"] {
            assert!(
                !html.contains(&format!("<script>{letter}<")),
                "{letter} in {html}"
            );
            assert!(
                html.contains(&format!("&#60;script&#62;{letter}&#60;")),
                "{letter}"
            );
        }
    }
}
