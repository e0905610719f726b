//! A process that ends at any statement of any write leaves a node that starts again, whole.
//!
//! One node lists the crash points that the parts of a scenario pass. Then, for each point, a
//! node on a copy of the same prepared data is ended exactly there and started again.

mod base;
mod credential;
mod left;
mod parts;
mod people;
mod restore;
mod sent;
mod start;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::task::{JoinError, JoinSet};

use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
use crate::support::postgres;
use crate::support::upstream::Upstream;
use base::{Base, Copy};
use credential::Credential;
use left::LEFT;
use parts::{PARTS, Prepared, Scenario};
use sent::{Body, Sent};

/// How often a part is run until it passes its point.
const TRIES: usize = 4;
/// Nodes that crash side by side.
const AT_ONCE: usize = 4;

/// Writes that no part makes, by their exact names; each is ended elsewhere: at a start (`start`), in
/// traffic (`traffic`), or by a test of the crate that makes it (`storage::crash_sweep`).
const BACKGROUND: &[&str] = &[
    "apim.api_keys.note_used",
    "apim.change_log.prune",
    // A client whose owner is deleted while it is registered.
    "apim.clients.take_back",
    // No request of this version reaches it: a portal changes a client with its mapping, in one
    // write that `keys` passes. Nodes of before may ask for it; it is one statement and its entry.
    "apim.clients.update",
    "apim.cluster_identity.ensure",
    "apim.cluster_identity.save_issuer",
    "apim.followers.fence",
    "apim.followers.leave",
    "apim.followers.save",
    "apim.retired_nodes.create",
    "apim.retired_nodes.delete",
    "apim.seed",
    "apim.tokens.purge",
    "apim.usage.delete",
    "apim.usage.note_kept_time",
    "apim.usage.save",
    "apim.usage.save_unknown",
    "apim.verification_keys.save",
    "apim.view_register.claim",
    "apim.view_register.give_up",
    "apim.view_register.hold",
    "apim.view_register.share",
    "broker.ledger.begin",
    "broker.ledger.end",
    "broker.ledger.mark",
    "broker.ledger.note",
    "broker.ledger.sweep",
    "broker.node.save",
    "broker.usage.close",
    "broker.usage.delete",
    "broker.usage.record",
    "broker.usage.release",
    "broker.usage.reserve",
    "broker.usage.settle",
    "backup.restore.apim.begin",
    "backup.restore.apim.end",
    "backup.restore.apim.rows",
    "backup.restore.apim.written",
    "backup.restore.shared.begin",
    "backup.restore.shared.end",
    "backup.restore.shared.rows",
    "backup.restore.shared.written",
    "carbon.consumers.save",
    "carbon.hold",
    "carbon.identity.note_counting",
    "carbon.identity.raise",
    "carbon.identity.save_cluster",
    "carbon.identity.save_issuer",
    "carbon.join_tokens.create",
    "carbon.join_tokens.take",
    "carbon.known_members.save",
    "carbon.projection",
    "carbon.projection.sweep",
    "carbon.register.append",
    "carbon.register.committed",
    "carbon.register.purge",
    "carbon.register.snapshot",
    "carbon.register.truncate",
    "carbon.register.vote",
    "carbon.voter",
    "database_identity.ensure",
    "shared.blobs.sweep",
    "shared.seed",
];

/// Parts that are ended on PostgreSQL as well, and the writes of theirs that are: documents in one
/// database and rows in the other, and the outbox between them.
const ON_A_SERVER: [&str; 2] = ["import", "people"];
const OVER_TWO_DATABASES: [&str; 3] = ["apim.apis.", "apim.outbox.", "shared."];

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_statement_of_any_write_leaves_a_node_that_starts_again_whole() {
    let upstream = Upstream::start().await;
    let base = Arc::new(Base::prepare(None, &upstream.url).await);
    let points = points(&base, &PARTS).await;
    let passed: BTreeSet<&str> = points.keys().map(|point| write_of(point)).collect();
    let written = names_of_writes();
    let missing: Vec<_> = written
        .iter()
        .filter(|name| !is_background(name) && !passed.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no part passes {missing:?}");
    crash_at(&base, points).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_statement_of_apis_and_people_leaves_a_whole_node_on_postgresql() {
    // Runs where a server is named; the same promise holds on SQLite above.
    if let Some(server) = postgres::server() {
        let upstream = Upstream::start().await;
        let base = Arc::new(Base::prepare(Some(server), &upstream.url).await);
        let mut points = points(&base, &ON_A_SERVER).await;
        points.retain(|point, _| {
            OVER_TWO_DATABASES
                .iter()
                .any(|write| point.starts_with(write))
        });
        assert!(points.len() > 10, "{points:?}");
        crash_at(&base, points).await;
    }
}

#[test]
fn every_write_that_no_part_makes_is_ended_elsewhere() {
    let (written, elsewhere) = (names_of_writes(), swept_elsewhere());
    let mut background = BACKGROUND.iter();
    let left_out = background.find(|name| !elsewhere.contains(**name) || !written.contains(**name));
    assert_eq!(left_out, None, "is written nowhere, or ended nowhere");
}

/// Ends a node at each of these points.
async fn crash_at(base: &Arc<Base>, points: BTreeMap<String, &'static str>) {
    let (mut crashes, mut failed) = (JoinSet::new(), Vec::new());
    for (point, part) in points.into_iter() {
        if crashes.len() == AT_ONCE {
            failed.extend(crashes.join_next().await.and_then(reason));
        }
        let base = Arc::clone(base);
        crashes.spawn(async move { crash(&base, &point, part).await });
    }
    while let Some(done) = crashes.join_next().await {
        failed.extend(reason(done));
    }
    assert!(
        failed.is_empty(),
        "crashes that left no whole node: {failed:#?}"
    );
}

/// Why a crash failed, so that the last line of the test says it.
fn reason(done: Result<(), JoinError>) -> Option<String> {
    let panic = done.err()?.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| "a panic without a text".to_owned()))
}

