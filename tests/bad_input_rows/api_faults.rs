//! What is refused of an API, wherever it is told of.

use serde_json::json;

use super::rows::{Fault, Row, long, name, wrong};

/// The contract's required members of an API, and of what it holds.
pub(super) const OF_API: &[&str] = &[
    "name",
    "version",
    "context",
    "scopes[].scope",
    "scopes[].scope.name",
    "monetization.enabled",
    "mediationPolicies[].name",
    "organizationPolicies[].organizationID",
    "apiPolicies.request[].policyName",
    "apiPolicies.response[].policyName",
    "apiPolicies.fault[].policyName",
    "operations[].operationPolicies.request[].policyName",
    "operations[].operationPolicies.response[].policyName",
    "operations[].operationPolicies.fault[].policyName",
];

/// What an API may hold of that; none of its policies is in force, so that only those without a name are taken.
pub(super) fn api_samples(row: Row) -> Row {
    let none = || json!([{"policyName": ""}]);
    let policies = || json!({"request": none(), "response": none(), "fault": none()});
    let operation = json!({"verb": "GET", "target": "/a", "operationPolicies": policies()});
    row.sample("/scopes", json!([{"scope": {"name": "eat"}}]))
        .sample("/monetization", json!({"enabled": false}))
        .sample("/mediationPolicies", json!([{"name": ""}]))
        .sample("/organizationPolicies", json!([{"organizationID": ""}]))
        .sample("/apiPolicies", policies())
        .sample("/operations", json!([operation]))
}

/// Of one that is made or changed.
pub(super) fn api_faults() -> Vec<Fault> {
    let mut faults = name("/name", 60);
    faults.extend(name("/version", 30));
    faults.extend([
        wrong("/context", json!(5)),
        wrong("/type", json!("PLANET")),
        wrong("/tags", json!("one")),
        wrong("/isDefaultVersion", json!("yes")),
        wrong("/endpointConfig", json!("far")),
        wrong("/policies", json!(["NoSuchPlan"])),
        wrong("/operations", json!([{"verb": "FLY", "target": "/a"}])),
        wrong(
            "/operations",
            json!([{"verb": "GET", "target": "/a", "authType": "Magic"}]),
        ),
        wrong("/description", json!(["x"])),
        long("/description", 32_767),
    ]);
    faults.extend(dangers());
    faults.extend(promises());
    faults.extend(super::kept_rows::too_large());
    faults
}

/// Members that would be stored and do harm, or protect nothing.
fn dangers() -> [Fault; 10] {
    [
        wrong("/tags", json!(["a\0b"])),
        wrong("/authorizationHeader", json!("Host")),
        wrong("/apiKeyHeader", json!("Authorization")),
        wrong(
            "/scopes",
            json!([{"scope": {"name": "eat", "bindings": ["a\0b"]}}]),
        ),
        wrong(
            "/scopes",
            json!([{"scope": {"name": "eat", "description": "d".repeat(32_767)}}]),
        ),
        wrong(
            "/scopes",
            json!([{"scope": {"name": "openid", "bindings": ["admin"]}}]),
        ),
        wrong(
            "/corsConfiguration",
            json!({"accessControlAllowOrigins": ["https://a\r\nx: y"]}),
        ),
        wrong(
            "/endpointConfig",
            json!({"endpoint_security": {"production": {"enabled": "true", "type": "BASIC"}}}),
        ),
        wrong(
            "/endpointConfig",
            json!({"production_failovers": {"url": "http://a"}}),
        ),
        wrong(
            "/operations",
            json!([{"verb": "GET", "target": "/a", "usedProductIds": 5}]),
        ),
    ]
}

/// Members that promise what is not there, or are of another type than the contract's.
fn promises() -> Vec<Fault> {
    let members = [
        ("subscriptionAvailability", json!("SPECIFIC_TENANTS")),
        ("visibility", json!("RESTRICTED")),
        ("visibleRoles", json!(["admin"])),
        ("securityScheme", json!(["oauth2", "mutualssl"])),
        ("enableSchemaValidation", json!(true)),
        ("accessControl", json!("RESTRICTED")),
        ("enableSubscriberVerification", json!(true)),
        ("audience", json!("SINGLE")),
        ("keyManagers", json!([])),
        ("gatewayType", json!("wso2/apk")),
        ("monetization", json!({"enabled": true})),
        ("advertiseInfo", json!({"advertised": true})),
        ("categories", json!(5)),
        ("additionalProperties", json!("x")),
        ("businessInformation", json!("me")),
        ("cacheTimeout", json!("x")),
        ("displayName", json!(7)),
        ("wsdlInfo", json!({"type": 5})),
        ("wsdlInfo", json!({"type": "x".repeat(40_000)})),
        (
            "websubSubscriptionConfiguration",
            json!({"enable": "maybe"}),
        ),
        (
            "websubSubscriptionConfiguration",
            json!({"secret": {"a": 1}}),
        ),
        (
            "websubSubscriptionConfiguration",
            json!({"secret": "x".repeat(40_000)}),
        ),
        ("serviceInfo", json!({"key": 5})),
        ("serviceInfo", json!({"name": "x".repeat(40_000)})),
        ("serviceInfo", json!({"outdated": "x"})),
        (
            "monetization",
            json!({"enabled": false, "properties": {"a": 5}}),
        ),
        ("nobodyKnows", json!("x".repeat(40_000))),
    ];
    let members = members.into_iter();
    members
        .map(|(member, value)| wrong(&format!("/{member}"), value))
        .collect()
}

/// What is refused of an API is refused of one that comes with its description.
pub(super) fn imported_faults() -> impl Iterator<Item = Fault> {
    let faults = api_faults().into_iter();
    faults.map(|fault| fault.within("/additionalProperties"))
}
