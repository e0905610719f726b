//! Making, copying and removing APIs, and what every change of one needs.

use std::collections::HashSet;

use uuid::Uuid;

use domain::api::{Api, Operation, unversioned_context, versioned_context};
use domain::api_rules::{self, Fault};
use domain::change::Change;
use domain::lifecycle::LifecycleState;
use domain::policy::{PolicyLevel, UNAUTHENTICATED, UNLIMITED};
use domain::scope;
use storage::Write;
use storage::apim::api_lifecycle::LifecycleRow;
use storage::apim::apis::ApiRow;
use storage::apim::{
    api_deployments, api_lifecycle, apis, blob_references, policies, subscriptions,
};
use storage::shared::scope_roles;

use super::error::{PublisherError, THE_API};
use super::message::{Author, Committed, Edition, NewApi};
use super::reading::Placed;
use super::{Stores, default_version, documents};

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
    // Its place is given back with what is left of it, when it is stored.
    let placed = definition.unwrap_or_else(|| documents::generate(&api).into());
    let Placed { definition, .. } = placed;
    let blobs = documents::save(stores, &api, definition).await?;
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
        is_default_version: false,
        serves_default: false,
        tags: api.tags.clone(),
        policies: api.policies.clone(),
        document_blob: blobs.document,
        definition_blob: blobs.definition,
        created_at_ms: now,
        updated_at_ms: now,
        row_version: 1,
    };
    api.created_at_ms = insert(stores, author, &api, row).await?;
    Ok(Committed {
        value: api,
        n: None,
    })
}

/// Inserts the row of an API; gives when it counts as made: after all its other versions, whatever
/// the clock says, since who is older decides what becomes of a version and its subscribers.
async fn insert(
    stores: &Stores,
    author: &Author,
    api: &Api,
    mut row: ApiRow,
) -> Result<i64, PublisherError> {
    let mut write = stores.apim.write("apim.apis.create").await?;
    apis::claim(&mut write, &row.tenant).await?;
    if let Some(newest_ms) = check_neighbours(&mut write, &row).await? {
        row.created_at_ms = row.created_at_ms.max(newest_ms.saturating_add(1));
    }
    check_policies(&mut write, api).await?;
    check_scopes(stores, &mut write, &row).await?;
    default_version::want(&mut write, &mut row, api.is_default_version).await?;
    apis::create(&mut write, &row).await?;
    let step = step(&row, None, author, row.created_at_ms);
    api_lifecycle::create(&mut write, &step).await?;
    write.commit().await?;
    Ok(row.created_at_ms)
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
    let definition = (!kept.generated).then(|| kept.into());
    create(stores, &edition.author, NewApi { api, definition }).await
}

/// Removes an API that nobody subscribes to, and takes it out of every environment.
pub(super) async fn delete(stores: &Stores, edition: &Edition) -> Done<()> {
    let mut write = stores.apim.write("apim.apis.delete").await?;
    apis::claim(&mut write, &edition.author.tenant).await?;
    let mut row = lock(&mut write, edition).await?;
    let subscribers = subscriptions::count_of_api(&mut write, &row.tenant, &row.id).await?;
    if subscribers > 0 {
        let problem =
            format!("the API has {subscribers} subscriptions, it can be retired but not deleted");
        return Err(PublisherError::conflict(THE_API, problem));
    }
    let deployed = api_deployments::list_for_change(&mut write, &row.tenant, &row.id).await?;
    let mut changes: Vec<Change> = deployed
        .into_iter()
        .map(|deployment| Change::ApiUndeployed {
            api_id: deployment.api_id,
            environment: deployment.environment,
        })
        .collect();
    changes.extend(default_version::fall_back(&mut write, &mut row).await?);
    apis::delete(&mut write, &row.tenant, &row.id).await?;
    let n = commit(stores, write, &row.tenant, &changes).await?;
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
    if edition.meets(row.row_version) {
        Ok(row)
    } else {
        Err(PublisherError::Stale)
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
    if !edition.meets(row.row_version) {
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

/// One name has one context in all its versions, and a context belongs to one name (§1): with the
/// version as well as without, since the default version answers without. Gives when the newest of
/// the other versions was made.
async fn check_neighbours(write: &mut Write, row: &ApiRow) -> Result<Option<i64>, PublisherError> {
    let versions = apis::versions(write, &row.tenant, &row.name).await?;
    let newest_ms = versions.last().map(|newest| newest.created_at_ms);
    for other in versions {
        if other.name != row.name || !other.context.eq_ignore_ascii_case(&row.context) {
            let problem = format!(
                "an API named {} exists already, with the context {}",
                other.name, other.context
            );
            return Err(PublisherError::conflict(&["name"], problem));
        }
        if other.version == row.version {
            let problem = format!("the API {} {} exists already", other.name, other.version);
            return Err(PublisherError::conflict(&["name", "version"], problem));
        }
    }
    let bare = unversioned_context(&row.context);
    for other in apis::at_context(write, &row.tenant, &row.full_context, &bare).await? {
        if other.name != row.name {
            let problem = format!(
                "the context {} belongs to the API {}",
                other.context, other.name
            );
            return Err(PublisherError::conflict(&["context"], problem));
        }
    }
    Ok(newest_ms)
}

/// A scope belongs to the API that defines it, in any of its versions and revisions: another that
/// defined it too could give it to whom the first one does not. Rests on the tenant's claim; `row`
/// points at the document that is to count.
pub(super) async fn check_scopes(
    stores: &Stores,
    write: &mut Write,
    row: &ApiRow,
) -> Result<(), PublisherError> {
    let mut read = stores.shared.read().await?;
    let blob = &row.document_blob;
    let shared = scope_roles::defined_elsewhere(&mut read, &row.tenant, &row.id, blob).await?;
    drop(read);
    let mut seen = HashSet::new();
    for (name, version) in shared {
        // Everybody gets these anyway, and a document is looked up once for all its scopes.
        if scope::is_everybodys(&name) || !seen.insert(version.clone()) {
            continue;
        }
        let tenant = &row.tenant;
        let owner = blob_references::owner_of_another_name(write, tenant, &version, &row.name);
        if let Some(owner) = owner.await? {
            let problem = format!("the scope {name} belongs to the API {owner}");
            return Err(PublisherError::invalid("scopes", problem));
        }
    }
    Ok(())
}

/// Whether the policies that an API names exist; under the tenant's claim none goes away.
pub(super) async fn check_policies(write: &mut Write, api: &Api) -> Result<(), PublisherError> {
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

pub(super) fn check(stores: &Stores, api: &Api) -> Result<(), PublisherError> {
    let allow_loopback = stores.settings.allow_loopback_endpoints;
    let faults: Vec<Fault> = api_rules::faults(api, allow_loopback);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(PublisherError::Invalid(faults))
    }
}

/// Gives each operation without an id one.
pub(super) fn name_operations(operations: &mut [Operation]) {
    for operation in operations {
        if operation.id.is_empty() {
            operation.id = Uuid::new_v4().to_string();
        }
    }
}
