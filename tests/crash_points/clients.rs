//! The part of a scenario that makes clients, and takes over one that a crash has left.

use serde_json::json;

use super::parts::{Scenario, Step};
use crate::support::platform::DEVPORTAL;

// === impl Scenario ===

impl Scenario<'_> {
    pub(super) async fn clients(&self) -> Step<()> {
        let path = "/client-registration/v0.17/register";
        let body = json!({"clientName": "crash", "grantType": "client_credentials"});
        self.post(path, body.clone()).await?;
        // The same name once more changes the client and gives it a new secret.
        self.post(path, body).await?;
        self.left().await
    }

    /// A client that is named as a crash leaves one between its making and its mapping: whoever
    /// orders keys then takes it over.
    async fn left(&self) -> Step<()> {
        let application = &self.prepared.application;
        let name = format!("admin_{application}_SANDBOX");
        let body = json!({"clientName": name, "grantType": "client_credentials"});
        self.post("/client-registration/v0.17/register", body)
            .await?;
        let body = json!({
            "keyType": "SANDBOX", "grantTypesToBeSupported": ["client_credentials"],
        });
        let path = format!("{DEVPORTAL}/applications/{application}/generate-keys");
        self.post(&path, body).await?;
        Ok(())
    }
}
