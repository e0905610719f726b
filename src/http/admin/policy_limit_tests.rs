//! Limits, windows and options at every place of every policy: what cannot be kept is refused with the field's name.

use serde_json::{Value, json};

use domain::policy::{Mode, Policy, PolicyLevel, TimeUnit, WindowKind};

use super::policy_document;
use crate::body::Fields;
use crate::error::ApiError;

const LEVELS: [PolicyLevel; 3] = [
    PolicyLevel::Subscription,
    PolicyLevel::Application,
    PolicyLevel::Api,
];

fn read(level: PolicyLevel, policy: Value) -> Result<Policy, ApiError> {
    let Value::Object(members) = policy else {
        panic!("{policy} is no object")
    };
    policy_document::read(level, "carbon.super", Fields::from_map(members))
}

fn refused(level: PolicyLevel, policy: Value) -> String {
    let shown = policy.to_string();
    let Err(error) = read(level, policy) else {
        panic!("{level:?} takes {shown}")
    };
    let (field, _) = error.description().split_once(": ").unwrap();
    field.to_owned()
}

fn requests(count: Value, time: Value, unit: &str) -> Value {
    json!({
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"requestCount": count, "unitTime": time, "timeUnit": unit},
    })
}

fn bytes(amount: Value, time: Value, unit: &str) -> Value {
    json!({
        "type": "BANDWIDTHLIMIT",
        "bandwidth": {
            "dataAmount": amount, "dataUnit": "B", "unitTime": time, "timeUnit": unit,
        },
    })
}

