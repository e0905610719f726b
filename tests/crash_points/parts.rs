//! Writes of every kind, in parts: each part stands alone on the prepared node, so that a crash
//! in it costs only the part.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::credential::Credential;
use super::left::LEFT;
use super::sent::{Body, Sent};
use crate::support::http::Answer;
use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};

/// What the prepared data directory holds.
pub struct Prepared {
    /// The administrator's token.
    pub token: String,
    /// A published API with a deployed revision.
    pub api: String,
    /// An application that has not subscribed.
    pub application: String,
    /// An application that has, with keys.
    pub subscribed: String,
    pub key: String,
    pub secret: String,
    /// A token of it.
    pub access: String,
    /// A token of an application under the plan `Few`.
    pub few: String,
    /// The upstream's address.
    pub backend: String,
}

/// The node is gone.
pub struct Gone;

pub type Step<T> = Result<T, Gone>;

/// Two scopes of the prepared API, bound to these roles.
pub fn scopes(one: &[&str], other: &[&str]) -> Value {
    json!([
        {"scope": {"name": "crash:one", "bindings": one}},
        {"scope": {"name": "crash:other", "bindings": other}},
    ])
}

/// What a request does to those who want in.
#[derive(Clone, Default)]
pub struct Effect {
    pub ends: Vec<Credential>,
    pub makes: Vec<Credential>,
}

/// One way through a node's writes; remembers the request that it sent last, and what that does.
pub struct Scenario<'a> {
    pub node: &'a Node,
    pub prepared: &'a Prepared,
    pub last: Mutex<Option<(Sent, Effect)>>,
}

/// All parts.
pub const PARTS: [&str; 13] = [
    // The first, because the others ask for tokens to look at what they ended.
    "tokens",
    "import",
    "edit",
    "revisions",
    "lifecycle",
    "application",
    "subscription",
    "keys",
    LEFT,
    "api_keys",
    "clients",
    "policies",
    "people",
];

// === impl Prepared ===

impl Prepared {
    /// The order of keys for the application that has none.
    pub fn order_of_keys(&self) -> Sent {
        let application = &self.application;
        let grants = json!(["client_credentials", "password"]);
        Sent {
            method: "POST".to_owned(),
            path: format!("{DEVPORTAL}/applications/{application}/generate-keys"),
            body: Body::Json(json!({"keyType": "PRODUCTION", "grantTypesToBeSupported": grants})),
        }
    }
}

// === impl Scenario ===

