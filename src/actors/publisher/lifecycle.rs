//! Moving an API along its lifecycle (§8), with what that does to gateways and older versions.

use domain::api::Api;
use domain::change::Change;
use domain::lifecycle::LifecycleState;
use storage::Write;
use storage::apim::apis::ApiRow;
use storage::apim::{api_deployments, api_lifecycle, apis};

use super::apis::{commit, find, lock, step};
use super::default_version::Event;
use super::error::PublisherError;
use super::message::{Author, Committed, Edition, Step};
use super::{Stores, default_version, subscriptions};

/// Takes one step.
pub(super) async fn take(
    stores: &Stores,
    edition: &Edition,
    wanted: &Step,
) -> Result<Committed<Api>, PublisherError> {
    let (_, mut api) = find(stores, edition).await?;
    let now = stores.system.clock.now_ms();
    let author = &edition.author;
    let mut write = stores.apim.write("apim.apis.move").await?;
    apis::claim(&mut write, &author.tenant).await?;
    let mut row = lock(&mut write, edition).await?;
    let before = row.state;
    let Some(after) = before.after(&wanted.action) else {
        let problem = format!(
            "{} leads nowhere from the state {}",
            wanted.action,
            before.title()
        );
        return Err(PublisherError::invalid("action", problem));
    };
    let mut changes = shift(&mut write, &mut row, after, author, now).await?;
    if after == LifecycleState::Published && !before.checklist().is_empty() {
        let older = older_versions(&mut write, &row).await?;
        if !wanted.require_resubscription
            && let Some(last) = older.last()
        {
            changes.extend(subscriptions::carry_over(&mut write, last, &api, now).await?);
        }
        if wanted.deprecate_old_versions {
            for old in older {
                // Read anew: the step of the one before may have moved the default version.
                let mut old = apis::lock(&mut write, &old.tenant, &old.id).await?;
                let state = LifecycleState::Deprecated;
                changes.extend(shift(&mut write, &mut old, state, author, now).await?);
            }
            row = apis::lock(&mut write, &row.tenant, &row.id).await?;
        }
    }
    let n = commit(stores, write, &author.tenant, &changes).await?;
    row.correct(&mut api);
    Ok(Committed { value: api, n })
}

async fn shift(
    write: &mut Write,
    row: &mut ApiRow,
    after: LifecycleState,
    author: &Author,
    now_ms: i64,
) -> Result<Vec<Change>, PublisherError> {
    let before = row.state;
    row.state = after;
    row.updated_at_ms = now_ms;
    let mut changes = vec![Change::ApiStateChanged {
        api_id: row.id.clone(),
        state: after,
    }];
    if after == LifecycleState::Retired {
        row.is_default_version = false;
        changes.extend(default_version::fall_back(write, row).await?);
        for deployment in api_deployments::list_for_change(write, &row.tenant, &row.id).await? {
            let environment = deployment.environment;
            api_deployments::delete(write, &row.tenant, &row.id, &environment).await?;
            changes.push(Change::ApiUndeployed {
                api_id: row.id.clone(),
                environment,
            });
        }
    } else {
        changes.extend(default_version::hand_over(write, row, Event::Moved).await?);
    }
    row.row_version = apis::save(write, row).await?;
    let step = step(row, Some(before), author, now_ms);
    api_lifecycle::create(write, &step).await?;
    Ok(changes)
}

/// The published versions that were made before this one, oldest first.
async fn older_versions(write: &mut Write, row: &ApiRow) -> Result<Vec<ApiRow>, PublisherError> {
    let versions = apis::versions(write, &row.tenant, &row.name).await?;
    let older = versions.into_iter().take_while(|other| other.id != row.id);
    let published = older.filter(|other| other.state == LifecycleState::Published);
    Ok(published.collect())
}
