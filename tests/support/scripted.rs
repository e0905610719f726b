//! An upstream that answers with the very bytes that a test says, by the path that is asked for.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A running one. A connection serves one request.
pub struct Scripted {
    pub url: String,
    came: Arc<Mutex<Vec<Came>>>,
}

/// A request that came whole, as bytes.
#[derive(Clone)]
struct Came {
    head: String,
    body: Vec<u8>,
}

/// A path, the bytes of its answer, and whether the connection is kept open behind them.
pub type Script = (&'static str, Vec<u8>, bool);

impl Scripted {
    #[allow(
        clippy::disallowed_methods,
        reason = "a task of the test's own runtime"
    )]
    pub async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("a port"));
        let came = Arc::new(Mutex::new(Vec::new()));
        let (kept, scripts) = (Arc::clone(&came), Arc::new(scripts));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, scripts) = (Arc::clone(&kept), Arc::clone(&scripts));
                tokio::spawn(async move {
                    let _ = serve(stream, &scripts, &kept).await;
                });
            }
        });
        Self { url, came }
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().expect("not poisoned").clone()
    }

    /// The heads of the requests that came whole.
    pub fn heads(&self) -> Vec<String> {
        self.came().into_iter().map(|one| one.head).collect()
    }

    /// The bodies that came whole.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.came().into_iter().map(|one| one.body).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    scripts: &[Script],
    kept: &Mutex<Vec<Came>>,
) -> std::io::Result<()> {
    let mut came = Vec::new();
    let end = loop {
        if let Some(at) = came.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut came).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&came[..end]).into_owned();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().and_then(|(_, length)| length.parse().ok());
    let is_in_chunks = head
        .to_ascii_lowercase()
        .contains("\r\ntransfer-encoding: chunked");
    let is_whole = |came: &[u8]| match length {
        None if is_in_chunks => came[end..].ends_with(b"0\r\n\r\n"),
        length => came.len() >= end + length.unwrap_or(0),
    };
    while !is_whole(&came) {
        if stream.read_buf(&mut came).await? == 0 {
            return Ok(());
        }
    }
    kept.lock().expect("not poisoned").push(Came {
        head: head.clone(),
        body: came[end..].to_vec(),
    });
    let asked = head.split(' ').nth(1).unwrap_or_default();
    let script = scripts.iter().find(|(path, ..)| *path == asked);
    let (_, answer, stays) = script.expect("a script for the path");
    stream.write_all(answer).await?;
    if *stays {
        let _ = stream.read(&mut [0]).await?;
    }
    Ok(())
}
