//! No key manager answers: consumers that a gateway was told of are served on, also tokens that it has
//! never seen and after a restart with everything else dead; nothing that was ended opens.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{CONTROL, Trio, options, set};
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::node::{Node, Options};
use crate::support::platform::{DEVPORTAL, PUBLISHER, Subscribed, text};

const LOCAL: &str = "headgate_gateway_local_verifications_total";
const KNOWN: &str = "headgate_gateway_known_consumers";

async fn call(gateway: &Node, access: &str) -> Answer {
    let call = gateway.api("GET", "/shop/1.0.0/items").bearer(access);
    call.send().await
}

/// What the gateway's metrics say; 0 of what they do not name.
pub async fn measured(gateway: &Node, name: &str) -> f64 {
    let metrics = gateway.get("/metrics").bearer(&gateway.operator());
    let metrics = metrics.send().await.expect(200).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

/// The gateway has so many consumers in Carbon.
pub async fn keeps(gateway: &Node, consumers: f64) {
    eventually(10, "the gateway keeps whom it was told of", || async {
        let known = measured(gateway, KNOWN).await;
        ((known - consumers).abs() < 0.5).then_some(())
    })
    .await;
}

/// It answers calls, by whatever.
async fn serves(gateway: &Node, access: &str) -> Answer {
    eventually(30, "the gateway serves", || async {
        let answer = call(gateway, access).await;
        (answer.status == 200).then_some(answer)
    })
    .await
}

/// Nobody can tell whether it is good: the caller is to come again.
async fn is_unknown(gateway: &Node, access: &str) {
    let answer = call(gateway, access).await;
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.expect(503).text().contains("900900"));
}

/// Consumers, and what their tokens are good for when the control plane dies.
struct World {
    trio: Trio,
    /// Called before.
    holder: Subscribed,
    /// Tokens that no gateway has seen: of the holder, of one who has never called, revoked, of a
    /// session that a new password ended, of a subscription that was blocked.
    fresh: String,
    stranger: String,
    revoked: String,
    ended: String,
    blocked: String,
    opaque: String,
}

// === impl World ===

impl World {
    async fn start_with(of_gateway: &[(&str, &str)]) -> Self {
        let trio = Trio::start_with(of_gateway).await;
        let (node, token, api) = (&trio.control, &trio.token, &trio.api);
        let holder = node.subscribed(token, api, "holder", "JWT").await;
        let blocked = node.subscribed(token, api, "blocked", "JWT").await;
        let stranger = node.subscribed(token, api, "stranger", "JWT").await;
        let opaque = node.subscribed(token, api, "opaque", "OAUTH").await;
        for known in [&holder, &blocked] {
            call(&trio.gateway, &known.access).await.expect(200);
        }
        let fresh = node.client_token(&holder.key, &holder.secret).await;
        let revoked = node.client_token(&holder.key, &holder.secret).await;
        let of_blocked = node.client_token(&blocked.key, &blocked.secret).await;
        let ended = session_that_ends(&trio, &holder).await;
        keeps(&trio.gateway, 2.0).await;
        let revoke = node.post("/oauth2/revoke");
        let revoke = revoke.basic(&holder.key, &holder.secret);
        let revoke = revoke.form(&[("token", &revoked)]).send().await;
        assert_eq!(revoke.expect(200).header("headgate-applied"), "2/2");
        let path = format!(
            "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={}&blockState=BLOCKED",
            blocked.subscription
        );
        let block = node.post(&path).bearer(token).send().await.expect(200);
        assert_eq!(block.header("headgate-applied"), "2/2");
        Self {
            fresh,
            stranger: stranger.access,
            revoked,
            ended,
            blocked: of_blocked,
            opaque: opaque.access,
            holder,
            trio,
        }
    }

    /// What there is to say without anybody else.
    async fn holds(&self, gateway: &Node) {
        for good in [&self.fresh, &self.holder.access] {
            call(gateway, good).await.expect(200);
        }
        for over in [&self.revoked, &self.ended] {
            call(gateway, over).await.expect(401);
        }
        let (stranger, opaque) = (
            is_unknown(gateway, &self.stranger),
            is_unknown(gateway, &self.opaque),
        );
        tokio::join!(stranger, opaque, is_unknown(gateway, &self.blocked));
    }
}

/// A token of Ann's session at the holder's client, which her new password has ended.
async fn session_that_ends(trio: &Trio, holder: &Subscribed) -> String {
    let node = &trio.control;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ann", "password": "Open-sesame-1",
        "roles": [{"value": "Internal/subscriber"}],
    });
    let made = node.post("/scim2/Users").bearer(&trio.token).json(&body);
    let made = made.send().await.expect(201).json();
    let form = [
        ("grant_type", "password"),
        ("username", "ann"),
        ("password", "Open-sesame-1"),
    ];
    let tokens = node
        .post("/oauth2/token")
        .basic(&holder.key, &holder.secret);
    let tokens = tokens.form(&form).send().await.expect(200).json();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "password", "value": "Open-sesame-2"}],
    });
    let patch = node.call("PATCH", &format!("/scim2/Users/{}", text(&made, "id")));
    let patched = patch.bearer(&trio.token).json(&body).send().await;
    assert_eq!(patched.expect(200).header("headgate-applied"), "2/2");
    text(&tokens, "access_token").to_owned()
}

