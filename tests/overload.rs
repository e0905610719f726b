//! More than a gateway may have at once is refused in words, and what it has goes on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use storage::broker::usage::Reservation;
use tokio::sync::Semaphore;

use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::node::Node;
use crate::support::shop::Shop;
use crate::support::upstream;
use crate::support::wire::Wire;

const MOST: usize = 3;

/// An upstream that answers each request once it is let.
async fn gate() -> (String, Arc<Semaphore>, Arc<Semaphore>) {
    let (here, let_go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (came, may) = (Arc::clone(&here), Arc::clone(&let_go));
    let url = upstream::serve(None, move |_| {
        let (came, may) = (Arc::clone(&came), Arc::clone(&may));
        async move {
            came.add_permits(1);
            may.acquire().await.expect("it is open").forget();
            Response::new(Full::new(Bytes::from("late")))
        }
    })
    .await;
    (url, here, let_go)
}

/// Of a gateway so configured this many calls may be under way, one more is refused with these words and counted as refused for
/// want of that, and the others and health go on.
async fn refuses_one_more(toml: &str, most: usize, words: &str, of: &str) {
    let (url, here, let_go) = gate().await;
    let shop = Shop::before(&url, toml).await;
    let items = || {
        shop.node
            .api("GET", "/shop/1.0.0/items")
            .bearer(&shop.subscribed.access)
    };
    let mut calls = tokio::task::JoinSet::new();
    (0..most).for_each(|_| drop(calls.spawn(items().send())));
    let all = here.acquire_many(u32::try_from(most).expect("few")).await;
    all.expect("it is open").forget();
    let refused = items().send().await.expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.json()["code"], "900900");
    assert!(refused.text().contains(words), "{refused:?}");
    // Whatever asks whether the node is well is told that it is.
    shop.node
        .api("GET", "/_headgate/readyz")
        .send()
        .await
        .expect(200);
    shop.node.get("/readyz").send().await.expect(200);
    let_go.add_permits(most);
    for answer in calls.join_all().await {
        answer.expect(200);
    }
    let_go.add_permits(1);
    items().send().await.expect(200);
    let metrics = shop.node.get("/metrics").send().await.expect(200).text();
    let counted = format!("headgate_overload_refused_total{{of=\"{of}\"}} 1\n");
    assert!(metrics.contains(&counted), "{metrics}");
}

#[tokio::test]
async fn one_call_more_than_may_be_under_way_is_refused_and_health_and_the_others_go_on() {
    let toml = format!("max_calls = {MOST}\n");
    let words = "as many calls under way as it may";
    refuses_one_more(&toml, MOST, words, "calls").await;
}

#[tokio::test]
async fn while_memory_is_short_few_calls_are_under_way_and_once_they_have_ended_others_are_served()
{
    // Any node has more at rest.
    let toml = "max_memory = \"16MB\"\n";
    refuses_one_more(toml, 64, "as much memory in use", "memory").await;
}

/// How long it takes from the first answer, which is the refusal of the call that is one too many, until the others are
/// with their upstream.
async fn apart(shop: &Shop, here: &Semaphore, let_go: &Semaphore) -> Duration {
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..=MOST {
        let call = shop.node.api("GET", "/shop/1.0.0/items");
        calls.spawn(call.bearer(&shop.subscribed.access).send());
    }
    let first = calls.join_next().await.expect("a call").expect("an answer");
    first.expect(503);
    let refused = tokio::time::Instant::now();
    let all = here.acquire_many(u32::try_from(MOST).expect("few")).await;
    all.expect("it is open").forget();
    let apart = refused.elapsed();
    let_go.add_permits(MOST);
    for answer in calls.join_all().await {
        answer.expect(200);
    }
    apart
}

#[tokio::test]
async fn calls_that_wait_for_a_number_of_their_usage_are_under_way_and_more_are_refused_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let (url, here, let_go) = gate().await;
    let mut options = faults.options(dir.path());
    options.toml = format!("max_calls = {MOST}\n");
    let shop = Shop::on(Node::start_with(options).await, &url).await;
    let_go.add_permits(1);
    let warm = shop.node.api("GET", "/shop/1.0.0/items");
    let warm = warm.bearer(&shop.subscribed.access).send().await;
    warm.expect(200);
    here.acquire().await.expect("it is open").forget();
    // Once the gateway has been idle it has no numbers, and none come from a disk that hangs, for two seconds.
    has_no_numbers(dir.path()).await;
    faults.stick("\0");
    let apart = apart(&shop, &here, &let_go).await;
    faults.unstick();
    let most = Duration::from_secs(1);
    assert!(apart > most, "one more waited with the others: {apart:?}");
}

/// Waits until a node has given back all numbers that no call used.
async fn has_no_numbers(dir: &Path) {
    let broker = storage::broker::open(&dir.join("data")).await;
    let broker = broker.expect("its database");
    eventually(20, "unused numbers are given back", || async {
        let mut read = broker.read().await.expect("a read");
        let all = storage::broker::usage::reservations(&mut read).await;
        let all = all.expect("what is reserved");
        let has_none = |of: &Reservation| of.recorded > 0 && of.reserved == of.recorded;
        all.iter().all(has_none).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_connection_more_than_may_be_open_is_told_so_and_there_is_room_when_one_has_gone() {
    let (shop, _upstream) = Shop::start("").await;
    let dir = shop.node.dir.clone();
    let toml = std::fs::read_to_string(dir.join("headgate.toml")).expect("a file");
    let toml = toml.replace(
        "[gateway]\n",
        &format!("[gateway]\nmax_connections = {MOST}\n"),
    );
    std::fs::write(dir.join("headgate.toml"), toml).expect("written");
    let reload = shop.node.command(&["reload"]).output().expect("the binary");
    assert!(reload.status.success(), "{reload:?}");
    let ask = format!("{}\r\n", shop.head("GET", "/items"));
    let mut open = Vec::new();
    // The test's client may keep some of its own.
    let refused = loop {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(&ask).await;
        let reply = wire.reply().await;
        if reply.status == 503 {
            assert!(!wire.more().await, "it is closed");
            break reply;
        }
        open.push(wire);
        assert!(open.len() <= MOST, "nobody is refused");
    };
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert!(refused.body.contains("\"code\":\"900900\""), "{refused:?}");
    assert!(!open.is_empty());
    // Those that are open are served.
    for wire in &mut open {
        wire.send(&ask).await;
        assert_eq!(wire.reply().await.status, 200);
    }
    open.pop();
    eventually(10, "there is room for the next one", || async {
        let mut wire = Wire::open(&shop.address()).await;
        wire.send(&ask).await;
        (wire.reply().await.status == 200).then_some(())
    })
    .await;
    shop.node.get("/readyz").send().await.expect(200);
    assert!(
        shop.node.log().contains("as many connections as it may"),
        "{}",
        shop.node.log()
    );
}
