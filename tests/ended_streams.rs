//! A gateway that no key manager answers: what changes themselves say is over breaks off at once, by
//! what the gateway holds.

use crate::cluster::CONTROL;
use crate::cut_streams::{Flowing, upstream};
use crate::key_managers::{Databases, named};
use crate::support::eventually;
use crate::support::line::Version;
use crate::support::net::{Fault, Net};
use crate::support::node::{Node, Options};
use crate::support::platform::{DEVPORTAL, PUBLISHER, Subscribed};
use crate::support::postgres;
use crate::without_key_managers::measured;

const SILENT: &str = "headgate_gateway_key_managers_silent";
/// Each with its kind of token.
const ALL: [(&str, &str); 6] = [
    ("signed", "JWT"),
    ("opaque", "OAUTH"),
    ("blocked", "JWT"),
    ("removed", "OAUTH"),
    ("last", "JWT"),
    ("bystander", "JWT"),
];

/// A control plane, one without a key manager, a traffic manager and a gateway.
struct World {
    net: Net,
    key_manager: Node,
    portals: Node,
    gateway: Node,
    _traffic: Node,
}

// === impl World ===

impl World {
    async fn start(server: &str) -> Self {
        let databases = Databases::fresh(server, "ended");
        let net = Net::start();
        let start = async |name: &str, roles: &str, seed: &str, has_database: bool| {
            let options = Options {
                unready: true,
                ..named(name, roles, seed, Options::default())
            };
            let options = match has_database {
                true => databases.under(options),
                false => options,
            };
            net.node(name, options).await
        };
        let (key_manager, seed) = start("cp1", CONTROL, "", true).await;
        let portals = "publisher,devportal,admin";
        let ((portals, _), (traffic, _), (gateway, _)) = tokio::join!(
            start("cp2", portals, &seed, true),
            start("tm1", "traffic-manager", &seed, false),
            start("gw1", "gateway", &seed, false),
        );
        for node in [&key_manager, &portals, &gateway] {
            node.until_ready().await;
        }
        Self {
            net,
            key_manager,
            portals,
            gateway,
            _traffic: traffic,
        }
    }

    async fn revoke(&self, held: &Subscribed) {
        let revoke = self.key_manager.post("/oauth2/revoke");
        let revoke = revoke.basic(&held.key, &held.secret);
        let revoke = revoke.form(&[("token", &held.access)]);
        revoke.send().await.expect(200);
    }

    /// The gateway hears of no key manager any more, and of the rest as before.
    async fn cut(&self) {
        self.net.both_ways("cp1", "gw1", Fault::Lost);
        eventually(30, "no key manager answers the gateway", || async {
            let call = self
                .gateway
                .api("GET", "/shop/1.0.0/items")
                .bearer("unknown");
            call.send().await;
            (measured(&self.gateway, SILENT).await > 0.5).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_change_itself_ends_breaks_off_at_once_also_where_no_key_manager_answers() {
    let Some(server) = postgres::server() else {
        return;
    };
    let (url, _noticed) = upstream().await;
    let mut world = World::start(&server).await;
    let token = world.key_manager.admin_token().await;
    let api = world.key_manager.published(&token, "Shop", "/shop", &url);
    let api = api.await;
    let address = world.gateway.http.replace("http://localhost", "127.0.0.1");
    let mut streams = Vec::new();
    for (name, kind) in ALL {
        let held = world.key_manager.subscribed(&token, &api, name, kind).await;
        let bearer = format!("Bearer {}", held.access);
        let credential = ("authorization", bearer.as_str());
        let flowing = Flowing::at(&address, Version::Http1, "/shop", credential).await;
        streams.push((name, held, flowing));
    }
    world.cut().await;
    for (name, held, flowing) in &mut streams {
        let removal = format!("{DEVPORTAL}/applications/{}", held.application);
        match *name {
            "signed" | "opaque" => world.revoke(held).await,
            "blocked" => {
                let path = format!(
                    "{PUBLISHER}/subscriptions/block-subscription?subscriptionId={}&blockState=BLOCKED",
                    held.subscription
                );
                let block = world.portals.post(&path).bearer(&token);
                block.send().await.expect(200);
            }
            "bystander" => continue,
            _ => {
                let remove = world.portals.delete(&removal).bearer(&token);
                remove.send().await.expect(200);
                if *name == "last" {
                    // Nobody at all is left to ask.
                    world.portals.kill();
                    world.key_manager.kill();
                }
            }
        }
        flowing.breaks_off().await;
    }
    let (_, _, bystander) = streams.last_mut().expect("there is one");
    bystander.goes_on().await;
    let log = world.gateway.log();
    let cuts: Vec<_> = log
        .lines()
        .filter(|line| line.contains("open call cut"))
        .collect();
    assert_eq!(cuts.len(), ALL.len() - 1, "{cuts:?}");
    // Not because nobody could tell.
    assert!(!cuts.iter().any(|line| line.contains("900900")), "{cuts:?}");
}
