//! People, clients and tokens.

use serde_json::json;

use super::rows::{Fault, Good, Row, long, name, wrong};
use super::world::World;

pub(super) fn all(world: &World) -> Vec<Row> {
    let client = json!({"clientName": "rows", "grantType": "password", "tokenType": "JWT"});
    let register = "/client-registration/v0.17/register";
    let form = |path, members, faults: Vec<Fault>| {
        Row::new("POST", path, Good::Form(members), 200).faults(faults)
    };
    let token = json!({"grant_type": "client_credentials"});
    let token_faults = vec![
        wrong("/grant_type", json!("magic")),
        wrong("/validity_period", json!("long")),
        wrong("/validity_period", json!("0")),
        wrong("/validity_period", json!("-5")),
    ];
    let token = form("/oauth2/token", token, token_faults).required(&["grant_type"]);
    let shown = json!({"token": world.token});
    let introspect = form("/oauth2/introspect", shown, Vec::new()).required(&["token"]);
    let none = json!({"token": "none"});
    let revoke = form("/oauth2/revoke", none, Vec::new()).required(&["token"]);
    vec![
        people(),
        patch(),
        sign_up(),
        Row::json("POST", register, client, 200)
            .faults(client_faults(world))
            .required(&["clientName"]),
        token,
        introspect,
        revoke,
    ]
}

fn people() -> Row {
    let user = json!({"userName": "rower", "password": "Row-row-row-1", "roles": []});
    let mut faults = name("/userName", 255);
    faults.extend(name("/password", 128));
    faults.extend([
        wrong("/userName", json!("a/b")),
        wrong("/name", json!("Ann")),
        wrong("/emails", json!("a@b")),
        wrong("/roles", json!("admin")),
        wrong("/roles", json!([{"value": "Internal/emperor"}])),
        wrong("/active", json!(false)),
        wrong("/schemas", json!("x")),
        wrong("/schemas", json!(["x"])),
        wrong("/emails", json!([5])),
        wrong("/emails", json!(["x".repeat(40_000)])),
        wrong("/emails", json!(["a@b", {"value": 5}])),
        wrong("/name", json!({"givenName": "x".repeat(256)})),
        wrong("/displayName", json!({"a": 1})),
        long("/externalId", 40_000),
    ]);
    let create = Row::json("POST", "/scim2/Users", user, 201);
    let create = create.faults(faults).required(&["userName", "password"]);
    create.once(&["userName"])
}

fn sign_up() -> Row {
    let me = json!({"user": {"username": "signer", "password": "Sign-me-up-1", "claims": []}});
    let mut me_faults = name("/user/username", 255);
    me_faults.extend(name("/user/password", 128));
    me_faults.extend([
        wrong("/user/claims", json!("admin")),
        wrong("/user/claims", json!([5])),
        wrong("/user/claims", json!([{"uri": 5}])),
        wrong(
            "/user/claims",
            json!([{"uri": "http://wso2.org/claims/givenname", "value": "x".repeat(40_000)}]),
        ),
    ]);
    let create = Row::json("POST", "/api/identity/user/v1.0/me", me, 201);
    let create = create.faults(me_faults);
    let create = create.required(&["user", "user.username", "user.password"]);
    create.once(&["username"])
}

fn client_faults(world: &World) -> Vec<Fault> {
    let mut faults = name("/clientName", 255);
    faults.extend([
        wrong("/grantType", json!("magic")),
        wrong("/grantType", json!(5)),
        wrong("/tokenType", json!("PLANET")),
        wrong("/owner", json!(5)),
        wrong("/owner", json!("nobody-of-this-name")),
        wrong("/saasApp", json!({"a": 1})),
        wrong("/saasApp", json!("perhaps")),
        wrong("/tokenScope", json!(5)),
        long("/tokenScope", 40_000),
        wrong("/callbackUrl", json!(5)),
        long("/callbackUrl", 2_049),
        wrong(
            "/clientName",
            json!(format!("admin_{}_PRODUCTION", world.application)),
        ),
    ]);
    faults
}

fn patch() -> Row {
    let new = json!({"op": "replace", "path": "password", "value": "Row-row-row-2"});
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [new],
    });
    let row = Row::json("PATCH", "/scim2/Users/{userId}", body, 200);
    let row = row.required(&[
        "schemas",
        "Operations",
        "Operations[].op",
        "Operations[].value",
    ]);
    row.faults(vec![
        wrong("/schemas", json!([])),
        wrong("/Operations", json!("replace")),
        wrong("/Operations", json!([new, new])),
        wrong("/Operations/0/op", json!("remove")),
        wrong("/Operations/0/path", json!(5)),
        // What the operation is about has a name of its own.
        wrong("/Operations/0/value", json!("1234")).called("password"),
        long("/Operations/0/value", 129),
    ])
}

/// Of the caller, whose sessions end with it.
pub(super) fn change_password(world: &World) -> Row {
    let body = json!({
        "currentPassword": world.password, "newPassword": "Row-row-row-3",
    });
    let mut faults = name("/currentPassword", 128);
    faults.push(wrong("/currentPassword", json!("not this one")));
    faults.extend(name("/newPassword", 128));
    faults.push(wrong("/newPassword", json!("1234")));
    let path = "/api/am/devportal/v3/me/change-password";
    let row = Row::json("POST", path, body, 200).faults(faults);
    row.required(&["currentPassword", "newPassword"])
}
