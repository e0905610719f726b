//! What benchmarks find on a node: an API on three throttle levels that never refuse, an
//! application that is subscribed to it, and its token; and many APIs beside it.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::client::{Call, Client};
use crate::node::Node;

/// Where the API answers.
pub(crate) const BASE: &str = "/bench/1.0.0";
const SCOPES: &str = "apim:api_view apim:api_create apim:api_publish apim:api_manage \
                      apim:subscribe apim:app_manage apim:sub_manage apim:admin";
/// The plan of all three levels, and its calls an hour.
const PLAN: &str = "BenchPlan";
const CALLS: u64 = 1_000_000_000;

const DESCRIPTION: &str = "openapi: 3.0.3\n\
    info: {title: Bench, version: 1.0.0}\n\
    paths:\n  /echo:\n    get: {responses: {'200': {description: ok}}}\n    \
    post: {responses: {'200': {description: ok}}}\n";

struct Operator<'n> {
    node: &'n Node,
    client: Client,
    token: String,
}

/// Deploys the API over `upstream`; gives back a token that may call it.
pub(crate) async fn deploy(node: &Node, upstream: &str) -> anyhow::Result<String> {
    deploy_beside(node, upstream, 0).await
}

/// The same with so many other APIs deployed and published beside it.
pub(crate) async fn deploy_beside(
    node: &Node,
    upstream: &str,
    others: usize,
) -> anyhow::Result<String> {
    let mut operator = Operator {
        node,
        client: Client::plain(),
        token: String::new(),
    };
    operator.sign_in().await?;
    for level in ["application", "subscription", "advanced"] {
        let path = format!("/api/am/admin/v4/throttling/policies/{level}");
        operator.post(&path, &plan()).await?;
    }
    let api = operator.api("Bench", upstream).await?;
    for number in 0..others {
        operator.api(&format!("Other{number}"), upstream).await?;
    }
    let application = json!({ "name": "Bench", "throttlingPolicy": PLAN, "tokenType": "JWT" });
    let application = operator
        .post("/api/am/devportal/v3/applications", &application)
        .await?;
    let application = text(&application, "/applicationId")?;
    let subscription = json!({
        "applicationId": application, "apiId": api, "throttlingPolicy": PLAN,
    });
    operator
        .post("/api/am/devportal/v3/subscriptions", &subscription)
        .await?;
    let keys = json!({
        "keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials"],
    });
    let path = format!("/api/am/devportal/v3/applications/{application}/generate-keys");
    text(&operator.post(&path, &keys).await?, "/token/accessToken")
}

/// Deploys and publishes one API more on a node that has had [`deploy`].
pub(crate) async fn deploy_one(node: &Node, upstream: &str, name: &str) -> anyhow::Result<String> {
    let mut operator = Operator {
        node,
        client: Client::plain(),
        token: String::new(),
    };
    operator.sign_in().await?;
    operator.api(name, upstream).await
}

fn plan() -> Value {
    json!({
        "policyName": PLAN,
        "displayName": PLAN,
        "description": "never refuses",
        "stopOnQuotaReach": true,
        "billingPlan": "FREE",
        "defaultLimit": {
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": { "timeUnit": "hour", "unitTime": 1, "requestCount": CALLS },
        },
    })
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("an answer came without {pointer}"))?
        .to_owned())
}

// === impl Operator ===

impl Operator<'_> {
    /// Gets the administrator's token, by a client of its own.
    async fn sign_in(&mut self) -> anyhow::Result<()> {
        let address = self.node.address("management_http")?;
        let password = self.node.password()?;
        let body = json!({
            "clientName": "bench", "owner": "admin", "grantType": "password", "callbackUrl": "",
            "saasApp": true,
        });
        let path = "/client-registration/v0.17/register";
        let call = Call::new("POST", format!("http://{address}{path}"))
            .basic(&format!("admin:{password}"), "ADMIN")
            .json(&body);
        let client = self.send(&call).await?;
        let (id, secret) = (text(&client, "/clientId")?, text(&client, "/clientSecret")?);
        let call = Call::new("POST", format!("http://{address}/oauth2/token"))
            .basic(&format!("{id}:{secret}"), "CLIENT")
            .form(&[
                ("grant_type", "password", None),
                ("username", "admin", None),
                ("password", &password, None),
                ("scope", SCOPES, None),
            ]);
        self.token = text(&self.send(&call).await?, "/access_token")?;
        Ok(())
    }

    async fn api(&self, name: &str, upstream: &str) -> anyhow::Result<String> {
        let properties = json!({
            "name": name, "version": "1.0.0", "context": format!("/{}", name.to_lowercase()),
            "policies": [PLAN], "apiThrottlingPolicy": PLAN,
            "endpointConfig": {
                "endpoint_type": "http", "production_endpoints": { "url": upstream },
            },
        });
        let publisher = "/api/am/publisher/v4/apis";
        let call = self.call("POST", &format!("{publisher}/import-openapi"))?;
        let file = std::path::Path::new("bench.yaml");
        let properties = [("additionalProperties", &*properties.to_string())];
        let api = self
            .send(&call.upload(DESCRIPTION, file, &properties))
            .await?;
        let id = text(&api, "/id")?;
        let revision = json!({ "description": "benchmark" });
        let revision = self
            .post(&format!("{publisher}/{id}/revisions"), &revision)
            .await?;
        let revision = text(&revision, "/id")?;
        let path = format!("{publisher}/{id}/deploy-revision?revisionId={revision}");
        let places = json!([
            { "name": "Default", "vhost": "localhost", "displayOnDevportal": true },
        ]);
        self.post(&path, &places).await?;
        let path = format!("{publisher}/change-lifecycle?action=Publish&apiId={id}");
        self.send(&self.call("POST", &path)?).await?;
        Ok(id)
    }

    fn call(&self, method: &str, path: &str) -> anyhow::Result<Call> {
        let address = self.node.address("management_http")?;
        let call = Call::new(method, format!("http://{address}{path}"));
        Ok(call.bearer(&self.token, "TOKEN"))
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(&self.call("POST", path)?.json(body)).await
    }

    async fn send(&self, call: &Call) -> anyhow::Result<Value> {
        self.client.send(call).await?.success("the set-up failed")
    }
}
