//! Calls that changes overtake while they wait for their limits: the changes count.

use std::path::Path;
use std::pin::pin;

use serde_json::json;

use crate::changes::plan;
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::http::{Answer, Call};
use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
use crate::support::shop::Shop;
use crate::support::upstream::Upstream;

/// A shop on a disk that can hang, its plans and its one call.
struct Held {
    faults: Faults,
    shop: Shop,
    plans: Vec<String>,
    application: String,
    access: String,
}

impl Held {
    /// In a directory of its own, in front of an upstream, for origins of a portal.
    async fn start(dir: &Path) -> (Self, Upstream) {
        let faults = Faults::in_directory(dir);
        let node = Node::start_with(faults.options(dir)).await;
        let upstream = Upstream::start().await;
        let shop = Shop::on(node, &upstream.url).await;
        shop.change(|api| {
            api["corsConfiguration"] = json!({
                "corsConfigurationEnabled": true,
                "accessControlAllowOrigins": [ORIGIN],
                "accessControlAllowCredentials": false,
                "accessControlAllowHeaders": ["authorization"],
                "accessControlAllowMethods": ["GET"],
            });
        })
        .await;
        let held = Self {
            faults,
            shop,
            plans: Vec::new(),
            application: String::new(),
            access: String::new(),
        };
        (held, upstream)
    }

    /// A subscriber whose call waits for the disk when its first plan is stuck, with others to go
    /// over to.
    async fn again(self, round: usize, plans: usize) -> Self {
        let (node, token) = (&self.shop.node, &self.shop.token);
        let plans: Vec<_> = (0..plans).map(|n| format!("Plan{round}n{n}.")).collect();
        for name in &plans {
            plan(node, token, name).await;
        }
        let name = format!("held {round}");
        let application = node.application(token, &name, &plans[0], "JWT").await;
        node.subscribe(token, &self.shop.api, &application, "Unlimited")
            .await;
        let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
        let access = node.client_token(&key, &secret).await;
        Self {
            plans,
            application,
            access,
            ..self
        }
    }

    fn call(&self) -> Call {
        let call = self.shop.node.api("GET", "/shop/1.0.0/items");
        call.header("origin", ORIGIN).bearer(&self.access)
    }

    fn management(&self, method: &str, path: &str) -> Call {
        let call = self.shop.node.call(method, path);
        call.bearer(&self.shop.token)
    }

    /// The application is on another of its plans from now on.
    async fn change_plan(&self, to: usize) {
        let path = format!("{DEVPORTAL}/applications/{}", self.application);
        let got = self.management("GET", &path).send().await;
        let mut document = got.expect(200).json();
        document["throttlingPolicy"] = json!(self.plans[to]);
        let put = self.management("PUT", &path).json(&document);
        put.send().await.expect(200);
    }

    /// Calls, and makes changes while the call is held at its first plan.
    async fn overtaken(&self, changes: impl AsyncFnOnce(&Self)) -> Answer {
        self.faults.stick(&self.plans[0]);
        let changing = async {
            self.faults.until_met().await;
            changes(self).await;
            self.faults.unstick();
        };
        let (answer, ()) = tokio::join!(self.call().send(), changing);
        answer
    }

    /// Calls, and goes over to the next plan each time that the call is held at one, as long as
    /// there is one.
    async fn overtaken_at_each_plan(&self) -> Answer {
        self.faults.stick(&self.plans[0]);
        let changing = async {
            for next in 1..self.plans.len() {
                self.faults.until_met().await;
                self.change_plan(next).await;
                self.faults.stick(&self.plans[next]);
            }
            self.faults.unstick();
        };
        let mut call = pin!(self.call().send());
        tokio::select! {
            answer = &mut call => {
                self.faults.unstick();
                answer
            }
            () = changing => call.await,
        }
    }
}

const ORIGIN: &str = "https://portal.example";
/// How often a call may be held for too long on a busy machine.
const ROUNDS: usize = 8;

/// Whether a call was held for so long that it was refused for that.
fn is_late(answer: &Answer) -> bool {
    answer.status == 503 && answer.text().contains("in time")
}

