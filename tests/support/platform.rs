//! From an OpenAPI document to a token, the way a person does it over the management port.

use serde_json::{Value, json};

use super::node::Node;

/// All scopes that tests use.
pub const SCOPES: &str = "apim:api_view apim:api_create apim:api_publish apim:api_delete \
    apim:api_manage apim:subscription_view apim:subscription_block apim:subscription_manage \
    apim:tier_view apim:tier_manage apim:publisher_settings apim:subscribe \
    apim:store_settings apim:app_manage \
    apim:sub_manage apim:api_key apim:admin apim:admin_tier_view apim:admin_tier_manage \
    apim:bl_view apim:bl_manage apim:policies_import_export internal_user_mgt_create \
    internal_user_mgt_list internal_user_mgt_view internal_user_mgt_delete";

pub const PUBLISHER: &str = "/api/am/publisher/v4";
pub const DEVPORTAL: &str = "/api/am/devportal/v3";
pub const ADMIN: &str = "/api/am/admin/v4";

/// A small OpenAPI document with these resources, each `(verb, path)`.
pub fn openapi(title: &str, resources: &[(&str, &str)]) -> String {
    let mut paths = serde_json::Map::new();
    for (verb, path) in resources {
        let item = paths.entry(*path).or_insert_with(|| json!({}));
        item[*verb] = json!({"responses": {"200": {"description": "fine"}}});
    }
    json!({"openapi": "3.0.1", "info": {"title": title, "version": "1.0.0"}, "paths": paths})
        .to_string()
}

impl Node {
    /// A management token of the administrator.
    pub async fn admin_token(&self) -> String {
        self.user_token("admin", &self.admin_password, SCOPES).await
    }

    /// A management token of any user, through a client of their own.
    pub async fn user_token(&self, user: &str, password: &str, scopes: &str) -> String {
        let client = self
            .post("/client-registration/v0.17/register")
            .basic(user, password)
            .json(&json!({
                "callbackUrl": "www.example.com", "clientName": format!("tests of {user}"),
                "owner": user, "grantType": "password refresh_token client_credentials",
                "saasApp": true,
            }))
            .send()
            .await
            .expect(200)
            .json();
        let answer = self
            .post("/oauth2/token")
            .basic(text(&client, "clientId"), text(&client, "clientSecret"))
            .form(&[
                ("grant_type", "password"),
                ("username", user),
                ("password", password),
                ("scope", scopes),
            ])
            .send()
            .await
            .expect(200);
        text(&answer.json(), "access_token").to_owned()
    }

    /// Makes an API from a document and gives its id; nothing is deployed yet.
    pub async fn import(&self, token: &str, name: &str, context: &str, backend: &str) -> String {
        let resources = [
            ("get", "/items"),
            ("post", "/items"),
            ("get", "/items/{id}"),
        ];
        let document = openapi(name, &resources);
        let properties = json!({
            "name": name, "version": "1.0.0", "context": context,
            "policies": ["Unlimited", "Gold"],
            "endpointConfig": {
                "endpoint_type": "http",
                "production_endpoints": {"url": backend},
                "sandbox_endpoints": {"url": backend},
            },
        });
        let answer = self
            .post(&format!("{PUBLISHER}/apis/import-openapi"))
            .bearer(token)
            .multipart(&[
                (
                    "file",
                    Some("api.json"),
                    "application/json",
                    document.as_bytes(),
                ),
                (
                    "additionalProperties",
                    None,
                    "application/json",
                    properties.to_string().as_bytes(),
                ),
            ])
            .send()
            .await
            .expect(201);
        text(&answer.json(), "id").to_owned()
    }

    /// Makes a revision and deploys it; gives the revision's id.
    pub async fn deploy(&self, token: &str, api: &str) -> String {
        let revision = self
            .post(&format!("{PUBLISHER}/apis/{api}/revisions"))
            .bearer(token)
            .json(&json!({"description": "from a test"}))
            .send()
            .await
            .expect(201)
            .json();
        let revision = text(&revision, "id").to_owned();
        self.post(&format!(
            "{PUBLISHER}/apis/{api}/deploy-revision?revisionId={revision}"
        ))
        .bearer(token)
        .json(&json!([{"name": "Default", "vhost": "localhost", "displayOnDevportal": true}]))
        .send()
        .await
        .expect(200);
        revision
    }

