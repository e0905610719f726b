//! The table's rows of throttling and deny policies.

use serde_json::{Value, json};

use super::rows::{Fault, Row, gone, long, name, wrong};
use super::world::policy;

fn policy_faults() -> Vec<Fault> {
    let mut faults = name("/policyName", 60);
    faults.extend([
        wrong("/policyName", json!("two words")),
        wrong("/description", json!(5)),
        wrong("/subscriberCount", json!(5)),
        wrong(
            "/permissions",
            json!({"permissionType": "DENY", "roles": ["admin"]}),
        ),
        gone("/defaultLimit"),
        wrong("/defaultLimit", json!("none")),
        wrong("/defaultLimit/type", json!("PLANETS")),
        gone("/defaultLimit/requestCount"),
        wrong("/defaultLimit/requestCount/requestCount", json!("many")),
        wrong("/defaultLimit/requestCount/requestCount", json!(-1)),
        wrong("/defaultLimit/requestCount/timeUnit", json!("fortnight")),
    ]);
    faults
}

/// Members of policies that are kept, or would be dropped: at every level the same.
fn kept_faults(level: &str) -> Vec<Fault> {
    let limit = |member: &str| wrong(&format!("/defaultLimit/{member}"), json!("x"));
    let attribute = |name: Value, value: Value| {
        let given = json!([{"name": name, "value": value}]);
        wrong("/customAttributes", given)
    };
    let mut faults = vec![
        limit("bandwidth"),
        limit("eventCount"),
        limit("aiApiQuota"),
        wrong("/billingPlan", json!({"a": 1})),
        long("/billingPlan", 40_000),
        wrong("/monetization", json!("x")),
        wrong("/monetization", json!({"monetizationPlan": "PLANET"})),
        wrong("/monetization", json!({"properties": {"a": 5}})),
        wrong("/customAttributes", json!({"a": 1})),
        attribute(json!("x".repeat(100_000)), json!("y")),
        attribute(json!("x"), json!("y".repeat(100_000))),
        attribute(json!("x"), json!(5)),
        wrong("/permissions", json!({"roles": 5})),
        wrong("/subscriberCount", json!("x")),
        wrong("/graphQLMaxDepth", json!("x")),
        wrong(
            "/burstLimit",
            json!({"rateLimitCount": 0, "rateLimitTimeUnit": 5}),
        ),
        wrong("/rateLimitTimeUnit", json!(5)),
        wrong("/isDeployed", json!("x")),
        wrong("/stopOnQuotaReach", json!("x")),
        long("/displayName", 513),
        long("/nobodyKnows", 40_000),
        wrong("/monetization", json!({"nobodyKnows": "x".repeat(40_000)})),
    ];
    if level == "advanced" {
        let limit = policy("Any")["defaultLimit"].clone();
        let condition = json!({
            "type": "IPCONDITION", "headerCondition": "x",
            "ipCondition": {"ipConditionType": "IPSPECIFIC", "specificIP": "10.0.0.1"},
        });
        let group = json!([{"conditions": [condition], "limit": limit}]);
        faults.push(wrong("/conditionalGroups", group));
    }
    faults
}

pub(super) fn all() -> Vec<Row> {
    let paths = [
        (
            "application",
            "/api/am/admin/v4/throttling/policies/application",
            "/api/am/admin/v4/throttling/policies/application/{policyId}",
        ),
        (
            "subscription",
            "/api/am/admin/v4/throttling/policies/subscription",
            "/api/am/admin/v4/throttling/policies/subscription/{policyId}",
        ),
        (
            "advanced",
            "/api/am/admin/v4/throttling/policies/advanced",
            "/api/am/admin/v4/throttling/policies/advanced/{policyId}",
        ),
    ];
    let mut rows = Vec::new();
    for (level, every, one) in paths {
        let create = Row::json("POST", every, policy("Fresh"), 201);
        let create = create.faults(policy_faults()).faults(kept_faults(level));
        rows.push(create.once(&["policyName"]));
        let update = Row::json("PUT", one, policy("Known"), 200);
        let update = update.faults(policy_faults()).faults(kept_faults(level));
        rows.push(update.level(level).tagged());
    }
    let every = "/api/am/admin/v4/throttling/deny-policies";
    let good =
        json!({"conditionType": "USER", "conditionValue": "somebody", "conditionStatus": true});
    let mut faults = name("/conditionType", 20);
    faults.extend([
        wrong("/conditionType", json!("PLANET")),
        gone("/conditionValue"),
        wrong("/conditionValue", json!(5)),
        wrong("/conditionStatus", json!("yes")),
    ]);
    let create = Row::json("POST", every, good, 201).faults(faults);
    rows.push(create.once(&["conditionValue"]));
    let one = "/api/am/admin/v4/throttling/deny-policy/{conditionId}";
    let faults = [
        gone("/conditionStatus"),
        wrong("/conditionStatus", json!("yes")),
    ];
    let patch = Row::json("PATCH", one, json!({"conditionStatus": false}), 200);
    rows.push(patch.faults(faults).tagged());
    rows
}
