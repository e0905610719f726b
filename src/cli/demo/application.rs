//! The application that calls the API: its plan, subscription, keys and token.

use serde_json::{Value, json};

use super::journey::{Journey, NotKnown, by, member};
use crate::client::{Call, percent_encoded};

/// The plan, and how many calls a minute it allows.
pub(super) const PLAN: &str = "DemoFivePerMin";
pub(super) const CALLS: u64 = 5;

const NAME: &str = "DemoApplication";
/// File that keeps the application's consumer key and secret.
const CLIENT: &str = "demo-application-client";

/// Makes the plan of a few calls a minute, unless it is there.
pub(super) async fn plan(journey: &mut Journey<'_>) -> anyhow::Result<()> {
    journey
        .console
        .step(&format!("make a plan of {CALLS} calls a minute"));
    let path = "/throttling/policies/application";
    let known = journey.list(&journey.admin("GET", path)).await?;
    if by(&known, "policyName", PLAN).is_some() {
        journey.console.say(&format!("found: {PLAN}"));
        return Ok(());
    }
    let body = json!({
        "policyName": PLAN,
        "displayName": "Five calls a minute",
        "description": "few enough to see the gateway refuse one",
        "defaultLimit": {
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": { "timeUnit": "min", "unitTime": 1, "requestCount": CALLS },
        },
    });
    journey
        .make(&journey.admin("POST", path).json(&body))
        .await?;
    journey.console.say(&format!("made: {PLAN}"));
    Ok(())
}

/// Makes the application, unless it is there; gives back its id.
pub(super) async fn create(journey: &mut Journey<'_>) -> anyhow::Result<String> {
    journey.console.step("make an application on that plan");
    let path = format!("/applications?query={}&limit=100", percent_encoded(NAME));
    let known = journey.list(&journey.devportal("GET", &path)).await?;
    if let Some(application) = by(&known, "name", NAME) {
        let id = member(application, "applicationId")?;
        journey.console.say(&format!("found: application {id}"));
        return Ok(id);
    }
    let body = json!({
        "name": NAME,
        "throttlingPolicy": PLAN,
        "description": "calls the weather stations",
        "tokenType": "JWT",
    });
    let call = journey.devportal("POST", "/applications").json(&body);
    let id = member(&journey.make(&call).await?, "applicationId")?;
    journey.console.say(&format!("made: application {id}"));
    Ok(id)
}

/// Subscribes the application to the API, unless it is.
pub(super) async fn subscribe(
    journey: &mut Journey<'_>,
    api: &str,
    application: &str,
) -> anyhow::Result<()> {
    journey.console.step("subscribe the application to the API");
    let path = format!("/subscriptions?applicationId={application}&limit=100");
    let known = journey.list(&journey.devportal("GET", &path)).await?;
    if by(&known, "apiId", api).is_some() {
        journey.console.say("found: it is subscribed");
        return Ok(());
    }
    let body = json!({
        "applicationId": application,
        "apiId": api,
        "throttlingPolicy": "Unlimited",
    });
    let call = journey.devportal("POST", "/subscriptions").json(&body);
    let id = member(&journey.make(&call).await?, "subscriptionId")?;
    journey.console.say(&format!("made: subscription {id}"));
    Ok(())
}

/// Generates the production keys, or finds those of an earlier run. A secret is shown once: where
/// the file that kept it is gone, a new one is made.
pub(super) async fn generate_keys(
    journey: &mut Journey<'_>,
    application: &str,
) -> anyhow::Result<()> {
    journey
        .console
        .step("generate the application's production keys");
    let path = format!("/applications/{application}/oauth-keys");
    let known = journey.list(&journey.devportal("GET", &path)).await?;
    let keys = match by(&known, "keyType", "PRODUCTION") {
        Some(keys) if is_kept(journey, keys)? => {
            let (path, _) = journey.secret(CLIENT);
            journey
                .console
                .say(&format!("found: keys in {}", path.display()));
            return Ok(());
        }
        Some(keys) => {
            let mapping = member(keys, "keyMappingId")?;
            let path = format!("{path}/{mapping}/regenerate-secret");
            let call = journey.devportal("POST", &path);
            return journey
                .renew(&call, CLIENT, ["consumerKey", "consumerSecret"])
                .await;
        }
        None => {
            let body = json!({
                "keyType": "PRODUCTION",
                "keyManager": "Resident Key Manager",
                "grantTypesToBeSupported": ["client_credentials"],
                "callbackUrl": "",
                "validityTime": "3600",
            });
            let path = format!("/applications/{application}/generate-keys");
            journey
                .make(&journey.devportal("POST", &path).json(&body))
                .await?
        }
    };
    let (key, secret) = (
        member(&keys, "consumerKey")?,
        member(&keys, "consumerSecret")?,
    );
    journey.keep(CLIENT, &format!("{key}:{secret}"))
}

/// Gets a token of the application.
pub(super) async fn token(journey: &mut Journey<'_>) -> anyhow::Result<String> {
    journey.console.step("get a token for the application");
    let (path, words) = journey.secret(CLIENT);
    let credential = std::fs::read_to_string(&path)?;
    let call = Call::new("POST", journey.management("/oauth2/token"))
        .basic(&credential, &words)
        .form(&[("grant_type", "client_credentials", None)]);
    let answer = journey.capture(&call, "CALL_TOKEN", "access_token").await;
    let answer = answer.map_err(|error| match error.is::<NotKnown>() {
        // Not by itself: whoever had another secret made goes by it.
        true => error.context(format!(
            "the secret in {} counts no more, most likely another one was made since: put KEY:SECRET of now there, or \
             remove the file, then the next run makes another secret",
            path.display()
        )),
        false => error,
    })?;
    let seconds = answer.get("expires_in").and_then(Value::as_i64);
    journey
        .console
        .say(&format!("good for {} s", seconds.unwrap_or_default()));
    member(&answer, "access_token")
}

/// Whether the kept credential is of these keys.
fn is_kept(journey: &Journey<'_>, keys: &Value) -> anyhow::Result<bool> {
    let key = member(keys, "consumerKey")?;
    let (path, _) = journey.secret(CLIENT);
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    Ok(kept
        .split_once(':')
        .is_some_and(|(kept, secret)| kept == key && !secret.is_empty()))
}
