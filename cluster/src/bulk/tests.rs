//! What goes beside, what is bounded, and whose end is whose.

use std::sync::atomic::{AtomicU64, Ordering};

use ractor::{ActorProcessingErr, ActorRef};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::frame::Frame;
use super::*;
use crate::askers::Asker;
use crate::cluster::{Cluster, Parcel, ask_on};
use crate::door::{Door, Request as _};
use crate::hello::{Hello, Refusal, read};
use crate::path::{Path, Terms};
use crate::protocol::PROTOCOL;
use crate::router::Routed;
use crate::task::spawn_named;
use crate::tests::{Add, SOON};
use crate::transport::{AnyStream, Arrival, Gate, accept};

/// What the asker's asks bear.
const KEY: u64 = 7;
const PLAIN: Security = Security::Plain { anywhere: false };

fn member(id: &str, life: u64, address: &str) -> Member {
    Member {
        id: id.to_owned(),
        incarnation: 1,
        life,
        name: id.to_owned(),
        address: address.to_owned(),
        roles: Vec::new(),
        facts: Vec::new(),
    }
}

/// The other connection's far end: it says back what was asked.
struct Echo;

impl ractor::Actor for Echo {
    type Msg = Routed;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Routed>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Routed>,
        Routed { bytes, reply, .. }: Routed,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        reply.send(bytes)?;
        Ok(())
    }
}

async fn path_to(to: &Member) -> Arc<Path> {
    let (router, _) = ractor::ActorRuntime::spawn(None, Echo, ()).await.unwrap();
    let terms = Terms {
        protocol: PROTOCOL,
        bears: KEY,
    };
    let path = Path::new(router, Arc::default(), terms);
    let both = (member("asker", 1, "127.0.0.1:1"), to.clone());
    Arc::new(path.with_bulk(both, PLAIN))
}

fn count(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// The port of a node that answers [`Add`].
#[derive(Clone)]
struct Port(Cluster);

impl Gate for Port {
    async fn judge(&self, _: Hello) -> Result<(u64, Hello), Refusal> {
        Err(Refusal::Forming)
    }

    fn arrived(&self, _: Arrival) {}

    fn left(&self, _: u64) {}

    async fn carrier(&self, hello: BulkHello) -> Result<Carrier, &'static str> {
        Carrier::find(&self.0, &hello).await
    }
}

/// A node that is connected with the asker in its life 1; the way to it, and its own way back.
async fn answering() -> (Cluster, Arc<Path>, (Arc<Path>, Asker)) {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap().to_string();
    let server = Cluster::new(member("server", 7, &address));
    server.serve(Door::<Add>::answering(|add| add.0 + 1));
    let back = path_to(&member("asker", 1, "127.0.0.1:1")).await;
    let asker = server.0.askers.admit(KEY, Arc::clone(&back));
    let counters = Arc::clone(&server.0.counters);
    let port = Port(server.clone());
    spawn_named(
        "port",
        accept((listener, Arc::default()), PLAIN, counters, port),
    );
    let path = path_to(server.me()).await;
    (server, path, (back, asker))
}

/// A node that lets everything in and does with each connection what the test wants.
async fn scripted<F: Future<Output = ()> + Send + 'static>(
    then: impl Fn(TcpStream) -> F + Send + 'static,
) -> Arc<Path> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn_named("scripted port", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let hello: BulkHello = read(&mut stream, BULK).await.unwrap();
            assert_eq!((hello.member.id.as_str(), hello.bears), ("asker", KEY));
            BulkAnswer::Welcome.write(&mut stream).await.unwrap();
            spawn_named("scripted", then(stream));
        }
    });
    path_to(&member("server", 7, &address)).await
}

async fn add(path: &Path, units: u64) -> Result<u64, AskError> {
    let bytes = crate::encode(Add::KIND, Add::VERSION, &Add(units)).unwrap();
    let answer = path.ask_in_bulk(bytes, SOON).await?;
    crate::router::read_answer::<Add>(answer)
}

