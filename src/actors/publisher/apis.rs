//! Creating, changing, copying and removing APIs.

use uuid::Uuid;

use domain::api::{Api, ApiScope, Operation, unversioned_context, versioned_context};
use domain::api_rules::{self, Fault};
use domain::change::Change;
use domain::lifecycle::LifecycleState;
use domain::policy::{PolicyLevel, UNAUTHENTICATED, UNLIMITED};
use storage::Write;
use storage::apim::api_lifecycle::LifecycleRow;
use storage::apim::apis::ApiRow;
use storage::apim::{api_deployments, api_lifecycle, apis, policies, subscriptions};

use super::Stores;
use super::documents;
use super::error::PublisherError;
use super::message::{Author, Committed, DefinitionDocument, Edition, NewApi};

type Done<T> = Result<Committed<T>, PublisherError>;

/// Makes an API: created, deployed nowhere.
pub(super) async fn create(stores: &Stores, author: &Author, new: NewApi) -> Done<Api> {
    let NewApi {
        mut api,
        definition,
    } = new;
    let now = stores.system.clock.now_ms();
    api.id = Uuid::new_v4().to_string();
    api.tenant.clone_from(&author.tenant);
    api.state = LifecycleState::Created;
    (api.created_at_ms, api.updated_at_ms, api.row_version) = (now, now, 1);
    name_operations(&mut api.operations);
    check(stores, &api)?;
    let definition = definition.unwrap_or_else(|| documents::generate(&api));
    let blobs = documents::save(stores, &api, &definition).await?;
    let row = ApiRow {
        id: api.id.clone(),
        tenant: api.tenant.clone(),
        name: api.name.clone(),
        version: api.version.clone(),
        context: api.context.clone(),
        full_context: versioned_context(&api.context, &api.version),
        provider: api.provider.clone(),
        description: api.description.clone(),
        kind: api.kind.clone(),
        state: api.state,
        is_default_version: api.is_default_version,
        tags: api.tags.clone(),
        policies: api.policies.clone(),
        document_blob: blobs.document,
        definition_blob: blobs.definition,
        created_at_ms: now,
        updated_at_ms: now,
        row_version: 1,
    };
    match insert(stores, author, &api, &row).await {
        Ok(n) => Ok(Committed { value: api, n }),
        Err(error) => {
            // The roles of its scopes must not outlive an API that was never made.
            documents::save_scopes(stores, &api.tenant, &api.id, &[]).await?;
            Err(error)
        }
    }
}

async fn insert(
    stores: &Stores,
    author: &Author,
    api: &Api,
    row: &ApiRow,
) -> Result<Option<u64>, PublisherError> {
    let mut write = stores.apim.write("apim.apis.create").await?;
    apis::claim(&mut write, &row.tenant).await?;
    check_neighbours(&mut write, row).await?;
    check_policies(&mut write, api).await?;
    let mut changes = Vec::new();
    if row.is_default_version {
        changes = dethrone(&mut write, row).await?;
    }
    apis::create(&mut write, row).await?;
    let step = step(row, None, author, row.created_at_ms);
    api_lifecycle::create(&mut write, &step).await?;
    commit(stores, write, &row.tenant, &changes).await
}

/// Replaces what of an API may change; name, version, context, provider and state stay.
pub(super) async fn update(stores: &Stores, edition: &Edition, wanted: Api) -> Done<Api> {
    let (row, before) = find(stores, edition).await?;
    let mut api = wanted;
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
    let default = api.is_default_version;
    documents::correct(&mut api, &row);
    api.is_default_version = default;
    name_operations(&mut api.operations);
    check(stores, &api)?;
    let kept = documents::load_definition(stores, &row.tenant, &row.definition_blob).await?;
    let definition = if kept.generated {
        documents::generate(&api)
    } else {
        kept
    };
    replace(stores, edition, api, &definition).await
}

/// Replaces an API's definition, and its operations by those of the definition.
pub(super) async fn save_definition(
    stores: &Stores,
    edition: &Edition,
    (definition, operations, scopes): (DefinitionDocument, Vec<Operation>, Vec<ApiScope>),
) -> Done<Api> {
    let (_, mut api) = find(stores, edition).await?;
    api.operations = operations;
    for scope in scopes {
        if api.scopes.iter().all(|known| known.name != scope.name) {
            api.scopes.push(scope);
        }
    }
    name_operations(&mut api.operations);
    check(stores, &api)?;
    replace(stores, edition, api, &definition).await
}

