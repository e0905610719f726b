//! The table's rows of the Developer Portal.

use serde_json::{Value, json};

use super::NOBODY;
use super::rows::{Row, long, name, wrong};
use super::world::World;

pub(super) fn applications() -> Vec<Row> {
    let good = json!({"name": "rows", "throttlingPolicy": "Unlimited", "tokenType": "JWT"});
    let faults = || {
        let mut faults = name("/name", 100);
        faults.extend(name("/throttlingPolicy", 60));
        faults.extend([
            wrong("/name", json!("<b>")),
            wrong("/name", json!("a\u{202e}b")),
            wrong("/throttlingPolicy", json!("NoSuchPlan")),
            wrong("/tokenType", json!("PLANET")),
            wrong("/attributes", json!("x")),
            wrong("/groups", json!(["a"])),
            wrong("/visibility", json!("PUBLIC")),
            long("/description", 513),
        ]);
        faults
    };
    let every = "/api/am/devportal/v3/applications";
    let one = "/api/am/devportal/v3/applications/{applicationId}";
    let mut renamed = good.clone();
    renamed["name"] = json!("holder");
    vec![
        Row::json("POST", every, good, 201)
            .faults(faults())
            .required(&["name", "throttlingPolicy"])
            .once(&["name"]),
        Row::json("PUT", one, renamed, 200)
            .faults(faults())
            .required(&["name", "throttlingPolicy"])
            .taken(wrong("/name", json!("idle")), &["name"])
            .owned()
            .tagged(),
    ]
}

pub(super) fn subscriptions(world: &World) -> Vec<Row> {
    let subscription = json!({
        "apiId": world.api, "applicationId": world.idle, "throttlingPolicy": "Unlimited",
    });
    let mut sub_faults = name("/apiId", 60);
    sub_faults.extend(name("/applicationId", 60));
    sub_faults.extend(name("/throttlingPolicy", 60));
    let subscriptions = "/api/am/devportal/v3/subscriptions";
    let of_subscription = "/api/am/devportal/v3/subscriptions/{subscriptionId}";
    let multiple = "/api/am/devportal/v3/subscriptions/multiple";
    let held = json!({
        "apiId": world.api, "applicationId": world.application, "throttlingPolicy": "Unlimited",
        "subscriptionId": world.subscription,
    });
    let mut plan = name("/throttlingPolicy", 60);
    plan.extend(name("/applicationId", 60));
    plan.extend([
        wrong("/throttlingPolicy", json!("NoSuchPlan")),
        // A subscription stays of what it is of.
        wrong("/applicationId", json!(world.idle)),
        wrong("/apiId", json!(NOBODY)),
        wrong("/subscriptionId", json!(NOBODY)),
    ]);
    vec![
        Row::json("POST", subscriptions, subscription.clone(), 201)
            .faults(sub_faults)
            .required(&["applicationId", "throttlingPolicy", "apiId"])
            .faults([wrong("/throttlingPolicy", json!("NoSuchPlan"))])
            .owned()
            .once(&["apiId", "applicationId"]),
        Row::json("POST", multiple, json!([subscription.clone()]), 200)
            .owned()
            .required(&["[].applicationId", "[].throttlingPolicy", "[].apiId"])
            .takes_all("a bad item is answered in its place: `bad_input` has its test"),
        Row::json("PUT", of_subscription, held, 200)
            .faults(plan)
            .required(&["applicationId", "throttlingPolicy"])
            .sample("/requestedThrottlingPolicy", json!("Unlimited"))
            .owned()
            .tagged(),
    ]
}

/// More additional properties than are kept.
fn too_many() -> Value {
    let many = (0..51).map(|n| (format!("p{n}"), json!("v")));
    Value::Object(many.collect())
}

