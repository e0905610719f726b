//! The table's rows of throttling and deny policies.

use serde_json::{Value, json};

use super::rows::{Fault, Row, long, name, wrong};
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
        wrong("/defaultLimit", json!("none")),
        wrong("/defaultLimit/type", json!("PLANETS")),
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
    let monetization = |member: &str, value: Value| {
        let mut given = json!({"monetizationPlan": "FIXEDRATE", "properties": {}});
        given[member] = value;
        wrong("/monetization", given)
    };
    let mut faults = vec![
        limit("bandwidth"),
        limit("eventCount"),
        limit("aiApiQuota"),
        wrong("/billingPlan", json!({"a": 1})),
        long("/billingPlan", 40_000),
        wrong("/monetization", json!("x")),
        monetization("monetizationPlan", json!("PLANET")),
        monetization("properties", json!({"a": 5})),
        wrong("/customAttributes", json!({"a": 1})),
        attribute(json!("x".repeat(100_000)), json!("y")),
        attribute(json!("x"), json!("y".repeat(100_000))),
        attribute(json!("x"), json!(5)),
        wrong(
            "/permissions",
            json!({"permissionType": "ALLOW", "roles": 5}),
        ),
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
        monetization("nobodyKnows", json!("x".repeat(40_000))),
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

/// The contract's required members of a policy, without those of limits and conditions that are refused as a whole.
const OF_POLICY: &[&str] = &[
    "policyName",
    "defaultLimit",
    "defaultLimit.type",
    "defaultLimit.requestCount.requestCount",
    "defaultLimit.requestCount.timeUnit",
    "defaultLimit.requestCount.unitTime",
    "defaultLimit.bandwidth.dataAmount",
    "defaultLimit.bandwidth.dataUnit",
    "defaultLimit.bandwidth.timeUnit",
    "defaultLimit.bandwidth.unitTime",
    // Of subscription policies, and here of all.
    "monetization.monetizationPlan",
    "monetization.properties",
    "customAttributes[].name",
    "customAttributes[].value",
    "permissions.permissionType",
    "permissions.roles",
    // Not of the contract: what the type of the limit says.
    "defaultLimit.requestCount",
    "defaultLimit.bandwidth",
];
/// The same of advanced policies alone.
const OF_GROUPS: &[&str] = &[
    "conditionalGroups[].conditions",
    "conditionalGroups[].limit",
    "conditionalGroups[].conditions[].type",
    "conditionalGroups[].conditions[].ipCondition.specificIP",
    "conditionalGroups[].limit.type",
    "conditionalGroups[].limit.requestCount.requestCount",
    "conditionalGroups[].limit.requestCount.timeUnit",
    "conditionalGroups[].limit.requestCount.unitTime",
    "conditionalGroups[].limit.bandwidth.dataAmount",
    "conditionalGroups[].limit.bandwidth.dataUnit",
    "conditionalGroups[].limit.bandwidth.timeUnit",
    "conditionalGroups[].limit.bandwidth.unitTime",
    "conditionalGroups[].conditions[].ipCondition",
    "conditionalGroups[].limit.requestCount",
    "conditionalGroups[].limit.bandwidth",
];

/// A policy's row with what must be in its body.
fn required(row: Row, level: &str) -> Row {
    let bytes = json!({"type": "BANDWIDTHLIMIT", "bandwidth": {
        "timeUnit": "min", "unitTime": 1, "dataAmount": 5, "dataUnit": "KB",
    }});
    let rates = json!({"monetizationPlan": "FIXEDRATE", "properties": {}});
    let open = json!({"permissionType": "ALLOW", "roles": ["Internal/everyone"]});
    let row = row
        .required(OF_POLICY)
        .sample("/defaultLimit", bytes.clone())
        .sample("/monetization", rates)
        .sample("/permissions", open)
        .sample(
            "/customAttributes",
            json!([{"name": "colour", "value": "blue"}]),
        );
    if level != "advanced" {
        return row;
    }
    let condition = json!({
        "type": "IPCONDITION",
        "ipCondition": {"ipConditionType": "IPSPECIFIC", "specificIP": "10.0.0.1"},
    });
    let group = |limit: &Value| json!({"conditions": [condition], "limit": limit});
    let groups = [group(&policy("Any")["defaultLimit"]), group(&bytes)];
    row.required(OF_GROUPS)
        .sample("/conditionalGroups", json!(groups))
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
        let create = required(create, level);
        rows.push(create.once(&["policyName"]));
        let update = Row::json("PUT", one, policy("Known"), 200);
        let update = update.faults(policy_faults()).faults(kept_faults(level));
        let update = required(update, level);
        rows.push(update.level(level).tagged());
    }
    let every = "/api/am/admin/v4/throttling/deny-policies";
    let good =
        json!({"conditionType": "USER", "conditionValue": "somebody", "conditionStatus": true});
    let mut faults = name("/conditionType", 20);
    faults.extend([
        wrong("/conditionType", json!("PLANET")),
        wrong("/conditionValue", json!(5)),
        wrong("/conditionStatus", json!("yes")),
    ]);
    let create = Row::json("POST", every, good, 201).faults(faults);
    let create = create.required(&["conditionType", "conditionValue"]);
    rows.push(create.once(&["conditionValue"]));
    let one = "/api/am/admin/v4/throttling/deny-policy/{conditionId}";
    let patch = Row::json("PATCH", one, json!({"conditionStatus": false}), 200);
    let patch = patch.required(&["conditionStatus"]);
    let faults = [wrong("/conditionStatus", json!("yes"))];
    rows.push(patch.faults(faults).tagged());
    rows
}