async fn replace(
    stores: &Stores,
    edition: &Edition,
    mut api: Api,
    definition: &DefinitionDocument,
) -> Done<Api> {
    let now = stores.system.clock.now_ms();
    api.updated_at_ms = now;
    let blobs = documents::save(stores, &api, definition).await?;
    let mut write = stores.apim.write("apim.apis.update").await?;
    apis::claim(&mut write, &api.tenant).await?;
    let mut row = lock(&mut write, edition).await?;
    check_policies(&mut write, &api).await?;
    let changes = set_default(&mut write, &mut row, api.is_default_version).await?;
    row.description.clone_from(&api.description);
    row.tags.clone_from(&api.tags);
    row.policies.clone_from(&api.policies);
    row.document_blob = blobs.document;
    row.definition_blob = blobs.definition;
    row.updated_at_ms = now;
    row.row_version = apis::save(&mut write, &row).await?;
    let n = commit(stores, write, &row.tenant, &changes).await?;
    documents::correct(&mut api, &row);
    Ok(Committed { value: api, n })
}

/// Makes another version of an API: created, with the same document and definition.
pub(super) async fn copy(
    stores: &Stores,
    edition: &Edition,
    version: String,
    default: bool,
) -> Done<Api> {
    let (row, mut api) = find(stores, edition).await?;
    let kept = documents::load_definition(stores, &row.tenant, &row.definition_blob).await?;
    api.version = version;
    api.provider.clone_from(&edition.author.user);
    api.is_default_version = default;
    let definition = (!kept.generated).then_some(kept);
    create(stores, &edition.author, NewApi { api, definition }).await
}

/// Removes an API that nobody subscribes to, and takes it out of every environment.
pub(super) async fn delete(stores: &Stores, edition: &Edition) -> Done<()> {
    let mut write = stores.apim.write("apim.apis.delete").await?;
    apis::claim(&mut write, &edition.author.tenant).await?;
    let row = lock(&mut write, edition).await?;
    let subscribers = subscriptions::count_of_api(&mut write, &row.tenant, &row.id).await?;
    if subscribers > 0 {
        return Err(PublisherError::Conflict(format!(
            "the API has {subscribers} subscriptions, it can be retired but not deleted"
        )));
    }
    let deployed = api_deployments::list_for_change(&mut write, &row.tenant, &row.id).await?;
    let changes: Vec<Change> = deployed
        .into_iter()
        .map(|deployment| Change::ApiUndeployed {
            api_id: deployment.api_id,
            environment: deployment.environment,
        })
        .collect();
    apis::delete(&mut write, &row.tenant, &row.id).await?;
    let n = commit(stores, write, &row.tenant, &changes).await?;
    documents::save_scopes(stores, &row.tenant, &row.id, &[]).await?;
    Ok(Committed { value: (), n })
}

/// Commits, with entries of the change log when there are any (C1).
pub(super) async fn commit(
    stores: &Stores,
    write: Write,
    tenant: &str,
    changes: &[Change],
) -> Result<Option<u64>, PublisherError> {
    if changes.is_empty() {
        write.commit().await?;
        return Ok(None);
    }
    let uuid = || Uuid::new_v4().to_string();
    let now = stores.system.clock.now_ms();
    Ok(Some(write.commit_with(tenant, changes, uuid, now).await?))
}

/// The API's row for a change, refused when it is not the one that the caller read.
pub(super) async fn lock(write: &mut Write, edition: &Edition) -> Result<ApiRow, PublisherError> {
    let row = apis::lock(write, &edition.author.tenant, &edition.api_id).await;
    let row = row.map_err(|error| match error {
        storage::StoreError::NotFound(_) => PublisherError::no_api(&edition.api_id),
        other => other.into(),
    })?;
    match edition.expected {
        Some(expected) if expected != row.row_version => Err(PublisherError::Stale),
        _ => Ok(row),
    }
}

/// Row and document as they stand, before the change begins.
pub(super) async fn find(
    stores: &Stores,
    edition: &Edition,
) -> Result<(ApiRow, Api), PublisherError> {
    let mut read = stores.apim.read().await?;
    let row = apis::find(&mut read, &edition.author.tenant, &edition.api_id).await?;
    drop(read);
    let row = row.ok_or_else(|| PublisherError::no_api(&edition.api_id))?;
    if edition
        .expected
        .is_some_and(|expected| expected != row.row_version)
    {
        return Err(PublisherError::Stale);
    }
    let api = documents::load(stores, &row).await?;
    Ok((row, api))
}