impl Scenario<'_> {
    /// Runs one part to its end, or to the node's.
    pub async fn run(&self, part: &str) -> Step<()> {
        match part {
            "import" => self.import().await,
            "edit" => self.edit().await,
            "revisions" => self.revisions().await,
            "lifecycle" => self.lifecycle().await,
            "application" => self.application().await,
            "subscription" => self.subscription().await,
            "keys" => self.keys().await,
            LEFT => self.left().await,
            "api_keys" => self.api_keys().await,
            "clients" => self.clients().await,
            "tokens" => self.tokens().await,
            "policies" => self.policies().await,
            "people" => self.people().await,
            other => panic!("no part {other}"),
        }
    }

    /// Sends a request; whatever is not a success fails the test.
    pub async fn send(&self, method: &str, path: &str, body: Body) -> Step<Answer> {
        self.change(method, path, body, Effect::default()).await
    }

    /// The same with a request that ends what has worked up to now.
    pub async fn end(
        &self,
        method: &str,
        path: &str,
        body: Body,
        ends: Vec<Credential>,
    ) -> Step<Answer> {
        let makes = Vec::new();
        self.change(method, path, body, Effect { ends, makes })
            .await
    }

    /// The same with a request that ends what has worked up to now, and makes what works then.
    pub async fn change(
        &self,
        method: &str,
        path: &str,
        body: Body,
        effect: Effect,
    ) -> Step<Answer> {
        for credential in &effect.ends {
            let opens = credential.opens(self.node).await.ok_or(Gone)?;
            assert!(
                opens,
                "{method} {path}: {credential:?} opens nothing before"
            );
        }
        let sent = Sent {
            method: method.to_owned(),
            path: path.to_owned(),
            body,
        };
        *self.last.lock().expect("not poisoned") = Some((sent.clone(), effect.clone()));
        let call = sent.call(self.node, &self.prepared.token);
        let answer = call.try_patiently().await.map_err(|_| Gone)?;
        let sent_at = Instant::now();
        let place = format!("{method} {path}: {} {}", answer.status, answer.text());
        assert!(answer.status.is_success(), "{place}");
        for credential in &effect.makes {
            let opens = credential.opens(self.node).await.ok_or(Gone)?;
            assert!(opens, "{place}: {credential:?} opens nothing");
        }
        for credential in &effect.ends {
            while credential.opens(self.node).await.ok_or(Gone)? {
                // Whoever has not applied it is named (C6), and does soon.
                let names_somebody = answer.header("headgate-applied").contains("behind=");
                let is_late = sent_at.elapsed() > Duration::from_secs(20);
                assert!(names_somebody && !is_late, "{place}: {credential:?} opens");
            }
        }
        Ok(answer)
    }

    /// The client of the prepared application.
    pub fn client(&self) -> (String, String) {
        (self.prepared.key.clone(), self.prepared.secret.clone())
    }

    async fn post(&self, path: &str, body: Value) -> Step<Answer> {
        self.send("POST", path, Body::Json(body)).await
    }

    async fn delete(&self, path: &str) -> Step<Answer> {
        self.send("DELETE", path, Body::None).await
    }

    async fn import(&self) -> Step<()> {
        let document = json!({
            "openapi": "3.0.1", "info": {"title": "Crash", "version": "1.0.0"},
            "paths": {"/items": {"get": {
                "responses": {"200": {"description": "fine"}},
                "security": [{"default": ["crash:read"]}],
            }}},
            "components": {"securitySchemes": {"default": {"type": "oauth2", "flows": {"implicit": {
                "authorizationUrl": "https://test.com", "scopes": {"crash:read": "Reads"},
                "x-scopes-bindings": {"crash:read": "admin"},
            }}}}},
        });
        let properties = json!({
            "name": "Crash", "version": "1.0.0", "context": "/crash", "policies": ["Unlimited"],
            "endpointConfig": {
                "endpoint_type": "http", "production_endpoints": {"url": self.prepared.backend},
            },
        });
        let form = Body::Definition(document.to_string(), properties.to_string());
        let path = format!("{PUBLISHER}/apis/import-openapi");
        let answer = self.send("POST", &path, form).await?;
        let api = text(&answer.json(), "id").to_owned();
        self.delete(&format!("{PUBLISHER}/apis/{api}")).await?;
        let body = json!({
            "name": "CrashToo", "version": "1.0.0", "context": "/crash-too",
            "policies": ["Unlimited"], "scopes": [{"scope": {"name": "crash:write"}}],
        });
        let answer = self.post(&format!("{PUBLISHER}/apis"), body).await?;
        let api = text(&answer.json(), "id").to_owned();
        self.delete(&format!("{PUBLISHER}/apis/{api}")).await?;
        Ok(())
    }

    async fn edit(&self) -> Step<()> {
        let base = format!("{PUBLISHER}/apis/{}", self.prepared.api);
        let mut document = self.send("GET", &base, Body::None).await?.json();
        document["description"] = json!("edited");
        // One scope is opened and one is closed: a crash must not leave one without the other.
        document["scopes"] = scopes(&["admin"], &[]);
        self.send("PUT", &base, Body::Json(document)).await?;
        let swagger = format!("{base}/swagger");
        let definition = self.send("GET", &swagger, Body::None).await?.text();
        let form = Body::Definition(definition, String::new());
        self.send("PUT", &swagger, form).await?;
        Ok(())
    }

    async fn revisions(&self) -> Step<()> {
        let base = format!("{PUBLISHER}/apis/{}", self.prepared.api);
        let revision = self.post(&format!("{base}/revisions"), json!({})).await?;
        let revision = text(&revision.json(), "id").to_owned();
        let targets = json!([{"name": "Default", "vhost": "localhost"}]);
        let by_id = format!("revisionId={revision}");
        self.post(&format!("{base}/deploy-revision?{by_id}"), targets.clone())
            .await?;
        self.post(&format!("{base}/undeploy-revision?{by_id}"), targets)
            .await?;
        let mut document = self.send("GET", &base, Body::None).await?.json();
        document["scopes"] = scopes(&["admin"], &[]);
        self.send("PUT", &base, Body::Json(document)).await?;
        let restore = format!("{base}/restore-revision?{by_id}");
        self.send("POST", &restore, Body::None).await?;
        self.delete(&format!("{base}/revisions/{revision}")).await?;
        Ok(())
    }

    async fn lifecycle(&self) -> Step<()> {
        let api = &self.prepared.api;
        let of =
            |word: &str| format!("{PUBLISHER}/apis/change-lifecycle?action={word}&apiId={api}");
        self.send("POST", &of("Block"), Body::None).await?;
        self.send("POST", &of("Re-Publish"), Body::None).await?;
        let copy =
            format!("{PUBLISHER}/apis/copy-api?newVersion=2.0.0&defaultVersion=true&apiId={api}");
        let second = self.send("POST", &copy, Body::None).await?.json();
        // The default version moves to the copy when it is published.
        let base = format!("{PUBLISHER}/apis/{}", text(&second, "id"));
        let revision = self.post(&format!("{base}/revisions"), json!({})).await?;
        let by_id = format!("revisionId={}", text(&revision.json(), "id"));
        let targets = json!([{"name": "Default", "vhost": "localhost"}]);
        self.post(&format!("{base}/deploy-revision?{by_id}"), targets)
            .await?;
        let publish = of("Publish").replace(api.as_str(), text(&second, "id"));
        self.send("POST", &publish, Body::None).await?;
        Ok(())
    }

    async fn application(&self) -> Step<()> {
        let all = format!("{DEVPORTAL}/applications");
        let mut body = json!({"name": "crash", "throttlingPolicy": "Unlimited"});
        let made = self.post(&all, body.clone()).await?.json();
        body["description"] = json!("edited");
        let one = format!("{all}/{}", text(&made, "applicationId"));
        self.send("PUT", &one, Body::Json(body)).await?;
        self.delete(&one).await?;
        // One with keys and a subscription takes them along.
        let (key, secret) = self.client();
        let token = Credential::Token(self.prepared.access.clone());
        let ends = vec![token, Credential::Caller(key, secret)];
        let path = format!("{all}/{}", self.prepared.subscribed);
        self.end("DELETE", &path, Body::None, ends).await?;
        Ok(())
    }

    async fn subscription(&self) -> Step<()> {
        let (api, application) = (&self.prepared.api, &self.prepared.application);
        let all = format!("{DEVPORTAL}/subscriptions");
        let mut body = json!({
            "apiId": api, "applicationId": application, "throttlingPolicy": "Unlimited",
        });
        let made = self.post(&all, body.clone()).await?.json();
        let id = text(&made, "subscriptionId").to_owned();
        body["throttlingPolicy"] = json!("Gold");
        body["subscriptionId"] = json!(id);
        let one = format!("{all}/{id}");
        self.send("PUT", &one, Body::Json(body)).await?;
        for (word, rest) in [("block", "&blockState=BLOCKED"), ("unblock", "")] {
            let path =
                format!("{PUBLISHER}/subscriptions/{word}-subscription?subscriptionId={id}{rest}");
            self.send("POST", &path, Body::None).await?;
        }
        self.delete(&one).await?;
        Ok(())
    }

    async fn keys(&self) -> Step<()> {
        let base = format!("{DEVPORTAL}/applications/{}", self.prepared.application);
        let order = self.prepared.order_of_keys();
        let made = self.send(&order.method, &order.path, order.body).await?;
        let made = made.json();
        let one = format!("{base}/oauth-keys/{}", text(&made, "keyMappingId"));
        let body = json!({
            "keyType": "PRODUCTION", "supportedGrantTypes": ["client_credentials"],
            "callbackUrl": "https://example.com",
        });
        self.send("PUT", &one, Body::Json(body)).await?;
        let regenerate = format!("{one}/regenerate-secret");
        let key = text(&made, "consumerKey").to_owned();
        let client = |answer: &Value| {
            let secret = text(answer, "consumerSecret").to_owned();
            vec![Credential::Client(key.clone(), secret)]
        };
        let ends = client(&made);
        let anew = self.end("POST", &regenerate, Body::None, ends).await?;
        let ends = client(&anew.json());
        let clean_up = format!("{one}/clean-up");
        self.end("POST", &clean_up, Body::None, ends).await?;
        Ok(())
    }

    async fn api_keys(&self) -> Step<()> {
        let base = format!("{DEVPORTAL}/apis/{}/api-keys", self.prepared.api);
        let body = json!({"keyName": "crash", "keyType": "PRODUCTION", "validityPeriod": -1});
        let made = self.post(&format!("{base}/generate"), body).await?;
        let key = |answer: Answer| vec![Credential::Key(text(&answer.json(), "apikey").to_owned())];
        let first = key(made);
        let list = self.send("GET", &base, Body::None).await?.json();
        let id = text(&list["list"][0], "keyUUID").to_owned();
        let body = json!({"keyUUID": id, "applicationUUID": self.prepared.subscribed});
        let to = |word: &str| format!("{base}/{word}");
        let bound = || Body::Json(body.clone());
        self.send("POST", &to("associate"), bound()).await?;
        let dissociate = to("dissociate");
        self.end("POST", &dissociate, bound(), first.clone())
            .await?;
        self.send("POST", &to("associate"), bound()).await?;
        let anew = self.end("POST", &to("regenerate"), bound(), first).await?;
        let list = self.send("GET", &base, Body::None).await?.json();
        let body = Body::Json(json!({"keyUUID": list["list"][0]["keyUUID"]}));
        self.end("POST", &to("revoke"), body, key(anew)).await?;
        Ok(())
    }

    async fn clients(&self) -> Step<()> {
        let path = "/client-registration/v0.17/register";
        let body = json!({"clientName": "crash", "grantType": "client_credentials"});
        self.post(path, body.clone()).await?;
        // The same name once more changes the client and gives it a new secret.
        self.post(path, body).await?;
        Ok(())
    }

    pub async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Step<Value> {
        self.form_ending(path, pairs, Vec::new()).await
    }

    async fn form_ending(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        ends: Vec<Credential>,
    ) -> Step<Value> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (key, secret) = self.client();
        let body = Body::Form(pairs.collect(), key, secret);
        let answer = self.end("POST", path, body, ends).await?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    async fn tokens(&self) -> Step<()> {
        let password = &self.node.admin_password;
        let asked = [
            ("grant_type", "password"),
            ("username", "admin"),
            ("password", password),
        ];
        let first = self.form("/oauth2/token", &asked).await?;
        let asked = [
            ("grant_type", "refresh_token"),
            ("refresh_token", text(&first, "refresh_token")),
        ];
        let second = self.form("/oauth2/token", &asked).await?;
        let access = text(&second, "access_token");
        let ends = vec![Credential::Token(access.to_owned())];
        let asked = [("token", access)];
        self.form_ending("/oauth2/revoke", &asked, ends).await?;
        let asked = [("token", text(&second, "refresh_token"))];
        self.form("/oauth2/revoke", &asked).await?;
        Ok(())
    }

    async fn policies(&self) -> Step<()> {
        let all = format!("{ADMIN}/throttling/policies/application");
        let mut body = json!({
            "policyName": "Crash", "displayName": "Crash", "description": "crash",
            "defaultLimit": {"type": "REQUESTCOUNTLIMIT",
                "requestCount": {"timeUnit": "min", "unitTime": 1, "requestCount": 5}},
        });
        let made = self.post(&all, body.clone()).await?.json();
        let one = format!("{all}/{}", text(&made, "policyId"));
        body["description"] = json!("edited");
        self.send("PUT", &one, Body::Json(body)).await?;
        self.delete(&one).await?;
        let body =
            json!({"conditionType": "USER", "conditionValue": "nobody", "conditionStatus": true});
        let all = format!("{ADMIN}/throttling/deny-policies");
        let made = self.post(&all, body).await?.json();
        let one = format!(
            "{ADMIN}/throttling/deny-policy/{}",
            text(&made, "conditionId")
        );
        let body = Body::Json(json!({"conditionStatus": false}));
        self.send("PATCH", &one, body).await?;
        self.delete(&one).await?;
        Ok(())
    }
}
