//! Changing what an API is: its document, its definition, or both as a revision froze them.
//!
//! Document and definition agree about the operations: who changes the ones in the document has
//! them written into the definition, who changes the definition has its operations. A change is
//! worked out from the API as it was read and made only if it is still that row; one that names
//! no row version of its own begins anew when another change came in between. Writing operations
//! into a definition waits for its turn and takes its time: the caller's, not a writer's, who is
//! ordered to make the change when it is worked out.

use std::collections::HashMap;

use domain::api::{Api, Operation, add_scopes};
use domain::openapi::DescribedOperation;
use storage::apim::apis;
use storage::apim::apis::ApiRow;

use super::apis::{check, check_policies, check_scopes, find, lock, name_operations};
use super::error::{PublisherError, THE_API};
use super::message::{Committed, DefinitionContent, Edition, Wanted};
use super::reading::Placed;
use super::{Stores, default_version, documents};

/// How often a change begins anew before it gives up.
pub(super) const ATTEMPTS: u32 = 8;

type Done<T> = Result<Committed<T>, PublisherError>;

/// What is to stand in place of the API that was read.
pub(crate) struct Change {
    /// The row version that was read.
    seen: i64,
    api: Api,
    /// None when the one that the row points at stays.
    definition: Option<Placed>,
}

/// Works out what replaces what of an API may change; name, version, context, provider and state
/// stay.
pub(super) async fn work_out(
    stores: &Stores,
    edition: &Edition,
    wanted: Wanted,
) -> Result<Change, PublisherError> {
    let (row, before) = find(stores, edition).await?;
    updated(stores, &row, &before, wanted).await
}

/// Makes a change that was worked out; none when the API is another row by now.
pub(super) async fn update(
    stores: &Stores,
    edition: &Edition,
    change: Change,
) -> Done<Option<Api>> {
    Ok(match replace(stores, edition, change).await? {
        Some(Committed { value, n }) => Committed {
            value: Some(value),
            n,
        },
        None => Committed {
            value: None,
            n: None,
        },
    })
}

/// Replaces an API's definition, and its operations by those of the definition.
pub(super) async fn save_definition(
    stores: &Stores,
    edition: &Edition,
    (definition, described, scopes): &DefinitionContent,
) -> Done<Api> {
    for _ in 0..ATTEMPTS {
        let (row, mut api) = find(stores, edition).await?;
        api.operations = merged(described, &api.operations);
        add_scopes(&mut api.scopes, scopes);
        name_operations(&mut api.operations);
        check(stores, &api)?;
        // Its place is the content's, which lasts until this is done.
        let definition = Some(definition.document().clone().into());
        let change = Change {
            seen: row.row_version,
            api,
            definition,
        };
        if let Some(done) = replace(stores, edition, change).await? {
            return Ok(done);
        }
    }
    Err(overtaken())
}

async fn updated(
    stores: &Stores,
    row: &ApiRow,
    before: &Api,
    wanted: Wanted,
) -> Result<Change, PublisherError> {
    let Wanted {
        mut api,
        has_operations,
    } = wanted;
    for (field, new, old) in [
        ("name", &api.name, &before.name),
        ("version", &api.version, &before.version),
        ("context", &api.context, &before.context),
    ] {
        if new != old {
            let problem = format!("cannot be changed from {old}, copy the API to a new version");
            return Err(PublisherError::invalid(field, problem));
        }
    }
    if !has_operations {
        api.operations.clone_from(&before.operations);
    }
    let default = api.is_default_version;
    row.correct(&mut api);
    api.is_default_version = default;
    name_operations(&mut api.operations);
    check(stores, &api)?;
    let definition = rewritten(stores, row, before, &api).await?;
    Ok(Change {
        seen: row.row_version,
        api,
        definition,
    })
}

/// The definition that says what the API has become; none when the kept one does. A kept one may be
/// large and a change says little, so any number of changes may be on their way: none loads a
/// definition that stays, and who writes one anew has a place for it.
async fn rewritten(
    stores: &Stores,
    row: &ApiRow,
    before: &Api,
    api: &Api,
) -> Result<Option<Placed>, PublisherError> {
    let stays = said(&api.operations) == said(&before.operations);
    if stays && api.scopes == before.scopes {
        return Ok(None);
    }
    let (tenant, blob) = (&row.tenant, &row.definition_blob);
    if documents::is_generated(stores, tenant, blob).await? {
        return Ok(Some(documents::generate(api).into()));
    }
    if stays {
        return Ok(None);
    }
    let load = || documents::load_definition(stores, tenant, blob);
    let (operations, scopes) = (&api.operations, &api.scopes);
    stores.reading.rewrite(operations, scopes, load).await
}

/// What a definition can say of operations: all but their ids.
fn said(operations: &[Operation]) -> Vec<Operation> {
    let without_id = |operation: &Operation| Operation {
        id: String::new(),
        ..operation.clone()
    };
    operations.iter().map(without_id).collect()
}

/// The definition's operations; what it does not say of one stays as the API has it.
fn merged(described: &[DescribedOperation], before: &[Operation]) -> Vec<Operation> {
    let before: HashMap<(&str, &str), &Operation> = before
        .iter()
        .map(|old| ((old.verb.as_str(), old.target.as_str()), old))
        .collect();
    let merged = described.iter().map(|described| {
        let mut operation = Operation::from(described);
        let key = (operation.verb.as_str(), operation.target.as_str());
        if let Some(old) = before.get(&key) {
            operation.id.clone_from(&old.id);
            if described.x_auth_type.is_none() {
                operation.auth_type = old.auth_type;
            }
            if described.x_throttling_tier.is_none() {
                operation
                    .throttling_policy
                    .clone_from(&old.throttling_policy);
            }
        }
        operation
    });
    merged.collect()
}

/// Makes the change if the API is still the row that it was worked out from; none when it is not.
async fn replace(
    stores: &Stores,
    edition: &Edition,
    change: Change,
) -> Result<Option<Committed<Api>>, PublisherError> {
    let Change {
        seen,
        mut api,
        definition,
    } = change;
    let now = stores.system.clock.now_ms();
    api.updated_at_ms = now;
    let (document, definition) = match definition {
        // Its place is given back with what is left of it, when it is stored.
        Some(Placed { definition, .. }) => {
            let blobs = documents::save(stores, &api, definition).await?;
            (blobs.document, Some(blobs.definition))
        }
        None => (documents::save_document(stores, &api).await?, None),
    };
    let mut write = stores.apim.write("apim.apis.update").await?;
    apis::claim(&mut write, &api.tenant).await?;
    let mut row = lock(&mut write, edition).await?;
    if row.row_version != seen {
        return Ok(None);
    }
    check_policies(&mut write, &api).await?;
    default_version::want(&mut write, &mut row, api.is_default_version).await?;
    row.description.clone_from(&api.description);
    row.tags.clone_from(&api.tags);
    row.policies.clone_from(&api.policies);
    row.document_blob = document;
    if let Some(definition) = definition {
        row.definition_blob = definition;
    }
    check_scopes(stores, &mut write, &row).await?;
    row.updated_at_ms = now;
    row.row_version = apis::save(&mut write, &row).await?;
    write.commit().await?;
    row.correct(&mut api);
    Ok(Some(Committed {
        value: api,
        n: None,
    }))
}

/// Others were faster every time.
pub(super) fn overtaken() -> PublisherError {
    PublisherError::conflict(THE_API, "the API is being changed by others, try again")
}
