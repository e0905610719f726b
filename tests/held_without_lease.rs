//! A call that waits for its units while the lease of its gateway ends: the lease is looked at again just before the
//! call is handed on (S2).

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{CONTROL, options, set};
use crate::support::http::Answer;
use crate::support::net::{Fault, Net};
use crate::support::node::Node;
use crate::support::platform::Subscribed;
use crate::support::upstream::Upstream;

/// How often a busy machine may hold a call for too long.
const ROUNDS: usize = 6;
/// How long a call waits for its units (L8).
const HELD: Duration = Duration::from_secs(3);

/// A gateway that refuses when it is cut off, and whose way to the control plane can be.
struct Held {
    net: Net,
    control: Node,
    traffic: Node,
    gateway: Node,
    /// Of the API whose calls need units.
    upstream: Upstream,
    holder: Subscribed,
}

impl Held {
    async fn start() -> Self {
        let net = Net::start();
        let mut of_control = options("cp1", CONTROL, "");
        set(&mut of_control, "HEADGATE__CLUSTER__CHANGE_WAIT_MS", "2100");
        let (control, seed) = net.node("cp1", of_control).await;
        let traffic = Node::start_with(options("tm1", "traffic-manager", &seed)).await;
        let mut of_gateway = options("gw1", "gateway", &seed);
        set(&mut of_gateway, "HEADGATE__GATEWAY__WHEN_CUT_OFF", "refuse");
        let (gateway, _) = net.node("gw1", of_gateway).await;
        let (upstream, free) = (Upstream::start().await, Upstream::start().await);
        let token = control.admin_token().await;
        let shop = control.published(&token, "Shop", "/shop", &upstream.url);
        let plans = ("Unlimited", "Gold");
        let shop = shop.await;
        let holder = control.subscribed_under(&token, &shop, plans, "one", "JWT");
        let holder = holder.await;
        let free = control.published(&token, "Free", "/free", &free.url).await;
        control
            .subscribe(&token, &free, &holder.application, "Unlimited")
            .await;
        let held = Self {
            net,
            control,
            traffic,
            gateway,
            upstream,
            holder,
        };
        // From now on the gateway knows the caller, and has no units for it.
        held.call("/free").await.expect(200);
        held
    }

    async fn call(&self, context: &str) -> Answer {
        let path = format!("{context}/1.0.0/items");
        let call = self.gateway.api("GET", &path);
        call.bearer(&self.holder.access).send().await
    }

    /// The token is ended while a call by it waits for a traffic manager that stands still. What the call is told, or
    /// nothing where it was held for too long.
    async fn ended_while_held(&self) -> Option<Answer> {
        self.traffic.signal("-STOP");
        let began = Instant::now();
        self.net.both_ways("cp1", "gw1", Fault::Lost);
        let ending = async {
            let revoke = self.control.post("/oauth2/revoke");
            let revoke = revoke.basic(&self.holder.key, &self.holder.secret);
            let revoke = revoke.form(&[("token", &self.holder.access)]);
            let revoked = revoke.send().await.expect(200);
            let applied = revoked.header("headgate-applied");
            assert!(applied.contains("fenced=gateway@"), "{applied}");
            self.traffic.signal("-CONT");
            began.elapsed()
        };
        let (answer, took) = tokio::join!(self.call("/shop"), ending);
        let is_late = took >= HELD || answer.text().contains("in time");
        (!is_late).then_some(answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_held_while_the_lease_of_its_gateway_ends_reaches_no_upstream() {
    for _ in 0..ROUNDS {
        let held = Held::start().await;
        let answer = held.ended_while_held().await;
        assert_eq!(held.upstream.count(), 0, "its token was ended");
        let Some(answer) = answer else { continue };
        let answer = answer.expect(503);
        let text = answer.text();
        assert!(text.contains("whether what it knows is still so"), "{text}");
        return;
    }
    panic!("held for too long each time");
}
