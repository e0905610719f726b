//! The network between nodes: each node advertises a port here, behind which it is reached, so that a
//! test can lose, hold, slow down and end what any node says to any other. It runs on a thread of its
//! own: a test that blocks holds nobody up.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::Instant;

use super::dialer;
use super::node::{Node, Options};
use super::stranger::{ANSWER, BULK, key_in};

/// What happens to the bytes that one node sends another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    #[default]
    None,
    /// They vanish, with the end of the connection, and the connection never carries any again.
    Lost,
    /// They are not taken, and what is on its way stays there: the sender's buffers fill.
    Held,
    /// They arrive later, behind what was on its way before.
    Delayed(Duration),
    /// So many arrive in a second.
    Slow(u32),
}

/// All of it; ends when dropped.
pub struct Net {
    runtime: Option<Runtime>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Seen>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Seen {
    /// Where nodes are reached, by the address that they advertise.
    nodes: BTreeMap<String, Place>,
    faults: BTreeMap<(String, String), Fault>,
    bytes: BTreeMap<(String, String), u64>,
    /// The last first words of a connection for what is large.
    large: BTreeMap<(String, String), Vec<u8>>,
    /// The last answer to a node's first words.
    answers: BTreeMap<(String, String), Vec<u8>>,
    connections: u64,
    /// Connections by number: who is at which end, and how either end is closed.
    open: BTreeMap<u64, [(String, watch::Sender<bool>); 2]>,
}

struct Place {
    name: String,
    target: Option<SocketAddr>,
}

/// One direction of a connection.
struct Pump {
    state: Arc<State>,
    way: (String, String),
    from: Option<OwnedReadHalf>,
    to: Option<OwnedWriteHalf>,
    /// Whether the end that is read, or the one that is written to, has been closed here.
    closed: [watch::Receiver<bool>; 2],
    /// What came and arrives later, in order.
    late: VecDeque<(Instant, Vec<u8>)>,
}

/// What a connection over TLS begins with.
const TLS: u8 = 0x16;
/// How often it is looked who has dialed: the system shows no moment as a whole, so that a socket may be missing once.
const LOOKS: usize = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// As much of it as a long link holds.
const LATE_MOST: usize = 1_024;

impl Net {
    pub fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self {
            runtime: Some(runtime.expect("a runtime")),
            state: Arc::default(),
        }
    }

    /// A port for this node.
    #[allow(clippy::disallowed_methods, reason = "a task of the net's own runtime")]
    pub fn place(&self, name: &str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a port").to_string();
        let place = Place {
            name: name.to_owned(),
            target: None,
        };
        self.seen().nodes.insert(address.clone(), place);
        let (state, own) = (Arc::clone(&self.state), address.clone());
        self.runtime().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let (state, own) = (Arc::clone(&state), own.clone());
                tokio::spawn(carry(state, own, stream));
            }
        });
        address
    }

    /// The same, advertised by a node that is to be started.
    fn advertise(&self, name: &str, options: &mut Options) -> String {
        let address = self.place(name);
        let key = "HEADGATE__CLUSTER__ADVERTISE".to_owned();
        options.environment.push((key, address.clone()));
        address
    }

    /// Starts a node that all others reach here, and gives where.
    pub async fn node(&self, name: &str, mut options: Options) -> (Node, String) {
        let address = self.advertise(name, &mut options);
        // It may need others before it is ready, and they need to reach it.
        let unready = std::mem::replace(&mut options.unready, true);
        let node = Node::start_with(options).await;
        self.aim(&address, &node.cluster_address());
        if !unready {
            node.until_ready().await;
        }
        (node, address)
    }

    /// The node behind a port is reached there from now on.
    pub fn aim(&self, address: &str, target: &str) {
        let target = target.parse().expect("an address");
        let mut seen = self.seen();
        seen.nodes.get_mut(address).expect("a place").target = Some(target);
    }

    /// From now on this happens to what one node sends the other.
    pub fn one_way(&self, from: &str, to: &str, fault: Fault) {
        let way = (from.to_owned(), to.to_owned());
        self.seen().faults.insert(way, fault);
        self.state.changed.send_modify(|count| *count += 1);
    }

    pub fn both_ways(&self, one: &str, other: &str, fault: Fault) {
        self.one_way(one, other, fault);
        self.one_way(other, one, fault);
    }

    /// Closes what `deaf` has open with `other` at `deaf`'s end alone: the other one is not told, and
    /// nothing passes.
    pub fn half_open(&self, deaf: &str, other: &str) -> usize {
        self.end(deaf, other, false)
    }

    /// Closes every connection between the two.
    pub fn close(&self, one: &str, other: &str) -> usize {
        self.end(one, other, true)
    }

    fn end(&self, one: &str, other: &str, both: bool) -> usize {
        let seen = self.seen();
        let mut count = 0;
        for ends in seen.open.values() {
            let [(dialer, _), (dialed, _)] = ends;
            let is_between =
                (dialer == one && dialed == other) || (dialer == other && dialed == one);
            if is_between {
                count += 1;
                for (name, close) in ends {
                    if both || name == one {
                        close.send_replace(true);
                    }
                }
            }
        }
        count
    }

    /// Bytes that came from one node for the other.
    pub fn bytes(&self, from: &str, to: &str) -> u64 {
        let way = (from.to_owned(), to.to_owned());
        self.seen().bytes.get(&way).copied().unwrap_or_default()
    }

    /// The first words with which one node opened its last connection for what is large with the other.
    pub fn bulk_words(&self, from: &str, to: &str) -> Option<Vec<u8>> {
        let way = (from.to_owned(), to.to_owned());
        self.seen().large.get(&way).cloned()
    }

    /// What asks of `to` are to bear, as `from` has told it when it last welcomed it.
    pub fn key(&self, from: &str, to: &str) -> Option<u64> {
        let way = (from.to_owned(), to.to_owned());
        let seen = self.seen();
        seen.answers.get(&way).and_then(|answer| key_in(answer))
    }

    /// Connections that were dialed.
    pub fn connections(&self) -> u64 {
        self.seen().connections
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.state.seen.lock().expect("not poisoned")
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it runs")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("not poisoned")
    }

    fn fault(&self, way: &(String, String)) -> Fault {
        self.seen().faults.get(way).copied().unwrap_or_default()
    }
}

