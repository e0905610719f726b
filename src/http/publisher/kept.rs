//! Members of an API that have no effect yet: they are kept and given back as they came, if they
//! are of the contract's types.

use serde_json::{Map, Value};

use super::promises::is_hollow;
use crate::body::Fields;
use crate::error::ApiError;
use crate::shape::{Kind, LONG, Members, SHORT, bounded, check};

const PROPERTY: Members = &[
    ("name", Kind::Text(SHORT)),
    ("value", Kind::Text(LONG)),
    ("display", Kind::Flag),
];

const POLICY: Members = &[("policyName", Kind::Required(&Kind::Text(SHORT)))];

/// Policies of an API or of one of its operations, by what they are applied to.
const POLICIES: Members = &[
    ("request", Kind::List(POLICY)),
    ("response", Kind::List(POLICY)),
    ("fault", Kind::List(POLICY)),
];

/// The members that are kept, in the contract's order.
const API: Members = &[
    ("displayName", Kind::Text(SHORT)),
    (
        "wsdlInfo",
        Kind::Object(&[("type", Kind::Word(&["WSDL", "ZIP"]))]),
    ),
    ("responseCachingEnabled", Kind::Flag),
    ("cacheTimeout", Kind::Number),
    ("enableSubscriberVerification", Kind::Flag),
    ("audience", Kind::Text(SHORT)),
    (
        "maxTps",
        Kind::Object(&[("production", Kind::Number), ("sandbox", Kind::Number)]),
    ),
    ("visibleRoles", Kind::Texts),
    ("visibleTenants", Kind::Texts),
    ("visibleOrganizations", Kind::Texts),
    (
        "organizationPolicies",
        Kind::List(&[("organizationID", Kind::Required(&Kind::Text(SHORT)))]),
    ),
    (
        "mediationPolicies",
        Kind::List(&[("name", Kind::Required(&Kind::Text(SHORT)))]),
    ),
    ("apiPolicies", Kind::Object(POLICIES)),
    ("subscriptionAvailability", Kind::Text(SHORT)),
    ("subscriptionAvailableTenants", Kind::Texts),
    ("additionalProperties", Kind::List(PROPERTY)),
    ("additionalPropertiesMap", Kind::Objects(PROPERTY)),
    (
        "monetization",
        Kind::Object(&[
            ("enabled", Kind::Required(&Kind::Flag)),
            ("properties", Kind::TextsByName(LONG)),
        ]),
    ),
    ("accessControlRoles", Kind::Texts),
    (
        "businessInformation",
        Kind::Object(&[
            ("businessOwner", Kind::Text(120)),
            ("businessOwnerEmail", Kind::Text(SHORT)),
            ("technicalOwner", Kind::Text(120)),
            ("technicalOwnerEmail", Kind::Text(SHORT)),
        ]),
    ),
    (
        "websubSubscriptionConfiguration",
        Kind::Object(&[
            ("enable", Kind::Flag),
            ("secret", Kind::Text(SHORT)),
            ("signingAlgorithm", Kind::Text(SHORT)),
            ("signatureHeader", Kind::Text(SHORT)),
        ]),
    ),
    ("primaryProductionEndpointId", Kind::Text(SHORT)),
    ("primarySandboxEndpointId", Kind::Text(SHORT)),
    ("threatProtectionPolicies", Kind::Object(&[])),
    ("categories", Kind::Texts),
    (
        "serviceInfo",
        Kind::Object(&[
            ("key", Kind::Text(SHORT)),
            ("name", Kind::Text(SHORT)),
            ("version", Kind::Text(SHORT)),
            ("outdated", Kind::Flag),
        ]),
    ),
    (
        "advertiseInfo",
        Kind::Object(&[
            ("advertised", Kind::Flag),
            ("apiExternalProductionEndpoint", Kind::Text(LONG)),
            ("apiExternalSandboxEndpoint", Kind::Text(LONG)),
            ("originalDevPortalUrl", Kind::Text(LONG)),
            ("apiOwner", Kind::Text(SHORT)),
            ("vendor", Kind::Text(SHORT)),
        ]),
    ),
    ("gatewayVendor", Kind::Text(SHORT)),
    ("gatewayType", Kind::Text(SHORT)),
    ("asyncTransportProtocols", Kind::Texts),
];

/// The members that the server alone decides: what is sent for them has no effect.
const READ_ONLY: Members = &[
    ("id", Kind::Text(SHORT)),
    ("provider", Kind::Text(SHORT)),
    ("lifeCycleStatus", Kind::Text(SHORT)),
    ("createdTime", Kind::Text(SHORT)),
    ("lastUpdatedTime", Kind::Text(SHORT)),
    ("lastUpdatedTimestamp", Kind::Text(SHORT)),
    ("workflowStatus", Kind::Text(SHORT)),
    ("isRevision", Kind::Flag),
    ("revisionedApiId", Kind::Text(SHORT)),
    ("revisionId", Kind::Number),
    ("hasThumbnail", Kind::Flag),
    ("wsdlUrl", Kind::Text(LONG)),
    ("initiatedFromGateway", Kind::Flag),
];

