//! A balancer of connections: in turn to the gateways that say they are ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Between two looks at a gateway.
const LOOK: Duration = Duration::from_millis(500);
/// How long a gateway may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The gateways and how they are.
pub(super) struct Balancer {
    gateways: Vec<Gateway>,
    turn: AtomicUsize,
}

struct Gateway {
    address: String,
    is_ready: AtomicBool,
}

// === impl Balancer ===

impl Balancer {
    pub(super) fn new(addresses: Vec<String>) -> Arc<Self> {
        let gateways = addresses.into_iter().map(|address| Gateway {
            address,
            is_ready: AtomicBool::new(true),
        });
        Arc::new(Self {
            gateways: gateways.collect(),
            turn: AtomicUsize::new(0),
        })
    }

    /// Takes connections until it is dropped.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) -> Result<()> {
        let mut tasks = JoinSet::new();
        for at in 0..self.gateways.len() {
            let balancer = Arc::clone(&self);
            tasks.spawn(async move { balancer.look(at).await });
        }
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (caller, _) = accepted?;
                    let balancer = Arc::clone(&self);
                    tasks.spawn(async move { balancer.carry(caller).await });
                }
                _ = tasks.join_next() => {}
            }
        }
    }

    async fn look(&self, at: usize) {
        let Some(gateway) = self.gateways.get(at) else {
            return;
        };
        loop {
            let looked = get(&gateway.address, "/_headgate/readyz");
            let looked = tokio::time::timeout(PATIENCE, looked).await;
            let is_ready = matches!(looked, Ok(Ok(200)));
            gateway.is_ready.store(is_ready, Ordering::Relaxed);
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn carry(&self, mut caller: TcpStream) {
        for address in self.in_turn() {
            if let Ok(mut gateway) = TcpStream::connect(address).await {
                // Either may end the connection as it likes.
                let _ = copy_bidirectional(&mut caller, &mut gateway).await;
                return;
            }
        }
    }

    /// The gateways that are ready, another one first each time.
    fn in_turn(&self) -> Vec<&str> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let ready = self.gateways.iter();
        let ready = ready.filter(|gateway| gateway.is_ready.load(Ordering::Relaxed));
        let mut ready: Vec<_> = ready.map(|gateway| gateway.address.as_str()).collect();
        if !ready.is_empty() {
            let by = turn % ready.len();
            ready.rotate_left(by);
        }
        ready
    }
}

/// The status that a path is answered with.
pub(super) async fn get(address: &str, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).context("no answer")?;
    status.parse().context("no status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_that_are_ready_take_turns_and_others_get_nothing() {
        let balancer = Balancer::new(["a", "b", "c"].map(str::to_owned).to_vec());
        assert_eq!(balancer.in_turn(), ["a", "b", "c"]);
        assert_eq!(balancer.in_turn(), ["b", "c", "a"]);
        let second = balancer.gateways.get(1).unwrap();
        second.is_ready.store(false, Ordering::Relaxed);
        assert_eq!(balancer.in_turn(), ["a", "c"]);
        assert_eq!(balancer.in_turn(), ["c", "a"]);
    }
}