/// `apim.apis.create` of `apim.apis.create:3`.
fn write_of(point: &str) -> &str {
    point.rsplit_once(':').map_or(point, |(name, _)| name)
}

fn is_background(name: &str) -> bool {
    BACKGROUND.contains(&name)
}

/// Every crash point that a request passes, with a part of the scenario that passes it.
async fn points(base: &Base, parts: &[&'static str]) -> BTreeMap<String, &'static str> {
    let mut points = BTreeMap::new();
    for part in parts {
        let copy = copy_for(base, part).await;
        let list = copy.file("points");
        let variable = ("HEADGATE_CRASH_LIST", list.display().to_string());
        let node = Node::start_with(copy.options(Some(variable))).await;
        let scenario = Scenario {
            node: &node,
            prepared: &base.prepared,
            last: Mutex::new(None),
        };
        assert!(scenario.run(part).await.is_ok(), "{part} runs to its end");
        let text = std::fs::read_to_string(&list).expect("crash points");
        for point in text.lines().filter(|point| !is_background(write_of(point))) {
            points.entry(point.to_owned()).or_insert(*part);
        }
    }
    points
}

/// Ends a node at `point` of `part`, starts it again and looks at what is left. A point that was
/// listed by chance, such as that of a timer, is none of the part's.
async fn crash(base: &Base, point: &str, part: &'static str) {
    for _ in 0..TRIES {
        if crashes_and_is_whole(base, point, part).await {
            return;
        }
    }
    let again = points(base, &[part]).await;
    assert!(
        !again.contains_key(point),
        "{part} did not pass {point} in {TRIES} tries"
    );
}

/// The data that a part begins with.
async fn copy_for(base: &Base, part: &str) -> Copy {
    let copy = base.copy().await;
    if part == LEFT {
        left::leave(&copy, &base.prepared).await;
    }
    copy
}

/// Whether the node ended there.
async fn crashes_and_is_whole(base: &Base, point: &str, part: &str) -> bool {
    let prepared = &base.prepared;
    let copy = copy_for(base, part).await;
    let variable = ("HEADGATE_CRASH_AT", point.to_owned());
    let mut node = Node::start_with(copy.options(Some(variable))).await;
    let scenario = Scenario {
        node: &node,
        prepared,
        last: Mutex::new(None),
    };
    let ended = scenario.run(part).await.is_err();
    let last = scenario.last.into_inner().expect("not poisoned");
    // A connection that breaks is no crash.
    if !ended || !node.aborts_within(10).await {
        return false;
    }
    let (interrupted, effect) = last.expect("a request was sent");
    let node = node.crash_and_restart(copy.options(None)).await;
    let view = View {
        node: &node,
        prepared,
        point,
    };
    view.assert_whole().await;
    view.assert_again(&interrupted).await;
    view.assert_open(&effect.makes, true).await;
    view.assert_open(&effect.ends, false).await;
    view.assert_whole().await;
    true
}

/// What is looked at after a crash.
struct View<'a> {
    node: &'a Node,
    prepared: &'a Prepared,
    point: &'a str,
}

// === impl View ===

impl View<'_> {
    async fn get(&self, path: &str) -> Answer {
        let call = self.node.get(path).bearer(&self.prepared.token);
        let answer = call.try_patiently().await.expect("an answer");
        let place = format!("after {}: {path}: {}", self.point, answer.text());
        assert_eq!(answer.status, 200, "{place}");
        answer
    }

    /// Every member of a list, which must agree with its own count.
    async fn list(&self, path: &str) -> Vec<Value> {
        let body = self.get(path).await.json();
        let list = body["list"].as_array().expect("a list").clone();
        assert_eq!(body["count"], list.len(), "{path}");
        list
    }

    /// Whatever is listed can be read, and points at nothing that is missing.
    async fn assert_whole(&self) {
        for api in self.list(&format!("{PUBLISHER}/apis?limit=100")).await {
            let base = format!("{PUBLISHER}/apis/{}", text(&api, "id"));
            let document = self.get(&base).await.json();
            assert_eq!(document["name"], api["name"]);
            self.assert_scopes(&document).await;
            self.get(&format!("{base}/swagger")).await.json();
            let revisions = self.list(&format!("{base}/revisions")).await;
            let known: BTreeSet<_> = revisions.iter().map(|one| text(one, "id")).collect();
            let deployments = self.list(&format!("{base}/deployments")).await;
            for deployment in &deployments {
                assert!(known.contains(text(deployment, "revisionUuid")));
            }
            if api["name"] == "Base" && !deployments.is_empty() {
                // Whichever version is the default at this moment, the path is never nobody's.
                let answer = self.node.api("GET", "/base/items").send().await;
                assert_ne!(answer.status, 404, "after {}: {api}", self.point);
            }
            self.list(&format!("{base}/lifecycle-history")).await;
            if api["lifeCycleStatus"] == "PUBLISHED" {
                let id = text(&api, "id");
                self.list(&format!("{DEVPORTAL}/apis/{id}/api-keys")).await;
            }
        }
        for application in self.list(&format!("{DEVPORTAL}/applications")).await {
            let id = text(&application, "applicationId");
            self.get(&format!("{DEVPORTAL}/applications/{id}")).await;
            self.list(&format!("{DEVPORTAL}/applications/{id}/oauth-keys"))
                .await;
            let of = format!("{DEVPORTAL}/subscriptions?applicationId={id}");
            for subscription in self.list(&of).await {
                let api = text(&subscription, "apiId");
                self.get(&format!("{PUBLISHER}/apis/{api}")).await;
            }
        }
        self.list(&format!("{ADMIN}/throttling/policies/application"))
            .await;
        self.list(&format!("{ADMIN}/throttling/deny-policies"))
            .await;
        self.get("/scim2/Users").await;
    }

    /// A scope is anybody's if and only if its API says so: what both databases hold is one.
    async fn assert_scopes(&self, api: &Value) {
        for scope in api["scopes"].as_array().into_iter().flatten() {
            let (name, roles) = (text(&scope["scope"], "name"), &scope["scope"]["bindings"]);
            let asked = [("grant_type", "client_credentials"), ("scope", name)];
            let call = self.node.post("/oauth2/token").form(&asked);
            let call = call.basic(&self.prepared.key, &self.prepared.secret);
            let answer = call.try_patiently().await.expect("an answer");
            // The part that deletes the application takes its keys along.
            if answer.status == 200 {
                let is_open = roles.as_array().is_some_and(Vec::is_empty);
                let granted = answer.json()["scope"] == name;
                assert_eq!(granted, is_open, "after {}: {scope}", self.point);
            }
        }
    }

    /// The interrupted request works now, or says that its work is done already.
    async fn assert_again(&self, interrupted: &Sent) {
        let call = interrupted.call(self.node, &self.prepared.token);
        let answer = call.try_patiently().await.expect("an answer");
        let status = answer.status.as_u16();
        let done_already = match (interrupted.method.as_str(), &interrupted.body) {
            ("DELETE", _) => status == 404,
            ("POST", Body::None) if interrupted.path.ends_with("/clean-up") => status == 404,
            // A refresh token that was used up before the end; no other form has a second time.
            (_, Body::Form(pairs, ..)) => {
                let refreshes = pairs.iter().any(|(_, value)| value == "refresh_token");
                refreshes && status == 400 && answer.json()["error"] == "invalid_grant"
            }
            ("POST", _) => status == 409,
            _ => false,
        };
        assert!(
            answer.status.is_success() || done_already,
            "after {}: {} {} again: {status} {}",
            self.point,
            interrupted.method,
            interrupted.path,
            answer.text()
        );
    }

    /// What the request was to make opens, and what it was to end opens nothing any more.
    async fn assert_open(&self, credentials: &[Credential], wanted: bool) {
        for credential in credentials {
            let place = format!("after {}: {credential:?} opens: {wanted}", self.point);
            eventually(20, &place, || async {
                let opens = credential.opens(self.node).await;
                (opens == Some(wanted)).then_some(())
            })
            .await;
        }
    }
}

