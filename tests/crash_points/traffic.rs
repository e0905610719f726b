//! A process that ends at any statement of what calls write, beside them or at a stop or start,
//! neither loses a call untold nor counts one twice, and no plan lets more through than it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::base::{Base, FEW};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::platform::DEVPORTAL;
use crate::support::upstream::Upstream;

/// Calls before the data is copied, and calls of a run that is to end.
const BEFORE: usize = 5;
const CALLS: usize = 10;
/// How often a point is tried: what timers write comes when it comes.
const TRIES: usize = 4;

/// What all runs have.
struct Ground {
    base: Base,
    upstream: Upstream,
}

/// Writes of traffic and of what follows from it.
pub(super) const WRITES: &[&str] = &[
    "apim.usage.save",
    "apim.usage.save_unknown",
    "broker.ledger.begin",
    "broker.ledger.end",
    "broker.ledger.mark",
    "broker.ledger.note",
    "broker.node.save",
    "broker.usage.close",
    "broker.usage.delete",
    "broker.usage.record",
    "broker.usage.reserve",
    "broker.usage.settle",
    "carbon.projection",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_statement_of_traffic_loses_no_call_untold_and_overruns_no_plan() {
    let upstream = Upstream::start().await;
    let base = Base::prepare(None, &upstream.url).await;
    let ground = Arc::new(Ground { base, upstream });
    // Every run begins behind a crash: what that left is settled first.
    let node = Node::start_with(ground.base.options()).await;
    assert!(ground.calls(&node, "before", BEFORE).await);
    drop(node);
    let points = ground.points("points").await;
    for write in WRITES {
        let is_passed = points.iter().any(|point| super::write_of(point) == *write);
        assert!(is_passed, "nothing passes {write}: {points:?}");
    }
    let (mut crashes, mut failed) = (JoinSet::new(), Vec::new());
    for point in points.into_iter() {
        if crashes.len() == super::AT_ONCE {
            failed.extend(crashes.join_next().await.and_then(super::reason));
        }
        let ground = Arc::clone(&ground);
        crashes.spawn(async move { ground.crash(&point).await });
    }
    while let Some(done) = crashes.join_next().await {
        failed.extend(super::reason(done));
    }
    assert!(
        failed.is_empty(),
        "crashes that cost what they may not: {failed:#?}"
    );
}

// === impl Ground ===

impl Ground {
    /// All points of traffic that a run with calls of this name passes.
    async fn points(&self, name: &str) -> BTreeSet<String> {
        let copy = self.base.copy().await;
        let list = copy.file("points");
        let variable = ("HEADGATE_CRASH_LIST", list.display().to_string());
        let node = Node::start_with(copy.options(Some(variable))).await;
        assert!(!self.run(node, name).await, "nothing ends it");
        let text = std::fs::read_to_string(&list).expect("crash points");
        let is_traffic = |point: &&str| WRITES.contains(&super::write_of(point));
        let points = text.lines().filter(is_traffic);
        points.map(str::to_owned).collect()
    }

    /// Ends a run at `point`; what is left is looked at by the next one.
    async fn crash(&self, point: &str) {
        for n in 0..TRIES {
            let copy = self.base.copy().await;
            let name = format!("{}-{n}", point.replace(['.', ':'], "-"));
            let variable = ("HEADGATE_CRASH_AT", point.to_owned());
            let ended = match Node::start_or_end(&copy.options(Some(variable))).await {
                Some(node) => self.run(node, &name).await,
                None => true,
            };
            if !ended {
                continue;
            }
            let node = Node::start_with(copy.options(None)).await;
            self.assert_told(&node, &name, point).await;
            self.drain(&node, &name, point).await;
            self.assert_told(&node, &name, point).await;
            return;
        }
        // Usage that was delivered while the minute turned has points of its own, which one run has and the next one has not.
        for n in 0..TRIES {
            let again = self.points(&format!("again-{point}-{n}")).await;
            if !again.contains(point) {
                return;
            }
        }
        panic!("no run passed {point} in {TRIES} tries");
    }

    /// Calls until enough were counted, changes something that Carbon holds, and stops in order;
    /// whether the process ended before.
    async fn run(&self, mut node: Node, name: &str) -> bool {
        if !self.calls(&node, name, CALLS).await {
            return true;
        }
        let counted = eventually(30, "the calls are counted, or the end", || async {
            match counts(&node).await {
                Some((counted, _)) => (counted >= CALLS).then_some(true),
                None => Some(false),
            }
        });
        if !counted.await {
            return true;
        }
        let made = node.post(&format!("{DEVPORTAL}/applications"));
        let made = made.bearer(&self.base.prepared.token);
        let body = json!({"name": name, "throttlingPolicy": "Unlimited"});
        match made.json(&body).try_patiently().await {
            Ok(answer) => drop(answer.expect(201)),
            Err(_) => return true,
        }
        node.has_ended() || node.terminate().await != Some(0)
    }

    /// Whether so many calls under the plan pass; not when the node ends.
    async fn calls(&self, node: &Node, name: &str, many: usize) -> bool {
        let mut held = 0;
        while self.reached(name) < many {
            match self.call(node, name).await {
                Some(200) => {}
                Some(503) if held < 5 => held += 1,
                Some(other) => panic!("{name}: {other}"),
                None => return false,
            }
        }
        true
    }

    async fn call(&self, node: &Node, name: &str) -> Option<u16> {
        let call = node.api("GET", &format!("/base/1.0.0/items/{name}"));
        let call = call.bearer(&self.base.prepared.few);
        let answer = call.try_send().await.ok()?;
        Some(answer.status.as_u16())
    }

    /// How many calls of this name the upstream got.
    fn reached(&self, name: &str) -> usize {
        let seen = self.upstream.seen();
        let path = format!("/items/{name}");
        seen.iter().filter(|one| one.path == path).count()
    }

    /// What was counted and what is told as unknown cover all calls, and none is counted twice.
    async fn assert_told(&self, node: &Node, name: &str, point: &str) {
        let reached = BEFORE + self.reached(name);
        eventually(
            30,
            &format!("after {point}: every call is told"),
            || async {
                let (counted, unknown) = counts(node).await.expect("an answer");
                assert!(counted <= reached, "{point}: {counted} of {reached}");
                (counted + unknown >= reached).then_some(())
            },
        )
        .await;
    }

    /// Calls until the plan is used up.
    async fn drain(&self, node: &Node, name: &str, point: &str) {
        let mut held = 0;
        loop {
            match self.call(node, name).await {
                Some(200) => {}
                Some(429) => break,
                Some(503) if held < 3 => held += 1,
                other => panic!("after {point}: {other:?}"),
            }
        }
        let passed = BEFORE + self.reached(name);
        assert!(passed <= FEW, "after {point}: {passed} of {FEW}");
    }
}

/// Calls that were counted as forwarded, and those that are told as unknown; none when the node is
/// gone.
async fn counts(node: &Node) -> Option<(usize, usize)> {
    let usage = node.get("/admin/usage").bearer(&node.operator());
    let usage = usage.try_send().await.ok()?.expect(200).json();
    let rows = usage["list"].as_array()?.iter();
    let counted: u64 = rows.filter_map(|row| row["forwarded"].as_u64()).sum();
    let unknown = usage["unknownCalls"].as_u64()?;
    Some((
        usize::try_from(counted).ok()?,
        usize::try_from(unknown).ok()?,
    ))
}
