//! One connection from its first byte to its end: within its times, and in order at a stop.

use std::pin::{Pin, pin};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio_util::sync::CancellationToken;

use crate::patience::Patience;
use crate::turn::{End, Turn};

/// How long a request may be on its way at a stop: its hands are shaken, its head has begun, or its connection has just
/// been made.
pub(crate) const UNDER_WAY: Duration = Duration::from_secs(1);
/// Between two looks whether it has come.
const LOOK: Duration = Duration::from_millis(5);

/// Serves a connection until it ends, has lasted too long or the node stops; then its open requests end, within the
/// time that they have.
pub(crate) async fn run<C: GracefulConnection<Error: std::fmt::Display>>(
    serving: C,
    turn: &Turn,
    patience: &Patience,
    (stop, drain): (&CancellationToken, Duration),
) {
    let mut serving = pin!(serving);
    let mut is_told = false;
    let served = loop {
        tokio::select! {
            biased;
            served = &mut serving => break served,
            end = turn.over(patience) => match end {
                // Requests that were on their way have the time that any have; who is told, asks for nothing and
                // stays is left.
                End::Gently if !is_told => {
                    is_told = true;
                    turn.told();
                    serving.as_mut().graceful_shutdown();
                }
                End::Gently | End::Now => return,
            },
            () = stop.cancelled() => {
                match tokio::time::timeout(drain, ended(serving, turn)).await {
                    Ok(served) => break served,
                    Err(_) => return,
                }
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// Serves what is open or on its way, and nothing more.
async fn ended<C: GracefulConnection>(
    mut serving: Pin<&mut C>,
    turn: &Turn,
) -> Result<(), C::Error> {
    let on_its_way = async {
        while turn.is_awaited() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let answered = async {
        let _ = tokio::time::timeout(UNDER_WAY, on_its_way).await;
        // hyper would answer `Connection: Upgrade, close`, which many a caller takes for no switch. Any other answer says
        // itself that it is the last.
        while turn.may_switch() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        served = &mut serving => return served,
        () = answered => {}
    }
    serving.as_mut().graceful_shutdown();
    serving.await
}

/// The hands that are shaken in time; at a stop they have a moment left.
pub(crate) async fn shaken<T, E>(
    handshake: impl Future<Output = Result<T, E>>,
    patience: Duration,
    stop: &CancellationToken,
) -> Option<T> {
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(UNDER_WAY).await;
    };
    tokio::select! {
        shaken = tokio::time::timeout(patience, handshake) => shaken.ok()?.ok(),
        () = over => None,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use bytes::Bytes;
    use cluster::Clock;
    use http::Response;
    use http_body_util::Full;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::answering::Answering;
    use crate::watched::{Bare, Watched};

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// The fields of `GET http://a/` on the first stream, and its end.
    const REQUEST: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
    const HEADERS: u8 = 1;
    const GOAWAY: u8 = 7;

    /// The next frame of this kind; none when the connection ends before.
    async fn frame(stream: &mut (impl AsyncRead + Unpin), kind: u8) -> Option<Vec<u8>> {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.ok()?;
            if head[3] == kind {
                return Some(payload);
            }
        }
    }

    #[tokio::test]
    async fn a_request_that_crosses_the_end_of_an_idle_connection_has_the_time_that_any_has() {
        let drain = Duration::from_millis(50);
        let patience = Patience {
            idle: Duration::from_secs(1),
            ..Patience::default()
        };
        let turn = Arc::new(Turn::new(Clock::system()));
        let (mut caller, socket) = tokio::io::duplex(64 * 1024);
        let stream = Watched::new(socket, Arc::clone(&turn), Bare);
        let answering = Arc::clone(&turn);
        let service = service_fn(move |_| {
            let open = answering.begin();
            async move {
                // Longer than anybody has after a stop.
                tokio::time::sleep(drain * 6).await;
                let body = Full::new(Bytes::from_static(b"done"));
                Ok::<_, Infallible>(Response::new(Answering::new(body, open)))
            }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let serving = builder.serve_connection(TokioIo::new(stream), service);
        let stop = CancellationToken::new();
        let calling = async move {
            caller.write_all(PREFACE).await.unwrap();
            assert!(frame(&mut caller, GOAWAY).await.is_some());
            // It was sent before the caller heard that.
            caller.write_all(REQUEST).await.unwrap();
            frame(&mut caller, HEADERS).await
        };
        let served = run(serving, &turn, &patience, (&stop, drain));
        let ((), answer) = tokio::join!(served, calling);
        // `:status: 200`, by HPACK's static table.
        assert_eq!(answer.unwrap().first(), Some(&0x88));
    }

    /// What a caller gets who sends `before` of a request ahead of a stop and the rest after it.
    async fn answer_at_a_stop(before: &'static [u8], rest: &'static [u8]) -> String {
        let turn = Arc::new(Turn::new(Clock::system()));
        let (mut caller, socket) = tokio::io::duplex(64 * 1024);
        let stream = Watched::new(socket, Arc::clone(&turn), Bare);
        let answering = Arc::clone(&turn);
        let service = service_fn(move |_| {
            let open = answering.begin();
            let body = Full::new(Bytes::from_static(b"done"));
            async { Ok::<_, Infallible>(Response::new(Answering::new(body, open))) }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let serving = builder.serve_connection(TokioIo::new(stream), service);
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let calling = async move {
            caller.write_all(before).await.unwrap();
            // Until the other side has it and waits for more.
            tokio::time::sleep(LOOK).await;
            stopping.cancel();
            tokio::time::sleep(LOOK).await;
            let _ = caller.write_all(rest).await;
            let mut answer = String::new();
            let _ = caller.read_to_string(&mut answer).await;
            answer
        };
        let patience = Patience::default();
        let within = (&stop, Duration::from_secs(10));
        let ((), answer) = tokio::join!(run(serving, &turn, &patience, within), calling);
        answer
    }

    #[tokio::test]
    async fn a_request_over_http2_that_crosses_a_stop_is_answered() {
        let turn = Arc::new(Turn::new(Clock::system()));
        let (mut caller, socket) = tokio::io::duplex(64 * 1024);
        let stream = Watched::new(socket, Arc::clone(&turn), Bare);
        let answering = Arc::clone(&turn);
        let service = service_fn(move |_| {
            let open = answering.begin();
            let body = Full::new(Bytes::from_static(b"done"));
            async { Ok::<_, Infallible>(Response::new(Answering::new(body, open))) }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let serving = builder.serve_connection(TokioIo::new(stream), service);
        let (stop, patience) = (CancellationToken::new(), Patience::default());
        let stopping = stop.clone();
        let calling = async move {
            caller.write_all(PREFACE).await.unwrap();
            tokio::time::sleep(LOOK).await;
            stopping.cancel();
            assert!(frame(&mut caller, GOAWAY).await.is_some());
            // It was sent before the caller heard that.
            caller.write_all(REQUEST).await.unwrap();
            frame(&mut caller, HEADERS).await
        };
        let within = (&stop, Duration::from_secs(10));
        let ((), answer) = tokio::join!(run(serving, &turn, &patience, within), calling);
        // `:status: 200`, by HPACK's static table.
        assert_eq!(answer.unwrap().first(), Some(&0x88));
    }

    #[tokio::test]
    async fn a_request_that_is_on_its_way_at_a_stop_is_answered_and_is_the_last_one() {
        const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let (half, rest) = WHOLE.split_at(9);
        let halves = answer_at_a_stop(half, rest).await;
        for answer in [answer_at_a_stop(b"", WHOLE).await, halves] {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        }
        let began = tokio::time::Instant::now();
        let nothing = answer_at_a_stop(b"", b"").await;
        assert_eq!(nothing, "", "who sends nothing is not waited for");
        assert!(began.elapsed() < UNDER_WAY * 2);
    }
}
