//! What an operator gives back of a key: the whole window by a reset, or some units by a refund, at every gateway at once.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::cluster::{Trio, members, options};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::platform::text;

struct Counted {
    trio: Trio,
    second: Node,
    access: String,
    key: String,
}

impl Counted {
    /// A key of a plan of twelve a day, used up at two gateways.
    async fn used_up() -> Self {
        let trio = Trio::start().await;
        let seed = trio.control.cluster_address();
        let second = Node::start_with(options("gw2", "gateway", &seed)).await;
        let (_, _, access) = trio.subscriber("Twelve", 12).await;
        let mut counted = Self {
            trio,
            second,
            access,
            key: String::new(),
        };
        counted.begins().await;
        counted.key = counted.named().await;
        counted
    }

    /// Until the second gateway serves the API too.
    async fn begins(&self) {
        let mut let_through = eventually(60, "both gateways count calls", || async {
            let (one, other) = (self.call(0).await, self.call(1).await);
            let both = [one, other];
            let let_through = both.iter().filter(|status| **status == 200).count();
            (let_through > 0 || both == [429, 429]).then_some(let_through)
        })
        .await;
        let_through += self.drain().await;
        assert_eq!(let_through, 12);
    }

    async fn call(&self, gateway: usize) -> u16 {
        let node = [&self.trio.gateway, &self.second][gateway];
        let call = node.api("GET", "/shop/1.0.0/items").bearer(&self.access);
        call.send().await.status.into()
    }

    /// Calls both in turn until both refuse; gives how many were let through.
    async fn drain(&self) -> usize {
        let (mut let_through, mut refused) = (0, 0);
        for turn in 0.. {
            match self.call(turn % 2).await {
                200 => (let_through, refused) = (let_through + 1, 0),
                429 => refused += 1,
                status => assert_eq!(status, 503, "neither served nor told"),
            }
            if refused == 4 {
                break;
            }
            assert!(let_through <= 60, "no end");
        }
        let_through
    }

    /// The key as operators see it.
    async fn named(&self) -> String {
        let node = &self.trio.gateway;
        let (mut of_plan, token) = (None, node.operator());
        for shard in 0..256 {
            let path = format!("/admin/shards?shard={shard}&keys=50");
            let seen = node.get(&path).bearer(&token).send().await.expect(200);
            let named = seen.json()["list"][0]["named"].clone();
            let named = named.as_array().cloned().unwrap_or_default();
            let mut named = named.iter().filter_map(Value::as_str);
            of_plan = of_plan.or_else(|| {
                named
                    .find(|key| key.contains("/Twelve/"))
                    .map(str::to_owned)
            });
        }
        of_plan.expect("the plan's key is counted")
    }

    async fn change(&self, what: &str, body: &Value, wanted: u16) -> Value {
        let path = format!("/admin/keys/{}/{what}", self.key);
        let (node, token) = (&self.second, self.second.operator());
        let answer = node.post(&path).bearer(&token).json(body).send().await;
        answer.expect(wanted).json()
    }

    /// The next calls pass at both; gives how many did meanwhile.
    async fn passes_at_both(&self) -> usize {
        let mut let_through = 0;
        for gateway in [0, 1] {
            eventually(2, "what was refused passes", || async {
                (self.call(gateway).await == 200).then_some(())
            })
            .await;
            let_through += 1;
        }
        let_through
    }
}

#[tokio::test]
async fn a_key_that_is_reset_or_refunded_passes_at_all_gateways_and_never_more_than_was_given_back()
{
    let counted = Counted::used_up().await;
    let reset = counted.change("reset", &json!({}), 200).await;
    assert_eq!(text(&reset, "key"), counted.key);
    assert_eq!(reset["limit"], 12);
    assert_eq!(reset["unheard"], json!([]), "both gateways answered");
    let let_through = counted.passes_at_both().await;
    assert_eq!(let_through + counted.drain().await, 12);

    counted.change("refund", &json!({"units": 5}), 200).await;
    let let_through = counted.passes_at_both().await;
    assert_eq!(let_through + counted.drain().await, 5);

    // No more comes back than was used.
    let all = json!({"units": 1_000_000});
    counted.change("refund", &all, 200).await;
    assert_eq!(counted.drain().await, 12);

    let node = &counted.trio.control;
    let refund = ["keys", "refund", &counted.key, "--units", "3"];
    let output = node.command(&refund).output().expect("its end");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(counted.drain().await, 3);
    let reset = ["keys", "reset", &counted.key];
    let output = node.command(&reset).output().expect("its end");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(counted.drain().await, 12);
    refuses_what_cannot_be_done(&counted).await;
    is_audited(&counted).await;
}

