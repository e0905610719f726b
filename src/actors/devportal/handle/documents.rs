//! What APIs say of themselves, as the portal shows it.

use std::collections::BTreeMap;

use domain::api::{Api, ApiScope};
use storage::StoreError;
use storage::apim::{apis, subscriptions};
use storage::shared::blobs::{self, Blob};

use super::{DevPortalHandle, Outcome};
use crate::devportal::definitions::ShownDefinition;

impl DevPortalHandle {
    /// The blob of the definition of an API that the portal shows: another definition is another
    /// blob.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn definition_blob(&self, tenant: &str, id: &str) -> Outcome<String> {
        Ok(self.shown(tenant, id).await?.definition_blob)
    }

    /// The definition in a blob, as JSON with these URLs in place of its own addresses.
    ///
    /// # Errors
    /// [`DevPortalError::Busy`] when too many are asked for at once.
    ///
    /// [`DevPortalError::Busy`]: crate::devportal::DevPortalError::Busy
    pub async fn definition(
        &self,
        tenant: &str,
        blob: &str,
        urls: Vec<String>,
    ) -> Outcome<ShownDefinition> {
        let load = || self.blob(tenant, blob);
        let measure = || self.size(tenant, blob);
        self.definitions.show(blob, urls, measure, load).await
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

    async fn size(&self, tenant: &str, id: &str) -> Outcome<usize> {
        let mut read = self.shared.read().await?;
        let outline = blobs::outline(&mut read, tenant, id).await?;
        Ok(outline.ok_or_else(|| missing(id))?.size)
    }

    pub(super) async fn blob(&self, tenant: &str, id: &str) -> Outcome<Blob> {
        let mut read = self.shared.read().await?;
        let blob = blobs::find(&mut read, tenant, id).await?;
        Ok(blob.ok_or_else(|| missing(id))?)
    }
}

/// The API that a blob holds.
pub(super) fn document(blob: &Blob) -> Result<Api, StoreError> {
    serde_json::from_slice(&blob.bytes).map_err(|error| damaged(&error))
}

fn missing(blob: &str) -> StoreError {
    damaged(&format!("blob {blob} is missing"))
}

fn damaged(reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged {
        what: "API",
        reason: reason.to_string(),
    }
}
