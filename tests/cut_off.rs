//! Gateways that stand still or hear of nobody: what was ended is not served once its answer left,
//! and what is served without the control plane says so.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{CONTROL, Trio, options, set};
use crate::cut_streams::{Flowing, upstream};
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::line::Version;
use crate::support::node::Node;
use crate::support::platform::DEVPORTAL;
use crate::without_key_managers::measured;

const CUT_OFF: &str = "headgate_gateway_cut_off";
const REFUSE: (&str, &str) = ("HEADGATE__GATEWAY__WHEN_CUT_OFF", "refuse");
/// As it is by default: nobody is reached here who stands still, however long changes wait.
const NO_LONGER: (&str, &str) = ("HEADGATE__CLUSTER__CHANGE_WAIT_MS", "2100");

async fn answer(trio: &Trio, access: &str) -> Answer {
    let call = trio.gateway.api("GET", "/shop/1.0.0/items").bearer(access);
    call.send().await
}

async fn revoke(trio: &Trio, (key, secret): (&str, &str), access: &str) -> Answer {
    let revoke = trio.control.post("/oauth2/revoke").basic(key, secret);
    let revoke = revoke.form(&[("token", access)]);
    revoke.send().await.expect(200)
}

/// Whatever is asked of the gateway with these for three seconds opens nothing, and is refused in the
/// end.
async fn open_nothing(trio: &Trio, tokens: &[&str]) {
    let until = Instant::now() + Duration::from_secs(3);
    let mut refused = 0;
    while Instant::now() < until || refused == 0 {
        for access in tokens {
            match trio.call(access).await {
                401 => refused += 1,
                // Whoever asks before it knows waits, or is told to come again.
                503 => {}
                other => panic!("{other}"),
            }
        }
        let late = until + Duration::from_secs(20);
        assert!(Instant::now() < late, "it is heard again");
    }
}

/// Whoever was not revoked is served.
async fn opens(trio: &Trio, access: &str) {
    eventually(20, "it serves", || async {
        (trio.call(access).await == 200).then_some(())
    })
    .await;
}

/// A stream that rests on nothing which is ended here.
async fn flowing(trio: &Trio) -> Flowing {
    let (url, _noticed) = upstream().await;
    let (node, token) = (&trio.control, &trio.token);
    let api = node.published(token, "Flows", "/flows", &url).await;
    let held = node.subscribed(token, &api, "flows", "JWT").await;
    let bearer = format!("Bearer {}", held.access);
    let credential = ("authorization", bearer.as_str());
    let address = trio.gateway.http.replace("http://localhost", "127.0.0.1");
    Flowing::at(&address, Version::Http1, "/flows", credential).await
}

/// A gateway that does not hear of a revocation: it stands still, or is gone and comes again.
async fn hears_late(setting: &[(&str, &str)], word: &str) {
    let mut trio = Trio::start_both_with(&[NO_LONGER], setting).await;
    let (key, secret, first) = trio.subscriber("Many", 100_000).await;
    let second = trio.control.client_token(&key, &secret).await;
    for access in [&first, &second] {
        assert_eq!(trio.call(access).await, 200);
    }
    let unheard = |revoked: &Answer| {
        let applied = revoked.header("headgate-applied");
        assert!(applied.contains(&format!("; {word}=gateway@")), "{applied}");
    };
    let mut flowing = flowing(&trio).await;
    trio.gateway.signal("-STOP");
    let stood = Instant::now();
    let revoke_first = || revoke(&trio, (&key, &secret), &first);
    let (revoked, meanwhile) = tokio::join!(revoke_first(), revoke_first());
    unheard(&revoked);
    // Who asks again, because an answer is late or was lost, is told as the first one is.
    unheard(&meanwhile);
    unheard(&revoke_first().await);
    // So long that it would have looked four times whether anybody may be served.
    tokio::time::sleep_until(stood + Duration::from_secs(6)).await;
    trio.gateway.signal("-CONT");
    open_nothing(&trio, &[&first]).await;
    flowing.goes_on().await;
    opens(&trio, &second).await;
    trio.gateway.kill();
    unheard(&revoke(&trio, (&key, &secret), &second).await);
    let mut again = options("gw1", "gateway", &trio.control.cluster_address());
    for (key, value) in setting {
        set(&mut again, key, value);
    }
    again.unready = true;
    trio.gateway = trio.gateway.crash_and_restart(again).await;
    open_nothing(&trio, &[&second, &first]).await;
    opens(&trio, &trio.control.client_token(&key, &secret).await).await;
}

#[tokio::test]
async fn a_gateway_that_stood_still_or_was_restarted_serves_nothing_that_was_revoked_meanwhile() {
    // With either word for a gateway that is cut off.
    tokio::join!(
        hears_late(&[], "unreached"),
        hears_late(&[REFUSE], "fenced")
    );
}

