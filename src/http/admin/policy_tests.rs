//! What the administration reads it writes again, and what it refuses it names.

use serde_json::{Value, json};

use domain::policy::PolicyLevel;

use super::{deny_document, policy_document};
use crate::body::Fields;
use crate::error::ApiError;

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(members) => Fields::from_map(members),
        other => panic!("{other} is no object"),
    }
}

fn requests(count: Value, time: Value, unit: &str) -> Value {
    json!({
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"requestCount": count, "unitTime": time, "timeUnit": unit},
    })
}

fn bandwidth(amount: Value, unit: &str) -> Value {
    json!({
        "type": "BANDWIDTHLIMIT",
        "bandwidth": {"dataAmount": amount, "dataUnit": unit, "unitTime": 1, "timeUnit": "min"},
    })
}

fn named(level: PolicyLevel, policy: Value) -> String {
    let error = policy_document::read(level, "carbon.super", fields(policy));
    named_by(&error.unwrap_err())
}

fn named_by(error: &ApiError) -> String {
    let (field, _) = error.description().split_once(": ").unwrap();
    field.to_owned()
}

#[test]
fn a_policy_of_each_level_is_written_as_it_was_read() {
    let group = json!({
        "description": "the office",
        "conditions": [
            {
                "type": "IPCONDITION", "invertCondition": true,
                "ipCondition": {"ipConditionType": "IPSPECIFIC", "specificIP": "10.0.0.1"},
            },
            {
                "type": "IPCONDITION", "invertCondition": false,
                "ipCondition": {
                    "ipConditionType": "IPRANGE", "startingIP": "::1", "endingIP": "::ff",
                },
            },
        ],
        "limit": requests(json!(3), json!(2), "hour"),
    });
    let cases = [
        (
            PolicyLevel::Subscription,
            json!({
                "defaultLimit": requests(json!(5_000), json!(1), "min"),
                "rateLimitCount": 10, "rateLimitTimeUnit": "sec", "stopOnQuotaReach": false,
            }),
        ),
        (
            PolicyLevel::Application,
            json!({
                "defaultLimit": bandwidth(json!(3), "KB"),
                "burstLimit": {"rateLimitCount": 7, "rateLimitTimeUnit": "min"},
            }),
        ),
        (
            PolicyLevel::Api,
            json!({
                "defaultLimit": requests(json!(1), json!(1), "day"),
                "conditionalGroups": [group],
            }),
        ),
    ];
    for (level, mut policy) in cases {
        policy["policyName"] = "Ten".into();
        policy["description"] = "ten of them".into();
        let read = policy_document::read(level, "carbon.super", fields(policy.clone())).unwrap();
        let written = policy_document::write(&read);
        for (name, value) in policy.as_object().unwrap() {
            assert_eq!(&written[name], value, "{level:?} {name}");
        }
        let again = policy_document::read(level, "carbon.super", fields(written)).unwrap();
        assert_eq!((again.limit, again.burst), (read.limit, read.burst));
        assert_eq!((again.groups, again.extra), (read.groups, read.extra));
    }
}

