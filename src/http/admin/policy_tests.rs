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

#[test]
fn what_a_policy_would_promise_in_vain_is_refused_naming_the_field() {
    let everyone = json!({"permissionType": "ALLOW", "roles": ["Internal/everyone"]});
    let some = json!({"permissionType": "ALLOW", "roles": ["Internal/creator"]});
    let deny = json!({"permissionType": "DENY", "roles": ["Internal/subscriber"]});
    let burst = json!({"rateLimitCount": 3, "rateLimitTimeUnit": "sec"});
    let none = json!({"rateLimitCount": 0, "rateLimitTimeUnit": null});
    let (plan, application, api) = (
        PolicyLevel::Subscription,
        PolicyLevel::Application,
        PolicyLevel::Api,
    );
    for (level, member, value, fine) in [
        (plan, "permissions", everyone, true),
        (plan, "permissions", some, false),
        (plan, "permissions", deny, false),
        (plan, "permissions", json!(["all"]), false),
        (plan, "subscriberCount", json!(0), true),
        (plan, "subscriberCount", json!(5), false),
        (plan, "graphQLMaxDepth", json!(5), false),
        (plan, "graphQLMaxComplexity", json!("5"), false),
        (plan, "burstLimit", burst.clone(), false),
        (application, "burstLimit", burst.clone(), true),
        (application, "rateLimitCount", json!(3), false),
        (api, "burstLimit", burst, false),
        (api, "burstLimit", none, true),
        (api, "rateLimitCount", json!(3), false),
        (api, "rateLimitCount", json!(-1), true),
    ] {
        let limit = requests(json!(1), json!(1), "min");
        let mut policy = json!({"policyName": "Ten", "defaultLimit": limit});
        policy[member] = value;
        let read = policy_document::read(level, "carbon.super", fields(policy.clone()));
        let named = read.err().map(|error| named_by(&error));
        let wanted = (!fine).then(|| member.to_owned());
        assert_eq!(named, wanted, "{level:?} {policy}");
    }
}

#[test]
fn the_unlimited_policy_takes_no_limit_but_what_it_shows() {
    for level in [
        PolicyLevel::Subscription,
        PolicyLevel::Application,
        PolicyLevel::Api,
    ] {
        let shown = requests(json!(2_147_483_647), json!(1), "min");
        let policy = json!({"policyName": "Unlimited", "defaultLimit": shown});
        let read = policy_document::read(level, "carbon.super", fields(policy)).unwrap();
        assert_eq!((read.limit, read.burst), (None, None));
        let written = policy_document::write(&read);
        assert_eq!(written["defaultLimit"], shown);
        let limit = requests(json!(5), json!(1), "min");
        let policy = json!({"policyName": "Unlimited", "defaultLimit": limit});
        assert_eq!(named(level, policy), "defaultLimit");
    }
}

#[test]
fn a_denial_that_could_never_match_is_refused_and_names_lose_what_calls_do_not_bear() {
    let read = |kind: &str, value: Value| {
        let denial = json!({"conditionType": kind, "conditionValue": value});
        let read = deny_document::read("carbon.super", fields(denial));
        read.map(|read| deny_document::write(&read)["conditionValue"].clone())
    };
    for (kind, given, kept) in [
        ("API", "/pets/1.0.0/", "/pets/1.0.0"),
        ("USER", "Ann@carbon.super", "Ann"),
        ("USER", "ann@home", "ann@home"),
        ("APPLICATION", "ann@carbon.super:My: Shop", "ann:My: Shop"),
    ] {
        assert_eq!(read(kind, json!(given)).unwrap(), kept);
    }
    let range = |from: &str, to: &str, invert: bool| json!({"startingIp": from, "endingIp": to, "invert": invert});
    for (kind, value) in [
        ("API", json!("/pets")),
        ("API", json!("/pets/")),
        ("API", json!("pets/1.0.0")),
        ("USER", json!("@carbon.super")),
        ("USER", json!(" ")),
        ("APPLICATION", json!("ann:")),
        ("APPLICATION", json!(":Shop")),
        ("IPRANGE", range("10.0.0.9", "10.0.0.1", false)),
        ("IPRANGE", range("10.0.0.9", "10.0.0.1", true)),
        ("IPRANGE", range("10.0.0.1", "::1", true)),
    ] {
        let refused = named_by(&read(kind, value.clone()).unwrap_err());
        assert!(refused.starts_with("conditionValue"), "{value}: {refused}");
    }
}

#[test]
fn unlimited_takes_no_groups_and_only_a_plan_says_what_happens_beyond_its_quota() {
    let group = json!({
        "conditions": [{
            "type": "IPCONDITION", "invertCondition": false,
            "ipCondition": {"ipConditionType": "IPSPECIFIC", "specificIP": "10.0.0.1"},
        }],
        "limit": requests(json!(3), json!(2), "hour"),
    });
    let unlimited = json!({
        "policyName": "Unlimited", "conditionalGroups": [group],
        "defaultLimit": requests(json!(1), json!(1), "min"),
    });
    assert_eq!(named(PolicyLevel::Api, unlimited), "conditionalGroups");
    for (level, stops) in [
        (PolicyLevel::Subscription, false),
        (PolicyLevel::Application, true),
        (PolicyLevel::Api, true),
    ] {
        let policy = json!({
            "policyName": "Ten", "stopOnQuotaReach": false,
            "defaultLimit": requests(json!(1), json!(1), "min"),
        });
        let read = policy_document::read(level, "carbon.super", fields(policy)).unwrap();
        assert_eq!(read.stop_on_quota_reach, stops, "{level:?}");
    }
}
