//! Sockets and long answers that are open through the balancer while the nodes behind it are restarted: each ends when its
//! caller or its own gateway ends it, and in no other way.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Cluster, GRACE};
use crate::support::balancer::NOTICES;
use crate::support::eventually;
use crate::support::line::{Line, Version, next, whole};
use crate::support::sockets::{Socket, Sockets};
use crate::support::upstream;

/// Between two pieces of an answer.
const PAUSE: Duration = Duration::from_millis(50);
/// After its grace a gateway has so long to be heard, on a machine with other work.
const SOON: Duration = Duration::from_secs(4);
const GOES: (u16, &str) = (1001, "the gateway goes");

/// The answers that have come to their end at the upstream.
type Ended = Arc<Mutex<BTreeSet<String>>>;

/// A piece now and then, until it is told to end.
struct Trickle {
    name: String,
    ended: Ended,
    pause: Pin<Box<tokio::time::Sleep>>,
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.pause.as_mut().poll(cx));
        self.pause = Box::pin(tokio::time::sleep(PAUSE));
        let is_over = self
            .ended
            .lock()
            .expect("not poisoned")
            .contains(&self.name);
        let piece = (!is_over).then(|| Ok(Frame::data(Bytes::from_static(b"piece"))));
        Poll::Ready(piece)
    }
}

/// A long answer, and what ends it.
struct Answer {
    _line: Line,
    body: Incoming,
    name: String,
    ended: Ended,
}

impl Answer {
    /// More of it comes, some of it certainly from after now.
    async fn goes_on(&mut self) {
        let until = Instant::now() + PAUSE * 4;
        while Instant::now() < until {
            assert!(!next(&mut self.body).await.is_empty(), "{} ends", self.name);
        }
    }

    /// Its upstream comes to its end, and it is whole.
    async fn ends(&mut self) {
        let name = self.name.clone();
        self.ended.lock().expect("not poisoned").insert(name);
        while !next(&mut self.body).await.is_empty() {}
    }

    /// It breaks off, and does not look whole.
    async fn breaks_off(&mut self) {
        let broken = async {
            while let Some(frame) = self.body.frame().await {
                if frame.is_err() {
                    return;
                }
            }
            panic!("{} looks whole", self.name);
        };
        let broken = tokio::time::timeout(GRACE + SOON, broken).await;
        broken.expect("it breaks off in time");
    }
}

/// What is open through one gateway: of each kind one that ends in time and one that stays.
#[derive(Default)]
struct Open {
    sockets: Vec<Socket>,
    answers: Vec<Answer>,
}

impl Open {
    const fn is_whole(&self) -> bool {
        self.sockets.len() >= 2 && self.answers.len() >= 2
    }

    async fn goes_on(&mut self) {
        for socket in &mut self.sockets {
            socket.echoes("still there").await;
        }
        for answer in &mut self.answers {
            answer.goes_on().await;
        }
    }
}

/// Sockets and long answers through each gateway.
pub struct Flows {
    upstream: Sockets,
    open: BTreeMap<String, Open>,
}

impl Flows {
    /// Publishes an API of each kind, and opens both through the balancer until each gateway has its own.
    pub async fn start(cluster: &Cluster) -> Self {
        let (node, upstream) = (&cluster.nodes["cp1"], Sockets::start().await);
        let ended = Ended::default();
        let long = answers(&ended).await;
        let admin = node.admin_token().await;
        let mut fields = Vec::new();
        for (name, path, url) in [("Feed", "/feed", &upstream.url), ("Long", "/long", &long)] {
            let api = node.published(&admin, name, path, url).await;
            let held = node.subscribed(&admin, &api, name, "JWT").await;
            fields.push(("authorization", format!("Bearer {}", held.access)));
        }
        let mut flows = Self {
            upstream,
            open: BTreeMap::new(),
        };
        let gateways = cluster.nodes.keys().filter(|name| name.starts_with("gw"));
        for name in gateways {
            flows.open.insert((*name).to_owned(), Open::default());
        }
        for number in 0..100 {
            if flows.open.values().all(Open::is_whole) {
                return flows;
            }
            let (stream, from) = connect(cluster).await;
            let socket = Socket::at(stream, "/feed/1.0.0/items", &fields[..1]).await;
            let mut socket = socket.expect("a socket");
            socket.echoes("there").await;
            let open = flows.of(cluster, from);
            if open.sockets.len() < 2 {
                open.sockets.push(socket);
            }
            let version = [Version::Http1, Version::Http2][number % 2];
            let (stream, from) = connect(cluster).await;
            let answer = answer(stream, version, &fields[1], (&number.to_string(), &ended)).await;
            let open = flows.of(cluster, from);
            if open.answers.len() < 2 {
                open.answers.push(answer);
            }
        }
        panic!("the balancer sends nothing to some gateway");
    }

