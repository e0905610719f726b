//! Which API uses a policy. APIs keep the names of their policies inside of their documents, so all
//! are looked through, and those that deployed revisions froze: a policy is rarely removed.
//!
//! Documents are immutable: those that are looked through before the transaction need no second
//! look inside of it, where only the few are read that came in between. Nor need they be of one
//! moment: whoever else wants to read gets a connection between some and the next.

use std::collections::HashSet;

use domain::api::Api;
use domain::policy::{Policy, PolicyLevel};
use storage::apim::blob_references::{self, Document};
use storage::shared::blobs::{self, Blob};
use storage::{Database, StoreError, Write};

/// Documents that are read through one connection before it is given back.
const AT_ONCE: usize = 50;

/// The documents of a tenant that do not name a policy.
pub(super) struct Users {
    policy: Policy,
    free: HashSet<String>,
}

// === impl Users ===

impl Users {
    pub(super) fn of(policy: Policy) -> Self {
        Self {
            policy,
            free: HashSet::new(),
        }
    }

    /// The policy.
    pub(super) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Refuses when an API uses the policy, which it names as `name:version`; before the
    /// transaction, in the caller's time: there may be many documents.
    ///
    /// # Errors
    /// [`StoreError::Forbidden`] when one does; else
    /// [`StoreError::Unavailable`]; [`StoreError::Damaged`] when a document cannot be read, since
    /// nobody knows then what it names.
    pub(super) async fn look(
        &mut self,
        apim: &Database,
        shared: &Database,
    ) -> Result<(), StoreError> {
        if self.policy.level == PolicyLevel::Application {
            return Ok(());
        }
        let mut read = apim.read().await?;
        let documents = blob_references::documents(&mut read, &self.policy.tenant).await?;
        drop(read);
        self.none_in(shared, documents, false).await
    }

    /// The same under the tenant's claim, while which no API comes to name the policy.
    ///
    /// # Errors
    /// As [`Users::look`].
    pub(super) async fn look_again(
        &mut self,
        write: &mut Write,
        shared: &Database,
    ) -> Result<(), StoreError> {
        if self.policy.level == PolicyLevel::Application {
            return Ok(());
        }
        let tenant = &self.policy.tenant;
        let documents = blob_references::documents_for_change(write, tenant).await?;
        self.none_in(shared, documents, true).await
    }

    pub(super) async fn none_in(
        &mut self,
        shared: &Database,
        documents: Vec<Document>,
        is_claimed: bool,
    ) -> Result<(), StoreError> {
        let mut unread = documents;
        unread.retain(|document| !self.free.contains(&document.blob));
        for some in unread.chunks(AT_ONCE) {
            let mut read = shared.read().await?;
            for document in some {
                let tenant = &self.policy.tenant;
                match blobs::find(&mut read, tenant, &document.blob).await? {
                    Some(blob) => self.free_of(document, &blob)?,
                    None if is_claimed => {
                        return Err(damaged(format!("blob {} is missing", document.blob)));
                    }
                    // Replaced and swept since: looked for again under the claim.
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Notes a document that does not name the policy.
    fn free_of(&mut self, document: &Document, blob: &Blob) -> Result<(), StoreError> {
        let api: Api =
            serde_json::from_slice(&blob.bytes).map_err(|error| damaged(error.to_string()))?;
        if names(&api, &self.policy) {
            return Err(StoreError::Forbidden(format!(
                "throttling policy {} is used by API {}:{}",
                self.policy.name, document.name, document.version
            )));
        }
        self.free.insert(document.blob.clone());
        Ok(())
    }
}

fn names(api: &Api, policy: &Policy) -> bool {
    if policy.level == PolicyLevel::Subscription {
        return api.policies.contains(&policy.name);
    }
    let mut operations = api.operations.iter();
    api.api_throttling_policy.as_ref() == Some(&policy.name)
        || operations.any(|operation| operation.throttling_policy == policy.name)
}

const fn damaged(reason: String) -> StoreError {
    StoreError::Damaged {
        what: "API",
        reason,
    }
}
