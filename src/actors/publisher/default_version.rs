//! Which version of an API answers without a version in the path.
//!
//! The version that is wanted (`isDefaultVersion`) and the one that serves are two things: editing
//! an API changes nothing at runtime. The wanted one takes the path over when it is deployed or
//! moved in its lifecycle, and only if it is published and has a deployed revision by then; the
//! one before it goes on until then. Where nobody serves the path, a deployed one takes it at once.

use domain::api::unversioned_context;
use domain::change::Change;
use storage::Write;
use storage::apim::apis::ApiRow;
use storage::apim::{api_deployments, apis};

use super::error::PublisherError;

/// What happened to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A revision of it was deployed.
    Deployed,
    /// It moved in its lifecycle.
    Moved,
}

/// Makes `row` the wanted version or not; its own row is saved by the caller.
pub(super) async fn want(
    write: &mut Write,
    row: &mut ApiRow,
    wanted: bool,
) -> Result<(), PublisherError> {
    if wanted && !row.is_default_version {
        for mut other in others(write, row).await? {
            if other.is_default_version {
                other.is_default_version = false;
                apis::save(write, &other).await?;
            }
        }
    }
    row.is_default_version = wanted;
    Ok(())
}

/// Hands the path over after something happened to `row`, whose own row is saved by the caller.
/// The entries give before they take, so that the path answers all the time.
pub(super) async fn hand_over(
    write: &mut Write,
    row: &mut ApiRow,
    event: Event,
) -> Result<Vec<Change>, PublisherError> {
    let others = others(write, row).await?;
    if !row.is_default_version {
        let another_is_wanted = others.iter().any(|other| other.is_default_version);
        if event == Event::Deployed && row.serves_default && !another_is_wanted {
            row.serves_default = false;
            return Ok(vec![taken(row)]);
        }
        return Ok(Vec::new());
    }
    let is_free = !others.iter().any(|other| other.serves_default);
    let may = is_free || row.state.is_listed();
    if row.serves_default || !may || !is_deployed(write, row).await? {
        return Ok(Vec::new());
    }
    row.serves_default = true;
    let mut changes = vec![given(row)];
    for mut other in others {
        if other.serves_default {
            other.serves_default = false;
            apis::save(write, &other).await?;
            changes.push(taken(&other));
        }
    }
    Ok(changes)
}

/// After `row` stopped serving anything at all: the version that is wanted takes the path, if it
/// is another one and deployed. `row` itself is saved, or removed, by the caller.
pub(super) async fn fall_back(
    write: &mut Write,
    row: &mut ApiRow,
) -> Result<Vec<Change>, PublisherError> {
    if !std::mem::take(&mut row.serves_default) {
        return Ok(Vec::new());
    }
    for mut other in others(write, row).await? {
        if other.is_default_version && is_deployed(write, &other).await? {
            other.serves_default = true;
            apis::save(write, &other).await?;
            return Ok(vec![given(&other)]);
        }
    }
    Ok(Vec::new())
}

/// Whether an entry gives the path to `row`, or takes it away.
pub(super) fn is_of(change: &Change, row: &ApiRow) -> bool {
    matches!(change, Change::DefaultVersionChanged { api_id, .. } if *api_id == row.id)
}

async fn others(write: &mut Write, row: &ApiRow) -> Result<Vec<ApiRow>, PublisherError> {
    let mut versions = apis::versions(write, &row.tenant, &row.name).await?;
    versions.retain(|other| other.id != row.id);
    Ok(versions)
}

async fn is_deployed(write: &mut Write, row: &ApiRow) -> Result<bool, PublisherError> {
    let deployed = api_deployments::list_for_change(write, &row.tenant, &row.id).await?;
    Ok(!deployed.is_empty())
}

fn given(row: &ApiRow) -> Change {
    Change::DefaultVersionChanged {
        api_id: row.id.clone(),
        default_context: Some(unversioned_context(&row.context)),
    }
}

fn taken(row: &ApiRow) -> Change {
    Change::DefaultVersionChanged {
        api_id: row.id.clone(),
        default_context: None,
    }
}