#[tokio::test]
async fn a_call_that_is_held_is_judged_by_every_change_that_is_acknowledged_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut held, upstream) = Held::start(dir.path()).await;
    let denials = format!("{ADMIN}/throttling/deny-policies");
    let mut met = (false, false);
    for round in 0..ROUNDS {
        held = held.again(round, 2).await;
        let deny = json!({"conditionType": "API", "conditionValue": "/shop/1.0.0"});
        let mut denied = String::new();
        // One change: denied. Two: another plan, by which it is held again, then denied.
        let answer = held
            .overtaken(async |held| {
                if met.0 {
                    held.change_plan(1).await;
                    held.faults.stick(&held.plans[1]);
                    held.faults.until_met().await;
                }
                let saved = held.management("POST", &denials).json(&deny);
                let saved = saved.send().await.expect(201).json();
                denied = text(&saved, "conditionId").to_owned();
            })
            .await;
        assert_eq!(upstream.count(), 0, "{}", answer.text());
        let undeny = held.management(
            "DELETE",
            &format!("{ADMIN}/throttling/deny-policy/{denied}"),
        );
        undeny.send().await.expect(200);
        if is_late(&answer) {
            continue;
        }
        assert_eq!(text(&answer.expect(403).json(), "code"), "900805");
        if met.0 {
            met.1 = true;
            break;
        }
        met.0 = true;
    }
    assert!(met.1, "held for too long each time: {met:?}");
    undeployed(held, &upstream).await;
}

/// A call to an API that is undeployed while it is held is one to nothing.
async fn undeployed(mut held: Held, upstream: &Upstream) {
    let path = format!("{PUBLISHER}/apis/{}/revisions", held.shop.api);
    let revisions = held.management("GET", &path).send().await.expect(200);
    let revisions = revisions.json()["list"].as_array().expect("a list").clone();
    let mut revisions = revisions.iter();
    let deployed = revisions.find(|one| one["deploymentInfo"][0].is_object());
    let revision = text(deployed.expect("one is deployed"), "id").to_owned();
    for round in ROUNDS..ROUNDS * 2 {
        held = held.again(round, 2).await;
        let to = |verb: &str| {
            let path = format!("{PUBLISHER}/apis/{}/{verb}", held.shop.api);
            let call = held.management("POST", &format!("{path}?revisionId={revision}"));
            call.json(&json!([{"name": "Default", "vhost": "localhost"}]))
        };
        let answer = held
            .overtaken(async |_| drop(to("undeploy-revision").send().await.expect(201)))
            .await;
        assert_eq!(upstream.count(), 0, "{}", answer.text());
        if !is_late(&answer) {
            let answer = answer.expect(404);
            // It says nothing that the API said.
            assert_eq!(answer.header("access-control-allow-origin"), "");
            return;
        }
        to("deploy-revision").send().await.expect(200);
    }
    panic!("held for too long each time");
}

#[tokio::test]
async fn a_call_that_is_overtaken_each_time_is_told_to_its_origin_and_counted_by_its_api() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut held, upstream) = Held::start(dir.path()).await;
    for round in 0..ROUNDS {
        // It is judged four times.
        held = held.again(round, 5).await;
        let answer = held.overtaken_at_each_plan().await;
        assert_eq!(upstream.count(), 0, "{}", answer.text());
        if is_late(&answer) {
            continue;
        }
        let answer = answer.expect(503);
        let said = answer.json();
        assert_eq!(text(&said, "code"), "900900");
        assert!(text(&said, "description").contains("faster than"), "{said}");
        assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
        assert_eq!(answer.header("vary"), "origin");
        let id = answer.header("x-request-id");
        let line = eventually(10, "the call is logged", || async {
            let log = held.shop.node.log();
            let mut lines = log.lines().filter(|line| line.contains("headgate::access"));
            lines.find(|line| line.contains(id)).map(str::to_owned)
        });
        let (line, api) = (line.await, &held.shop.api);
        assert!(line.contains(&format!("\"api\":\"{api}\"")), "{line}");
        return;
    }
    panic!("held for too long each time");
}
