//! What is refused of an API, wherever it is told of.

use serde_json::json;

use super::rows::{Fault, gone, long, name, wrong};

/// Of one that is made or changed.
pub(super) fn api_faults() -> Vec<Fault> {
    let mut faults = name("/name", 60);
    faults.extend(name("/version", 30));
    faults.extend([
        gone("/context"),
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
        ("monetization", json!({"properties": {"a": 5}})),
        ("nobodyKnows", json!("x".repeat(40_000))),
    ];
    let members = members.into_iter();
    members
        .map(|(member, value)| wrong(&format!("/{member}"), value))
        .collect()
}

/// What is refused of an API is refused of one that comes with its description, but the description names and numbers it
/// where nobody else does.
pub(super) fn imported_faults() -> impl Iterator<Item = Fault> {
    let told = ["/name", "/version"];
    let faults = api_faults().into_iter();
    faults
        .filter(move |fault| fault.value.is_some() || !told.contains(&fault.pointer.as_str()))
        .map(|fault| fault.within("/additionalProperties"))
}
