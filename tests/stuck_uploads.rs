//! Uploads whose upstream has answered, and takes nothing more: hyper asks their bodies for nothing, and
//! they end all the same, with what they rest on or in time (S2).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::sync::mpsc::Sender;

use crate::cluster_tls::metric;
use crate::support::eventually;
use crate::support::line::{Line, Version, pieces, whole};
use crate::support::node::Node;
use crate::support::shop::Shop;
use crate::support::upstream::{Tls, serve};

/// A stream ends so long after the answer to the change at most.
const SOON: Duration = Duration::from_secs(2);
/// An upstream may be silent for so long, and take nothing.
const PATIENCE: Duration = Duration::from_secs(4);
/// A piece that is not taken within this time is none that comes through.
const STUCK: Duration = Duration::from_millis(400);
const STREAMS: &str = "headgate_gateway_streams";

/// An upstream that answers at once, with nothing, and neither reads on nor lets go.
async fn deaf_upstream(tls: Option<&Tls>) -> String {
    let kept = Arc::new(Mutex::new(Vec::new()));
    serve(tls, move |request: Request<Incoming>| {
        kept.lock().expect("not poisoned").push(request.into_body());
        async { Response::new(Empty::<Bytes>::new()) }
    })
    .await
}

/// An upload that has its answer, and of which nothing more gets through.
struct Stuck {
    line: Line,
    sender: Sender<Frame<Bytes>>,
}

impl Stuck {
    async fn open(shop: &Shop, version: Version, path: &str, access: &str) -> Self {
        let mut line = Line::open(&shop.address(), version).await;
        let (sender, body) = pieces();
        sender.send(piece()).await.expect("room for one");
        let upload = Request::post(format!("http://localhost{path}/1.0.0/items"))
            .header("authorization", format!("Bearer {access}"))
            .body(body)
            .expect("a request");
        let answer = line.send(upload).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{version:?}");
        let rest = answer.into_body().collect().await.expect("a whole answer");
        assert!(rest.to_bytes().is_empty());
        // Until all buffers are full.
        while let Ok(taken) = tokio::time::timeout(STUCK, sender.send(piece())).await {
            taken.expect("it is taken");
        }
        Self { line, sender }
    }

    /// The caller's side ends.
    async fn ends(&self) {
        // Over HTTP/2 a little of what is left is read and dropped first, as after any answer.
        let ends = async { while self.sender.send(piece()).await.is_ok() {} };
        let ended = tokio::time::timeout(SOON, ends).await;
        ended.expect("it ends in time");
    }
}

/// Connections to an upstream that its own side has not let go.
fn established(url: &str) -> usize {
    let (_, port) = url.rsplit_once(':').expect("a port");
    let port: u16 = port.parse().expect("a port");
    let to = format!(":{port:04X}");
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("sockets");
    let sockets = sockets.lines().map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[2].ends_with(&to) && fields[3] == "01"
    });
    sockets.filter(|is_one| *is_one).count()
}

/// Calls that were handed on, whose accounts are closed.
async fn forwarded(node: &Node) -> u64 {
    let usage = node.get("/admin/usage").bearer(&node.operator());
    let usage = usage.send().await.expect(200).json();
    let rows = usage["list"].as_array().expect("a list");
    rows.iter()
        .filter_map(|row| row["forwarded"].as_u64())
        .sum()
}

fn piece() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(&[b'x'; 64 * 1024]))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_its_upstream_has_answered_and_does_not_read_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = Tls::new(dir.path());
    let (plain, multiplexed) = (deaf_upstream(None).await, deaf_upstream(Some(&tls)).await);
    let patience = PATIENCE.as_millis();
    let toml = format!(
        "{}response_timeout_ms = {patience}\nbody_limit = 1000000000\n",
        tls.setting()
    );
    let shop = Shop::before(&plain, &toml).await;
    let (node, token) = (&shop.node, &shop.token);
    let other = node.published(token, "Other", "/other", &multiplexed).await;
    for (path, api, version) in [
        ("/shop", &shop.api, Version::Http1),
        ("/shop", &shop.api, Version::Http2),
        ("/other", &other, Version::Http1),
    ] {
        let name = format!("{} {version:?}", path.trim_start_matches('/'));
        let held = node.subscribed(token, api, &name, "JWT").await;
        let stuck = Stuck::open(&shop, version, path, &held.access).await;
        assert!(!stuck.line.is_over(), "{name}");
        let connections = established(&plain) + established(&multiplexed);
        assert_eq!(connections, 1, "{name}");
        assert_eq!(metric(node, STREAMS).await, 1, "{name}");
        let revoke = node.post("/oauth2/revoke").basic(&held.key, &held.secret);
        let revoke = revoke.form(&[("token", &held.access)]);
        revoke.send().await.expect(200);
        stuck.ends().await;
        assert_eq!(metric(node, STREAMS).await, 0, "{name}");
        eventually(2, "its upstream is let go", || async {
            (established(&plain) == 0).then_some(())
        })
        .await;
    }
    eventually(10, "their accounts are closed", || async {
        (forwarded(node).await == 3).then_some(())
    })
    .await;
    // The connection of the last one is others' as well, and stays for them; at the upstream its stream does too, until
    // that takes more of it.
    assert_eq!(established(&multiplexed), 1);
    let held = node.subscribed(token, &other, "another", "JWT").await;
    let mut line = Line::open(&shop.address(), Version::Http1).await;
    let call = Request::get("http://localhost/other/1.0.0/items")
        .header("authorization", format!("Bearer {}", held.access))
        .body(whole(""))
        .expect("a request");
    let answer = line.send(call).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(established(&multiplexed), 1, "over the same connection");
    // Its caller goes away, which nobody hears of who asks for no more.
    let left = Stuck::open(&shop, Version::Http1, "/shop", &shop.subscribed.access).await;
    drop(left);
    assert_eq!(metric(node, STREAMS).await, 1);
    let seconds = PATIENCE.as_secs() + 4;
    eventually(seconds, "the one without a caller ends as well", || async {
        (metric(node, STREAMS).await == 0 && established(&plain) == 0).then_some(())
    })
    .await;
}
