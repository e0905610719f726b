//! Documents and definitions of APIs as immutable blobs (C5), and how a row corrects a document.

use uuid::Uuid;

use domain::api::Api;
use domain::openapi::default_definition;
use storage::apim::apis::ApiRow;
use storage::shared::blobs::Blob;
use storage::shared::{blobs, scope_roles};

use super::Stores;
use super::error::PublisherError;
use super::message::DefinitionDocument;

const DOCUMENT: &str = "document";
const UPLOADED: &str = "definition";
const GENERATED: &str = "definition.generated";

/// Ids of the two blobs of an API.
pub(super) struct Blobs {
    pub(super) document: String,
    pub(super) definition: String,
}

/// Saves document, definition and the roles of the API's scopes in one Shared transaction. They
/// count from the moment that a row of API-M points at them, and are swept when none ever does.
pub(super) async fn save(
    stores: &Stores,
    api: &Api,
    definition: DefinitionDocument,
) -> Result<Blobs, PublisherError> {
    let kind = if definition.generated {
        GENERATED
    } else {
        UPLOADED
    };
    let definition = blob(stores, api, kind, definition.media_type, definition.bytes);
    let document = save_blobs(stores, api, Some(&definition)).await?;
    Ok(Blobs {
        document,
        definition: definition.id,
    })
}

/// The same for an API whose definition stays; gives the document's id.
pub(super) async fn save_document(stores: &Stores, api: &Api) -> Result<String, PublisherError> {
    save_blobs(stores, api, None).await
}

async fn save_blobs(
    stores: &Stores,
    api: &Api,
    definition: Option<&Blob>,
) -> Result<String, PublisherError> {
    let document = serde_json::to_vec(api).map_err(|error| internal(&error))?;
    let document = blob(
        stores,
        api,
        DOCUMENT,
        "application/json".to_owned(),
        document,
    );
    let mut write = stores.shared.write("shared.blobs.create").await?;
    blobs::create(&mut write, &document).await?;
    if let Some(definition) = definition {
        blobs::create(&mut write, definition).await?;
    }
    let scopes = bindings(api);
    scope_roles::create(&mut write, &api.tenant, &api.id, &document.id, &scopes).await?;
    write.commit().await?;
    Ok(document.id)
}

fn blob(stores: &Stores, api: &Api, kind: &str, media_type: String, bytes: Vec<u8>) -> Blob {
    Blob {
        id: Uuid::new_v4().to_string(),
        tenant: api.tenant.clone(),
        kind: kind.to_owned(),
        media_type,
        bytes,
        created_at_ms: stores.system.clock.now_ms(),
    }
}

/// `(scope, roles)` of an API.
fn bindings(api: &Api) -> Vec<(String, Vec<String>)> {
    let scopes = api.scopes.iter();
    scopes
        .map(|scope| (scope.name.clone(), scope.roles.clone()))
        .collect()
}

/// Reads a document and corrects it by its row.
pub(super) async fn load(stores: &Stores, row: &ApiRow) -> Result<Api, PublisherError> {
    let mut api = load_document(stores, &row.tenant, &row.document_blob).await?;
    row.correct(&mut api);
    Ok(api)
}

/// Reads a document as it was saved.
pub(super) async fn load_document(
    stores: &Stores,
    tenant: &str,
    blob: &str,
) -> Result<Api, PublisherError> {
    let blob = find(stores, tenant, blob).await?;
    serde_json::from_slice(&blob.bytes).map_err(|error| internal(&error))
}

/// Reads a definition.
pub(super) async fn load_definition(
    stores: &Stores,
    tenant: &str,
    blob: &str,
) -> Result<DefinitionDocument, PublisherError> {
    let blob = find(stores, tenant, blob).await?;
    Ok(DefinitionDocument {
        generated: blob.kind == GENERATED,
        media_type: blob.media_type,
        bytes: blob.bytes,
    })
}

/// Whether the publisher wrote a definition itself; its bytes are not read for that.
pub(super) async fn is_generated(
    stores: &Stores,
    tenant: &str,
    blob: &str,
) -> Result<bool, PublisherError> {
    let mut read = stores.shared.read().await?;
    let outline = blobs::outline(&mut read, tenant, blob).await?;
    let outline = outline.ok_or_else(|| missing(blob))?;
    Ok(outline.kind == GENERATED)
}

async fn find(stores: &Stores, tenant: &str, id: &str) -> Result<Blob, PublisherError> {
    let mut read = stores.shared.read().await?;
    let blob = blobs::find(&mut read, tenant, id).await?;
    blob.ok_or_else(|| missing(id))
}

fn missing(blob: &str) -> PublisherError {
    PublisherError::Internal(format!("blob {blob} is missing"))
}

/// The definition that the publisher writes for an API without one.
pub(super) fn generate(api: &Api) -> DefinitionDocument {
    let text = default_definition(&api.name, &api.version, &api.operations, &api.scopes);
    DefinitionDocument {
        bytes: text.into_bytes(),
        media_type: "application/json".to_owned(),
        generated: true,
    }
}

fn internal(error: &serde_json::Error) -> PublisherError {
    PublisherError::Internal(format!("document of an API: {error}"))
}
