//! Members of an API that have no effect yet: they are kept and given back as they came, if they
//! are of the contract's types.

use serde_json::{Map, Value};

use super::promises::is_hollow;
use crate::body::Fields;
use crate::error::ApiError;

/// The type of a member.
#[derive(Clone, Copy)]
enum Kind {
    /// A text of at most so many characters.
    Text(usize),
    Flag,
    Number,
    Texts,
    /// An object with members of these types and any others.
    Object(&'static [(&'static str, Kind)]),
    /// An object whose members are all such objects.
    Objects(&'static [(&'static str, Kind)]),
    /// A list of such objects.
    List(&'static [(&'static str, Kind)]),
}

const PROPERTY: &[(&str, Kind)] = &[
    ("name", Kind::Text(SHORT)),
    ("value", Kind::Text(LONG)),
    ("display", Kind::Flag),
];
const SHORT: usize = 255;
const LONG: usize = 32_766;

/// The members that are kept, in the contract's order.
const API: &[(&str, Kind)] = &[
    ("displayName", Kind::Text(SHORT)),
    ("wsdlInfo", Kind::Object(&[])),
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
    ("organizationPolicies", Kind::List(&[])),
    ("mediationPolicies", Kind::List(&[])),
    ("apiPolicies", Kind::Object(&[])),
    ("subscriptionAvailability", Kind::Text(SHORT)),
    ("subscriptionAvailableTenants", Kind::Texts),
    ("additionalProperties", Kind::List(PROPERTY)),
    ("additionalPropertiesMap", Kind::Objects(PROPERTY)),
    (
        "monetization",
        Kind::Object(&[("enabled", Kind::Flag), ("properties", Kind::Object(&[]))]),
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
    ("websubSubscriptionConfiguration", Kind::Object(&[])),
    ("primaryProductionEndpointId", Kind::Text(SHORT)),
    ("primarySandboxEndpointId", Kind::Text(SHORT)),
    ("threatProtectionPolicies", Kind::Object(&[])),
    ("categories", Kind::Texts),
    ("serviceInfo", Kind::Object(&[])),
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

/// The members of an operation that are kept.
const OPERATION: &[(&str, Kind)] = &[
    ("usedProductIds", Kind::Texts),
    ("amznResourceName", Kind::Text(SHORT)),
    ("amznResourceTimeout", Kind::Number),
    ("payloadSchema", Kind::Text(LONG)),
    ("uriMapping", Kind::Text(LONG)),
    ("operationPolicies", Kind::Object(&[])),
];

/// Refuses members of an API that are of another type than the contract's.
pub(super) fn check_api(fields: &mut Fields) -> Result<(), ApiError> {
    check(fields, API)
}

/// Refuses members of an operation that are of another type than the contract's; gives what is
/// kept of it.
pub(super) fn operation(mut fields: Fields) -> Result<Map<String, Value>, ApiError> {
    check(&mut fields, OPERATION)?;
    let rest = fields.rest();
    let policies = rest.get("operationPolicies");
    if policies.is_some_and(|policies| !is_hollow(policies)) {
        let problem = "operationPolicies are not supported yet, leave them empty";
        return Err(ApiError::bad_field("operations", problem));
    }
    Ok(rest)
}

/// The members stay in place.
fn check(fields: &mut Fields, kinds: &[(&str, Kind)]) -> Result<(), ApiError> {
    for (name, kind) in kinds {
        if let Some(value) = fields.take(name) {
            fields.put(name, value.clone());
            kind.check(fields, name)?;
            fields.put(name, value);
        }
    }
    Ok(())
}

// === impl Kind ===

impl Kind {
    /// Takes the member out if it is of this type.
    fn check(self, fields: &mut Fields, name: &str) -> Result<(), ApiError> {
        match self {
            Self::Text(most) => fields.text(name, most).map(drop),
            Self::Flag => fields.flag(name).map(drop),
            Self::Number => fields.number(name).map(drop),
            Self::Texts => fields.texts(name, SHORT).map(drop),
            Self::Object(kinds) => {
                let object = fields.object(name)?;
                object.map_or(Ok(()), |mut object| check(&mut object, kinds))
            }
            Self::Objects(kinds) => {
                let members = fields.object(name)?.map(Fields::rest).unwrap_or_default();
                let mut members = members.into_iter();
                members.try_for_each(|(member, value)| {
                    check(&mut of(&format!("{name}.{member}"), value)?, kinds)
                })
            }
            Self::List(kinds) => {
                let list = fields.list(name)?.unwrap_or_default();
                let mut items = list.into_iter().enumerate();
                items.try_for_each(|(index, value)| {
                    check(&mut of(&format!("{name}[{index}]"), value)?, kinds)
                })
            }
        }
    }
}

fn of(path: &str, value: Value) -> Result<Fields, ApiError> {
    match value {
        Value::Object(members) => Ok(Fields::from_map(members).at(path)),
        _ => Err(ApiError::bad_field(path, "must be an object")),
    }
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
        ] {
            let mut fields = Fields::from_map(members.clone());
            fields.put(member, wrong);
            let refused = check_api(&mut fields).unwrap_err();
            assert!(refused.description().starts_with(member), "{refused:?}");
        }
        let members = |value: Value| match value {
            Value::Object(members) => Fields::from_map(members),
            other => panic!("{other}"),
        };
        let wrong = members(json!({"usedProductIds": 5})).at("operations[0]");
        let refused = operation(wrong).unwrap_err();
        let place = "operations[0].usedProductIds: ";
        assert!(refused.description().starts_with(place), "{refused:?}");
    }
}