#[tokio::test]
async fn the_first_words_for_what_is_large_keep_their_bytes() {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let hello = BulkHello {
        member: member("i", 3, "a:1"),
        bears: 9,
    };
    let mut bytes = Vec::new();
    hello.write(&mut bytes).await.unwrap();
    assert_eq!(hex(&bytes), "fdec00010000000d01690103016903613a31000009");
    let back: BulkHello = read(&mut &bytes[..], BULK).await.unwrap();
    assert_eq!(back, hello);
    for (answer, body) in [
        (BulkAnswer::Welcome, "00"),
        (BulkAnswer::Refused("no".to_owned()), "01026e6f"),
    ] {
        let mut bytes = Vec::new();
        answer.write(&mut bytes).await.unwrap();
        let expected = format!("fded0001{:08x}{body}", body.len() / 2);
        assert_eq!(hex(&bytes), expected);
        assert_eq!(crate::golden_tests::written(0xfded, 1, &answer), expected);
        assert_eq!(BulkAnswer::read(&mut &bytes[..]).await.unwrap(), answer);
    }
}

#[tokio::test]
async fn what_is_large_goes_over_one_connection_of_its_own_for_as_long_as_the_node_is_connected() {
    let (server, path, _back) = answering().await;
    for units in 0..20 {
        assert_eq!(add(&path, units).await, Ok(units + 1));
    }
    let counters = path.counters();
    assert_eq!(count(&counters.bulk_asks), 20);
    assert_eq!(count(&counters.bulk_dialed), 1);
    assert_eq!(count(&counters.bulk_beside), 0);
    assert_eq!(count(&server.counters().served), 20);
    assert_eq!(path.under_way(), (0, 0, 0));
    // An ask that is not large goes the other way, whose far end says everything back.
    let parcel = Parcel::of(&Add(9)).unwrap();
    let hot = ask_on::<Add>(&path, parcel, SOON).await;
    assert_eq!(hot, Err(AskError::Unsupported), "an echo is no answer");
    path.end();
    let bytes = vec![1, 2];
    let common = path.ask_in_bulk(bytes.clone(), SOON).await;
    assert_eq!(
        common,
        Ok(bytes),
        "nothing rests on a connection that is over"
    );
    assert_eq!(count(&counters.bulk_beside), 1);
}

#[tokio::test]
async fn both_ends_of_it_close_when_the_node_is_lost_at_either() {
    let (_server, path, (back, _asker)) = answering().await;
    assert_eq!(add(&path, 1).await, Ok(2));
    // The answering end loses the asker: the asker opens another, which waits to be let in again.
    back.end();
    let again = async {
        while count(&path.counters().bulk_dialed) < 2 {
            let _ = add(&path, 1).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, again).await.is_ok());
}

#[tokio::test]
async fn only_a_node_that_is_connected_in_its_life_opens_one() {
    let (server, _path, _back) = answering().await;
    let to = server.me().clone();
    for (id, life, bears) in [("asker", 2, 7), ("another", 1, 7), ("asker", 1, 8)] {
        let hello = BulkHello {
            member: member(id, life, "127.0.0.1:1"),
            bears,
        };
        let dialed = dial_for_bulk(&to, &PLAIN, &hello).await.map(|_| ());
        assert!(
            matches!(dialed, Err(crate::transport::DialError::Unwelcome(_))),
            "{id} {life} {bears}: {dialed:?}"
        );
    }
}

