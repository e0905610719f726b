//! A client for the REST APIs, and a token of the administrator.

use serde_json::json;

use super::journey::{Journey, member};
use crate::client::Call;

/// File that keeps the client's id and secret.
const CLIENT: &str = "demo-rest-client";
const SCOPES: &str = "apim:api_view apim:api_create apim:api_publish apim:api_manage \
                      apim:subscribe apim:app_manage apim:sub_manage apim:admin";

/// Registers the client, or takes the one of that name with a new secret.
pub(super) async fn register_client(journey: &mut Journey<'_>) -> anyhow::Result<()> {
    journey.console.step("register a client for the REST APIs");
    let shown = format!("\"{}:{}\"", journey.user, journey.password_words);
    let body = json!({
        "clientName": "headgate-demo",
        "owner": journey.user,
        "grantType": "password refresh_token",
        "callbackUrl": "",
        "saasApp": true,
    });
    let call = Call::new(
        "POST",
        journey.management("/client-registration/v0.17/register"),
    )
    .basic(&format!("{}:{}", journey.user, journey.password), &shown)
    .json(&body);
    journey
        .renew(&call, CLIENT, ["clientId", "clientSecret"])
        .await
}

/// Gets the administrator's token.
pub(super) async fn sign_in(journey: &mut Journey<'_>) -> anyhow::Result<()> {
    journey.console.step("get a token of the administrator");
    let (path, words) = journey.secret(CLIENT);
    let credential = std::fs::read_to_string(path)?;
    let call = Call::new("POST", journey.management("/oauth2/token"))
        .basic(&credential, &words)
        .form(&[
            ("grant_type", "password", None),
            ("username", &journey.user, None),
            ("password", &journey.password, Some(&journey.password_words)),
            ("scope", SCOPES, None),
        ]);
    let answer = journey.capture(&call, "TOKEN", "access_token").await?;
    journey.token = member(&answer, "access_token")?;
    let scopes = answer.get("scope").and_then(serde_json::Value::as_str);
    journey
        .console
        .say(&format!("granted: {}", scopes.unwrap_or("no scope")));
    Ok(())
}
