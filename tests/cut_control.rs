//! A control plane that dies, loses its database or has it taken back: gateways keep what is theirs by
//! the others, and what was acknowledged of another history counts no more.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::cluster::{CONTROL, Trio, options, set};
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::node::{Node, Options};
use crate::support::postgres;
use crate::support::upstream::Upstream;

async fn revoke(node: &Node, (key, secret): (&str, &str), access: &str) -> Answer {
    let revoke = node.post("/oauth2/revoke").basic(key, secret);
    revoke.form(&[("token", access)]).send().await.expect(200)
}

#[tokio::test]
async fn a_change_whose_control_plane_dies_before_its_answer_is_so_everywhere() {
    let mut trio = Trio::start().await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    // It does not apply anything, so that the answer waits.
    trio.gateway.signal("-STOP");
    let call = trio.control.post("/oauth2/revoke").basic(&key, &secret);
    let revoking = call.form(&[("token", &access)]).try_send();
    let node = &trio.control;
    let committed = eventually(4, "the change is committed", || async {
        let asked = node.post("/oauth2/introspect").basic(&key, &secret);
        let asked = asked.form(&[("token", &access)]).send().await.expect(200);
        (asked.json()["active"] == false).then_some(())
    });
    tokio::select! {
        answered = revoking => panic!("answered: {}", answered.is_ok()),
        () = committed => {}
    }
    trio.control.kill();
    trio.gateway.signal("-CONT");
    let again = options("cp1", CONTROL, "");
    trio.control = trio.control.crash_and_restart(again).await;
    eventually(20, "it is applied", || async {
        (trio.call(&access).await == 401).then_some(())
    })
    .await;
}

/// Copies a database of a node that is down, with what lies beside it.
fn copy(from: &Path, to: &Path) {
    for end in ["", "-wal", "-shm"] {
        let name = format!("apim.db{end}");
        let _ = std::fs::remove_file(to.join(&name));
        if from.join(&name).exists() {
            std::fs::copy(from.join(&name), to.join(&name)).expect("a copy");
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_of_a_history_that_a_backup_undid_counts_no_more() {
    let mut trio = Trio::start().await;
    let (key, secret, one) = trio.subscriber("Many", 1_000).await;
    let two = trio.control.client_token(&key, &secret).await;
    for access in [&one, &two] {
        assert_eq!(trio.call(access).await, 200);
    }
    let (data, backup) = (
        trio.control.dir.join("data"),
        tempfile::tempdir().expect("a directory"),
    );
    let again = || options("cp1", CONTROL, "");
    assert_eq!(trio.control.terminate().await, Some(0));
    copy(&data, backup.path());
    trio.control = trio.control.crash_and_restart(again()).await;
    eventually(
        20,
        "both follow again, and apply what is lost later",
        || async {
            let revoked = revoke(&trio.control, (&key, &secret), &one).await;
            (revoked.header("headgate-applied") == "2/2").then_some(())
        },
    )
    .await;
    assert_eq!(trio.call(&one).await, 401);
    assert_eq!(trio.control.terminate().await, Some(0));
    copy(backup.path(), &data);
    trio.control = trio.control.crash_and_restart(again()).await;
    // It bears the number that they have acknowledged, of the lost history.
    let revoked = revoke(&trio.control, (&key, &secret), &two).await;
    let applied = revoked.header("headgate-applied");
    let called = trio.call(&two).await;
    assert!(
        called == 401 || called == 503 || applied != "2/2",
        "{applied}: {called}"
    );
    eventually(30, "what the backup undid is undone there", || async {
        (trio.call(&one).await == 200).then_some(())
    })
    .await;
    assert_eq!(trio.call(&two).await, 401);
    let alarms = [trio.control.log(), trio.gateway.log()].concat();
    assert!(
        alarms.contains("of another history"),
        "it is told of loudly"
    );
}

/// A way to a server that may stop to lead anywhere, without closing.
struct Detour {
    port: u16,
    is_stuck: Arc<AtomicBool>,
}

impl Detour {
    #[allow(clippy::disallowed_methods, reason = "tasks of the test's own runtime")]
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let is_stuck = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&is_stuck);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&server).await else {
                    continue;
                };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(pass(near_read, far_write, Arc::clone(&shared)));
                tokio::spawn(pass(far_read, near_write, Arc::clone(&shared)));
            }
        });
        Self { port, is_stuck }
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    is_stuck: Arc<AtomicBool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        while is_stuck.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_keep_their_lease_by_one_control_plane_while_anothers_database_hangs() {
    let Some(server) = postgres::server() else {
        return;
    };
    let upstream = Upstream::start().await;
    let issuer = "https://keys.example/oauth2/token";
    let apim = postgres::fresh_database(&server, "hangs_apim");
    let shared = postgres::fresh_database(&server, "hangs_shared");
    let (_, rest) = apim.split_once("://").expect("a URL");
    let (authority, _) = rest.split_once('/').expect("a URL");
    let address = authority.rsplit('@').next().expect("an address").to_owned();
    let detour = Detour::to(address.clone()).await;
    let around = format!("127.0.0.1:{}", detour.port);
    let control = |name: &str, seeds: &str, at: &str| -> Options {
        let mut options = options(name, CONTROL, seeds);
        for (key, url) in [("APIM", &apim), ("SHARED", &shared)] {
            let key = format!("HEADGATE__DATABASE__{key}__URL");
            set(&mut options, &key, &url.replace(&address, at));
        }
        set(&mut options, "HEADGATE__OAUTH2__ISSUER", issuer);
        options
    };
    let one = Node::start_with(control("cp1", "", &address)).await;
    let seed = one.cluster_address();
    let mut of_gateway = options("gw1", "gateway", &seed);
    set(&mut of_gateway, "HEADGATE__OAUTH2__ISSUER", issuer);
    set(&mut of_gateway, "HEADGATE__GATEWAY__WHEN_CUT_OFF", "refuse");
    let (_two, _traffic, gateway) = tokio::join!(
        Node::start_with(control("cp2", &seed, &around)),
        Node::start_with(options("tm1", "traffic-manager", &seed)),
        Node::start_with(of_gateway),
    );
    let token = one.admin_token().await;
    let api = one.published(&token, "Shop", "/shop", &upstream.url).await;
    let held = one.subscribed(&token, &api, "holder", "JWT").await;
    let call = || {
        let call = gateway.api("GET", "/shop/1.0.0/items");
        call.bearer(&held.access).send()
    };
    call().await.expect(200);
    detour.is_stuck.store(true, Ordering::Relaxed);
    // Longer than three leases.
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        call().await.expect(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // And it hears of changes.
    let revoked = revoke(&one, (&held.key, &held.secret), &held.access).await;
    let applied = revoked.header("headgate-applied");
    assert!(!applied.contains("gateway"), "{applied}");
    call().await.expect(401);
}
