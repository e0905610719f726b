//! An ask of another process, as components ask each other, beside a bare exchange of the same bytes over one TCP
//! connection by as many callers: five runs of both, interleaved, of one item an ask and of 64. What an ask
//! costs beyond the bare exchange are the hops of the library below, of the door and of the router, and reading what
//! was written, four times. An item of a batch costs a small part of an ask of its own, so hot messages are batched. It
//! prints what it measures, and fails above 30 times.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod measure;

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use cluster::{
    Actor, Address, Asked, BoxError, Clock, Cluster, Door, Member, NodeSettings, PROTOCOL, Request,
    Root, Security, System, Timing, child, encode, node, start_root,
};
use measure::{median, verdict};

/// The word that makes this executable the other node.
const WORD: &str = "answers";
const ROLE: &str = "echo";
/// Runs of each.
const RUNS: usize = 5;
/// Asks under way at a time.
const WINDOW: usize = 64;
/// Bytes of one item.
const ITEM: usize = 64;
/// Items of a batch.
const BATCH: usize = 64;
/// Asks of one run, with one item each and with a batch.
const SINGLE: usize = 40_000;
const BATCHED: usize = 8_000;
const PATIENCE: Duration = Duration::from_secs(20);
/// Times of the bare exchange, with one item and with a batch.
const MOST_SINGLE: f64 = 30.0;
const MOST_BATCHED: f64 = 30.0;

/// Some items, which come back.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Say(Vec<String>);

impl Request for Say {
    type Reply = Say;
    const KIND: u16 = 0x7f02;
    const VERSION: u16 = 1;
}

struct Echo;

impl Actor for Echo {
    type Message = Asked<Say>;
    type Arguments = ();
    const KIND: &'static str = "bench.echo";

    async fn start((): (), _me: Address<Self::Message>) -> Result<Self, BoxError> {
        Ok(Self)
    }

    async fn handle(&mut self, asked: Self::Message) -> Result<(), BoxError> {
        asked.reply.send(asked.request);
        Ok(())
    }
}

/// A node that has joined, or waits for others.
struct Joined {
    cluster: Cluster,
    system: System,
    address: String,
    _root: Root,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(WORD) {
        return answer().await;
    }
    let (other, bare, seed) = start_other()?;
    let here = join("asker", &[], vec![seed]).await?;
    let door: Door<Say> = Door::anywhere(None, &here.cluster, ROLE, Duration::MAX);
    until_there(&door).await?;
    let single = compare(&door, &here.system.clock, bare, 1, SINGLE).await?;
    let batched = compare(&door, &here.system.clock, bare, BATCH, BATCHED).await?;
    drop(other);
    let single = verdict("an ask beside bare TCP", single, MOST_SINGLE, "times");
    let batched = verdict(
        "an ask of 64 items beside bare TCP",
        batched,
        MOST_BATCHED,
        "times",
    );
    let failed = ExitCode::FAILURE;
    Ok(if single == failed || batched == failed {
        failed
    } else {
        ExitCode::SUCCESS
    })
}

/// How many times as long asks of so many items take as the bare exchange: the median of the runs.
async fn compare(
    door: &Door<Say>,
    clock: &Clock,
    bare: SocketAddr,
    items: usize,
    count: usize,
) -> anyhow::Result<f64> {
    let say = Say(vec!["x".repeat(ITEM); items]);
    let bytes = encode(Say::KIND, Say::VERSION, &say)?.len();
    asks(door, &say, count / 4).await?;
    exchange(bare, bytes, count / 4).await?;
    let (mut ours, mut floor, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let began = clock.monotonic();
        asks(door, &say, count).await?;
        let between = clock.monotonic();
        exchange(bare, bytes, count).await?;
        let (one, two) = (between - began, clock.monotonic() - between);
        ours.push(one.as_secs_f64() * 1e6 / count as f64);
        floor.push(two.as_secs_f64() * 1e6 / count as f64);
        ratios.push(one.as_secs_f64() / two.as_secs_f64());
    }
    println!(
        "{items} items: an ask {:.2} µs, bare {:.2} µs",
        median(ours),
        median(floor)
    );
    Ok(median(ratios))
}

