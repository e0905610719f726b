//! A cluster as the manual says that an operator starts it: its four commands, with nothing set beside
//! them but ports and the databases, and the same again for a node that has lost what it had.

use crate::cluster::members;
use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::postgres;
use crate::support::upstream::Upstream;
use crate::without_key_managers::keeps;

const CONTROL: &str = "--roles publisher,devportal,admin,key-manager";

/// The manual's commands, by node. Its ports are not this test's to take.
struct Manual {
    dir: tempfile::TempDir,
    ports: [String; 4],
}

// === impl Manual ===

impl Manual {
    fn new(apim: &str, shared: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["cp1", "cp2", "tm1", "gw1"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let text =
            format!("[database.apim]\nurl = \"{apim}\"\n[database.shared]\nurl = \"{shared}\"\n");
        std::fs::write(dir.path().join("pg.toml"), text).expect("a file");
        let listeners = [0; 4].map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
        let ports = listeners.map(|listener| listener.local_addr().expect("a port").to_string());
        Self { dir, ports }
    }

    /// What starts this node.
    fn command(&self, name: &str) -> Options {
        let [cp1, cp2, tm1, gw1] = &self.ports;
        let flags = match name {
            "cp1" => format!("{CONTROL} --listen-cluster {cp1} --config ../pg.toml"),
            "cp2" => format!(
                "{CONTROL} --seeds {cp1} --listen-cluster {cp2} --port-offset 1 --config ../pg.toml"
            ),
            "tm1" => format!(
                "--roles traffic-manager --seeds {cp1} --listen-cluster {tm1} --port-offset 2"
            ),
            _ => format!("--roles gateway --seeds {cp1} --listen-cluster {gw1} --port-offset 3"),
        };
        let flags = format!("--node {name} --data-dir data {flags}");
        let anywhere = ["MANAGEMENT", "INGRESS_HTTP", "INGRESS_HTTPS"];
        let mut environment: Vec<_> = anywhere
            .map(|port| {
                (
                    format!("HEADGATE__LISTEN__{port}"),
                    "127.0.0.1:0".to_owned(),
                )
            })
            .into();
        // The upstream of this test is on this machine.
        let loopback = "HEADGATE__GATEWAY__ALLOW_LOOPBACK_ENDPOINTS".to_owned();
        environment.push((loopback, "true".to_owned()));
        Options {
            flags: flags.split(' ').map(str::to_owned).collect(),
            environment,
            dir: Some(self.dir.path().join(name)),
            ..Options::default()
        }
    }

    async fn start(&self, name: &str) -> Node {
        Node::start_with(self.command(name)).await
    }
}

#[tokio::test]
async fn the_four_commands_of_the_manual_make_a_cluster_that_outlives_its_founders_disk() {
    let Some(server) = postgres::server() else {
        return;
    };
    let upstream = Upstream::start().await;
    let apim = postgres::fresh_database(&server, "manual_apim");
    let shared = postgres::fresh_database(&server, "manual_shared");
    let manual = Manual::new(&apim, &shared);
    let mut one = manual.start("cp1").await;
    let (mut two, mut traffic, mut gateway) = tokio::join!(
        manual.start("cp2"),
        manual.start("tm1"),
        manual.start("gw1"),
    );
    let token = one.admin_token().await;
    let api = one.published(&token, "Shop", "/shop", &upstream.url).await;
    let first = one.subscribed(&token, &api, "first", "JWT").await;
    let second = two.subscribed(&token, &api, "second", "JWT").await;
    let call = async |gateway: &Node, access: &str| {
        let call = gateway.api("GET", "/shop/1.0.0/items").bearer(access);
        u16::from(call.send().await.status)
    };
    for held in [&first, &second] {
        assert_eq!(call(&gateway, &held.access).await, 200);
    }
    // It keeps whom it knows within a second, and is killed later on.
    keeps(&gateway, 2.0).await;

    // The founder loses all that it had: it is one of the cluster again, and not of another.
    one.kill();
    std::fs::remove_dir_all(one.dir.join("data")).expect("removed");
    let mut one = manual.start("cp1").await;
    let log = one.log();
    assert_eq!(log.matches("founded a cluster").count(), 1, "{log}");
    eventually(30, "all see each other", || async {
        let mut up = 0;
        for node in [&one, &two, &traffic, &gateway] {
            let members = members(node).await;
            up += members.iter().filter(|(_, health)| health == "up").count();
        }
        (up == 16).then_some(())
    })
    .await;
    let revoke = one.post("/oauth2/revoke").basic(&first.key, &first.secret);
    let revoke = revoke.form(&[("token", &first.access)]);
    let revoked = revoke.send().await.expect(200);
    assert_eq!(revoked.header("headgate-applied"), "2/2");
    assert_eq!(call(&gateway, &first.access).await, 401);
    assert_eq!(call(&gateway, &second.access).await, 200);

    // A gateway that starts alone knows whose tokens are the cluster's.
    for node in [&mut one, &mut two, &mut traffic, &mut gateway] {
        node.kill();
    }
    let alone = Options {
        unready: true,
        ..manual.command("gw1")
    };
    let gateway = Node::start_with(alone).await;
    eventually(30, "it serves by what it knows", || async {
        let call = gateway.api("GET", "/shop/1.0.0/items");
        let answer = call.bearer(&second.access).send().await;
        // Shown where it never does.
        eprintln!("{} {}", answer.status, answer.text());
        (answer.status == 200).then_some(())
    })
    .await;
}
