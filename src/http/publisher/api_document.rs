//! The contract's `API` and the domain's: members that are understood become typed, members that
//! promise a protection which is not there are refused, all others are kept and given back.

use serde_json::{Map, Value, json};

use domain::api::{Api, AuthType, Endpoints, Operation};
use domain::api_rules::{DESCRIPTION_MAX, NAME_MAX, VERSION_MAX};
use domain::lifecycle::LifecycleState;
use domain::policy::UNLIMITED;
use domain::verb::Verb;

use super::api_parts::{cors, cors_value, scope_value, scopes};
use super::{endpoint_config, kept, promises};
use crate::auth::Caller;
use crate::body::Fields;
use crate::error::ApiError;
use crate::shape::SHORT;

/// Member of `extra` that keeps what operations hold beyond the typed members.
const OPERATION_EXTRAS: &str = "operationExtras";
/// What the server alone decides.
const READ_ONLY: [&str; 13] = [
    "id",
    "lifeCycleStatus",
    "createdTime",
    "lastUpdatedTime",
    "lastUpdatedTimestamp",
    "workflowStatus",
    "isRevision",
    "revisionedApiId",
    "revisionId",
    "hasThumbnail",
    "wsdlUrl",
    "initiatedFromGateway",
    OPERATION_EXTRAS,
];

/// Reads an API from a body, and whether it names operations: an empty list names none, as a
/// missing one.
pub(super) fn read(mut fields: Fields, caller: &Caller) -> Result<(Api, bool), ApiError> {
    kept::check_api(&mut fields)?;
    promises::refuse(&mut fields)?;
    let name = fields.required_text("name", NAME_MAX)?;
    let version = fields.required_text("version", VERSION_MAX)?;
    let context = fields.required_text("context", 300)?;
    let provider = fields.text("provider", SHORT)?;
    let mut endpoint_config = fields.object("endpointConfig")?.map(Fields::rest);
    let endpoints = match &mut endpoint_config {
        Some(config) => endpoint_config::read(config)?,
        None => Endpoints::default(),
    };
    let mut extras = Map::new();
    let listed = fields.items("operations")?;
    let has_operations = !listed.is_empty();
    let operations = operations(listed, &mut extras)?;
    let scopes = scopes(fields.list("scopes")?.unwrap_or_default())?;
    let cors = cors(fields.object("corsConfiguration")?)?;
    let mut api = Api {
        id: String::new(),
        tenant: caller.tenant.clone(),
        name,
        version,
        context: rooted(&context),
        provider: provider
            .filter(|provider| !provider.is_empty() && caller.has("apim:admin"))
            .unwrap_or_else(|| caller.user.clone()),
        description: fields
            .text("description", DESCRIPTION_MAX)?
            .unwrap_or_default(),
        kind: "HTTP".to_owned(),
        state: LifecycleState::Created,
        is_default_version: fields.flag("isDefaultVersion")?.unwrap_or(false),
        transports: words(fields.texts("transport", 10)?, &["http", "https"]),
        security_schemes: words(
            fields.texts("securityScheme", 100)?,
            &["oauth2", "oauth_basic_auth_api_key_mandatory"],
        ),
        authorization_header: fields.text("authorizationHeader", 100)?.unwrap_or_default(),
        api_key_header: fields.text("apiKeyHeader", 100)?.unwrap_or_default(),
        audiences: words(fields.texts("audiences", 255)?, &[]),
        policies: words(fields.texts("policies", 255)?, &[]),
        api_throttling_policy: fields
            .text("apiThrottlingPolicy", 255)?
            .filter(|name| !name.is_empty()),
        tags: words(fields.texts("tags", 100)?, &[]),
        operations,
        scopes,
        endpoints,
        cors,
        created_at_ms: 0,
        updated_at_ms: 0,
        row_version: 0,
        extra: String::new(),
    };
    kept::check_rest(&fields)?;
    api.extra = extra(fields.rest(), endpoint_config, extras);
    Ok((api, has_operations))
}

fn words(list: Option<Vec<String>>, otherwise: &[&str]) -> Vec<String> {
    list.unwrap_or_else(|| otherwise.iter().map(|&word| word.to_owned()).collect())
}

/// What is kept as it came, as a JSON object.
fn extra(
    mut extra: Map<String, Value>,
    endpoint_config: Option<Map<String, Value>>,
    operations: Map<String, Value>,
) -> String {
    for member in READ_ONLY {
        extra.remove(member);
    }
    extra.retain(|_, value| !value.is_null());
    if let Some(config) = endpoint_config {
        extra.insert("endpointConfig".to_owned(), Value::Object(config));
    }
    if !operations.is_empty() {
        extra.insert(OPERATION_EXTRAS.to_owned(), Value::Object(operations));
    }
    Value::Object(extra).to_string()
}

