//! What APIs say of themselves, as the portal shows it.

use std::collections::BTreeMap;

use domain::api::{Api, ApiScope};
use domain::openapi::{self, Limits};
use storage::StoreError;
use storage::apim::{apis, subscriptions};
use storage::shared::blobs::{self, Blob};

use super::{DevPortalHandle, Outcome};

/// Definitions that are read at once: it is a processor's work, and anybody may ask for it.
pub(super) const AT_ONCE: usize = 2;

impl DevPortalHandle {
    /// The definition of an API that the portal shows, as JSON with these URLs in place of its own
    /// addresses, and when it was stored.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn definition(
        &self,
        tenant: &str,
        id: &str,
        urls: Vec<String>,
    ) -> Outcome<(String, i64)> {
        let row = self.shown(tenant, id).await?;
        let blob = self.blob(tenant, &row.definition_blob).await?;
        let stored_at_ms = blob.created_at_ms;
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|error| damaged(&error))?;
        let read = tokio::task::spawn_blocking(move || {
            let read = openapi::with_addresses(&blob.bytes, &Limits::default(), &urls);
            // Kept by the work itself: a caller who hangs up does not end it.
            drop(turn);
            read
        });
        let text = read.await.map_err(|error| damaged(&error))?;
        let text = text.map_err(|fault| damaged(&fault.message))?;
        Ok((text, stored_at_ms))
    }

    /// The scopes of the APIs that an application subscribes to, by name.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn scopes_of_application(
        &self,
        tenant: &str,
        application_id: &str,
    ) -> Outcome<Vec<ApiScope>> {
        let mut read = self.apim.read().await?;
        let held = subscriptions::list_by_application(&mut read, tenant, application_id).await?;
        let mut documents = Vec::with_capacity(held.len());
        for one in held {
            let row = apis::find(&mut read, tenant, &one.api_id).await?;
            documents.extend(row.map(|row| row.document_blob));
        }
        drop(read);
        let mut scopes = BTreeMap::new();
        for id in documents {
            let api = document(&self.blob(tenant, &id).await?)?;
            let named = api.scopes.into_iter();
            scopes.extend(named.map(|scope| (scope.name.clone(), scope)));
        }
        Ok(scopes.into_values().collect())
    }

    pub(super) async fn blob(&self, tenant: &str, id: &str) -> Outcome<Blob> {
        let mut read = self.shared.read().await?;
        let blob = blobs::find(&mut read, tenant, id).await?;
        Ok(blob.ok_or_else(|| damaged(&format!("blob {id} is missing")))?)
    }
}

/// The API that a blob holds.
pub(super) fn document(blob: &Blob) -> Result<Api, StoreError> {
    serde_json::from_slice(&blob.bytes).map_err(|error| damaged(&error))
}

fn damaged(reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged {
        what: "API",
        reason: reason.to_string(),
    }
}