#[test]
fn limits_that_cannot_be_kept_are_refused_naming_the_field() {
    let huge = json!(9_007_199_254_740_993_i64);
    for (limit, field) in [
        (
            requests(json!(0), json!(1), "min"),
            "requestCount.requestCount",
        ),
        (
            requests(json!(-5), json!(1), "min"),
            "requestCount.requestCount",
        ),
        (
            requests(huge.clone(), json!(1), "min"),
            "requestCount.requestCount",
        ),
        (requests(json!(1), json!(0), "min"), "requestCount.unitTime"),
        (
            requests(json!(1), json!(1_001), "min"),
            "requestCount.unitTime",
        ),
        (
            requests(json!(1), json!(1), "fortnight"),
            "requestCount.timeUnit",
        ),
        (bandwidth(json!(0), "MB"), "bandwidth.dataAmount"),
        (bandwidth(json!(1_i64 << 40), "GB"), "bandwidth.dataAmount"),
        (bandwidth(json!(1), "PB"), "bandwidth.dataUnit"),
        (json!({"type": "WISHES"}), "type"),
        (
            json!({
                "type": "EVENTCOUNTLIMIT",
                "eventCount": {"eventCount": 1, "unitTime": 1, "timeUnit": "min"},
            }),
            "type",
        ),
    ] {
        let policy = json!({"policyName": "Ten", "defaultLimit": limit});
        let found = named(PolicyLevel::Application, policy.clone());
        assert_eq!(found, format!("defaultLimit.{field}"), "{policy}");
    }
    let good = requests(json!(1), json!(1), "min");
    for (member, value, field) in [
        ("policyName", json!("a/b"), "policyName"),
        ("rateLimitCount", huge, "rateLimitCount"),
        ("conditionalGroups", json!([{}]), "conditionalGroups"),
    ] {
        let mut policy = json!({
            "policyName": "Ten", "defaultLimit": good, "rateLimitTimeUnit": "sec",
        });
        policy[member] = value;
        assert_eq!(named(PolicyLevel::Subscription, policy), field);
    }
}

#[test]
fn addresses_that_are_none_are_refused_naming_the_field() {
    for address in ["", "10.0.0", "10.0.0.256", "10.0.0.1/8", "host", "::g"] {
        let condition = json!({
            "type": "IPCONDITION",
            "ipCondition": {"ipConditionType": "IPSPECIFIC", "specificIP": address},
        });
        let limit = requests(json!(1), json!(1), "min");
        let policy = json!({
            "policyName": "Ten", "defaultLimit": limit,
            "conditionalGroups": [{"conditions": [condition], "limit": limit}],
        });
        let found = named(PolicyLevel::Api, policy);
        assert!(found.ends_with("specificIP"), "{address:?}: {found}");
        for (kind, value, field) in [
            ("IP", json!({"fixedIp": address}), "fixedIp"),
            (
                "IPRANGE",
                json!({"startingIp": "10.0.0.1", "endingIp": address}),
                "endingIp",
            ),
        ] {
            let denial = json!({"conditionType": kind, "conditionValue": value});
            let refused = deny_document::read("carbon.super", fields(denial)).unwrap_err();
            assert_eq!(named_by(&refused), format!("conditionValue.{field}"));
        }
    }
}

#[test]
fn a_range_of_addresses_that_holds_none_is_refused_naming_its_end() {
    for (from, to) in [
        ("10.0.0.9", "10.0.0.1"),
        ("10.0.0.1", "::1"),
        ("::2", "::1"),
    ] {
        let range = json!({"ipConditionType": "IPRANGE", "startingIP": from, "endingIP": to});
        let condition = json!({"type": "IPCONDITION", "ipCondition": range});
        let limit = requests(json!(1), json!(1), "min");
        let policy = json!({
            "policyName": "Ten", "defaultLimit": limit,
            "conditionalGroups": [{"conditions": [condition], "limit": limit}],
        });
        let found = named(PolicyLevel::Api, policy);
        assert!(found.ends_with("endingIP"), "{from} to {to}: {found}");
    }
}

#[test]
fn a_denial_is_written_as_it_was_read() {
    for (kind, value) in [
        ("API", json!("/pizza/1")),
        ("APPLICATION", json!("ann:Shop")),
        ("USER", json!("ann")),
        ("IP", json!({"fixedIp": "10.0.0.1", "invert": true})),
        (
            "IPRANGE",
            json!({"startingIp": "10.0.0.1", "endingIp": "10.0.0.9", "invert": false}),
        ),
    ] {
        let denial = json!({
            "conditionType": kind, "conditionValue": value, "conditionStatus": false,
        });
        let read = deny_document::read("carbon.super", fields(denial.clone())).unwrap();
        let written = deny_document::write(&read);
        for (name, value) in denial.as_object().unwrap() {
            assert_eq!(&written[name], value, "{kind} {name}");
        }
    }
}
