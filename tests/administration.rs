//! The administration: what everything rests on stays, and what is denied is denied.

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, text};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn built_in_policies_stay_and_names_differ_by_more_than_case() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let base = format!("{ADMIN}/throttling/policies");
    for (level, names) in [
        (
            "subscription",
            &["Unlimited", "Unauthenticated", "DefaultSubscriptionless"][..],
        ),
        ("application", &["Unlimited"]),
        ("advanced", &["Unlimited"]),
    ] {
        let list = node.get(&format!("{base}/{level}")).bearer(&token);
        let list = list.send().await.expect(200).json();
        let list = list["list"].as_array().expect("a list");
        for name in names {
            let found = list.iter().find(|one| one["policyName"] == **name);
            let mut policy = found.expect("the policy").clone();
            let one = format!("{base}/{level}/{}", text(&policy, "policyId"));
            let delete = node.delete(&one).bearer(&token).send().await.expect(409);
            assert!(delete.text().contains(name), "{}", delete.text());
            if *name == "Unlimited" {
                policy["description"] = json!("as it was");
                let put = node.put(&one).bearer(&token).json(&policy);
                let kept = put.send().await.expect(200).json();
                assert_eq!(kept["defaultLimit"], policy["defaultLimit"]);
                policy["defaultLimit"]["requestCount"]["requestCount"] = json!(5);
                let put = node.put(&one).bearer(&token).json(&policy);
                let refused = put.send().await.expect(400);
                assert!(refused.text().contains("defaultLimit"));
            }
        }
        let limit = json!({"type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 5}});
        for (name, status) in [("Plan", 201), ("plan", 409), ("unlimited", 409)] {
            let body = json!({"policyName": name, "defaultLimit": limit});
            let post = node.post(&format!("{base}/{level}")).bearer(&token);
            post.json(&body).send().await.expect(status);
        }
    }
}

#[tokio::test]
async fn a_denial_holds_however_it_is_spelt_and_one_of_nothing_is_refused() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let held = node.subscribed(&token, &api, "Mine", "JWT").await;
    let all = format!("{ADMIN}/throttling/deny-policies");
    let deny = async |kind: &str, value: &str, status: u16| -> Value {
        let body = json!({"conditionType": kind, "conditionValue": value});
        let call = node.post(&all).bearer(&token).json(&body);
        call.send().await.expect(status).json()
    };
    let call = || node.api("GET", "/shop/1.0.0/items").bearer(&held.access);
    for (kind, value) in [
        ("USER", "Admin@carbon.super"),
        ("APPLICATION", "ADMIN@carbon.super:mine"),
        ("API", "/shop/1.0.0/"),
    ] {
        call().send().await.expect(200);
        let made = deny(kind, value, 201).await;
        let query = format!("{all}?query=conditionType:{kind}");
        let found = node.get(&query).bearer(&token).send().await.expect(200);
        assert_eq!(found.json()["count"], 1, "{kind}");
        let refused = call().send().await.expect(403);
        assert_eq!(text(&refused.json(), "code"), "900805", "{kind}");
        let id = text(&made, "conditionId");
        let lift = node.delete(&format!("{ADMIN}/throttling/deny-policy/{id}"));
        lift.bearer(&token).send().await.expect(200);
    }
    call().send().await.expect(200);
    for (kind, value) in [
        ("API", "/shop"),
        ("API", "/shop/2.0.0"),
        ("APPLICATION", "admin:Yours"),
    ] {
        let refused = deny(kind, value, 400).await;
        assert!(text(&refused, "description").contains("conditionValue"));
    }
    let query = format!("{all}?query=moon:1");
    node.get(&query).bearer(&token).send().await.expect(400);
}

#[tokio::test]
async fn a_denied_application_stays_denied_by_another_name_and_comes_in_when_it_is_lifted() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let held = node.subscribed(&token, &api, "Mine", "JWT").await;
    let call = || node.api("GET", "/shop/1.0.0/items").bearer(&held.access);
    call().send().await.expect(200);
    let all = format!("{ADMIN}/throttling/deny-policies");
    let body = json!({"conditionType": "APPLICATION", "conditionValue": "admin:mine"});
    let made = node.post(&all).bearer(&token).json(&body).send().await;
    let made = made.expect(201).json();
    assert_eq!(made["conditionValue"], "admin:Mine");
    call().send().await.expect(403);
    let one = format!(
        "{ADMIN}/throttling/deny-policy/{}",
        text(&made, "conditionId")
    );
    for name in ["Yours", "Mine too"] {
        let body = json!({"name": name, "throttlingPolicy": "Unlimited"});
        let put = node.put(&format!("{DEVPORTAL}/applications/{}", held.application));
        put.bearer(&token).json(&body).send().await.expect(200);
        let refused = call().send().await.expect(403);
        assert_eq!(text(&refused.json(), "code"), "900805", "{name}");
        let shown = node.get(&one).bearer(&token).send().await.expect(200);
        assert_eq!(shown.json()["conditionValue"], format!("admin:{name}"));
    }
    // Another one that takes the old name is another one.
    let other = node.subscribed(&token, &api, "Mine", "JWT").await;
    let other = node.api("GET", "/shop/1.0.0/items").bearer(&other.access);
    other.send().await.expect(200);

    let known = node.get(&one).bearer(&token).send().await.expect(200);
    let tag = known.header("etag").to_owned();
    let switch = |status: bool, tag: &str| {
        let patch = node.call("PATCH", &one).bearer(&token);
        let patch = patch.json(&json!({"conditionStatus": status}));
        patch.header("if-match", tag)
    };
    switch(false, "\"7\"").send().await.expect(412);
    let lifted = switch(false, &tag).send().await.expect(200);
    assert_eq!(lifted.json()["conditionStatus"], false);
    call().send().await.expect(200);
    let delete = |tag: &str| node.delete(&one).bearer(&token).header("if-match", tag);
    delete(&tag).send().await.expect(412);
    switch(true, lifted.header("etag")).send().await.expect(200);
    call().send().await.expect(403);
    delete(&tag).send().await.expect(200);
    call().send().await.expect(200);
}

#[tokio::test]
async fn a_platform_starts_with_these_policies() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    for (level, wanted) in [
        (
            "subscription",
            json!({
                "Gold": 5_000, "Silver": 2_000, "Bronze": 1_000, "Unlimited": null,
                "DefaultSubscriptionless": 10_000, "Unauthenticated": 500,
            }),
        ),
        (
            "application",
            json!({"10PerMin": 10, "20PerMin": 20, "50PerMin": 50, "Unlimited": null}),
        ),
        (
            "advanced",
            json!({
                "10KPerMin": 10_000, "20KPerMin": 20_000, "50KPerMin": 50_000, "Unlimited": null,
            }),
        ),
    ] {
        let path = format!("{ADMIN}/throttling/policies/{level}");
        let list = node.get(&path).bearer(&token).send().await.expect(200);
        let list = list.json()["list"].as_array().expect("a list").clone();
        let mut found = json!({});
        for policy in &list {
            let name = text(policy, "policyName").to_owned();
            let limit = &policy["defaultLimit"]["requestCount"];
            let unlimited = name == "Unlimited";
            if !unlimited {
                assert_eq!(
                    (&limit["timeUnit"], &limit["unitTime"]),
                    (&json!("min"), &json!(1))
                );
            }
            found[name] = match unlimited {
                true => Value::Null,
                false => limit["requestCount"].clone(),
            };
        }
        assert_eq!(found, wanted, "{level}");
    }
}
