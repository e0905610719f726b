//! WebSockets of a test's own: an upstream that gives back what it hears, or fails as its path says, and callers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, Response};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use super::eventually;
use super::shop::Shop;
use super::upstream::{Tls, scripted, scripted_over};

/// Longer than any time that a test configures.
const DEADLINE: Duration = Duration::from_secs(20);

/// An upstream that sockets are opened to.
#[derive(Clone)]
pub struct Sockets {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    heads: Vec<HeaderMap>,
    ends: Vec<Option<(u16, String)>>,
}

/// A caller's end of a socket.
pub struct Socket<S = TcpStream> {
    pub inner: WebSocketStream<S>,
    pub answer: Response<Option<Vec<u8>>>,
}

// === impl Sockets ===

impl Sockets {
    pub async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = Arc::clone(&seen);
        let url = scripted(move |stream| talk(stream, Arc::clone(&told))).await;
        Self { url, seen }
    }

    /// One that answers nobody before this is closed.
    pub async fn behind(gate: &Arc<Semaphore>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (told, gate) = (Arc::clone(&seen), Arc::clone(gate));
        let url = scripted(move |stream| {
            let (told, gate) = (Arc::clone(&told), Arc::clone(&gate));
            async move {
                let _ = gate.acquire().await;
                talk(stream, told).await;
            }
        })
        .await;
        Self { url, seen }
    }

    /// With TLS.
    pub async fn over(tls: &Tls) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = Arc::clone(&seen);
        let url = scripted_over(tls, move |stream| talk(stream, Arc::clone(&told))).await;
        Self { url, seen }
    }

    /// The heads of the requests for sockets.
    pub fn heads(&self) -> Vec<HeaderMap> {
        self.seen.lock().expect("not poisoned").heads.clone()
    }

    /// How the next socket ended that has not been asked about: with this Close, or without one.
    pub async fn end(&self) -> Option<(u16, String)> {
        eventually(20, "a socket ends at the upstream", || async {
            let mut seen = self.seen.lock().expect("not poisoned");
            (!seen.ends.is_empty()).then(|| seen.ends.remove(0))
        })
        .await
    }
}

/// Opens a socket as the last word of the path says, and speaks.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, seen: Arc<Mutex<Seen>>) {
    let mut word = String::new();
    #[allow(clippy::result_large_err, reason = "the crate says what it is")]
    let opening = |request: &Request, mut response: Response<()>| {
        let path = request.uri().path();
        word = path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut seen = seen.lock().expect("not poisoned");
        let mut head = request.headers().clone();
        let target = HeaderValue::try_from(request.uri().to_string());
        head.insert("x-target", target.expect("a target"));
        seen.heads.push(head);
        let fields = response.headers_mut();
        let offered = request.headers().get("sec-websocket-protocol");
        if offered.is_some_and(|offered| offered == "chat, superchat") {
            fields.insert("sec-websocket-protocol", HeaderValue::from_static("chat"));
        }
        match word.as_str() {
            "refuses" => {
                let mut refusal = ErrorResponse::new(Some("no sockets here".to_owned()));
                *refusal.status_mut() = http::StatusCode::FORBIDDEN;
                return Err(refusal);
            }
            "careless" => {
                let wrong = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
                fields.insert("sec-websocket-accept", wrong);
            }
            _ => {}
        }
        Ok(response)
    };
    if let Ok(mut socket) = accept_hdr_async(stream, opening).await {
        let end = speak(&mut socket, &word).await;
        seen.lock().expect("not poisoned").ends.push(end);
    }
}

/// Speaks as this word says, and hears with which Close it ends.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    word: &str,
) -> Option<(u16, String)> {
    let mut end = None;
    while let Some(Ok(message)) = socket.next().await {
        let raw: &[u8] = match (word, &message) {
            (_, Message::Close(frame)) => {
                end = frame.as_ref().map(told);
                continue;
            }
            (_, Message::Ping(_) | Message::Pong(_)) => continue,
            ("lost", _) => break,
            ("closes", _) => {
                let close = socket.send(Message::Close(Some(done())));
                close.await.expect("it is open");
                continue;
            }
            ("mute", _) => std::future::pending().await,
            ("floods", _) => {
                let bytes = Message::binary(vec![0; 1 << 20]);
                while socket.send(bytes.clone()).await.is_ok() {}
                break;
            }
            // Half of ten bytes; and a mask that no server's frame has.
            ("half", _) => b"\x82\x0ahalf.",
            ("odd", _) => b"\x82\x81....x",
            _ => {
                let _ = socket.send(message).await;
                continue;
            }
        };
        let _ = socket.get_mut().write_all(raw).await;
        let _ = socket.get_mut().flush().await;
        if word == "half" {
            break;
        }
    }
    end
}

fn done() -> CloseFrame {
    let code = tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode::Normal;
    let reason = "done".into();
    CloseFrame { code, reason }
}

fn told(frame: &CloseFrame) -> (u16, String) {
    (frame.code.into(), frame.reason.as_str().to_owned())
}

// === impl Socket ===

impl Socket {
    /// Opened in the clear, with the shop's credential.
    pub async fn open(shop: &Shop, path: &str) -> Self {
        Self::with(shop, path, &shop.subscribed.access).await
    }

    /// With another one.
    pub async fn with(shop: &Shop, path: &str, access: &str) -> Self {
        let stream = TcpStream::connect(shop.address()).await;
        let fields = [("authorization", format!("Bearer {access}"))];
        let opened = Self::over(stream.expect("a connection"), path, &fields).await;
        opened.unwrap_or_else(|error| panic!("no socket: {error}"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Over a connection, with these fields.
    pub async fn over(stream: S, path: &str, fields: &[(&str, String)]) -> Result<Self, Error> {
        Self::at(stream, &format!("/shop/1.0.0{path}"), fields).await
    }

    /// The same, of any API.
    pub async fn at(stream: S, path: &str, fields: &[(&str, String)]) -> Result<Self, Error> {
        let url = format!("ws://localhost{path}");
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in fields {
            let name = http::HeaderName::try_from(*name).expect("a name");
            let value = HeaderValue::try_from(value).expect("a value");
            request.headers_mut().insert(name, value);
        }
        let (inner, answer) = client_async(request, stream).await?;
        Ok(Self { inner, answer })
    }

    pub async fn say(&mut self, message: Message) {
        self.inner.send(message).await.expect("sent");
    }

    /// The next message; none when the socket has ended or broken off.
    pub async fn hear(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(DEADLINE, self.inner.next());
        next.await.expect("a message in time")?.ok()
    }

    /// A text comes back as it went.
    pub async fn echoes(&mut self, text: &str) {
        self.say(Message::text(text)).await;
        assert_eq!(self.hear().await, Some(Message::text(text)));
    }

    /// The Close that comes next, with nothing before it and only the end behind.
    pub async fn closed(&mut self) -> (u16, String) {
        let message = self.hear().await;
        let Some(Message::Close(Some(frame))) = message else {
            panic!("no Close, but {message:?}");
        };
        assert_eq!(self.hear().await, None, "it says something after its Close");
        told(&frame)
    }

    /// Closes it as a caller does who is done, and is answered.
    pub async fn ends(&mut self) {
        self.says_close().await;
        assert_eq!(self.closed().await.0, 1000);
    }

    /// Says its Close.
    pub async fn says_close(&mut self) {
        let close = self.inner.close(Some(done()));
        close.await.expect("it is open");
    }
}
