//! The network of the tests itself: its faults do what their names say.

use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::eventually;
use crate::support::net::{Fault, Net};

/// Whoever says no address of a node.
const DIALER: &str = "nobody";
const LATE: Fault = Fault::Delayed(Duration::from_millis(200));

/// A connection through the net, both ends.
struct Line {
    net: Net,
    dialer: TcpStream,
    dialed: TcpStream,
}

impl Line {
    async fn open() -> Self {
        let net = Net::start();
        let address = net.place("node");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = listener.local_addr().expect("a port").to_string();
        net.aim(&address, &target);
        let mut dialer = TcpStream::connect(&address).await.expect("the net");
        dialer.write_all(b"first").await.expect("it is taken");
        let (dialed, _) = listener.accept().await.expect("a connection");
        let mut line = Self {
            net,
            dialer,
            dialed,
        };
        line.hears("first").await;
        line
    }

    /// These are on their way when it ends.
    async fn says(&mut self, text: &str) {
        let net = &self.net;
        let before = net.bytes(DIALER, "node");
        self.dialer.write_all(text.as_bytes()).await.expect("sent");
        let all = before + u64::try_from(text.len()).expect("a number");
        eventually(10, "it is taken", || async {
            (net.bytes(DIALER, "node") == all).then_some(())
        })
        .await;
    }

    async fn hears(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        let read = timeout(Duration::from_secs(10), self.dialed.read_exact(&mut heard));
        read.await.expect("in time").expect("it is open");
        assert_eq!(String::from_utf8_lossy(&heard), text);
    }
}

#[tokio::test]
async fn what_is_slow_overtakes_nothing_that_is_late_and_is_slow_behind_it() {
    let mut line = Line::open().await;
    line.net.one_way(DIALER, "node", LATE);
    line.says("late").await;
    // One byte in a quarter of a second.
    line.net.one_way(DIALER, "node", Fault::Slow(4));
    let began = Instant::now();
    // The first of it may be taken before the net knows.
    line.says("slow").await;
    line.says("then").await;
    line.hears("lateslowthen").await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
}

#[tokio::test]
async fn what_comes_in_time_again_overtakes_nothing_that_is_late() {
    let mut line = Line::open().await;
    line.net.one_way(DIALER, "node", LATE);
    line.says("late").await;
    line.net.one_way(DIALER, "node", Fault::None);
    line.says("next").await;
    line.hears("latenext").await;
}

#[tokio::test]
async fn what_is_late_stays_on_its_way_while_all_is_held() {
    let mut line = Line::open().await;
    line.net.one_way(DIALER, "node", LATE);
    line.says("late").await;
    line.net.one_way(DIALER, "node", Fault::Held);
    // This may be taken before the net knows, and what follows is not.
    line.dialer.write_all(b"held").await.expect("sent");
    let mut heard = [0; 8];
    let early = timeout(Duration::from_millis(600), line.dialed.read(&mut heard)).await;
    assert!(early.is_err(), "{early:?}");
    let taken = line.net.bytes(DIALER, "node");
    line.dialer.write_all(b"more").await.expect("sent");
    let early = timeout(Duration::from_millis(300), line.dialed.read(&mut heard)).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(line.net.bytes(DIALER, "node"), taken, "it is not taken");
    line.net.one_way(DIALER, "node", Fault::None);
    line.hears("lateheldmore").await;
}

#[tokio::test]
async fn who_dials_over_tls_is_known_by_its_process() {
    let net = Net::start();
    let [near, far] = ["near", "far"].map(|name| net.place(name));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    net.aim(&far, &listener.local_addr().expect("a port").to_string());
    let path = far.replace(':', "/");
    // As a record of TLS begins; then it waits for the end.
    let dials = format!("exec 3<>/dev/tcp/{path} && printf '\\026word' >&3 && read -r <&3");
    let mut dialer = Command::new("bash")
        .args(["-c", &dials])
        .env("HEADGATE__CLUSTER__ADVERTISE", &near)
        .spawn()
        .expect("bash");
    let (mut dialed, _) = listener.accept().await.expect("a connection");
    let mut heard = [0; 5];
    dialed.read_exact(&mut heard).await.expect("it is open");
    assert_eq!(&heard, b"\x16word");
    assert_eq!(net.bytes("near", "far"), 5);
    drop(dialed);
    dialer.wait().expect("it ends");
}