fn alone(seeds: &str) -> Options {
    Options {
        // There is no traffic manager and nobody of the control plane.
        unready: true,
        ..options("gw1", "gateway", seeds)
    }
}

#[tokio::test]
async fn known_consumers_are_served_without_any_key_manager_also_by_a_gateway_that_starts_alone() {
    let mut world = World::start_with(&[]).await;
    let seed = world.trio.control.cluster_address();
    // What it has acknowledged it knows after a crash at that moment.
    world.trio.control.kill();
    world.trio.traffic.kill();
    world.trio.gateway.kill();
    let gateway = world.trio.gateway;
    world.trio.gateway = gateway.crash_and_restart(alone(&seed)).await;
    let gateway = &world.trio.gateway;
    let answer = serves(gateway, &world.fresh).await;
    let _: u64 = answer.header("headgate-stale").parse().expect("seconds");
    // A balancer that sent nobody here would make it all for nothing.
    let ready = gateway.api("GET", "/_headgate/readyz").send().await;
    assert_eq!(ready.status, 200);
    world.holds(gateway).await;
    assert!(measured(gateway, LOCAL).await >= 4.0);
    assert!(measured(gateway, "headgate_gateway_key_managers_silent").await > 0.5);
    let log = gateway.log();
    for said in ["no key manager answers", "nobody of the control plane"] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_to_refuse_when_cut_off_serves_nobody_after_a_start_alone() {
    let refuse = ("HEADGATE__GATEWAY__WHEN_CUT_OFF", "refuse");
    let mut trio = Trio::start_with(&[refuse]).await;
    let (node, token, api) = (&trio.control, &trio.token, &trio.api);
    let holder = node.subscribed(token, api, "holder", "JWT").await;
    call(&trio.gateway, &holder.access).await.expect(200);
    keeps(&trio.gateway, 1.0).await;
    let mut alone = alone(&trio.control.cluster_address());
    set(&mut alone, refuse.0, refuse.1);
    trio.control.kill();
    trio.gateway = trio.gateway.crash_and_restart(alone).await;
    eventually(30, "it sees that it is cut off", || async {
        let log = trio.gateway.log();
        let gone = log.contains("nobody of the control plane answers");
        gone.then_some(())
    })
    .await;
    is_unknown(&trio.gateway, &holder.access).await;
}

#[tokio::test]
async fn while_only_the_key_managers_are_gone_calls_are_judged_under_the_lease_until_they_are_back()
{
    let mut world = World::start_with(&[]).await;
    let without = options("cp1", "publisher,devportal,admin", "");
    let without = Options {
        unready: true,
        ..without
    };
    let control = world.trio.control;
    world.trio.control = control.crash_and_restart(without).await;
    let gateway = &world.trio.gateway;
    eventually(30, "the control plane is heard again", || async {
        let answer = call(gateway, &world.fresh).await;
        let is_served = answer.status == 200;
        (is_served && answer.header("headgate-stale").is_empty()).then_some(())
    })
    .await;
    world.holds(gateway).await;
    let again = options("cp1", CONTROL, "");
    let control = world.trio.control;
    world.trio.control = control.crash_and_restart(again).await;
    let gateway = &world.trio.gateway;
    serves(gateway, &world.stranger).await;
    assert!(gateway.log().contains("key managers answer again"));
    // What was judged here is no longer than a moment: the key manager decides again.
    eventually(20, "no token is judged here", || async {
        let before = measured(gateway, LOCAL).await;
        call(gateway, &world.fresh).await.expect(200);
        ((measured(gateway, LOCAL).await - before).abs() < 0.5).then_some(())
    })
    .await;
    let path = format!("{DEVPORTAL}/applications/{}", world.holder.application);
    let control = &world.trio.control;
    let removed = control.delete(&path).bearer(&world.trio.token);
    removed.send().await.expect(200);
    call(gateway, &world.fresh).await.expect(401);
}

#[tokio::test]
async fn a_key_manager_that_stands_still_holds_a_known_consumer_for_a_few_seconds() {
    let world = World::start_with(&[]).await;
    world.trio.control.signal("-STOP");
    let began = Instant::now();
    let answer = call(&world.trio.gateway, &world.fresh).await;
    let took = began.elapsed();
    world.trio.control.signal("-CONT");
    answer.expect(200);
    assert!(took < Duration::from_secs(8), "{took:?}");
}
