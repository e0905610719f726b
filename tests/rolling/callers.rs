//! Callers of an API that keep their connection for as long as they are let, and forgive nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Between two calls of one caller, mostly.
pub const PAUSE: Duration = Duration::from_millis(4);

/// One who calls the same again and again.
#[derive(Clone)]
pub struct Caller {
    /// Where.
    pub address: String,
    pub path: &'static str,
    pub token: String,
    /// Between two calls.
    pub pause: Duration,
    /// Each call takes one, and waits for it; none where it need not.
    pub turns: Option<Arc<Semaphore>>,
}

/// What callers were told.
#[derive(Debug, Default)]
pub struct Told {
    pub passed: u64,
    pub throttled: u64,
    /// Answers that were the last ones of their connections.
    pub last: u64,
    pub failures: Vec<String>,
}

/// Callers that call until they are asked what they were told.
pub struct Callers {
    running: JoinSet<Told>,
    is_over: Arc<AtomicBool>,
}

impl Callers {
    pub fn start(callers: impl IntoIterator<Item = Caller>) -> Self {
        let is_over: Arc<AtomicBool> = Arc::default();
        let mut running = JoinSet::new();
        for caller in callers {
            running.spawn(caller.run(Arc::clone(&is_over)));
        }
        Self { running, is_over }
    }

    pub async fn told(mut self) -> Told {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        while let Some(told) = self.running.join_next().await {
            let told = told.expect("a caller");
            all.passed += told.passed;
            all.throttled += told.throttled;
            all.last += told.last;
            all.failures.extend(told.failures);
        }
        all
    }
}

impl Caller {
    async fn run(self, is_over: Arc<AtomicBool>) -> Told {
        let (mut told, mut open) = (Told::default(), None);
        while !is_over.load(Ordering::Relaxed) {
            if let Some(turns) = &self.turns {
                match turns.try_acquire() {
                    Ok(turn) => turn.forget(),
                    Err(_) => {
                        tokio::time::sleep(self.pause).await;
                        continue;
                    }
                }
            }
            if let Err(failure) = self.call(&mut open, &mut told).await {
                told.failures.push(failure);
                open = None;
            }
            tokio::time::sleep(self.pause).await;
        }
        told
    }

    async fn call(
        &self,
        open: &mut Option<SendRequest<Empty<Bytes>>>,
        told: &mut Told,
    ) -> Result<(), String> {
        // One that was ended between two calls is none that a caller would use.
        let is_open = match open.as_mut() {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_open {
            *open = Some(self.connect().await.map_err(|error| error.to_string())?);
        }
        let sender = open.as_mut().ok_or("no connection")?;
        let request = Request::get(self.path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Empty::<Bytes>::new());
        let answer = match sender
            .send_request(request.map_err(|error| error.to_string())?)
            .await
        {
            Ok(answer) => answer,
            // It was never sent.
            Err(error) if error.is_canceled() => {
                *open = None;
                return Ok(());
            }
            Err(error) => return Err(format!("no answer: {error:?}")),
        };
        let status = answer.status();
        let is_last = answer
            .headers()
            .get("connection")
            .is_some_and(|value| value == "close");
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| format!("half an answer: {error:?}"))?;
        told.last += u64::from(is_last);
        match status {
            StatusCode::OK => told.passed += 1,
            StatusCode::TOO_MANY_REQUESTS => told.throttled += 1,
            _ => {
                let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
                return Err(format!("{status}: {body}"));
            }
        }
        Ok(())
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        cluster::spawn_named("caller", connection);
        Ok(sender)
    }
}