#[tokio::test]
async fn whatever_is_no_ask_on_one_is_counted_and_ends_it_unless_it_is_a_frame() {
    let (server, _path, _back) = answering().await;
    let hello = BulkHello {
        member: member("asker", 1, "127.0.0.1:1"),
        bears: KEY,
    };
    let frame = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length[..], &[0, 0, 3, 232], &[0; 7], &[9], bytes].concat()
    };
    let unknown = frame(&crate::encode(0x7777, 1, &Add(1)).unwrap());
    let of_the_future = frame(&crate::encode(Add::KIND, 99, &Add(1)).unwrap());
    let malformed = frame(&crate::encode(Add::KIND, Add::VERSION, &"no number").unwrap());
    let beyond = 0x7fff_ffff_u32.to_be_bytes();
    let noise: Vec<u8> = (0..4_096_u32).map(|n| (n * 7 % 251 + 4) as u8).collect();
    for (what, bytes, ends, answered) in [
        ("an unknown kind", &unknown[..], true, true),
        ("a later version", &of_the_future, true, true),
        ("a malformed message", &malformed, true, true),
        ("no message", &frame(b"abc"), true, true),
        (
            "a frame beyond the limit",
            &[&beyond[..], &[0; 12]].concat(),
            false,
            false,
        ),
        ("noise", &noise, false, false),
        ("a head that is cut", &unknown[..7], true, false),
        ("a message that is cut", &unknown[..20], true, false),
        ("a message that stands still", &unknown[..20], false, false),
    ] {
        let before = count(&server.counters().refused);
        let mut carrier = Carrier::find(&server, &hello).await.unwrap();
        carrier.stalled = SOON / 50;
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        carrier.carry(Box::new(far));
        near.write_all(bytes).await.unwrap();
        if ends {
            near.shutdown().await.unwrap();
        }
        let mut said = Vec::new();
        let closed = tokio::time::timeout(SOON, near.read_to_end(&mut said)).await;
        closed.expect(what).unwrap();
        let answer = frame(&crate::router::fault(AskError::Unsupported));
        // What an answer bears of time says nothing.
        let answer = [&answer[..4], &[0; 4], &answer[8..]].concat();
        assert_eq!(said, if answered { answer } else { Vec::new() }, "{what}");
        assert_eq!(count(&server.counters().refused), before + 1, "{what}");
    }
    // An end between two frames is how it ends.
    let before = count(&server.counters().refused);
    let carrier = Carrier::find(&server, &hello).await.unwrap();
    let (mut near, far) = tokio::io::duplex(64);
    carrier.carry(Box::new(far));
    near.shutdown().await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(count(&server.counters().refused), before);
}