    fn of(&mut self, cluster: &Cluster, from: SocketAddr) -> &mut Open {
        let name = cluster.gateways.server_of(from).expect("it was carried");
        self.open.get_mut(&name).expect("a gateway")
    }

    /// All that is open goes on.
    pub async fn go_on(&mut self) {
        for open in self.open.values_mut() {
            open.goes_on().await;
        }
    }

    /// While this node is restarted: where it is a gateway, what ends within the grace is whole, what stays is closed after
    /// it; what goes through others is not concerned.
    pub async fn outlive(&mut self, name: &str, address: &str) {
        let Some(mut open) = self.open.remove(name) else {
            return self.go_on().await;
        };
        let began = Instant::now();
        let over = NOTICES + GRACE;
        eventually(10, "it takes no connection", || async {
            TcpStream::connect(address).await.is_err().then_some(())
        })
        .await;
        open.goes_on().await;
        open.sockets.pop().expect("a socket").ends().await;
        open.answers.pop().expect("an answer").ends().await;
        assert!(began.elapsed() < over, "the machine is too slow for this");
        let done = Some((1000, "done".to_owned()));
        assert_eq!(self.upstream.end().await, done, "{name}");
        let mut socket = open.sockets.pop().expect("a socket");
        let mut answer = open.answers.pop().expect("an answer");
        let closed = async {
            let (code, reason) = socket.closed().await;
            assert_eq!((code, reason.as_str()), GOES, "{name}");
            began.elapsed()
        };
        let broken = async {
            answer.breaks_off().await;
            began.elapsed()
        };
        let others = self.go_on();
        let (closed, broken, ()) = tokio::join!(closed, broken, others);
        for lasted in [closed, broken] {
            assert!(lasted >= over, "{name}: {lasted:?} is less than its time");
            assert!(lasted < over + SOON, "{name}: {lasted:?} is too long");
        }
        let goes = Some((GOES.0, GOES.1.to_owned()));
        assert_eq!(self.upstream.end().await, goes, "{name}");
    }
}

/// An upstream whose answers go on until each is told to end, by the last word of its path.
async fn answers(ended: &Ended) -> String {
    let ended = Arc::clone(ended);
    upstream::serve(None, move |request: Request<Incoming>| {
        let name = request.uri().path().rsplit('/').next();
        let body = Trickle {
            name: name.unwrap_or_default().to_owned(),
            ended: Arc::clone(&ended),
            pause: Box::pin(tokio::time::sleep(PAUSE)),
        };
        async move { Response::new(body) }
    })
    .await
}

async fn connect(cluster: &Cluster) -> (TcpStream, SocketAddr) {
    let stream = TcpStream::connect(&cluster.gateways.address).await;
    let stream = stream.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let from = stream.local_addr().expect("an address");
    (stream, from)
}

async fn answer(
    stream: TcpStream,
    version: Version,
    (field, token): &(&str, String),
    (name, ended): (&str, &Ended),
) -> Answer {
    let mut line = Line::over(stream, version).await;
    let url = format!("http://localhost/long/1.0.0/items/{name}");
    let request = Request::get(url).header(*field, token.as_str());
    let request = request.body(whole("")).expect("a request");
    let answer = line.send(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut answer = Answer {
        _line: line,
        body: answer.into_body(),
        name: name.to_owned(),
        ended: Arc::clone(ended),
    };
    answer.goes_on().await;
    answer
}