    pub async fn lifecycle(&self, token: &str, api: &str, action: &str) {
        let action = action.replace(' ', "%20");
        self.post(&format!(
            "{PUBLISHER}/apis/change-lifecycle?action={action}&apiId={api}"
        ))
        .bearer(token)
        .send()
        .await
        .expect(200);
    }

    /// Imports, deploys and publishes.
    pub async fn published(&self, token: &str, name: &str, context: &str, backend: &str) -> String {
        let api = self.import(token, name, context, backend).await;
        self.deploy(token, &api).await;
        self.lifecycle(token, &api, "Publish").await;
        api
    }

    /// Makes an application and gives its id.
    pub async fn application(&self, token: &str, name: &str, plan: &str, kind: &str) -> String {
        let answer = self
            .post(&format!("{DEVPORTAL}/applications"))
            .bearer(token)
            .json(&json!({"name": name, "throttlingPolicy": plan, "tokenType": kind}))
            .send()
            .await
            .expect(201);
        text(&answer.json(), "applicationId").to_owned()
    }

    /// Subscribes and gives the subscription's id.
    pub async fn subscribe(&self, token: &str, api: &str, application: &str, plan: &str) -> String {
        let answer = self
            .post(&format!("{DEVPORTAL}/subscriptions"))
            .bearer(token)
            .json(&json!({
                "apiId": api, "applicationId": application, "throttlingPolicy": plan,
            }))
            .send()
            .await
            .expect(201);
        text(&answer.json(), "subscriptionId").to_owned()
    }

    /// Generates keys; gives consumer key and secret.
    pub async fn keys(&self, token: &str, application: &str, kind: &str) -> (String, String) {
        let answer = self
            .post(&format!(
                "{DEVPORTAL}/applications/{application}/generate-keys"
            ))
            .bearer(token)
            .json(&json!({
                "keyType": kind,
                "grantTypesToBeSupported": ["client_credentials", "password", "refresh_token"],
            }))
            .send()
            .await
            .expect(200)
            .json();
        (
            text(&answer, "consumerKey").to_owned(),
            text(&answer, "consumerSecret").to_owned(),
        )
    }

    /// A token of an application for itself.
    pub async fn client_token(&self, key: &str, secret: &str) -> String {
        let token = self.try_client_token(key, secret).await;
        token.expect("an answer")
    }

    /// The same of a node that may be gone.
    pub async fn try_client_token(&self, key: &str, secret: &str) -> Option<String> {
        let asked = self.post("/oauth2/token").basic(key, secret);
        let asked = asked.form(&[("grant_type", "client_credentials")]);
        let answer = asked.try_send().await.ok()?.expect(200);
        Some(text(&answer.json(), "access_token").to_owned())
    }

    /// A subscribed application's access token for an API, from nothing.
    pub async fn subscribed(&self, token: &str, api: &str, name: &str, kind: &str) -> Subscribed {
        let plans = ("Unlimited", "Unlimited");
        self.subscribed_under(token, api, plans, name, kind).await
    }

    /// The same under these plans of the application and the subscription.
    pub async fn subscribed_under(
        &self,
        token: &str,
        api: &str,
        (plan, subscription): (&str, &str),
        name: &str,
        kind: &str,
    ) -> Subscribed {
        let application = self.application(token, name, plan, kind).await;
        let subscription = self.subscribe(token, api, &application, subscription).await;
        let (key, secret) = self.keys(token, &application, "PRODUCTION").await;
        let access = self.client_token(&key, &secret).await;
        Subscribed {
            application,
            subscription,
            key,
            secret,
            access,
        }
    }
}

/// What a subscriber holds.
pub struct Subscribed {
    pub application: String,
    pub subscription: String,
    pub key: String,
    pub secret: String,
    pub access: String,
}

/// A member that must be a text.
#[track_caller]
pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} is no text in {value}"))
}
