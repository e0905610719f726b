//! Gateways that the network cuts off while the control plane lives, in `refuse`: nothing that was ended
//! is served once the answer has named them, whichever way the network is cut (S3, S5).

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::set;
use crate::speech::Speech;
use crate::support::eventually;
use crate::support::net::{Fault, Net};
use crate::support::node::{Node, Options};
use crate::support::upstream::Upstream;

/// A gateway, and the ways that are cut: from the control plane to it, and back.
const CUTS: [(&str, bool, bool); 3] = [
    ("gw1", true, true),
    ("gw2", true, false),
    ("gw3", false, true),
];
/// The gateway that serves on when it is cut off.
const SERVES: &str = "gw4";
/// Longer than a lease, by which a gateway might serve on.
const WHILE_CUT: Duration = Duration::from_secs(3);

async fn status(gateway: &Node, access: &str) -> u16 {
    let call = gateway.api("GET", "/shop/1.0.0/items").bearer(access);
    call.send().await.status.into()
}

/// What was revoked is served by none of them.
async fn none_serves(gateways: &[Node], access: &str) {
    for gateway in gateways {
        let status = status(gateway, access).await;
        assert!([401, 503].contains(&status), "{status}");
    }
}

fn cut(net: &Net) {
    for (name, to_it, from_it) in CUTS {
        for (from, to, is_cut) in [("cp1", name, to_it), (name, "cp1", from_it)] {
            if is_cut {
                net.one_way(from, to, Fault::Lost);
            }
        }
    }
}

async fn gateway(net: &Net, mut options: Options, (name, when_cut_off): (&str, &str)) -> Node {
    let setting = "HEADGATE__GATEWAY__WHEN_CUT_OFF";
    set(&mut options, setting, when_cut_off);
    net.node(name, options).await.0
}

/// Whoever refuses is fenced. Whoever serves on is named as such: it may serve what was revoked until it is heard again.
fn names_all(applied: &str) {
    let named = applied.strip_prefix("1/5; fenced=").unwrap_or_default();
    let (fenced, unreached) = named.split_once("; unreached=").unwrap_or_default();
    assert_eq!(fenced.matches("gateway@").count(), CUTS.len(), "{applied}");
    assert_eq!(unreached.matches("gateway@").count(), 1, "{applied}");
}

async fn nothing_revoked_is_served(speech: Speech) {
    let net = Net::start();
    let mut of_control = speech.founder();
    // As it is by default: nobody is reached here who is cut off, however long changes wait.
    set(&mut of_control, "HEADGATE__CLUSTER__CHANGE_WAIT_MS", "2100");
    let (control, seed) = net.node("cp1", of_control).await;
    let joiner = |name: &str, roles: &str| speech.joiner(&control, &seed, name, roles);
    let traffic = Node::start_with(joiner("tm1", "traffic-manager")).await;
    let start = |name, when_cut_off| gateway(&net, joiner(name, "gateway"), (name, when_cut_off));
    let [one, two, three] = CUTS.map(|(name, ..)| name);
    let (one, two, three, serving) = tokio::join!(
        start(one, "refuse"),
        start(two, "refuse"),
        start(three, "refuse"),
        start(SERVES, "serve")
    );
    let gateways = [one, two, three];
    let upstream = Upstream::start().await;
    let token = control.admin_token().await;
    let api = control.published(&token, "Shop", "/shop", &upstream.url);
    let held = control.subscribed(&token, &api.await, "one", "JWT").await;
    let other = control.client_token(&held.key, &held.secret).await;
    for gateway in gateways.iter().chain([&serving]) {
        for access in [&held.access, &other] {
            assert_eq!(status(gateway, access).await, 200);
        }
    }
    cut(&net);
    net.both_ways("cp1", SERVES, Fault::Lost);
    let revoke = control.post("/oauth2/revoke");
    let revoke = revoke.basic(&held.key, &held.secret);
    let revoked = revoke.form(&[("token", &held.access)]).send().await;
    let revoked = revoked.expect(200);
    let applied = revoked.header("headgate-applied");
    names_all(applied);
    let until = Instant::now() + WHILE_CUT;
    while Instant::now() < until {
        none_serves(&gateways, &held.access).await;
    }
    // The control plane lived meanwhile, and so does whoever was not cut off.
    for name in CUTS.map(|(name, ..)| name).into_iter().chain([SERVES]) {
        net.both_ways("cp1", name, Fault::None);
    }
    eventually(30, "all are heard again", || async {
        none_serves(&gateways, &held.access).await;
        for gateway in &gateways {
            if status(gateway, &other).await != 200 {
                return None;
            }
        }
        Some(())
    })
    .await;
    none_serves(&gateways, &held.access).await;
    eventually(10, "the one that served on has heard of it", || async {
        (status(&serving, &held.access).await == 401).then_some(())
    })
    .await;
    drop(traffic);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_revoked_is_served_by_gateways_that_refuse_when_the_network_cuts_them_off() {
    nothing_revoked_is_served(Speech::Clear).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_revoked_is_served_by_gateways_that_refuse_when_mutual_tls_is_cut() {
    nothing_revoked_is_served(Speech::MutualTls).await;
}
