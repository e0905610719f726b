//! The API: imported from the sample service's description, frozen in a revision, deployed,
//! published. What an earlier run made is found by its name.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::journey::{Journey, by, member};
use crate::client::percent_encoded;
use crate::data_dir::write_file;
use crate::sample_backend::DESCRIPTION;

const NAME: &str = "WeatherStations";
const VERSION: &str = "1.0.0";
const CONTEXT: &str = "/weather";

/// Where the API answers at the gateway.
pub(super) fn base() -> String {
    format!("{CONTEXT}/{VERSION}")
}

/// Imports the description; gives back the API's id.
pub(super) async fn import(journey: &mut Journey<'_>, upstream: &str) -> anyhow::Result<String> {
    journey
        .console
        .step("create an API from the service's OpenAPI description");
    let query = percent_encoded(&format!("name:{NAME}"));
    let known = journey.publisher("GET", &format!("/apis?query={query}&limit=100"));
    let known = journey.list(&known).await?;
    let same = |api: &&Value| {
        let text = |name: &str| api.get(name).and_then(Value::as_str);
        text("name") == Some(NAME) && text("version") == Some(VERSION)
    };
    if let Some(api) = known.iter().find(same) {
        let id = member(api, "id")?;
        journey.console.say(&format!("found: API {id}"));
        return Ok(id);
    }
    let file = journey.directory.join("weather.yaml");
    write_file(&file, 0o644, DESCRIPTION.as_bytes())?;
    let properties = json!({
        "name": NAME,
        "version": VERSION,
        "context": CONTEXT,
        "policies": ["Unlimited"],
        "endpointConfig": {
            "endpoint_type": "http",
            "production_endpoints": { "url": upstream },
            "sandbox_endpoints": { "url": upstream },
        },
    });
    let properties = [("additionalProperties", &*properties.to_string())];
    let call = journey.publisher("POST", "/apis/import-openapi");
    let api = journey
        .make(&call.upload(DESCRIPTION, &file, &properties))
        .await?;
    let id = member(&api, "id")?;
    let operations = api.get("operations").and_then(Value::as_array);
    let operations = operations.map_or(0, Vec::len);
    journey
        .console
        .say(&format!("made: API {id} with {operations} operations"));
    Ok(id)
}

/// Freezes the API in a revision, unless one is there; gives back the revision.
pub(super) async fn revision(journey: &mut Journey<'_>, api: &str) -> anyhow::Result<Value> {
    journey.console.step("freeze it in a revision");
    let known = journey.publisher("GET", &format!("/apis/{api}/revisions"));
    let known = journey.list(&known).await?;
    let deployed = known.iter().find(|revision| is_deployed(revision));
    if let Some(revision) = deployed.or(known.last()) {
        journey
            .console
            .say(&format!("found: revision {}", member(revision, "id")?));
        return Ok(revision.clone());
    }
    let call = journey.publisher("POST", &format!("/apis/{api}/revisions"));
    let call = call.json(&json!({ "description": "made by headgate demo" }));
    let revision = journey.make(&call).await?;
    journey
        .console
        .say(&format!("made: revision {}", member(&revision, "id")?));
    Ok(revision)
}

/// Deploys the revision to the default environment, unless it is.
pub(super) async fn deploy(
    journey: &mut Journey<'_>,
    api: &str,
    revision: &Value,
) -> anyhow::Result<()> {
    journey.console.step("deploy the revision to the gateway");
    if is_deployed(revision) {
        journey.console.say("found: it is deployed");
        return Ok(());
    }
    let id = member(revision, "id")?;
    let path = format!("/apis/{api}/deploy-revision?revisionId={id}");
    let environments = json!([
        { "name": "Default", "vhost": "localhost", "displayOnDevportal": true },
    ]);
    let call = journey.publisher("POST", &path).json(&environments);
    journey.make(&call).await?;
    journey
        .console
        .say(&format!("deployed at {}", journey.gateway(&base())));
    Ok(())
}

/// Publishes the API, unless it is.
pub(super) async fn publish(journey: &mut Journey<'_>, api: &str) -> anyhow::Result<()> {
    journey.console.step("publish it in the Developer Portal");
    let call = journey.publisher("GET", &format!("/apis/{api}"));
    let answer = journey.client.send(&call).await?;
    let status = member(
        &answer.success("the API cannot be read")?,
        "lifeCycleStatus",
    )?;
    if status == "PUBLISHED" {
        journey.console.say("found: it is published");
        return Ok(());
    }
    let path = format!("/apis/change-lifecycle?action=Publish&apiId={api}");
    let changed = journey.make(&journey.publisher("POST", &path)).await?;
    let state = changed
        .pointer("/lifecycleState/state")
        .and_then(Value::as_str);
    let state = state.context("the lifecycle's state is missing")?;
    journey.console.say(&format!("its state is {state}"));
    Ok(())
}

fn is_deployed(revision: &Value) -> bool {
    let places = revision.get("deploymentInfo").and_then(Value::as_array);
    places.is_some_and(|places| by(places, "name", "Default").is_some())
}
