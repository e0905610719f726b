//! People, and what they own and take along.

use serde_json::{Value, json};

use super::credential::Credential;
use super::parts::{Effect, Gone, Scenario, Step};
use super::sent::Body;
use crate::support::platform::{DEVPORTAL, text};

// === impl Scenario ===

impl Scenario<'_> {
    pub async fn people(&self) -> Step<()> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "crash", "password": "Crash-landing-1",
            "roles": [{"value": "Internal/subscriber"}],
        });
        let person = |password: &str| {
            let named = ["crash", password].map(str::to_owned);
            vec![Credential::Person(self.client(), named)]
        };
        let makes = person("Crash-landing-1");
        let effect = Effect {
            makes,
            ..Effect::default()
        };
        let body = Body::Json(body);
        let made = self.change("POST", "/scim2/Users", body, effect).await?;
        let one = format!("/scim2/Users/{}", text(&made.json(), "id"));
        // What a user owns goes with them.
        let mut theirs = self.belongings("crash", "Crash-landing-1").await?;
        let body = Body::Json(json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "password", "value": "Crash-landing-2"}],
        }));
        let effect = Effect {
            ends: person("Crash-landing-1"),
            makes: person("Crash-landing-2"),
        };
        self.change("PATCH", &one, body, effect).await?;
        theirs.extend(person("Crash-landing-2"));
        self.end("DELETE", &one, Body::None, theirs).await?;
        Ok(())
    }

    /// An application of a user with a subscription and keys, and an API key.
    async fn belongings(&self, user: &str, password: &str) -> Step<Vec<Credential>> {
        let asked = [
            ("grant_type", "password"),
            ("username", user),
            ("password", password),
            (
                "scope",
                "apim:subscribe apim:app_manage apim:sub_manage apim:api_key",
            ),
        ];
        let token = self.form("/oauth2/token", &asked).await?;
        let by = |body: Value| Body::JsonBy(body, text(&token, "access_token").to_owned());
        let all = format!("{DEVPORTAL}/applications");
        let body = by(json!({"name": "theirs", "throttlingPolicy": "Unlimited"}));
        let application = self.send("POST", &all, body).await?.json();
        let id = text(&application, "applicationId");
        let body = by(json!({
            "apiId": self.prepared.api, "applicationId": id, "throttlingPolicy": "Unlimited",
        }));
        let subscriptions = format!("{DEVPORTAL}/subscriptions");
        self.send("POST", &subscriptions, body).await?;
        let grants = json!(["client_credentials"]);
        let body = by(json!({"keyType": "PRODUCTION", "grantTypesToBeSupported": grants}));
        let path = format!("{all}/{id}/generate-keys");
        let client = self.send("POST", &path, body).await?.json();
        let [key, secret] =
            ["consumerKey", "consumerSecret"].map(|name| text(&client, name).to_owned());
        let keys = format!("{DEVPORTAL}/apis/{}/api-keys", self.prepared.api);
        let body = by(json!({"keyName": "theirs", "keyType": "PRODUCTION"}));
        let path = format!("{keys}/generate");
        let api_key = self.send("POST", &path, body).await?.json();
        let list = self.send("GET", &keys, by(json!({}))).await?.json();
        let bound = json!({"keyUUID": list["list"][0]["keyUUID"], "applicationUUID": id});
        self.send("POST", &format!("{keys}/associate"), by(bound))
            .await?;
        let token = self
            .node
            .try_client_token(&key, &secret)
            .await
            .ok_or(Gone)?;
        Ok(vec![
            Credential::Token(token),
            Credential::Key(text(&api_key, "apikey").to_owned()),
            Credential::Client(key, secret),
        ])
    }
}
