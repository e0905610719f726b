//! Bytes as they go over the wire, for what no client library would send or wait for.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any limit that a test configures; who waits for so long waits for ever.
const DEADLINE: Duration = Duration::from_secs(20);

/// One connection.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer with a known length.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Wire {
    pub async fn open(address: &str) -> Self {
        Self::over(TcpStream::connect(address).await.expect("a connection"))
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// One answer: its head, and as much body as `content-length` says.
    pub async fn reply(&mut self) -> Reply {
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                let head = std::mem::replace(&mut self.buffer, rest);
                break String::from_utf8(head).expect("text").to_ascii_lowercase();
            }
            assert!(
                self.more().await,
                "closed before an answer: {:?}",
                self.text()
            );
        };
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let mut reply = Reply {
            status: status.unwrap_or_else(|| panic!("no status in {head}")),
            head,
            body: String::new(),
        };
        let length = reply.field("content-length").unwrap_or("0");
        let length: usize = length.parse().expect("a length");
        while self.buffer.len() < length {
            assert!(self.more().await, "closed within the body of {reply:?}");
        }
        let rest = self.buffer.split_off(length);
        let body = std::mem::replace(&mut self.buffer, rest);
        reply.body = String::from_utf8(body).expect("text");
        reply
    }

    /// Waits for the other side to end the connection; gives what came before.
    pub async fn closed(&mut self) -> String {
        while self.more().await {}
        self.text()
    }

    /// Whether more came before the end.
    pub async fn more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.buffer);
        let read = tokio::time::timeout(DEADLINE, reading).await;
        read.expect("the other side neither sends nor ends")
            .is_ok_and(|read| read > 0)
    }

    /// What came and was not taken as an answer yet.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

impl Reply {
    /// A header field, names and values in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The answer, when it is a refusal with this status and code that ends the connection.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let body: Value =
            serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"));
        assert_eq!(body["code"], code, "{self:?}");
        assert!(body["message"].is_string() && body["description"].is_string());
        assert!(self.field("x-request-id").is_some(), "{self:?}");
        assert_eq!(self.field("connection"), Some("close"), "{self:?}");
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
