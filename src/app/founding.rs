//! Which cluster this node belongs to when it starts (W1): by its own files, else, on a node of the
//! control plane, by API-M. So whoever lost its files is one of the cluster that it was in, and not the
//! founder of another one over the same databases.

use anyhow::ensure;
use storage::apim::cluster_identity;
use storage::carbon::identity::{self, Identity};
use storage::{Database, StoreError};

use super::databases::{Control, Databases};

/// The cluster that the node belongs to; empty for one that has seeds and never was in any. Only one
/// without seeds, whose databases were in none either, founds one.
pub(super) async fn cluster_of(
    databases: &Databases,
    me: &Identity,
    seeds: &[String],
) -> anyhow::Result<String> {
    let mine = &me.cluster_id;
    if !mine.is_empty() {
        agree(databases, mine).await?;
        return Ok(mine.clone());
    }
    if !seeds.is_empty() {
        // Its welcome says, and databases of another cluster are refused there.
        return Ok(String::new());
    }
    let noted = noted(databases.control.as_ref()).await?;
    if !noted.is_empty() {
        keep(&databases.carbon, &noted).await?;
        tracing::warn!(
            cluster = noted,
            "this node knew of no cluster and its databases are one's: it goes on in that; where the \
             others do not find it at the address where it was, start it with --seeds"
        );
        return Ok(noted);
    }
    // On this node's disk first: of two that found one at a time over the same databases it is known
    // then who was the second, which goes over.
    let new = uuid::Uuid::new_v4().to_string();
    keep(&databases.carbon, &new).await?;
    let cluster = note(databases.control.as_ref(), &new).await?;
    if cluster != new {
        keep(&databases.carbon, &cluster).await?;
    }
    tracing::info!(
        cluster,
        "founded a cluster, other nodes join it with --seeds"
    );
    Ok(cluster)
}

/// Whether API-M is one of a cluster that this node knows nothing of.
pub(super) async fn is_anothers(databases: &Databases, me: &Identity) -> anyhow::Result<bool> {
    let noted = noted(databases.control.as_ref()).await?;
    Ok(me.cluster_id.is_empty() && !noted.is_empty())
}

/// Sees to it that the databases are those of this cluster, and know it.
pub(super) async fn agree(databases: &Databases, mine: &str) -> anyhow::Result<()> {
    let control = databases.control.as_ref();
    let noted = match noted(control).await? {
        // Of a version before, or it joined one that a node without databases founded.
        empty if empty.is_empty() => note(control, mine).await?,
        noted => noted,
    };
    ensure!(
        noted == mine,
        "this node is of cluster {mine} and its database API-M of cluster {noted}: put back what belongs \
         together, or start it with a data directory of its own"
    );
    Ok(())
}

/// Keeps the cluster that the node belongs to.
pub(super) async fn keep(carbon: &Database, cluster: &str) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.identity.save_cluster").await?;
    identity::save_cluster(&mut write, cluster).await?;
    write.commit().await
}

/// The cluster that API-M is one of; empty where it says none.
async fn noted(control: Option<&Control>) -> Result<String, StoreError> {
    let Some(control) = control else {
        return Ok(String::new());
    };
    let mut read = control.apim.read().await?;
    Ok(cluster_identity::find(&mut read).await?.cluster_id)
}

/// Notes it in API-M unless one is noted there; gives which is, the same where there is no API-M.
async fn note(control: Option<&Control>, cluster: &str) -> Result<String, StoreError> {
    let Some(control) = control else {
        return Ok(cluster.to_owned());
    };
    let mut write = control.apim.write("apim.cluster_identity.ensure").await?;
    let noted = cluster_identity::ensure_cluster(&mut write, cluster).await?;
    write.commit().await?;
    Ok(noted)
}