/// The names of all writes in the product's own code.
fn names_of_writes() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources() {
        let after = source.split(".write(\"").skip(1);
        let found = after.filter_map(|rest| rest.split('"').next());
        names.extend(found.map(str::to_owned));
    }
    names.retain(|name| !name.starts_with("test."));
    names
}

/// The names of writes that other tests end, each of which sees to it that it passes them.
fn swept_elsewhere() -> BTreeSet<String> {
    let here = start::WRITES.iter().chain(traffic::WRITES);
    let here = here.chain(restore::WRITES);
    let mut names: BTreeSet<String> = here.map(|name| (*name).to_owned()).collect();
    for source in sources() {
        // Every second piece between quotes is a name.
        let after = source
            .split("const SWEPT: &'static [&'static str] =")
            .skip(1);
        let lists = after.filter_map(|rest| rest.split(';').next());
        names.extend(lists.flat_map(|list| list.split('"').skip(1).step_by(2).map(str::to_owned)));
    }
    names
}

/// The text of each source file of the product.
fn sources() -> Vec<String> {
    let (mut sources, mut pending) = (
        Vec::new(),
        vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")],
    );
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = path.read_dir().expect("a directory");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            sources.push(std::fs::read_to_string(&path).expect("a source file"));
        }
    }
    sources
}