/// Who gave back what, and what came of it, stands in the log of the node that was asked.
async fn is_audited(counted: &Counted) {
    let (reset, refunded) = ("a key is reset", "units of a key are refunded");
    let key = ("key", counted.key.as_str());
    let by_hand = &counted.second;
    let once = ["ordered", "done"];
    by_hand.has_audited(reset, key, &once).await;
    let twice = ["ordered", "done", "ordered", "done"];
    by_hand.has_audited(refunded, key, &twice).await;
    let units = [json!(5), json!(5), json!(1_000_000), json!(1_000_000)];
    let log = by_hand.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let of_refunds = lines.filter(|line: &Value| line["message"] == refunded);
    let told: Vec<Value> = of_refunds.map(|line| line["units"].clone()).collect();
    assert_eq!(told, units);
    let unknown = format!("{}-and-more", counted.key);
    let refused = ["ordered", "nothing is counted"];
    by_hand
        .has_audited(reset, ("key", &unknown), &refused)
        .await;
    let by_command = &counted.trio.control;
    by_command.has_audited(reset, key, &once).await;
    by_command.has_audited(refunded, key, &once).await;
}

async fn refuses_what_cannot_be_done(counted: &Counted) {
    let (node, key) = (&counted.second, &counted.key);
    for units in [
        json!(0),
        json!(-3),
        json!(1.5),
        json!(1e30),
        json!("3"),
        Value::Null,
    ] {
        let told = counted
            .change("refund", &json!({"units": units}), 400)
            .await;
        assert!(told.to_string().contains("units"), "{told}");
    }
    counted.change("refund", &json!({}), 400).await;
    counted.change("reset", &json!({"units": 3}), 400).await;
    counted.change("forget", &json!({}), 400).await;
    let token = node.operator();
    let at = |path: &str| node.post(path).json(&json!({}));
    let unknown = at(&format!("/admin/keys/{key}-and-more/reset")).bearer(&token);
    unknown.send().await.expect(404);
    at("/admin/keys/reset")
        .bearer(&token)
        .send()
        .await
        .expect(400);
    let path = format!("/admin/keys/{key}/reset");
    at(&path).send().await.expect(401);
    let stranger = at(&path).bearer(&counted.access).send().await.status;
    assert!(matches!(u16::from(stranger), 401 | 403), "{stranger}");
    let wrong = node.call("PUT", &path).bearer(&token).json(&json!({}));
    wrong.send().await.expect(405);
    assert_eq!(counted.drain().await, 0, "nothing was given back");
}

#[tokio::test]
async fn what_a_gateway_used_that_hangs_when_its_key_is_reset_is_forgiven_once_it_goes_on() {
    let counted = Counted::used_up().await;
    let hangs = &counted.trio.gateway;
    hangs.signal("-STOP");
    let reset = counted.change("reset", &json!({}), 200).await;
    assert_eq!(reset["unheard"], json!(["gw1"]), "{reset}");
    let counts = reset["granted"].as_u64().expect("units");
    assert!((1..12).contains(&counts), "both had some: {reset}");
    let audited = ["ordered", "done; unheard=gw1"];
    let key = ("key", counted.key.as_str());
    let by = &counted.second;
    by.has_audited("a key is reset", key, &audited).await;
    hangs.signal("-CONT");
    let let_through = Cell::new(0);
    eventually(20, "all of it is given out once more", || async {
        let_through.set(let_through.get() + counted.drain().await);
        (let_through.get() >= 12).then_some(())
    })
    .await;
    assert_eq!(let_through.get() + counted.drain().await, 12);
}

/// Until the traffic manager has this member so, as it sees it.
async fn until_seen(counted: &Counted, name: &str, health: &str) {
    let seen = (name.to_owned(), health.to_owned());
    eventually(20, "it is seen so", || async {
        let members = members(&counted.trio.traffic).await;
        members.contains(&seen).then_some(())
    })
    .await;
}

/// Its owner was started anew and goes on from its disk: it knows of no lease. A gateway that is cut off meanwhile may have one.
#[tokio::test]
async fn a_gateway_that_is_out_of_sight_is_named_by_a_reset_of_an_owner_that_goes_on_from_its_disk()
{
    let mut counted = Counted::used_up().await;
    let seed = counted.trio.control.cluster_address();
    let again = options("tm1", "traffic-manager", &seed);
    counted.trio.traffic = counted.trio.traffic.crash_and_restart(again).await;
    until_seen(&counted, "gw1", "up").await;
    counted.trio.gateway.signal("-STOP");
    for health in ["suspect", "down"] {
        until_seen(&counted, "gw1", health).await;
        let reset = counted.change("reset", &json!({}), 200).await;
        assert_eq!(reset["unheard"], json!(["gw1"]), "{health}: {reset}");
    }
    counted.trio.gateway.signal("-CONT");
}
