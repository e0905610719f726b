//! How sockets end without a change: the node goes, a side is lost, silent, or takes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::cluster::Trio;
use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::shop::Shop;
use crate::support::sockets::{Socket, Sockets};
use crate::support::upstream::scripted;
use crate::websocket::{OPEN, shop};
use crate::without_key_managers::measured;

const CLOSED_FROM_HERE: &str = "socket closed from here";

/// No socket is open any more.
async fn are_over(shop: &Shop) {
    eventually(10, "no socket is left", || async {
        (measured(&shop.node, OPEN).await < 0.5).then_some(())
    })
    .await;
}

/// A node whose open calls have so long when it stops.
async fn node_with(grace: Duration) -> Node {
    let grace = grace.as_millis().to_string();
    let drain = ("HEADGATE__NODE__DRAIN_TIMEOUT_MS".to_owned(), grace);
    Node::start_with(Options {
        environment: vec![drain],
        ..Options::default()
    })
    .await
}

async fn takes_no_connection(address: &str) {
    eventually(10, "the node takes no connection", || async {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_that_stops_gives_sockets_their_time_and_closes_what_is_left_with_1001() {
    let grace = Duration::from_secs(4);
    let upstream = Sockets::start().await;
    let mut shop = Shop::on(node_with(grace).await, &upstream.url).await;
    let mut ends = Socket::open(&shop, "/items").await;
    let mut stays = Socket::open(&shop, "/items").await;
    let began = Instant::now();
    let address = shop.address();
    let talking = async {
        takes_no_connection(&address).await;
        ends.echoes("in its time").await;
        stays.echoes("in its time").await;
        ends.ends().await;
        assert!(began.elapsed() < grace, "the machine is too slow for this");
        let (code, reason) = stays.closed().await;
        assert_eq!((code, reason.as_str()), (1001, "the gateway goes"));
        assert!(began.elapsed() >= grace, "it had less than its time");
    };
    let (code, ()) = tokio::join!(shop.node.terminate(), talking);
    assert_eq!(code, Some(0));
    assert_eq!(upstream.end().await, Some((1000, "done".to_owned())));
    let goes = Some((1001, "the gateway goes".to_owned()));
    assert_eq!(upstream.end().await, goes);
}

#[tokio::test]
async fn a_side_that_is_lost_ends_the_other_one() {
    let (shop, upstream) = shop("").await;
    let mut lost = Socket::open(&shop, "/items/lost").await;
    lost.say(Message::text("go")).await;
    assert_eq!(
        lost.closed().await,
        (1011, "the endpoint has gone".to_owned())
    );
    assert_eq!(upstream.end().await, None);
    // In the middle of a frame nothing can be said.
    let mut half = Socket::open(&shop, "/items/half").await;
    half.say(Message::text("go")).await;
    assert_eq!(half.hear().await, None);
    assert_eq!(upstream.end().await, None);
    let left = Socket::open(&shop, "/items").await;
    drop(left);
    assert_eq!(upstream.end().await, None);
    are_over(&shop).await;
    let said = shop.node.log().matches(CLOSED_FROM_HERE).count();
    assert_eq!(said, 1, "to whom the endpoint was lost, and to nobody else");
}

#[tokio::test]
async fn a_socket_that_is_silent_too_long_is_closed_and_pings_keep_one_open() {
    let idle = Duration::from_secs(2);
    let (shop, upstream) = shop("websocket_idle_timeout_ms = 2000\n").await;
    let mut silent = Socket::open(&shop, "/items").await;
    let mut pinged = Socket::open(&shop, "/items").await;
    let began = Instant::now();
    let pinging = async {
        while began.elapsed() < idle * 2 {
            pinged.say(Message::Ping("still?".into())).await;
            assert_eq!(pinged.hear().await, Some(Message::Pong("still?".into())));
            tokio::time::sleep(idle / 10).await;
        }
    };
    let ((code, reason), ()) = tokio::join!(silent.closed(), pinging);
    assert_eq!(code, 1001, "{reason}");
    assert_eq!(upstream.end().await, Some((1001, reason)));
    pinged.echoes("it is").await;
}

#[tokio::test]
async fn a_socket_that_opens_while_its_node_stops_has_the_rest_of_the_time_and_is_told() {
    let grace = Duration::from_secs(4);
    let gate = Arc::new(Semaphore::new(0));
    let upstream = Sockets::behind(&gate).await;
    let mut shop = Shop::on(node_with(grace).await, &upstream.url).await;
    let (address, access) = (shop.address(), shop.subscribed.access.clone());
    let stream = TcpStream::connect(&address).await.expect("a connection");
    let fields = [("authorization", format!("Bearer {access}"))];
    let mut opening = Box::pin(Socket::over(stream, "/items", &fields));
    // The request is on its way before the node stops.
    let soon = tokio::time::timeout(Duration::from_millis(500), &mut opening).await;
    assert!(soon.is_err(), "it is not answered yet");
    let began = Instant::now();
    let talking = async {
        takes_no_connection(&address).await;
        sleep_until(began + grace / 2).await;
        gate.close();
        let mut socket = opening.await.expect("a socket");
        socket.echoes("in its time").await;
        let (code, reason) = socket.closed().await;
        assert_eq!((code, reason.as_str()), (1001, "the gateway goes"));
        let lasted = began.elapsed();
        assert!(lasted >= grace, "{lasted:?} is less than its time");
        assert!(
            lasted < grace + grace / 2,
            "{lasted:?} is more than the rest"
        );
    };
    let (code, ()) = tokio::join!(shop.node.terminate(), talking);
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn who_has_heard_a_close_is_not_said_to_have_heard_another() {
    let (shop, upstream) = shop("").await;
    let mut socket = Socket::open(&shop, "/items/closes").await;
    socket.say(Message::text("go")).await;
    let mut frame = [0; 8];
    let raw = socket.inner.get_mut();
    raw.read_exact(&mut frame).await.expect("a Close");
    assert_eq!(&frame, b"\x88\x06\x03\xe8done");
    let revoke = shop.node.post("/oauth2/revoke");
    let revoke = revoke.basic(&shop.subscribed.key, &shop.subscribed.secret);
    let revoke = revoke.form(&[("token", &shop.subscribed.access)]);
    revoke.send().await.expect(200);
    assert_eq!(upstream.end().await.map(|(code, _)| code), Some(1008));
    are_over(&shop).await;
    assert!(!shop.node.log().contains(CLOSED_FROM_HERE));
}

#[tokio::test]
async fn once_one_side_has_closed_the_other_one_is_not_waited_for_as_long_as_it_likes() {
    let (shop, _upstream) = shop("websocket_idle_timeout_ms = 2000\n").await;
    let mut socket = Socket::open(&shop, "/items/mute").await;
    socket.say(Message::text("go")).await;
    socket.says_close().await;
    assert_eq!(socket.hear().await, None);
    are_over(&shop).await;
    assert!(!shop.node.log().contains(CLOSED_FROM_HERE));
}

#[tokio::test]
async fn a_caller_who_takes_nothing_holds_no_socket() {
    let (shop, upstream) = shop("idle_timeout_ms = 1000\n").await;
    let fields = [(
        "authorization",
        format!("Bearer {}", shop.subscribed.access),
    )];
    let mut plain = Socket::open(&shop, "/items/floods").await;
    let secure = shop.tls(&["http/1.1"]).await;
    let secure = Socket::over(secure, "/items/floods", &fields).await;
    let mut secure = secure.expect("a socket");
    plain.say(Message::text("go")).await;
    secure.say(Message::text("go")).await;
    assert_eq!(upstream.end().await, None);
    assert_eq!(upstream.end().await, None);
    are_over(&shop).await;
}

/// Agrees to a socket, as an upstream does that says something at once.
async fn agrees(stream: &mut TcpStream, first: &[u8]) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("text");
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "));
    let accept = derive_accept_key(key.expect("a key").as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let bytes = [answer.as_bytes(), first].concat();
    stream.write_all(&bytes).await.expect("sent");
}

#[tokio::test]
async fn what_comes_right_behind_the_answer_that_opens_a_socket_is_passed_on() {
    let url = scripted(|mut stream: TcpStream| async move {
        agrees(&mut stream, b"\x81\x05first").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let shop = Shop::before(&url, "").await;
    let mut socket = Socket::open(&shop, "/items").await;
    assert_eq!(socket.hear().await, Some(Message::text("first")));
}

#[tokio::test]
async fn who_sends_no_more_and_has_said_no_close_hears_what_the_other_side_still_says() {
    let url = scripted(|mut stream: TcpStream| async move {
        agrees(&mut stream, b"").await;
        let mut heard = Vec::new();
        let end = stream.read_to_end(&mut heard).await;
        end.expect("the end of what the caller sends");
        // Two bytes of a head, four of a mask.
        assert_eq!(heard.len(), 2 + 4 + 2);
        let last = stream.write_all(b"\x81\x04last\x88\x02\x03\xe8").await;
        last.expect("sent");
    })
    .await;
    let shop = Shop::before(&url, "").await;
    let mut socket = Socket::open(&shop, "/items").await;
    socket.say(Message::text("go")).await;
    let raw = socket.inner.get_mut();
    raw.shutdown().await.expect("the end of one half");
    assert_eq!(socket.hear().await, Some(Message::text("last")));
    assert_eq!(socket.closed().await.0, 1000);
    are_over(&shop).await;
    assert!(!shop.node.log().contains(CLOSED_FROM_HERE));
}

#[tokio::test]
async fn a_socket_of_which_nobody_can_tell_whether_it_may_go_on_closes_with_1013() {
    let refuse = ("HEADGATE__GATEWAY__WHEN_CUT_OFF", "refuse");
    let mut trio = Trio::start_with(&[refuse]).await;
    let upstream = Sockets::start().await;
    let (node, token) = (&trio.control, &trio.token);
    let api = node.published(token, "Feed", "/feed", &upstream.url).await;
    let held = node.subscribed(token, &api, "feed", "JWT").await;
    let address = trio.gateway.http.replace("http://localhost", "127.0.0.1");
    let stream = TcpStream::connect(address).await.expect("a connection");
    let fields = [("authorization", format!("Bearer {}", held.access))];
    let opened = Socket::at(stream, "/feed/1.0.0/items", &fields).await;
    let mut socket = opened.expect("a socket");
    socket.echoes("known").await;
    trio.control.kill();
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 1013, "{reason}");
    assert_eq!(upstream.end().await, Some((1013, reason)));
}