/// Whoever dials says first who it is, and the first address in that is where it is reached. Over TLS it says nothing
/// that is understood here, and its process tells; none where there is none to be found.
async fn words_of(dialer: &TcpStream, first: &[u8]) -> Option<String> {
    if first.first() != Some(&TLS) {
        return Some(String::from_utf8_lossy(first).into_owned());
    }
    let (from, to) = (dialer.peer_addr().ok()?, dialer.local_addr().ok()?);
    for _ in 0..LOOKS {
        // All processes are looked at, and all that is carried goes on meanwhile.
        let found = tokio::task::spawn_blocking(move || dialer::advertised(from, to));
        let found = found.await.expect("it is looked for");
        if found.is_some() {
            return found;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    None
}

/// Carries one connection that was dialed at `own`.
async fn carry(state: Arc<State>, own: String, mut dialer: TcpStream) {
    let mut first = vec![0; 64 * 1024];
    let Ok(count @ 1..) = dialer.read(&mut first).await else {
        return;
    };
    first.truncate(count);
    // Whoever is not known is nobody whom faults are for: closed on, it comes again.
    let Some(words) = words_of(&dialer, &first).await else {
        return;
    };
    let (from, to, target) = {
        let seen = state.seen();
        let place = &seen.nodes[&own];
        let named = seen
            .nodes
            .iter()
            .filter_map(|(address, place)| Some((words.find(address.as_str())?, &place.name)));
        let from = named.min().map_or("nobody", |(_, name)| name);
        (from.to_owned(), place.name.clone(), place.target)
    };
    let Some(target) = target else { return };
    let Ok(dialed) = TcpStream::connect(target).await else {
        return;
    };
    for stream in [&dialer, &dialed] {
        // As between nodes: small words that wait for others would make each exchange 40 ms long.
        stream.set_nodelay(true).expect("a socket");
    }
    let (one, other) = (watch::Sender::new(false), watch::Sender::new(false));
    let (at_one, at_other) = (one.subscribe(), other.subscribe());
    let number = {
        let mut seen = state.seen();
        seen.connections += 1;
        let number = seen.connections;
        let ends = [(from.clone(), one), (to.clone(), other)];
        seen.open.insert(number, ends);
        number
    };
    let ((dialer_in, dialer_out), (dialed_in, dialed_out)) =
        (dialer.into_split(), dialed.into_split());
    let there = Pump {
        state: Arc::clone(&state),
        way: (from.clone(), to.clone()),
        from: Some(dialer_in),
        to: Some(dialed_out),
        closed: [at_one.clone(), at_other.clone()],
        late: VecDeque::new(),
    };
    let back = Pump {
        state: Arc::clone(&state),
        way: (to, from),
        from: Some(dialed_in),
        to: Some(dialer_out),
        closed: [at_other, at_one],
        late: VecDeque::new(),
    };
    // Nodes close no half of a connection: the end of one direction is that of both.
    tokio::select! {
        () = there.run(first) => {}
        () = back.run(Vec::new()) => {}
    }
    state.seen().open.remove(&number);
}

/// Never, where there is no such moment.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Pump {
    /// Until an end is over. Its `first` bytes were read already.
    async fn run(mut self, mut first: Vec<u8>) {
        let mut changed = self.state.changed.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let fault = self.state.fault(&self.way);
            let [read_end, written_end] = &mut self.closed;
            if *written_end.borrow_and_update() {
                self.to = None;
            }
            if *read_end.borrow_and_update() {
                self.from = None;
            }
            let Some(from) = &mut self.from else {
                // The other end is not told.
                if self.to.is_none() || written_end.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let most = match fault {
                Fault::Slow(bytes) => usize::try_from(bytes / 20).expect("a number").max(1),
                _ => buffer.len(),
            };
            let room = buffer.len().min(most);
            let due = self.late.front().map(|(due, _)| *due);
            let is_held = fault == Fault::Held;
            // What is slow begins when all that is late has come.
            let is_behind = matches!(fault, Fault::Slow(_)) && !self.late.is_empty();
            let takes = !is_held && !is_behind && self.late.len() < LATE_MOST;
            let came = if first.is_empty() || is_held {
                tokio::select! {
                    () = until(due), if !is_held => {
                        self.arrive_late().await;
                        continue;
                    }
                    came = from.read(&mut buffer[..room]), if takes => came,
                    _ = changed.changed() => continue,
                    _ = read_end.changed() => continue,
                    _ = written_end.changed() => continue,
                }
            } else {
                let count = first.len();
                buffer[..count].copy_from_slice(&first);
                first.clear();
                Ok(count)
            };
            match came {
                Ok(count @ 1..) => self.pass(&buffer[..count]).await,
                // The end of a connection vanishes like everything else.
                _ if self.state.fault(&self.way) == Fault::Lost || self.to.is_none() => {
                    self.until_over(&mut changed).await;
                    return;
                }
                _ => {
                    self.arrive_all(&mut changed).await;
                    return;
                }
            }
        }
    }

    async fn arrive_late(&mut self) {
        if let Some((_, bytes)) = self.late.pop_front()
            && self.state.fault(&self.way) != Fault::Lost
        {
            self.arrive(&bytes).await;
        }
    }

    /// All that is late, and the end after it.
    async fn arrive_all(&mut self, changed: &mut watch::Receiver<u64>) {
        while let Some((due, _)) = self.late.front() {
            let is_held = self.state.fault(&self.way) == Fault::Held;
            tokio::select! {
                () = tokio::time::sleep_until(*due), if !is_held => self.arrive_late().await,
                _ = changed.changed() => {}
            }
        }
    }

    async fn pass(&mut self, bytes: &[u8]) {
        *self.state.seen().bytes.entry(self.way.clone()).or_default() += bytes.len() as u64;
        for kind in [BULK, ANSWER] {
            if bytes.starts_with(&kind.to_be_bytes()) {
                let seen = &mut *self.state.seen();
                let words = if kind == BULK {
                    &mut seen.large
                } else {
                    &mut seen.answers
                };
                words.insert(self.way.clone(), bytes.to_vec());
            }
        }
        let fault = self.state.fault(&self.way);
        match fault {
            Fault::Lost => {
                // What follows would not be understood: held for good, and its end with it.
                if let Some(to) = self.to.take() {
                    to.forget();
                }
            }
            Fault::Delayed(time) => {
                let due = (Instant::now() + time).max(self.last_due());
                return self.late.push_back((due, bytes.to_vec()));
            }
            // Behind what is still on its way, or taken just when nothing was to be any more.
            _ if !self.late.is_empty() || fault == Fault::Held => {
                let due = self.last_due();
                return self.late.push_back((due, bytes.to_vec()));
            }
            Fault::Slow(in_a_second) => {
                let time = bytes.len() as f64 / f64::from(in_a_second);
                tokio::time::sleep(Duration::from_secs_f64(time)).await;
            }
            Fault::None | Fault::Held => {}
        }
        self.arrive(bytes).await;
    }

    /// Nothing overtakes anything.
    fn last_due(&self) -> Instant {
        let last = self.late.back().map(|(due, _)| *due);
        last.unwrap_or_else(Instant::now)
    }

    async fn arrive(&mut self, bytes: &[u8]) {
        if let Some(to) = &mut self.to
            && to.write_all(bytes).await.is_err()
        {
            self.to = None;
        }
    }

    /// Until nothing is lost any more, or the other side is closed.
    async fn until_over(&mut self, changed: &mut watch::Receiver<u64>) {
        while self.state.fault(&self.way) == Fault::Lost && !*self.closed[0].borrow() {
            tokio::select! {
                _ = changed.changed() => {}
                _ = self.closed[0].changed() => {}
            }
        }
    }
}