/// So many asks, each of the callers one after the other.
async fn asks(door: &Door<Say>, say: &Say, count: usize) -> anyhow::Result<()> {
    let mut callers = Vec::new();
    for _ in 0..WINDOW {
        let (door, say) = (door.clone(), say.clone());
        callers.push(cluster::spawn_named("caller", async move {
            for _ in 0..count / WINDOW {
                let back = door.ask(say.clone(), PATIENCE).await?;
                ensure!(back.0.len() == say.0.len(), "another answer");
            }
            anyhow::Ok(())
        }));
    }
    for caller in callers {
        caller.await??;
    }
    Ok(())
}

/// So many messages of so many bytes there and back over one connection, by as many callers, each one
/// after the other: what is asked at the same time is written at once, and nothing is looked at.
async fn exchange(to: SocketAddr, bytes: usize, count: usize) -> anyhow::Result<()> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut from, mut to) = stream.into_split();
    let (asks, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    let (sent, mut waiting) = mpsc::unbounded_channel();
    let writing = cluster::spawn_named("bare writer", async move {
        let whole = vec![7; bytes * WINDOW];
        let mut together = Vec::with_capacity(WINDOW);
        while asked.recv_many(&mut together, WINDOW).await > 0 {
            let all = whole.get(..bytes * together.len()).unwrap_or_default();
            for caller in together.drain(..) {
                sent.send(caller)?;
            }
            to.write_all(all).await?;
        }
        anyhow::Ok(())
    });
    let reading = cluster::spawn_named("bare reader", async move {
        let (mut buffer, mut read) = (vec![0; 256 * 1024], 0);
        while let got @ 1.. = from.read(&mut buffer).await? {
            read += got;
            while read >= bytes {
                read -= bytes;
                let caller = waiting.recv().await.context("nobody has asked")?;
                let _ = caller.send(());
            }
        }
        anyhow::Ok(())
    });
    let mut callers = Vec::new();
    for _ in 0..WINDOW {
        let asks = asks.clone();
        callers.push(cluster::spawn_named("bare caller", async move {
            for _ in 0..count / WINDOW {
                let (caller, answered) = oneshot::channel();
                asks.send(caller)?;
                answered.await?;
            }
            anyhow::Ok(())
        }));
    }
    for caller in callers {
        caller.await??;
    }
    drop(asks);
    writing.await??;
    reading.abort();
    Ok(())
}

async fn until_there(door: &Door<Say>) -> anyhow::Result<()> {
    let waiting = async {
        while !door.is_there() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .context("the two nodes do not meet")
}

/// The other node; ends with the benchmark, however that ends.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_other() -> anyhow::Result<(Other, SocketAddr, String)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(WORD)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().context("the other node says nothing")?;
    std::io::BufReader::new(output).read_line(&mut line)?;
    let (bare, seed) = line.trim().split_once(' ').context("no two addresses")?;
    Ok((Other(child), bare.parse()?, seed.to_owned()))
}

/// The other node: answers asks, and sends back what it gets at a bare port.
async fn answer() -> anyhow::Result<ExitCode> {
    let bare = TcpListener::bind("127.0.0.1:0").await?;
    let there = join("answers", &[ROLE], Vec::new()).await?;
    println!("{} {}", bare.local_addr()?, there.address);
    loop {
        let (mut stream, _) = bare.accept().await?;
        stream.set_nodelay(true)?;
        cluster::spawn_named("bare", async move {
            let mut buffer = vec![0; 256 * 1024];
            while let Ok(got @ 1..) = stream.read(&mut buffer).await {
                let got = buffer.get(..got).unwrap_or_default();
                if stream.write_all(got).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn join(name: &str, roles: &[&str], seeds: Vec<String>) -> anyhow::Result<Joined> {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?.to_string();
    let system = System::new(Clock::system(), false);
    let cluster = Cluster::new(Member {
        id: name.to_owned(),
        incarnation: 1,
        life: std::process::id().into(),
        name: name.to_owned(),
        address: address.clone(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        facts: Vec::new(),
    });
    let settings = NodeSettings {
        listener,
        cluster: "bench".to_owned(),
        seeds,
        security: Security::Plain { anywhere: false },
        protocol: PROTOCOL,
        timing: Timing::default(),
        told: Arc::new(|_| ()),
    };
    let (echo, echoes) = child::<Echo>(&system, "echo", ());
    cluster.serve(Door::<Say>::local(&system, echo, |asked| asked, Some));
    let (_, meets) = node(&system, &cluster, settings);
    let root = start_root(&system, vec![echoes, meets]).await;
    let root = root.map_err(|error| anyhow!("the node does not start: {error}"))?;
    Ok(Joined {
        cluster,
        system,
        address,
        _root: root,
    })
}
