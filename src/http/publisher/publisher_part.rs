//! What of an API belongs to those who publish it and do not build it: the members that the
//! contract gives the scope `apim:api_publish` (`x-otherScopes`).

use serde_json::{Map, Value};

use crate::auth::Caller;
use crate::body::Fields;

/// Scopes that allow to change everything (`x-scopes` of the contract's `API`).
const BUILDERS: [&str; 3] = [
    "apim:api_create",
    "apim:api_manage",
    "apim:api_import_export",
];
/// Members that publishers change.
const MEMBERS: [&str; 11] = [
    "tags",
    "policies",
    "organizationPolicies",
    "apiThrottlingPolicy",
    "visibility",
    "visibleRoles",
    "subscriptionAvailability",
    "additionalProperties",
    "additionalPropertiesMap",
    "businessInformation",
    "categories",
];

/// Whether the caller may change no more than a publisher's part.
pub(super) fn is_all_of(caller: &Caller) -> bool {
    !BUILDERS.iter().any(|scope| caller.has(scope)) && !caller.has("apim:admin")
}

/// The API as it is with the publisher's part as it is wanted; what else is wanted is not looked
/// at, as WSO2 does.
pub(super) fn merged(current: Value, wanted: Fields) -> Fields {
    let mut merged = match current {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let mut wanted = wanted.rest();
    for member in MEMBERS {
        merged.remove(member);
        if let Some(value) = wanted.remove(member) {
            merged.insert(member.to_owned(), value);
        }
    }
    Fields::from_map(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_publisher_changes_plans_and_words_but_not_where_calls_go() {
        let current = json!({
            "name": "Pizza", "endpointConfig": {"a": 1}, "tags": ["old"], "policies": ["Gold"],
            "operations": [{"authType": "Any"}],
        });
        let wanted = json!({
            "name": "Pizza", "endpointConfig": {"a": 2}, "tags": ["new"],
            "operations": [{"authType": "None"}],
        });
        let Value::Object(wanted) = wanted else {
            panic!("no object");
        };
        let merged = merged(current, Fields::from_map(wanted)).rest();
        let wanted = json!({
            "name": "Pizza", "endpointConfig": {"a": 1}, "tags": ["new"],
            "operations": [{"authType": "Any"}],
        });
        assert_eq!(Value::Object(merged), wanted);
        let caller = |scopes: &[&str]| Caller {
            tenant: "carbon.super".to_owned(),
            user: "ann".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            by_password: false,
        };
        assert!(is_all_of(&caller(&["apim:api_publish", "apim:api_view"])));
        assert!(!is_all_of(&caller(&[
            "apim:api_publish",
            "apim:api_create"
        ])));
    }
}