/// A step of the lifecycle to the state that `row` has.
pub(super) fn step(
    row: &ApiRow,
    previous: Option<LifecycleState>,
    author: &Author,
    now_ms: i64,
) -> LifecycleRow {
    LifecycleRow {
        id: Uuid::new_v4().to_string(),
        tenant: row.tenant.clone(),
        api_id: row.id.clone(),
        previous,
        post: row.state,
        changed_by: author.user.clone(),
        changed_at_ms: now_ms,
    }
}

/// Makes `row` the default version or not; its own row is saved by the caller.
async fn set_default(
    write: &mut Write,
    row: &mut ApiRow,
    wanted: bool,
) -> Result<Vec<Change>, PublisherError> {
    if row.is_default_version == wanted {
        return Ok(Vec::new());
    }
    let mut changes = if wanted {
        dethrone(write, row).await?
    } else {
        Vec::new()
    };
    row.is_default_version = wanted;
    let deployed = api_deployments::list_for_change(write, &row.tenant, &row.id).await?;
    if !deployed.is_empty() {
        changes.push(Change::DefaultVersionChanged {
            api_id: row.id.clone(),
            default_context: wanted.then(|| unversioned_context(&row.context)),
        });
    }
    Ok(changes)
}

/// Takes the default version away from the version of `row`'s API that has it.
async fn dethrone(write: &mut Write, row: &ApiRow) -> Result<Vec<Change>, PublisherError> {
    let mut changes = Vec::new();
    for mut other in apis::versions(write, &row.tenant, &row.name).await? {
        if other.id == row.id || !other.is_default_version {
            continue;
        }
        other.is_default_version = false;
        apis::save(write, &other).await?;
        let deployed = api_deployments::list_for_change(write, &other.tenant, &other.id).await?;
        if !deployed.is_empty() {
            changes.push(Change::DefaultVersionChanged {
                api_id: other.id,
                default_context: None,
            });
        }
    }
    Ok(changes)
}

/// One name has one context in all its versions, and a context belongs to one name (§1).
async fn check_neighbours(write: &mut Write, row: &ApiRow) -> Result<(), PublisherError> {
    for other in apis::versions(write, &row.tenant, &row.name).await? {
        if other.name != row.name || !other.context.eq_ignore_ascii_case(&row.context) {
            return Err(PublisherError::Conflict(format!(
                "an API named {} exists already, with the context {}",
                other.name, other.context
            )));
        }
    }
    for other in apis::at_context(write, &row.tenant, &row.context).await? {
        if other.name != row.name {
            return Err(PublisherError::Conflict(format!(
                "the context {} belongs to the API {}",
                other.context, other.name
            )));
        }
    }
    Ok(())
}

async fn check_policies(write: &mut Write, api: &Api) -> Result<(), PublisherError> {
    let plans = policies::names(write, &api.tenant, PolicyLevel::Subscription).await?;
    let advanced = policies::names(write, &api.tenant, PolicyLevel::Api).await?;
    let known =
        |names: &[String], name: &str| name == UNLIMITED || names.iter().any(|known| known == name);
    let plan_offered = |name: &str| name != UNAUTHENTICATED && known(&plans, name);
    let plan = api.policies.iter().find(|name| !plan_offered(name));
    let plan = plan.map(|name| ("policies", name));
    let whole = api.api_throttling_policy.as_ref();
    let whole = whole.filter(|name| !known(&advanced, name));
    let whole = whole.map(|name| ("apiThrottlingPolicy", name));
    let mut used = api.operations.iter().map(|one| &one.throttling_policy);
    let part = used.find(|name| !name.is_empty() && !known(&advanced, name));
    let part = part.map(|name| ("operations", name));
    match plan.or(whole).or(part) {
        Some((field, name)) => {
            let problem = format!("the throttling policy {name} does not exist");
            Err(PublisherError::invalid(field, problem))
        }
        None => Ok(()),
    }
}

fn check(stores: &Stores, api: &Api) -> Result<(), PublisherError> {
    let allow_loopback = stores.settings.allow_loopback_endpoints;
    let faults: Vec<Fault> = api_rules::faults(api, allow_loopback);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(PublisherError::Invalid(faults))
    }
}

/// Gives each operation without an id one.
fn name_operations(operations: &mut [Operation]) {
    for operation in operations {
        if operation.id.is_empty() {
            operation.id = Uuid::new_v4().to_string();
        }
    }
}