/// The members of an operation that are kept.
const OPERATION: Members = &[
    ("usedProductIds", Kind::Texts),
    ("amznResourceName", Kind::Text(SHORT)),
    ("amznResourceTimeout", Kind::Number),
    ("payloadSchema", Kind::Text(LONG)),
    ("uriMapping", Kind::Text(LONG)),
    ("operationPolicies", Kind::Object(POLICIES)),
];

/// Refuses members of an API that are of another type than the contract's, or lack what it requires of them.
pub(super) fn check_api(fields: &mut Fields) -> Result<(), ApiError> {
    check(fields, API)?;
    check(fields, READ_ONLY)
}

/// Refuses members of no contract that are too large to be kept with an API.
pub(super) fn check_rest(rest: &Fields) -> Result<(), ApiError> {
    bounded(rest, API)
}

/// Refuses members of an operation that are of another type than the contract's; gives what is
/// kept of it.
pub(super) fn operation(mut fields: Fields) -> Result<Map<String, Value>, ApiError> {
    check(&mut fields, OPERATION)?;
    bounded(&fields, OPERATION)?;
    let policies = fields.members().get("operationPolicies");
    if policies.is_some_and(|policies| !is_hollow(policies)) {
        let problem = "are not supported yet, leave them empty";
        return Err(fields.bad("operationPolicies", problem));
    }
    Ok(fields.rest())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_is_of_the_contracts_type_and_stays_as_it_came() {
        let good = json!({
            "displayName": "Pizza", "categories": ["food"], "cacheTimeout": 300,
            "additionalProperties": [{"name": "a", "value": "b", "display": true}],
            "additionalPropertiesMap": {"a": {"name": "a", "value": "b"}},
            "businessInformation": {"businessOwner": "Ann"}, "monetization": {"enabled": false},
        });
        let Value::Object(members) = good.clone() else {
            panic!("no object");
        };
        let mut fields = Fields::from_map(members.clone());
        check_api(&mut fields).unwrap();
        assert_eq!(Value::Object(fields.rest()), good);
        for (member, wrong) in [
            ("categories", json!(5)),
            ("categories", json!([5])),
            ("additionalProperties", json!("x")),
            ("additionalProperties", json!([{"name": 5}])),
            ("additionalPropertiesMap", json!([1])),
            ("additionalPropertiesMap", json!({"a": "b"})),
            ("businessInformation", json!("me")),
            ("businessInformation", json!({"businessOwner": 1})),
            ("cacheTimeout", json!("x")),
            ("responseCachingEnabled", json!("maybe")),
            ("displayName", json!(7)),
            ("monetization", json!("x")),
            ("advertiseInfo", json!("x")),
            ("gatewayVendor", json!(5)),
            ("wsdlInfo", json!({"type": 5})),
            ("wsdlInfo", json!({"type": "PLANET"})),
            (
                "websubSubscriptionConfiguration",
                json!({"enable": "maybe"}),
            ),
            (
                "websubSubscriptionConfiguration",
                json!({"secret": {"a": 1}}),
            ),
            ("serviceInfo", json!({"key": 5})),
            ("serviceInfo", json!({"outdated": "x"})),
            (
                "monetization",
                json!({"enabled": false, "properties": {"plan": 5}}),
            ),
            ("monetization", json!({"properties": {}})),
            ("mediationPolicies", json!([{}])),
            ("apiPolicies", json!({"fault": [{}]})),
        ] {
            let mut fields = Fields::from_map(members.clone());
            fields.put(member, wrong);
            let refused = check_api(&mut fields).unwrap_err();
            assert!(refused.description().starts_with(member), "{refused:?}");
        }
    }

    #[test]
    fn what_is_kept_of_an_operation_is_refused_by_its_whole_path() {
        let members = |value: Value| match value {
            Value::Object(members) => Fields::from_map(members),
            other => panic!("{other}"),
        };
        for (member, wrong) in [
            ("usedProductIds", json!(5)),
            ("nobodyKnows", json!("x".repeat(LONG))),
            (
                "operationPolicies",
                json!({"request": [{"policyName": "x"}]}),
            ),
        ] {
            let wrong = members(json!({ member: wrong })).at("operations[3]");
            let refused = operation(wrong).unwrap_err();
            let place = format!("operations[3].{member}: ");
            assert!(refused.description().starts_with(&place), "{refused:?}");
        }
    }
}