#[tokio::test]
async fn the_next_ask_is_sent_when_the_last_one_is_answered() {
    // Whoever answers reads nothing meanwhile, and an ask before a closed window ends the connection.
    static ANSWERED: AtomicU64 = AtomicU64::new(0);
    let path = scripted(|mut stream| async move {
        for _ in 0..3 {
            let ask = Frame::read(&mut stream, || ()).await.unwrap();
            let more = tokio::time::timeout(SOON / 100, stream.read_u8()).await;
            assert!(more.is_err(), "an ask comes before the answer");
            ask.write(&mut stream, || ()).await.unwrap();
            ANSWERED.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let ask = |byte| path.ask_in_bulk(vec![byte], SOON);
    let answers = tokio::join!(ask(1), ask(2), ask(3));
    assert_eq!(answers, (Ok(vec![1]), Ok(vec![2]), Ok(vec![3])));
    assert_eq!(count(&ANSWERED), 3);
}

#[tokio::test]
async fn an_ask_that_waits_behind_a_slow_one_does_not_end_it() {
    static HEARD: AtomicU64 = AtomicU64::new(0);
    let path = scripted(|mut stream| async move {
        let ask = Frame::read(&mut stream, || ()).await.unwrap();
        while count(&HEARD) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ask.write(&mut stream, || ()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let slow = path.ask_in_bulk(vec![1], SOON);
    let behind = async {
        while path.waiting_in_bulk().await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let behind = path.ask_in_bulk(vec![2], Duration::from_millis(50)).await;
        HEARD.fetch_add(1, Ordering::Relaxed);
        behind
    };
    let answers = tokio::join!(slow, behind);
    assert_eq!(answers, (Ok(vec![1]), Err(AskError::Timeout)));
}

#[tokio::test]
async fn a_dial_that_is_given_up_is_put_off_like_one_that_failed() {
    // A port that takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let path = path_to(&member("server", 7, &address)).await;
    let briefly = Duration::from_millis(50);
    let given_up = path.ask_in_bulk(vec![1], briefly).await;
    assert_eq!(given_up, Err(AskError::Unavailable));
    // At once the common way: nobody waits for another dial.
    assert_eq!(path.ask_in_bulk(vec![2], briefly).await, Ok(vec![2]));
}

#[tokio::test]
async fn the_last_connection_of_a_node_is_the_only_one() {
    let (server, _path, _back) = answering().await;
    let hello = BulkHello {
        member: member("asker", 1, "127.0.0.1:1"),
        bears: KEY,
    };
    let dial = || dial_for_bulk(server.me(), &PLAIN, &hello);
    let mut first: AnyStream = dial().await.unwrap();
    let second = dial().await.unwrap();
    let closed = tokio::time::timeout(SOON, Frame::read(&mut first, || ())).await;
    assert!(closed.unwrap().is_err());
    drop(second);
}

#[tokio::test]
async fn a_node_that_cannot_be_dialed_is_asked_the_common_way() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap().to_string();
    drop(gone);
    let path = path_to(&member("server", 7, &address)).await;
    for _ in 0..3 {
        assert_eq!(path.ask_in_bulk(vec![5], SOON).await, Ok(vec![5]));
    }
    assert_eq!(count(&path.counters().bulk_beside), 3);
    assert_eq!(count(&path.counters().bulk_asks), 0);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_costs_sixteen_places_and_holds_up_nothing_else() {
    let path = scripted(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let large = vec![0; BYTES / ASKS];
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..ASKS {
        let (path, large) = (Arc::clone(&path), large.clone());
        asked.spawn(async move { path.ask_in_bulk(large, SOON * 6).await });
    }
    // Those that wait for the connection free their places when they are given up.
    let sent = async {
        while path.waiting_in_bulk().await < ASKS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, sent).await.is_ok());
    assert_eq!(path.under_way(), (ASKS, BYTES, 0));
    let more = path.ask_in_bulk(vec![1], SOON).await;
    assert_eq!(more, Err(AskError::Overloaded));
    assert_eq!(path.ask(vec![1], SOON).await, Ok(vec![1]), "beside it");
    // Whoever gives up frees nothing: the bytes may be on their way.
    asked.shutdown().await;
    assert_eq!(path.under_way().0, ASKS);
    path.end();
    crate::tests::until("its end frees all", || path.under_way() == (0, 0, 0)).await;
}

#[tokio::test]
async fn an_end_of_it_is_an_ask_that_was_lost_and_the_next_ask_opens_another() {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let path = scripted(|mut stream| async move {
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let Ok(mut ask) = Frame::read(&mut stream, || ()).await else {
            return;
        };
        if number > 0 {
            ask.bytes.push(9);
            ask.write(&mut stream, || ()).await.unwrap();
            std::future::pending::<()>().await;
        }
    })
    .await;
    let lost = path.ask_in_bulk(vec![1], SOON).await;
    assert_eq!(lost, Err(AskError::Dropped));
    assert_eq!(path.ask(vec![1], SOON).await, Ok(vec![1]), "nobody is lost");
    assert_eq!(path.ask_in_bulk(vec![2], SOON).await, Ok(vec![2, 9]));
    assert_eq!(count(&path.counters().bulk_dialed), 2);
}

#[tokio::test]
async fn one_over_which_nothing_comes_is_left_for_another() {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let path = scripted(|mut stream| async move {
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        while let Ok(ask) = Frame::read(&mut stream, || ()).await {
            if number > 0 {
                ask.write(&mut stream, || ()).await.unwrap();
            }
        }
        let _ = stream.shutdown().await;
    })
    .await;
    let briefly = Duration::from_millis(50);
    let silent = path.ask_in_bulk(vec![1], briefly).await;
    assert_eq!(silent, Err(AskError::Timeout));
    assert_eq!(path.ask_in_bulk(vec![2], SOON).await, Ok(vec![2]));
}