/// The operations that WSO2 gives an API which names none: everything, under every usual verb.
pub(super) fn catch_all() -> Vec<Operation> {
    [Verb::Get, Verb::Post, Verb::Put, Verb::Delete, Verb::Patch]
        .into_iter()
        .map(|verb| Operation {
            id: String::new(),
            target: "/*".to_owned(),
            verb: verb.as_str().to_owned(),
            auth_type: AuthType::Any,
            throttling_policy: UNLIMITED.to_owned(),
            scopes: Vec::new(),
        })
        .collect()
}

/// Writes an API as the contract's `API`.
pub(super) fn write(api: &Api) -> Value {
    let mut members = defaults();
    let extra: Value = serde_json::from_str(&api.extra).unwrap_or_default();
    let mut extras = Map::new();
    if let Value::Object(mut extra) = extra {
        if let Some(Value::Object(kept)) = extra.remove(OPERATION_EXTRAS) {
            extras = kept;
        }
        members.extend(extra);
    }
    if !members.contains_key("endpointConfig")
        && let Some(config) = endpoint_config::write(&api.endpoints)
    {
        members.insert("endpointConfig".to_owned(), config);
    }
    let operations: Vec<Value> = api
        .operations
        .iter()
        .map(|operation| operation_value(operation, &extras))
        .collect();
    let updated = api.updated_at_ms.to_string();
    let typed = json!({
        "id": api.id,
        "name": api.name,
        "version": api.version,
        "context": api.context,
        "provider": api.provider,
        "description": api.description,
        "type": api.kind,
        "lifeCycleStatus": api.state.as_str(),
        "isDefaultVersion": api.is_default_version,
        "transport": api.transports,
        "securityScheme": api.security_schemes,
        "authorizationHeader": or(&api.authorization_header, "Authorization"),
        "apiKeyHeader": or(&api.api_key_header, "ApiKey"),
        "audiences": api.audiences,
        "policies": api.policies,
        "tags": api.tags,
        "operations": operations,
        "scopes": api.scopes.iter().map(scope_value).collect::<Vec<_>>(),
        "corsConfiguration": cors_value(&api.cors),
        "createdTime": api.created_at_ms.to_string(),
        "lastUpdatedTimestamp": updated,
        "lastUpdatedTime": updated,
    });
    if let Value::Object(typed) = typed {
        members.extend(typed);
    }
    if let Some(policy) = &api.api_throttling_policy {
        members.insert(
            "apiThrottlingPolicy".to_owned(),
            Value::from(policy.as_str()),
        );
    }
    Value::Object(members)
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

fn rooted(context: &str) -> String {
    if context.starts_with('/') {
        context.to_owned()
    } else {
        format!("/{context}")
    }
}

fn defaults() -> Map<String, Value> {
    let defaults = json!({
        "hasThumbnail": false,
        "isRevision": false,
        "responseCachingEnabled": false,
        "cacheTimeout": 300,
        "enableSchemaValidation": false,
        "visibility": "PUBLIC",
        "visibleRoles": [],
        "visibleTenants": [],
        "subscriptionAvailability": "CURRENT_TENANT",
        "subscriptionAvailableTenants": [],
        "accessControl": "NONE",
        "accessControlRoles": [],
        "additionalProperties": [],
        "additionalPropertiesMap": {},
        "mediationPolicies": [],
        "businessInformation": {},
        "categories": [],
        "keyManagers": ["all"],
        "workflowStatus": "APPROVED",
        "endpointImplementationType": "ENDPOINT",
        "gatewayVendor": "wso2",
        "gatewayType": "wso2/synapse",
    });
    match defaults {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn operations(
    list: Vec<Fields>,
    extras: &mut Map<String, Value>,
) -> Result<Vec<Operation>, ApiError> {
    let mut operations = Vec::with_capacity(list.len());
    for mut fields in list {
        let verb = fields.required_text("verb", 20)?.to_ascii_uppercase();
        let target = fields.required_text("target", 2_048)?;
        let auth_type = match fields.text("authType", 50)?.filter(|word| !word.is_empty()) {
            None => AuthType::Any,
            Some(word) => AuthType::parse(&word)
                .ok_or_else(|| fields.bad("authType", format!("{word} is unknown")))?,
        };
        let policy = fields.text("throttlingPolicy", 255)?;
        let operation = Operation {
            id: fields.text("id", 100)?.unwrap_or_default(),
            target,
            verb,
            auth_type,
            throttling_policy: policy
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| UNLIMITED.to_owned()),
            scopes: fields.texts("scopes", 255)?.unwrap_or_default(),
        };
        let rest = kept::operation(fields)?;
        if !rest.is_empty() {
            extras.insert(key(&operation), Value::Object(rest));
        }
        operations.push(operation);
    }
    Ok(operations)
}

fn key(operation: &Operation) -> String {
    format!("{} {}", operation.verb, operation.target)
}

fn operation_value(operation: &Operation, extras: &Map<String, Value>) -> Value {
    let mut members = match extras.get(&key(operation)) {
        Some(Value::Object(kept)) => kept.clone(),
        _ => Map::new(),
    };
    let typed = json!({
        "id": operation.id,
        "target": operation.target,
        "verb": operation.verb,
        "authType": operation.auth_type,
        "throttlingPolicy": operation.throttling_policy,
        "scopes": operation.scopes,
    });
    if let Value::Object(typed) = typed {
        members.extend(typed);
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            tenant: "carbon.super".to_owned(),
            user: "ann".to_owned(),
            scopes: Vec::new(),
            by_password: false,
        }
    }

    fn body(value: Value) -> Fields {
        match value {
            Value::Object(members) => Fields::from_map(members),
            other => panic!("{other}"),
        }
    }

    fn pizza() -> Value {
        json!({
            "name": "Pizza",
            "version": "1.0.0",
            "context": "pizza",
            "endpointConfig": {
                "endpoint_type": "http",
                "production_endpoints": {"url": "http://10.0.0.1", "config": {"actionDuration": "3000"}},
            },
            "categories": ["food"],
            "businessInformation": {"businessOwner": "Ann"},
            "scopes": [{"scope": {"name": "eat", "bindings": ["admin"]}}],
            "operations": [{"verb": "get", "target": "/menu", "scopes": ["eat"], "payloadSchema": "x"}],
            "securityScheme": ["oauth2", "api_key"],
            "id": "mine",
            "displayName": null,
        })
    }

    #[test]
    fn what_is_not_understood_comes_back_as_it_came() {
        let (api, has_operations) = read(body(pizza()), &caller()).unwrap();
        assert!(has_operations);
        assert_eq!((api.context.as_str(), api.id.as_str()), ("/pizza", ""));
        assert_eq!(api.endpoints.production.as_deref(), Some("http://10.0.0.1"));
        let back = write(&api);
        for member in [
            "endpointConfig",
            "categories",
            "businessInformation",
            "securityScheme",
        ] {
            assert_eq!(back[member], pizza()[member], "{member}");
        }
        assert_eq!(back["operations"][0]["payloadSchema"], "x");
        assert_eq!(back["operations"][0]["verb"], "GET");
        assert_eq!(back["scopes"][0]["scope"]["bindings"], json!(["admin"]));
        assert!(back.get(OPERATION_EXTRAS).is_none());
        assert!(
            back.as_object()
                .unwrap()
                .values()
                .all(|value| !value.is_null())
        );
        // What was given back can be sent again and says the same.
        let (again, _) = read(body(back), &caller()).unwrap();
        assert_eq!(write(&again)["operations"], write(&api)["operations"]);
    }

    #[test]
    fn values_that_promise_missing_protection_are_refused_by_name() {
        for (member, value) in [
            ("type", json!("GRAPHQL")),
            ("visibility", json!("RESTRICTED")),
            ("visibleRoles", json!(["admin"])),
            ("visibleTenants", json!(["a.com"])),
            ("visibleOrganizations", json!(["x"])),
            ("organizationPolicies", json!([{"organizationID": "x"}])),
            ("accessControl", json!("RESTRICTED")),
            ("accessControlRoles", json!(["admin"])),
            ("subscriptionAvailability", json!("SPECIFIC_TENANTS")),
            ("subscriptionAvailability", json!("bogus")),
            ("subscriptionAvailableTenants", json!(["a.com"])),
            ("enableSchemaValidation", json!(true)),
            ("enableSubscriberVerification", json!(true)),
            ("audience", json!("SINGLE")),
            ("maxTps", json!({"production": 5})),
            ("keyManagers", json!(["Okta"])),
            ("keyManagers", json!([])),
            ("gatewayType", json!("wso2/apk")),
            ("gatewayVendor", json!("aws")),
            ("primaryProductionEndpointId", json!("x")),
            ("monetization", json!({"enabled": true})),
            ("advertiseInfo", json!({"advertised": true})),
            ("endpointConfig", json!({"endpoint_type": "load_balance"})),
            (
                "endpointConfig",
                json!({"endpoint_security": {"production": {"enabled": true}}}),
            ),
            (
                "operations",
                json!([{"verb": "GET", "target": "/a", "operationPolicies": {"request": [{"policyName": "x"}]}}]),
            ),
        ] {
            let mut wanted = pizza();
            wanted[member] = value;
            let refused = read(body(wanted), &caller()).unwrap_err();
            assert_eq!(refused.status(), 400);
            assert!(format!("{refused:?}").contains(member), "{member}");
        }
    }
}
