//! Accepting connections, and whether that works: each accept loop says so for `/readyz`.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The pause after a connection that could not be accepted: out of descriptors, the next one
/// cannot be either.
const PAUSE: Duration = Duration::from_millis(50);

/// As many as wait in a listener's queue (`listeners::BACKLOG`).
const WAITING: u32 = 1_024;

/// How accepting goes on one listener; cheap to clone.
#[derive(Debug, Clone)]
pub struct Acceptance(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The setting that configures the listener.
    setting: &'static str,
    problem: Mutex<Option<String>>,
}

/// A listener that its loop serves; dropped when the loop ends, for whatever reason.
pub(crate) struct Accepting {
    listener: Option<TcpListener>,
    /// The same once the node stops.
    stopped: Option<std::net::TcpListener>,
    acceptance: Acceptance,
    /// How many may still be taken after a stop: a flood does not put it off.
    waiting: u32,
}

// === impl Acceptance ===

impl Acceptance {
    /// For the listener of this setting; nobody accepts yet.
    #[must_use]
    pub fn new(setting: &'static str) -> Self {
        Self(Arc::new(Inner {
            setting,
            problem: Mutex::new(Some("nobody accepts connections yet".to_owned())),
        }))
    }

    /// Nothing while connections are accepted, else the listener and why they are not.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let problem = self.state();
        let problem = problem.as_ref()?;
        Some(format!("{}: {problem}", self.0.setting))
    }

    /// Gives what it was before.
    fn is_now(&self, problem: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.state(), problem)
    }

    fn state(&self) -> MutexGuard<'_, Option<String>> {
        self.0
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Accepting ===

impl Accepting {
    /// Begins to accept.
    pub(crate) fn begin(listener: TcpListener, acceptance: Acceptance) -> Self {
        acceptance.is_now(None);
        Self {
            listener: Some(listener),
            stopped: None,
            acceptance,
            waiting: WAITING,
        }
    }

    /// The next connection; after a stop those that wait already, which a closed listener would reset, then none. What
    /// goes wrong in between is said once.
    pub(crate) async fn next(
        &mut self,
        stop: &CancellationToken,
    ) -> Option<(TcpStream, SocketAddr)> {
        while let Some(listener) = &self.listener {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(connection) => {
                    self.accepted();
                    return Some(connection);
                }
                Err(error) => self.failed(&error),
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.waiting_one()
    }

    /// One of the listener's queue after a stop, where the system itself is asked: a runtime may not have heard of it yet.
    fn waiting_one(&mut self) -> Option<(TcpStream, SocketAddr)> {
        if let Some(listener) = self.listener.take() {
            self.stopped = listener.into_std().ok();
        }
        self.waiting = self.waiting.checked_sub(1)?;
        let (stream, peer) = self.stopped.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    }

    fn accepted(&self) {
        if self.acceptance.is_now(None).is_some() {
            let setting = self.acceptance.0.setting;
            tracing::info!(setting, "connections are accepted again");
        }
    }

    fn failed(&self, error: &io::Error) {
        // The caller was gone before its turn came: nothing is wrong with the listener.
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        let told = format!("a connection could not be accepted: {error}");
        if self.acceptance.is_now(Some(told)).is_none() {
            let setting = self.acceptance.0.setting;
            tracing::error!(setting, %error, "connections cannot be accepted");
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let told = "nobody accepts connections any more".to_owned();
        self.acceptance.is_now(Some(told));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_is_up_from_the_first_accept_until_its_loop_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptance = Acceptance::new("listen.management");
        assert!(acceptance.problem().is_some());
        let mut accepting = Accepting::begin(listener, acceptance.clone());
        assert_eq!(acceptance.problem(), None);
        accepting.failed(&io::Error::other("out of descriptors"));
        let told = acceptance.problem().unwrap();
        assert_eq!(
            told,
            "listen.management: a connection could not be accepted: out of descriptors"
        );
        let stop = CancellationToken::new();
        let (connected, accepted) =
            tokio::join!(TcpStream::connect(address), accepting.next(&stop));
        assert!(connected.is_ok() && accepted.is_some());
        assert_eq!(acceptance.problem(), None, "it accepted one");
        drop(accepting);
        assert!(acceptance.problem().unwrap().contains("any more"));
    }

    #[tokio::test]
    async fn connections_that_wait_at_a_stop_are_taken_and_a_flood_does_not_put_it_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepting = Accepting::begin(listener, Acceptance::new("listen.management"));
        let stop = CancellationToken::new();
        let mut callers = Vec::new();
        for _ in 0..3 {
            callers.push(TcpStream::connect(address).await.unwrap());
        }
        stop.cancel();
        for _ in 0..3 {
            assert!(accepting.next(&stop).await.is_some());
        }
        assert!(accepting.next(&stop).await.is_none());
        accepting.waiting = 1;
        for _ in 0..2 {
            callers.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(accepting.next(&stop).await.is_some());
        assert!(accepting.next(&stop).await.is_none(), "one too many");
    }
}