pub(super) fn keys(world: &World) -> Vec<Row> {
    let generate = "/api/am/devportal/v3/applications/{applicationId}/generate-keys";
    let large = json!({"x": "y".repeat(40_000)});
    let key_faults = |grants: &str| {
        vec![
            wrong(grants, json!("password")),
            wrong(grants, json!(["magic"])),
            wrong("/callbackUrl", json!(5)),
            wrong("/additionalProperties", json!("x")),
            wrong(
                "/additionalProperties",
                json!({"user_access_token_expiry_time": -1}),
            ),
            wrong(
                "/additionalProperties",
                json!({"id_token_expiry_time": "100000000"}),
            ),
            wrong("/additionalProperties", json!({"x": "y".repeat(40_000)})),
            wrong("/additionalProperties", too_many()),
            wrong("/validityTime", json!("soon")),
            wrong("/keyManager", json!("Elsewhere")),
        ]
    };
    let grants = json!(["client_credentials"]);
    let good = json!({"keyType": "PRODUCTION", "grantTypesToBeSupported": grants});
    let first = Row::json("POST", generate, good, 200)
        .level("idle")
        .faults(key_faults("/grantTypesToBeSupported"))
        .faults([wrong("/keyType", json!("PLANET"))])
        .required(&["grantTypesToBeSupported", "keyType"])
        .owned()
        .once(&["keyType"]);
    let mut rows = vec![first];
    let update = json!({"supportedGrantTypes": grants});
    let token = json!({"consumerSecret": world.secret, "scopes": [], "validityPeriod": 60});
    for path in [
        "/api/am/devportal/v3/applications/{applicationId}/oauth-keys/{keyMappingId}",
        "/api/am/devportal/v3/applications/{applicationId}/keys/{keyType}",
    ] {
        let row = Row::json("PUT", path, update.clone(), 200).owned();
        let row = row.faults(key_faults("/supportedGrantTypes"));
        rows.push(row.required(&["supportedGrantTypes"]).tagged());
    }
    for path in [
        "/api/am/devportal/v3/applications/{applicationId}/oauth-keys/{keyMappingId}/generate-token",
        "/api/am/devportal/v3/applications/{applicationId}/keys/{keyType}/generate-token",
    ] {
        let row = Row::json("POST", path, token.clone(), 200);
        let faults = name("/consumerSecret", 200).into_iter().chain([
            wrong("/scopes", json!("all")),
            wrong("/validityPeriod", json!("long")),
            wrong("/validityPeriod", json!(0)),
            wrong("/validityPeriod", json!(-1)),
            wrong("/grantType", json!("magic")),
            wrong("/additionalProperties", json!("x")),
            wrong("/additionalProperties", large.clone()),
        ]);
        let row = row.faults(faults).required(&["consumerSecret"]);
        rows.push(row.owned().tagged());
    }
    rows
}

pub(super) fn api_keys(world: &World) -> Vec<Row> {
    let generate = "/api/am/devportal/v3/apis/{apiId}/api-keys/generate";
    let good = json!({
        "keyName": "rows", "keyType": "PRODUCTION", "validityPeriod": 3_600,
        "additionalProperties": {"permittedIP": "10.0.0.1"},
    });
    let mut faults = name("/keyName", 100);
    faults.extend([
        wrong("/keyName", json!("a\nb")),
        wrong("/keyType", json!("PLANET")),
        wrong("/validityPeriod", json!("long")),
        wrong("/validityPeriod", json!(0)),
        wrong("/additionalProperties", json!("x")),
        wrong("/additionalProperties/permittedIP", json!("nowhere")),
    ]);
    let generate = Row::json("POST", generate, good, 200).faults(faults);
    let generate = generate.required(&["keyName"]);
    let mut rows = vec![generate.tagged().once(&["keyName"])];
    for (path, more) in [
        (
            "/api/am/devportal/v3/apis/{apiId}/api-keys/associate",
            "applicationUUID",
        ),
        ("/api/am/devportal/v3/apis/{apiId}/api-keys/dissociate", ""),
        (
            "/api/am/devportal/v3/applications/{applicationId}/api-keys/{keyType}/associate",
            "apiUUID",
        ),
        (
            "/api/am/devportal/v3/applications/{applicationId}/api-keys/{keyType}/dissociate",
            "",
        ),
        ("/api/am/devportal/v3/apis/{apiId}/api-keys/regenerate", ""),
        ("/api/am/devportal/v3/apis/{apiId}/api-keys/revoke", ""),
    ] {
        let mut good = json!({"keyUUID": world.api_key});
        match more {
            "applicationUUID" => good["applicationUUID"] = json!(world.application),
            "apiUUID" => good["apiUUID"] = json!(world.api),
            _ => {}
        }
        let row = Row::json("POST", path, good, 200).owned().tagged();
        let row = row.faults(name("/keyUUID", 60)).required(&["keyUUID"]);
        rows.push(if more.is_empty() {
            row
        } else {
            row.faults(name(&format!("/{more}"), 60)).required(&[more])
        });
    }
    rows
}
