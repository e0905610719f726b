//! Who issues the cluster's tokens (W6): as configured; else a node of the control plane goes by API-M,
//! where the first one said it, and a gateway by what the control plane's nodes say.

use std::time::Duration;

use actors::key_manager::Issuer;
use cluster::{Cluster, Health};
use storage::apim::cluster_identity;
use storage::carbon::identity::{self, Identity};
use storage::{Database, StoreError};
use tokio_util::sync::CancellationToken;

use super::databases::{Control, Databases};
use super::membership::CONTROL_PLANE;
use crate::config::{Config, Role};

/// The fact by which nodes tell each other.
pub(super) const FACT: &str = "oauth2.issuer";

/// Puts what the node goes by at its start in the place of the default. A node that is alone keeps
/// that: it is where it is reached.
pub(super) async fn settle(
    config: &mut Config,
    databases: &Databases,
    me: &Identity,
) -> Result<(), StoreError> {
    if config.cluster.listen.is_none() {
        return Ok(());
    }
    let oauth2 = &mut config.oauth2;
    match &databases.control {
        Some(control) => {
            let said = said(&control.apim, &oauth2.issuer).await?;
            if !oauth2.issuer_is_given {
                oauth2.issuer = said;
            }
        }
        None if !oauth2.issuer_is_given && !me.issuer.is_empty() => {
            oauth2.issuer.clone_from(&me.issuer);
        }
        None => {}
    }
    Ok(())
}

/// Whether the node says to others who issues tokens: a gateway that was told nothing listens instead.
pub(super) fn is_said(config: &Config) -> bool {
    let roles = &config.node.roles;
    let controls = roles.iter().any(|role| role.is_control_plane());
    controls || (config.oauth2.issuer_is_given && roles.contains(&Role::Gateway))
}

/// What goes on until `stop`, where anything does.
pub(super) async fn follow(
    config: Config,
    (control, carbon): (Option<Control>, Database),
    (cluster, issuer): (Cluster, Issuer),
    stop: CancellationToken,
) {
    let following = async {
        match control {
            Some(control) if config.oauth2.issuer_is_given => {
                // By then the cluster has refused one that it does not agree with.
                tokio::time::sleep(config.cluster.evict.max(SETTLED)).await;
                saved(&control.apim, &config.oauth2.issuer, AGAIN).await;
            }
            None if !is_said(&config) => listen(&cluster, &issuer, &carbon).await,
            _ => {}
        }
    };
    tokio::select! {
        () = following => {}
        () = stop.cancelled() => {}
    }
}

/// After which it is tried again to note the issuer.
const AGAIN: Duration = Duration::from_secs(30);
/// After which a node that was not refused is taken.
const SETTLED: Duration = Duration::from_secs(5);

/// Goes by what the nodes of the control plane say, and keeps it for a start without them.
async fn listen(cluster: &Cluster, issuer: &Issuer, carbon: &Database) {
    let mut changed = cluster.changed();
    let mut kept = String::new();
    loop {
        changed.borrow_and_update();
        if let Some(heard) = heard(cluster)
            && heard != kept
        {
            issuer.set(&heard);
            match keep(carbon, &heard).await {
                Ok(()) => kept = heard,
                Err(error) => {
                    tracing::warn!(%error, "the issuer cannot be kept, a start alone would go by the one before");
                }
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// What a node of the control plane says that is connected.
fn heard(cluster: &Cluster) -> Option<String> {
    let members = cluster.members();
    let mut up = members.iter().filter(|state| state.health == Health::Up);
    up.find_map(|state| {
        let says = state.member.has_role(CONTROL_PLANE);
        let mut facts = state.member.facts.iter().filter(|_| says);
        let fact = facts.find(|fact| fact.key == FACT)?;
        Some(fact.value.clone())
    })
}

/// Who issues tokens by API-M, where `own` is noted if nobody is.
pub(super) async fn said(apim: &Database, own: &str) -> Result<String, StoreError> {
    let mut read = apim.read().await?;
    let noted = cluster_identity::find(&mut read).await?.issuer;
    drop(read);
    if !noted.is_empty() {
        return Ok(noted);
    }
    let mut write = apim.write("apim.cluster_identity.ensure").await?;
    let noted = cluster_identity::ensure_issuer(&mut write, own).await?;
    write.commit().await?;
    Ok(noted)
}

/// Tries until it is noted.
async fn saved(apim: &Database, issuer: &str, pause: Duration) {
    while let Err(error) = save(apim, issuer).await {
        tracing::warn!(%error, "the issuer cannot be noted, nodes that are told none go by the one before; trying again");
        tokio::time::sleep(pause).await;
    }
}

pub(super) async fn save(apim: &Database, issuer: &str) -> Result<(), StoreError> {
    if said(apim, issuer).await? == issuer {
        return Ok(());
    }
    let mut write = apim.write("apim.cluster_identity.save_issuer").await?;
    cluster_identity::save_issuer(&mut write, issuer).await?;
    write.commit().await
}

pub(super) async fn keep(carbon: &Database, issuer: &str) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.identity.save_issuer").await?;
    identity::save_issuer(&mut write, issuer).await?;
    write.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_issuer_that_cannot_be_noted_now_is_noted_as_soon_as_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let (file, away) = (dir.path().join("apim.db"), dir.path().join("away.db"));
        let url = format!("sqlite:{}", file.display());
        let apim = storage::apim::open(&url).await.unwrap();
        assert_eq!(said(&apim, "before").await.unwrap(), "before");
        std::fs::rename(&file, &away).unwrap();
        let pause = Duration::from_millis(10);
        let mut saving = std::pin::pin!(saved(&apim, "given", pause));
        let failing = tokio::time::timeout(pause * 20, &mut saving).await;
        assert!(failing.is_err(), "there is no database to note it in");
        std::fs::rename(&away, &file).unwrap();
        saving.await;
        assert_eq!(said(&apim, "given").await.unwrap(), "given");
    }
}
