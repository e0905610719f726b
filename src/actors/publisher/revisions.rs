//! Revisions: freezing an API, restoring it, deploying what was frozen.

use std::collections::HashSet;

use uuid::Uuid;

use domain::api::Api;
use domain::artifact::{Artifact, DEFAULT_ENVIRONMENT, DEFAULT_VHOST};
use domain::change::Change;
use domain::lifecycle::LifecycleState;
use storage::Write;
use storage::apim::api_deployments::DeploymentRow;
use storage::apim::api_revisions::RevisionRow;
use storage::apim::{api_deployments, api_revisions, apis, change_log};

use super::apis::{check_policies, check_scopes, commit, find, lock};
use super::default_version::Event;
use super::error::{PublisherError, THE_API};
use super::message::{Committed, Edition, Target};
use super::{Stores, default_version, documents};

/// The most revisions that an API may have.
const MOST: usize = 5;
/// The most bytes of a deployed API as JSON.
const ENTRY_MAX: usize = 3 * 1_024 * 1_024;
const _: () = assert!(ENTRY_MAX < cluster::MESSAGE_LIMIT);

type Done<T> = Result<Committed<T>, PublisherError>;

/// Freezes the API as it stands.
pub(super) async fn create(
    stores: &Stores,
    edition: &Edition,
    description: String,
) -> Done<RevisionRow> {
    let mut write = stores.apim.write("apim.api_revisions.create").await?;
    let row = lock(&mut write, edition).await?;
    let revisions = api_revisions::list_for_change(&mut write, &row.tenant, &row.id).await?;
    if revisions.len() >= MOST {
        return Err(PublisherError::TooManyRevisions(revisions.len()));
    }
    let number = api_revisions::next_number(&mut write, &row.tenant, &row.id).await?;
    let revision = RevisionRow {
        id: Uuid::new_v4().to_string(),
        tenant: row.tenant,
        api_id: row.id,
        number,
        description,
        document_blob: row.document_blob,
        definition_blob: row.definition_blob,
        created_by: edition.author.user.clone(),
        created_at_ms: stores.system.clock.now_ms(),
    };
    api_revisions::create(&mut write, &revision).await?;
    write.commit().await?;
    Ok(Committed {
        value: revision,
        n: None,
    })
}

/// Removes a revision that is deployed nowhere.
pub(super) async fn delete(stores: &Stores, edition: &Edition, id: &str) -> Done<()> {
    let mut write = stores.apim.write("apim.api_revisions.delete").await?;
    let row = lock(&mut write, edition).await?;
    revision(&mut write, edition, id).await?;
    let deployed = api_deployments::list_for_change(&mut write, &row.tenant, &row.id).await?;
    if deployed.iter().any(|one| one.revision_id == id) {
        return Err(PublisherError::Deployed);
    }
    api_revisions::delete(&mut write, &row.tenant, id).await?;
    write.commit().await?;
    Ok(Committed { value: (), n: None })
}

/// Makes the API what it was when the revision was made.
pub(super) async fn restore(stores: &Stores, edition: &Edition, id: &str) -> Done<Api> {
    let (_, frozen) = frozen(stores, edition, id).await?;
    let mut write = stores.apim.write("apim.apis.restore").await?;
    apis::claim(&mut write, &edition.author.tenant).await?;
    let mut api_row = lock(&mut write, edition).await?;
    let row = revision(&mut write, edition, id).await?;
    check_policies(&mut write, &frozen).await?;
    api_row.description.clone_from(&frozen.description);
    api_row.tags.clone_from(&frozen.tags);
    api_row.policies.clone_from(&frozen.policies);
    api_row.document_blob = row.document_blob;
    api_row.definition_blob = row.definition_blob;
    check_scopes(stores, &mut write, &api_row).await?;
    api_row.updated_at_ms = stores.system.clock.now_ms();
    api_row.row_version = apis::save(&mut write, &api_row).await?;
    write.commit().await?;
    let mut api = frozen;
    api_row.correct(&mut api);
    Ok(Committed {
        value: api,
        n: None,
    })
}

/// Deploys a revision to environments; replaces what the API had there.
pub(super) async fn deploy(
    stores: &Stores,
    edition: &Edition,
    id: &str,
    targets: &[Target],
) -> Done<Vec<DeploymentRow>> {
    let (_, mut api) = frozen(stores, edition, id).await?;
    check_targets(targets)?;
    let mut write = stores.apim.write("apim.api_deployments.save").await?;
    apis::claim(&mut write, &edition.author.tenant).await?;
    let mut row = lock(&mut write, edition).await?;
    revision(&mut write, edition, id).await?;
    if row.state == LifecycleState::Retired {
        let problem = "the API is retired and cannot be deployed any more";
        return Err(PublisherError::conflict(THE_API, problem));
    }
    check_policies(&mut write, &api).await?;
    for target in targets {
        let deployment = DeploymentRow {
            id: Uuid::new_v4().to_string(),
            tenant: row.tenant.clone(),
            api_id: row.id.clone(),
            revision_id: id.to_owned(),
            environment: target.environment.clone(),
            vhost: vhost(target).to_owned(),
            display_on_devportal: target.display_on_devportal,
            deployed_at_ms: stores.system.clock.now_ms(),
        };
        api_deployments::save(&mut write, &deployment).await?;
    }
    let served = row.serves_default;
    let mut handed = default_version::hand_over(&mut write, &mut row, Event::Deployed).await?;
    if row.serves_default != served {
        row.row_version = apis::save(&mut write, &row).await?;
    }
    // Of this API itself, the artifact says it.
    handed.retain(|change| !default_version::is_of(change, &row));
    row.correct(&mut api);
    api.is_default_version = row.serves_default;
    let deployed = targets.iter().map(|target| Change::ApiDeployed {
        artifact: Box::new(Artifact::of(&api, id, &target.environment, vhost(target))),
    });
    let deployed: Vec<Change> = deployed.collect();
    deployed.iter().try_for_each(check_size)?;
    let changes: Vec<Change> = deployed.into_iter().chain(handed).collect();
    let mut value = api_deployments::list_for_change(&mut write, &row.tenant, &row.id).await?;
    value.retain(|one| one.revision_id == id);
    let n = commit(stores, write, &row.tenant, &changes).await?;
    Ok(Committed { value, n })
}

