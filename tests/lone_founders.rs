//! Two lone nodes over one PostgreSQL that were given one name by mistake, and see nothing of each other: one of them
//! counts.

use serde_json::json;

use crate::cluster::set;
use crate::support::eventually;
use crate::support::node::{Node, Options};
use crate::support::platform::ADMIN;
use crate::support::postgres;
use crate::support::upstream::Upstream;

async fn call(node: &Node, access: &str) -> u16 {
    let call = node.api("GET", "/shop/1.0.0/items").bearer(access);
    call.send().await.status.into()
}

async fn until_it_says(node: &Node, what: &str) {
    eventually(60, what, || async {
        node.log().contains(what).then_some(())
    })
    .await;
}

/// Goes on by itself for five seconds.
fn options(apim: &str, shared: &str) -> Options {
    let mut options = over(apim, shared);
    set(&mut options, "HEADGATE__TRAFFIC_MANAGER__HOLD_S", "5");
    options
}

fn over(apim: &str, shared: &str) -> Options {
    let mut options = Options::default();
    set(&mut options, "HEADGATE__DATABASE__APIM__URL", apim);
    set(&mut options, "HEADGATE__DATABASE__SHARED__URL", shared);
    let issuer = "https://keys.example/oauth2/token";
    set(&mut options, "HEADGATE__OAUTH2__ISSUER", issuer);
    options
}

#[tokio::test]
async fn a_lone_node_that_stopped_in_order_has_a_moment_to_be_back_and_then_nobody_waits_for_it() {
    let Some(server) = postgres::server() else {
        return;
    };
    let apim = postgres::fresh_database(&server, "left_apim");
    let shared = postgres::fresh_database(&server, "left_shared");
    let dir = tempfile::tempdir().expect("a directory");
    let kept = || Options {
        dir: Some(dir.path().to_owned()),
        ..over(&apim, &shared)
    };
    let mut first = Node::start_with(kept()).await;
    let waits = Node::start_with(Options {
        unready: true,
        ..over(&apim, &shared)
    })
    .await;
    until_it_says(&waits, "was founded by another node of this name").await;
    // An ordinary restart hands nothing over to whoever waits.
    assert_eq!(first.terminate().await, Some(0));
    drop(first);
    let mut first = Node::start_with(kept()).await;
    let said = "founded the view register anew";
    assert!(!waits.log().contains(said), "{}", waits.log());
    drop(waits);
    // It would go on for a day without being told, so nobody else were ready before.
    assert_eq!(first.terminate().await, Some(0));
    let second = Node::start_with(over(&apim, &shared)).await;
    assert!(second.log().contains(said), "{}", second.log());
}

/// Nobody's word gives up a founder that is there, and nobody else is said to be the founder.
async fn no_word_gives_up(first: &Node, second: &Node) {
    let seen = first.get("/admin/cluster").bearer(&first.operator());
    let seen = seen.send().await.expect(200).json();
    let founder = seen["list"][0]["id"].as_str().expect("an id").to_owned();
    let token = second.operator();
    let path = format!("/admin/forget?node={founder}");
    let looked = second.get(&path).bearer(&token).send().await;
    assert_eq!(looked.expect(200).json()["founder"], true);
    let given_up = "the founder of the view register never runs again";
    for (node, wanted) in [
        (founder.as_str(), "is there: it renewed its hold"),
        ("moon", "not the one that founded"),
    ] {
        let body = json!({"node": node});
        let ordered = second.post("/admin/forget").bearer(&token).json(&body);
        let refused = ordered.send().await.expect(409);
        assert!(refused.text().contains(wanted), "{refused:?}");
        let outcomes = ["ordered", "refused: "];
        let of = ("nodes", node);
        second.has_audited(given_up, of, &outcomes).await;
    }
    let moon = second.get("/admin/forget?node=moon").bearer(&token);
    moon.send().await.expect(409);
}

#[tokio::test]
async fn of_two_lone_nodes_of_one_name_over_one_database_one_counts_whatever_is_paused() {
    let Some(server) = postgres::server() else {
        return;
    };
    let upstream = Upstream::start().await;
    let apim = postgres::fresh_database(&server, "founders_apim");
    let shared = postgres::fresh_database(&server, "founders_shared");
    let first = Node::start_with(options(&apim, &shared)).await;
    let token = first.admin_token().await;
    let plan = json!({"policyName": "Six", "defaultLimit": {
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": 6},
    }});
    let path = format!("{ADMIN}/throttling/policies/application");
    let made = first.post(&path).bearer(&token).json(&plan).send().await;
    made.expect(201);
    let api = first
        .published(&token, "Shop", "/shop", &upstream.url)
        .await;
    let application = first.application(&token, "one", "Six", "JWT").await;
    first
        .subscribe(&token, &api, &application, "Unlimited")
        .await;
    let (key, secret) = first.keys(&token, &application, "PRODUCTION").await;
    let access = first.client_token(&key, &secret).await;
    assert_eq!(call(&first, &access).await, 200);
    let second = Node::start_with(Options {
        unready: true,
        ..options(&apim, &shared)
    })
    .await;
    until_it_says(&second, "was founded by another node of this name").await;
    assert_eq!(call(&second, &access).await, 503, "it counts nothing");
    no_word_gives_up(&first, &second).await;
    assert_eq!(call(&first, &access).await, 200);
    assert_eq!(upstream.count(), 2);

    // What was granted counts for whoever takes over, and whoever was paused grants nothing more.
    first.signal("-STOP");
    until_it_says(&second, "founded the view register anew").await;
    eventually(
        30,
        "it counts, and what the first granted is full",
        || async { (call(&second, &access).await == 429).then_some(()) },
    )
    .await;
    first.signal("-CONT");
    until_it_says(&first, "founded the view register anew in this one's place").await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(call(&first, &access).await);
    }
    assert!(upstream.count() <= 6, "{answers:?}");
    assert_eq!(answers.last(), Some(&503), "{answers:?}");
    assert_eq!(call(&second, &access).await, 429);
}
