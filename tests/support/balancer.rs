//! A balancer of connections, as an operator has one before a cluster: it asks each server whether it is ready, and knows
//! nothing else of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Between two looks at a server, and how long one may take.
const LOOK: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(2);
/// After so many looks in vain it gets nothing more.
const FALL: u32 = 2;
/// How long a server that is ready has at least to say that it is not any more.
pub const NOTICES: Duration = Duration::from_millis(2_000);

/// Passes connections on until it is dropped.
pub struct Balancer {
    pub address: String,
    servers: Arc<Mutex<Servers>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Servers {
    known: BTreeMap<String, Server>,
    /// Who was sent where.
    sent: BTreeMap<SocketAddr, String>,
    turn: usize,
}

struct Server {
    address: String,
    /// Looks in vain, one after the other.
    missed: u32,
}

impl Balancer {
    /// Before servers that say at this path whether they are ready.
    pub async fn start(path: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let servers: Arc<Mutex<Servers>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(look(Arc::clone(&servers), path));
        tasks.spawn(serve(Arc::clone(&servers), listener));
        Self {
            address,
            servers,
            _tasks: tasks,
        }
    }

    /// Where a server is from now on; it gets something when it was seen to be ready there.
    pub fn aim(&self, name: &str, url: &str) {
        let address = url.trim_start_matches("http://").to_owned();
        let missed = FALL;
        let server = Server { address, missed };
        locked(&self.servers).known.insert(name.to_owned(), server);
    }

    /// Where the connection from this address went last.
    pub fn server_of(&self, caller: SocketAddr) -> Option<String> {
        locked(&self.servers).sent.get(&caller).cloned()
    }

    /// Whether all get something.
    pub fn has_all(&self) -> bool {
        let servers = locked(&self.servers);
        servers.known.values().all(|server| server.missed < FALL)
    }
}

impl Servers {
    /// Where one that is ready is reached, another one each time.
    fn next(&mut self, caller: SocketAddr) -> Option<String> {
        let ready = self.known.iter().filter(|(_, one)| one.missed < FALL);
        let ready: Vec<_> = ready.collect();
        self.turn = self.turn.wrapping_add(1);
        let at = self.turn.checked_rem(ready.len())?;
        let (name, server) = ready.get(at)?;
        self.sent.insert(caller, (*name).clone());
        Some(server.address.clone())
    }
}

fn locked(servers: &Mutex<Servers>) -> MutexGuard<'_, Servers> {
    servers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn look(servers: Arc<Mutex<Servers>>, path: &'static str) {
    loop {
        let known: Vec<(String, String)> = {
            let servers = locked(&servers);
            let known = servers.known.iter();
            known
                .map(|(name, server)| (name.clone(), server.address.clone()))
                .collect()
        };
        for (name, address) in known {
            let looked = tokio::time::timeout(PATIENCE, is_ready(&address, path)).await;
            let is_ready = matches!(looked, Ok(Ok(true)));
            let mut servers = locked(&servers);
            let server = servers.known.get_mut(&name);
            // It may be elsewhere by now.
            if let Some(server) = server.filter(|server| server.address == address) {
                server.missed = if is_ready { 0 } else { server.missed + 1 };
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn is_ready(address: &str, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

async fn serve(servers: Arc<Mutex<Servers>>, listener: TcpListener) {
    let mut carried = JoinSet::new();
    while let Ok((caller, from)) = listener.accept().await {
        let _ = caller.set_nodelay(true);
        let next = locked(&servers).next(from);
        carried.spawn(carry(caller, next));
    }
}

/// Whoever is sent to one that takes nothing has no other way: the simplest balancers do not look twice.
async fn carry(mut caller: TcpStream, to: Option<String>) {
    let Some(to) = to else { return };
    if let Ok(mut server) = TcpStream::connect(to).await {
        let _ = server.set_nodelay(true);
        // Either may end the connection as it likes.
        let _ = copy_bidirectional(&mut caller, &mut server).await;
    }
}