/// An entry of the change log travels to gateways whole; one that no message can hold would keep
/// them from everything after it.
fn check_size(change: &Change) -> Result<(), PublisherError> {
    let bytes = serde_json::to_vec(change).map_or(usize::MAX, |text| text.len());
    if bytes <= ENTRY_MAX {
        return Ok(());
    }
    let problem = format!(
        "with their scopes and policies take {bytes} bytes, a gateway takes at most {ENTRY_MAX}: \
         split the API, or name scopes only where they are asked for"
    );
    Err(PublisherError::invalid("operations", problem))
}

/// Takes a revision (any, when none is named) out of environments (all, when none are named);
/// gives what is still deployed.
pub(super) async fn undeploy(
    stores: &Stores,
    edition: &Edition,
    id: Option<&str>,
    targets: Option<Vec<Target>>,
) -> Done<Vec<DeploymentRow>> {
    if let Some(targets) = &targets {
        check_targets(targets)?;
    }
    let mut write = stores.apim.write("apim.api_deployments.delete").await?;
    apis::claim(&mut write, &edition.author.tenant).await?;
    let mut row = lock(&mut write, edition).await?;
    if let Some(id) = id {
        revision(&mut write, edition, id).await?;
    }
    let deployed = api_deployments::list_for_change(&mut write, &row.tenant, &row.id).await?;
    let meant = |one: &DeploymentRow, target: &Target| {
        one.environment == target.environment && one.vhost.eq_ignore_ascii_case(vhost(target))
    };
    let (gone, left): (Vec<_>, Vec<_>) = deployed.into_iter().partition(|one| {
        let named = targets.as_ref();
        id.is_none_or(|id| id == one.revision_id)
            && named.is_none_or(|targets| targets.iter().any(|target| meant(one, target)))
    });
    for target in targets.iter().flatten() {
        if !gone.iter().any(|one| meant(one, target)) {
            return Err(PublisherError::NotFound {
                what: "deployment to the environment",
                id: target.environment.clone(),
            });
        }
    }
    let mut changes = Vec::new();
    for deployment in gone {
        let environment = deployment.environment;
        api_deployments::delete(&mut write, &row.tenant, &row.id, &environment).await?;
        changes.push(Change::ApiUndeployed {
            api_id: row.id.clone(),
            environment,
        });
    }
    if left.is_empty() && row.serves_default {
        changes.extend(default_version::fall_back(&mut write, &mut row).await?);
        apis::save(&mut write, &row).await?;
    }
    // Nothing there any more: it may be asked for again, and waits for what was changed until now (S3).
    let n = commit(stores, write, &row.tenant, &changes).await?;
    let n = match n {
        Some(n) => n,
        None => change_log::head(&mut stores.apim.read().await?).await?.n,
    };
    Ok(Committed {
        value: left,
        n: Some(n),
    })
}

/// The revision and the document that it froze.
async fn frozen(
    stores: &Stores,
    edition: &Edition,
    id: &str,
) -> Result<(RevisionRow, Api), PublisherError> {
    let (row, _) = find(stores, edition).await?;
    let mut read = stores.apim.read().await?;
    let revisions = api_revisions::list(&mut read, &row.tenant, &row.id).await?;
    drop(read);
    let found = revisions.into_iter().find(|one| one.id == id);
    let found = found.ok_or_else(|| PublisherError::no_revision(id))?;
    let api = documents::load_document(stores, &row.tenant, &found.document_blob).await?;
    Ok((found, api))
}

async fn revision(
    write: &mut Write,
    edition: &Edition,
    id: &str,
) -> Result<RevisionRow, PublisherError> {
    let tenant = &edition.author.tenant;
    let revisions = api_revisions::list_for_change(write, tenant, &edition.api_id).await?;
    let found = revisions.into_iter().find(|one| one.id == id);
    found.ok_or_else(|| PublisherError::no_revision(id))
}

/// The virtual host that a target means: the environment's own when it names none.
fn vhost(target: &Target) -> &str {
    target.vhost.as_deref().unwrap_or(DEFAULT_VHOST)
}

/// Each environment once, and each with its virtual host: a list that repeats one would write what
/// an API is, at its full size, once for every repetition.
fn check_targets(targets: &[Target]) -> Result<(), PublisherError> {
    let mut seen = HashSet::new();
    for target in targets {
        check_target(target)?;
        if !seen.insert(target.environment.as_str()) {
            let problem = format!("the environment {} occurs twice", target.environment);
            return Err(PublisherError::invalid("name", problem));
        }
    }
    Ok(())
}

fn check_target(target: &Target) -> Result<(), PublisherError> {
    if target.environment != DEFAULT_ENVIRONMENT {
        let problem = format!(
            "the environment {} does not exist, use {DEFAULT_ENVIRONMENT}",
            target.environment
        );
        return Err(PublisherError::invalid("name", problem));
    }
    let vhost = vhost(target);
    if !vhost.eq_ignore_ascii_case(DEFAULT_VHOST) {
        let problem = format!(
            "the environment {DEFAULT_ENVIRONMENT} has no virtual host {vhost}, use {DEFAULT_VHOST}"
        );
        return Err(PublisherError::invalid("vhost", problem));
    }
    Ok(())
}
