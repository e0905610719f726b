//! HTTP/2 as bytes: requests that no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `RST_STREAM`, `GOAWAY` or a closed connection.
    Reset,
    /// An answer; the first byte of its block says which status when that is a common one.
    Answered(u8),
}

/// `:status: 200` and `:status: 400`, as HPACK's static table has them.
pub const OK: Ending = Ending::Answered(0x88);
pub const BAD_REQUEST: Ending = Ending::Answered(0x8c);

/// Sends one request on a connection of its own: its fields as they are, then its body.
pub async fn send(address: &str, fields: &[(&[u8], &[u8])], body: &[u8]) -> Ending {
    let mut stream = begin(address, &[], fields, body).await;
    let ending = tokio::time::timeout(Duration::from_secs(20), ending(&mut stream));
    ending.await.expect("the request ends")
}

/// The setting of a window that lets no byte of any answer through.
pub const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

/// Sends one request and reads until the connection ends; whether that was within 20 s.
pub async fn ends_by_itself(address: &str, settings: &[u8], fields: &[(&[u8], &[u8])]) -> bool {
    let mut stream = begin(address, settings, fields, &[]).await;
    let mut scratch = Vec::new();
    let reading = stream.read_to_end(&mut scratch);
    let read = tokio::time::timeout(Duration::from_secs(20), reading);
    read.await.is_ok()
}

async fn begin(
    address: &str,
    settings: &[u8],
    fields: &[(&[u8], &[u8])],
    body: &[u8],
) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, settings);
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal without indexing, neither name nor value compressed.
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    let end = if body.is_empty() { END_STREAM } else { 0 };
    frame(&mut bytes, HEADERS, END_HEADERS | end, 1, &block);
    if !body.is_empty() {
        frame(&mut bytes, DATA, END_STREAM, 1, body);
    }
    stream.write_all(&bytes).await.expect("sent");
    stream
}

async fn ending(stream: &mut TcpStream) -> Ending {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Ending::Reset;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return Ending::Reset;
        }
        match head[3] {
            HEADERS => return Ending::Answered(payload.first().copied().unwrap_or(0)),
            RST_STREAM | GOAWAY => return Ending::Reset,
            _ => {}
        }
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A string literal of HPACK: its length in a prefix of seven bits, then its bytes.
fn text(block: &mut Vec<u8>, text: &[u8]) {
    let mut left = text.len();
    if left < 127 {
        block.push(left as u8);
    } else {
        block.push(127);
        left -= 127;
        while left >= 128 {
            block.push((left % 128 + 128) as u8);
            left /= 128;
        }
        block.push(left as u8);
    }
    block.extend_from_slice(text);
}
