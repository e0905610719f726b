//! A first start that ends at any statement of what it writes is made up for by the next one.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, PUBLISHER};

/// What a start writes before the node is ready.
pub(super) const WRITES: [&str; 6] = [
    "apim.seed",
    "apim.verification_keys.save",
    "carbon.identity.note_counting",
    "carbon.identity.raise",
    "database_identity.ensure",
    "shared.seed",
];

/// In this directory, with one variable.
fn options(dir: &std::path::Path, variable: &str, value: &str) -> Options {
    Options {
        dir: Some(dir.to_owned()),
        environment: vec![(variable.to_owned(), value.to_owned())],
        ..Options::default()
    }
}

/// What a fresh node has to offer: the names of all policies, and who there is.
async fn offers(node: &Node) -> BTreeSet<String> {
    let token = node.admin_token().await;
    let mut offered = BTreeSet::new();
    for (path, name) in [
        (
            format!("{ADMIN}/throttling/policies/application"),
            "policyName",
        ),
        (
            format!("{ADMIN}/throttling/policies/subscription"),
            "policyName",
        ),
        (
            format!("{ADMIN}/throttling/policies/advanced"),
            "policyName",
        ),
    ] {
        let list = node.get(&path).bearer(&token).send().await.expect(200);
        let list = list.json()["list"].as_array().expect("a list").clone();
        offered.extend(list.iter().map(|one| format!("{path} {}", one[name])));
    }
    let people = node.get("/scim2/Users").bearer(&token).send().await;
    let people = people.expect(200).json();
    offered.insert(format!(
        "{} {}",
        people["totalResults"], people["Resources"][0]["userName"]
    ));
    let apis = node
        .get(&format!("{PUBLISHER}/apis"))
        .bearer(&token)
        .send()
        .await;
    offered.insert(format!("{} APIs", apis.expect(200).json()["count"]));
    offered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_ends_at_any_statement_is_made_up_for_by_the_next() {
    let dir = tempfile::tempdir().expect("a directory");
    let list = dir.path().join("points");
    let node = Node::start_with(options(
        dir.path(),
        "HEADGATE_CRASH_LIST",
        &list.display().to_string(),
    ))
    .await;
    let whole = offers(&node).await;
    let text = std::fs::read_to_string(&list).expect("crash points");
    let points: BTreeSet<&str> = text
        .lines()
        .filter(|point| WRITES.contains(&super::write_of(point)))
        .collect();
    let writes: BTreeSet<_> = points.iter().map(|point| super::write_of(point)).collect();
    assert!(writes.iter().eq(WRITES.iter()), "{writes:?}");
    let (mut ends, whole) = (JoinSet::new(), Arc::new(whole));
    for point in points.into_iter() {
        if ends.len() == super::AT_ONCE {
            ends.join_next().await.expect("one of them").expect(WHOLE);
        }
        ends.spawn(ended_at(point.to_owned(), Arc::clone(&whole)));
    }
    while let Some(done) = ends.join_next().await {
        done.expect(WHOLE);
    }
}

/// What every start must come to.
const WHOLE: &str = "a node that offers everything";

/// Ends a first start at `point`, and starts once more.
async fn ended_at(point: String, whole: Arc<BTreeSet<String>>) {
    let dir = tempfile::tempdir().expect("a directory");
    let ended = Node::ends(&options(dir.path(), "HEADGATE_CRASH_AT", &point)).await;
    assert_eq!(ended.code(), None, "{point}: {ended}");
    let node = Node::start_with(Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    })
    .await;
    assert_eq!(offers(&node).await, *whole, "after {point}");
}