/// A policy with this limit, and the same as the limit of a group that holds for one address.
fn with(limit: &Value) -> [(PolicyLevel, Value, &'static str); 4] {
    let policy = json!({"policyName": "Ten", "defaultLimit": limit});
    let condition = json!({
        "type": "IPCONDITION",
        "ipCondition": {"ipConditionType": "IPSPECIFIC", "specificIP": "10.0.0.1"},
    });
    let grouped = json!({
        "policyName": "Ten", "defaultLimit": requests(json!(1), json!(1), "min"),
        "conditionalGroups": [{"conditions": [condition], "limit": limit}],
    });
    let [subscription, application, api] =
        LEVELS.map(|level| (level, policy.clone(), "defaultLimit"));
    let group = (PolicyLevel::Api, grouped, "conditionalGroups[0].limit");
    [subscription, application, api, group]
}

#[test]
fn limits_and_windows_that_are_none_are_refused_by_name_wherever_they_stand() {
    let one = || json!(1);
    for (count, time, unit, field) in [
        (json!(0), one(), "min", "count"),
        (json!(-1), one(), "min", "count"),
        (json!(1_u64 << 53 | 1), one(), "min", "count"),
        (json!(u64::MAX), one(), "min", "count"),
        (json!(1e300), one(), "min", "count"),
        (one(), json!(0), "min", "unitTime"),
        (one(), json!(-1), "min", "unitTime"),
        (one(), json!(1_000_000_000), "min", "unitTime"),
        (one(), json!(u64::MAX), "year", "unitTime"),
        (one(), one(), "fortnight", "timeUnit"),
        (one(), one(), "", "timeUnit"),
    ] {
        for (limit, kind, amount) in [
            (
                requests(count.clone(), time.clone(), unit),
                "requestCount",
                "requestCount",
            ),
            (
                bytes(count.clone(), time.clone(), unit),
                "bandwidth",
                "dataAmount",
            ),
        ] {
            let field = if field == "count" { amount } else { field };
            for (level, policy, place) in with(&limit) {
                let found = refused(level, policy.clone());
                // Numbers that no field can hold are refused where they stand, by their own names.
                let names = [format!("{place}.{kind}.{field}"), field.to_owned()];
                assert!(names.contains(&found), "{level:?} {policy}: {found}");
            }
        }
    }
}

#[test]
fn bursts_that_are_none_are_refused_by_name() {
    let good = requests(json!(1), json!(1), "min");
    for (count, unit, field) in [
        (json!(-7), "sec", "rateLimitCount"),
        (json!(u64::MAX), "sec", "rateLimitCount"),
        (json!(1), "fortnight", "rateLimitTimeUnit"),
    ] {
        let burst = json!({"rateLimitCount": count, "rateLimitTimeUnit": unit});
        let mut plan = json!({"policyName": "Ten", "defaultLimit": good});
        plan["burstLimit"] = burst.clone();
        let found = refused(PolicyLevel::Application, plan);
        assert!(found.ends_with(field), "{found}");
        let mut plan = json!({"policyName": "Ten", "defaultLimit": good});
        let members = plan.as_object_mut().unwrap();
        members.extend(burst.as_object().unwrap().clone());
        assert_eq!(refused(PolicyLevel::Subscription, plan), field);
    }
}

#[test]
fn windows_of_every_length_up_to_years_are_taken_wherever_they_stand() {
    for (word, unit) in [
        ("sec", TimeUnit::Sec),
        ("min", TimeUnit::Min),
        ("hour", TimeUnit::Hour),
        ("day", TimeUnit::Day),
        ("week", TimeUnit::Week),
        ("month", TimeUnit::Month),
        ("year", TimeUnit::Year),
        ("years", TimeUnit::Year),
    ] {
        let largest = json!(1_u64 << 53);
        for limit in [
            requests(largest.clone(), json!(1), word),
            bytes(largest, json!(1_000), word),
        ] {
            for (level, policy, place) in with(&limit) {
                let policy = read(level, policy).unwrap();
                let group = policy.groups.first().map(|group| group.limit);
                let limit = if place == "defaultLimit" {
                    policy.limit
                } else {
                    group
                };
                assert_eq!(
                    limit.map(|limit| (limit.time_unit, limit.units)),
                    Some((unit, 1 << 53))
                );
            }
        }
    }
}

fn choosing(attributes: Value) -> Value {
    json!({
        "policyName": "Ten", "defaultLimit": requests(json!(1), json!(1), "min"),
        "customAttributes": attributes,
    })
}

#[test]
fn options_are_chosen_by_attributes_at_every_level_and_shown_again_with_the_others() {
    let attributes = json!([
        {"name": "colour", "value": "blue"},
        {"name": "headgate.mode", "value": "share"},
        {"name": "headgate.window", "value": "sliding"},
    ]);
    for level in LEVELS {
        let policy = read(level, choosing(attributes.clone())).unwrap();
        assert_eq!(policy.options.mode, Mode::Share);
        assert_eq!(policy.options.window, WindowKind::Sliding);
        let written = policy_document::write(&policy);
        assert_eq!(written["customAttributes"], attributes);
        let again = read(level, written).unwrap();
        assert_eq!(again.options, policy.options);
        for nothing in [json!([]), Value::Null] {
            let policy = read(level, choosing(nothing)).unwrap();
            assert!(policy.options.are_usual());
            let stored = serde_json::to_string(&policy).unwrap();
            assert!(!stored.contains("options"), "{stored}");
        }
    }
}

#[test]
fn options_that_are_none_are_refused_by_name() {
    let one = |name: &str, value: Value| json!([{"name": name, "value": value}]);
    let mode = one("headgate.mode", json!("exact"));
    for (attributes, field) in [
        (one("headgate.mode", json!("available")), "[0].value"),
        (one("headgate.mode", json!("Exact")), "[0].value"),
        (one("headgate.mode", json!(1)), "[0].value"),
        (one("headgate.window", json!("hopping")), "[0].value"),
        (json!([{"name": "headgate.window"}]), "[0].value"),
        (one("headgate.windows", json!("fixed")), "[0].name"),
        (json!([mode[0], mode[0]]), "[1].name"),
        (json!([{"value": "x"}]), "[0].name"),
        (json!(["headgate.mode"]), "[0]"),
        (json!({"headgate.mode": "exact"}), ""),
    ] {
        for level in LEVELS {
            let found = refused(level, choosing(attributes.clone()));
            assert_eq!(found, format!("customAttributes{field}"), "{attributes}");
        }
    }
}