#[tokio::test]
async fn a_gateway_that_is_cut_off_fails_no_known_caller_and_says_how_old_its_word_is() {
    let mut trio = Trio::start().await;
    let (_, _, access) = trio.subscriber("Many", 100_000).await;
    let before = answer(&trio, &access).await.expect(200);
    assert_eq!(before.header("headgate-stale"), "");
    let told = async |gateway: &Node| {
        let stale = measured(gateway, "headgate_gateway_stale_calls_total").await;
        (measured(gateway, CUT_OFF).await, stale)
    };
    assert_eq!(told(&trio.gateway).await, (0.0, 0.0));
    trio.control.kill();
    let until = Instant::now() + Duration::from_secs(5);
    let mut last = before;
    while Instant::now() < until {
        last = answer(&trio, &access).await.expect(200);
    }
    let age: u64 = last.header("headgate-stale").parse().expect("seconds");
    assert!((2..60).contains(&age), "{age}");
    let (is_cut_off, stale) = told(&trio.gateway).await;
    assert!(is_cut_off > 0.5 && stale > 0.5, "{is_cut_off}, {stale}");
    assert!(
        trio.gateway
            .log()
            .contains("nobody of the control plane answers")
    );
    let again = options("cp1", CONTROL, "");
    trio.control = trio.control.crash_and_restart(again).await;
    eventually(20, "it is heard again", || async {
        let answer = answer(&trio, &access).await.expect(200);
        answer.header("headgate-stale").is_empty().then_some(())
    })
    .await;
    eventually(10, "the metric says so", || async {
        (told(&trio.gateway).await.0 < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_to_refuse_when_cut_off_does_so_until_it_is_heard_again() {
    let mut trio = Trio::start_with(&[REFUSE]).await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    let mut flowing = flowing(&trio).await;
    trio.control.kill();
    // A lease, and some looks after it; nothing changes meanwhile that it rests on.
    flowing.breaks_off_within(Duration::from_secs(12)).await;
    let refused = eventually(20, "it refuses", || async {
        let answer = answer(&trio, &access).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.expect(503).text().contains("900900"));
    let again = options("cp1", CONTROL, "");
    trio.control = trio.control.crash_and_restart(again).await;
    eventually(20, "it serves again", || async {
        (trio.call(&access).await == 200).then_some(())
    })
    .await;
    // The control plane that has just started knows whom to wait for.
    let revoked = revoke(&trio, (&key, &secret), &access).await;
    assert_eq!(revoked.header("headgate-applied"), "2/2");
    assert_eq!(trio.call(&access).await, 401);
}

#[tokio::test]
async fn a_control_plane_that_has_just_started_does_not_forget_whom_to_wait_for() {
    let mut trio = Trio::start().await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    trio.control.kill();
    trio.gateway.signal("-STOP");
    let mut again = options("cp1", CONTROL, "");
    set(&mut again, NO_LONGER.0, NO_LONGER.1);
    trio.control = trio.control.crash_and_restart(again).await;
    let revoked = revoke(&trio, (&key, &secret), &access).await;
    let applied = revoked.header("headgate-applied");
    assert!(applied.contains("unreached=gateway@"), "{applied}");
    trio.gateway.signal("-CONT");
    eventually(20, "it is told", || async {
        (trio.call(&access).await == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_change_waits_for_a_gateway_that_has_stopped_in_order() {
    for (setting, named) in [(None, true), (Some(REFUSE), false)] {
        let mut trio = Trio::start_with(setting.as_slice()).await;
        let (key, secret, access) = trio.subscriber("Many", 1_000).await;
        assert_eq!(trio.call(&access).await, 200);
        assert_eq!(trio.gateway.terminate().await, Some(0));
        // One that may start without a control plane, and serve, is named.
        let revoked = revoke(&trio, (&key, &secret), &access).await;
        let applied = revoked.header("headgate-applied");
        assert_eq!(applied.contains("unreached=gateway@"), named, "{applied}");
        assert!(named || applied == "1/1", "{applied}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_cut_off_for_long_is_named_as_long_as_it_may_serve() {
    let trio = Trio::start_both_with(&[NO_LONGER], &[]).await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    trio.gateway.signal("-STOP");
    eventually(30, "it is waited for no more", || async {
        let log = trio.control.log();
        log.contains("silent for 10 s").then_some(())
    })
    .await;
    let revoked = revoke(&trio, (&key, &secret), &access).await;
    let applied = revoked.header("headgate-applied");
    assert!(applied.contains("unreached=gateway@"), "{applied}");
    trio.gateway.signal("-CONT");
    eventually(20, "it is told", || async {
        (trio.call(&access).await == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_waits_for_no_gateway_where_that_is_declined_unless_access_ends() {
    let trio = Trio::start_both_with(&[NO_LONGER], &[]).await;
    let (key, secret, access) = trio.subscriber("Many", 1_000).await;
    assert_eq!(trio.call(&access).await, 200);
    trio.gateway.signal("-STOP");
    let make = |name: &str, wait: &str| {
        let path = format!("{DEVPORTAL}/applications{wait}");
        let body = json!({"name": name, "throttlingPolicy": "Unlimited", "tokenType": "JWT"});
        let call = trio.control.post(&path).bearer(&trio.token).json(&body);
        call.send()
    };
    let made = make("one", "?wait=none").await.expect(201);
    assert_eq!(made.header("headgate-applied"), "wait=none");
    for wait in ["", "?wait=all"] {
        let made = make(&format!("two{wait}"), wait).await.expect(201);
        let applied = made.header("headgate-applied");
        assert!(applied.contains("unreached=gateway@"), "{wait}: {applied}");
    }
    let revoke = trio.control.post("/oauth2/revoke?wait=none");
    let revoke = revoke.basic(&key, &secret).form(&[("token", &access)]);
    let revoked = revoke.send().await.expect(200);
    let applied = revoked.header("headgate-applied");
    assert!(applied.contains("unreached=gateway@"), "{applied}");
    let refused = make("three", "?wait=some").await.expect(400);
    assert!(refused.text().contains("wait"), "{}", refused.text());
}
