//! Which cluster this node belongs to when it starts (W1): by its own files, else, on a node of the
//! control plane, by API-M. So whoever lost its files is one of the cluster that it was in, and not the
//! founder of another one over the same databases.

use anyhow::ensure;
use storage::apim::cluster_identity;
use storage::carbon::identity::{self, Identity};
use storage::carbon::known_members;
use storage::{Database, StoreError};

use super::databases::{Control, Databases};

/// The cluster that a node belongs to.
pub(super) struct Belongs {
    /// Its id; empty for a node that has seeds and never was in any.
    pub(super) cluster: String,
    /// It was about to found one, and another node did so over the same databases: it goes over to that one's, which
    /// whoever asks has to keep.
    pub(super) was_second: bool,
}

/// The cluster that the node belongs to. Only a node without seeds, whose databases were in none either, founds
/// one.
pub(super) async fn cluster_of(
    databases: &Databases,
    me: &Identity,
    seeds: &[String],
) -> anyhow::Result<Belongs> {
    let belongs = |cluster: String| Belongs {
        cluster,
        was_second: false,
    };
    let mine = &me.cluster_id;
    if !mine.is_empty() {
        return goes_on(databases, mine).await;
    }
    if !seeds.is_empty() {
        // Its welcome says, and databases of another cluster are refused there.
        return Ok(belongs(String::new()));
    }
    let noted = noted(databases.control.as_ref()).await?;
    if !noted.is_empty() {
        keep(&databases.carbon, &noted).await?;
        tracing::warn!(
            cluster = noted,
            "this node knew of no cluster and its databases are one's: it goes on in that; where the \
             others do not find it at the address where it was, start it with --seeds"
        );
        return Ok(belongs(noted));
    }
    // On this node's disk first: of two that found one at a time over the same databases it is known
    // then who was the second, which goes over.
    let new = uuid::Uuid::new_v4().to_string();
    keep(&databases.carbon, &new).await?;
    let cluster = note(databases.control.as_ref(), &new).await?;
    let was_second = cluster != new;
    if was_second {
        tracing::warn!(
            cluster,
            "another node founded a cluster over the same databases at this moment, this one goes on in that: \
             start it with --seeds"
        );
    } else {
        tracing::info!(
            cluster,
            "founded a cluster, other nodes join it with --seeds"
        );
    }
    Ok(Belongs {
        cluster,
        was_second,
    })
}

/// The cluster of a node that nobody else can reach: its promises as a voter are that one's, and others may join it
/// later.
pub(super) async fn of_lone_node(databases: &Databases, me: &Identity) -> anyhow::Result<()> {
    if !me.cluster_id.is_empty() {
        return agree(databases, &me.cluster_id).await;
    }
    let new = uuid::Uuid::new_v4().to_string();
    let cluster = match noted(databases.control.as_ref()).await? {
        empty if empty.is_empty() => note(databases.control.as_ref(), &new).await?,
        noted => noted,
    };
    Ok(keep(&databases.carbon, &cluster).await?)
}

/// Goes on in its cluster. One that nobody else was ever in may be what is left of a founding that was cut short
/// while another node founded over the same databases: the node goes over to that one's then.
async fn goes_on(databases: &Databases, mine: &str) -> anyhow::Result<Belongs> {
    let noted = noted_or(databases.control.as_ref(), mine).await?;
    if noted == mine || !has_met_nobody(databases).await? {
        agree(databases, mine).await?;
        return Ok(Belongs {
            cluster: mine.to_owned(),
            was_second: false,
        });
    }
    tracing::warn!(
        cluster = noted,
        "this node began a cluster that nobody else was in, and its databases are another's: it goes over to that"
    );
    Ok(Belongs {
        cluster: noted,
        was_second: true,
    })
}

/// Who the node is to those whom it joins with a token. Of a founding that another node was first at nothing is left
/// then: until there is a token each start finds that it was the second, and none makes an authority.
pub(super) async fn joins_as(databases: &Databases, me: &Identity) -> anyhow::Result<Identity> {
    let mut joins = me.clone();
    let noted = noted(databases.control.as_ref()).await?;
    let is_another = !noted.is_empty() && noted != me.cluster_id;
    if is_another && has_met_nobody(databases).await? {
        joins.cluster_id.clear();
    }
    Ok(joins)
}

async fn has_met_nobody(databases: &Databases) -> Result<bool, StoreError> {
    let mut read = databases.carbon.read().await?;
    Ok(known_members::list(&mut read).await?.is_empty())
}

/// Whether API-M is one of a cluster that this node knows nothing of.
pub(super) async fn is_anothers(databases: &Databases, me: &Identity) -> anyhow::Result<bool> {
    let noted = noted(databases.control.as_ref()).await?;
    Ok(me.cluster_id.is_empty() && !noted.is_empty())
}

/// Sees to it that the databases are those of this cluster, and know it.
pub(super) async fn agree(databases: &Databases, mine: &str) -> anyhow::Result<()> {
    let noted = noted_or(databases.control.as_ref(), mine).await?;
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

/// The same; notes `mine` where it says none: of a version before, or the node joined one that a node without
/// databases founded.
async fn noted_or(control: Option<&Control>, mine: &str) -> Result<String, StoreError> {
    match noted(control).await? {
        empty if empty.is_empty() => note(control, mine).await,
        noted => Ok(noted),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn databases(dir: &std::path::Path) -> Databases {
        let at = |name: &str| format!("sqlite:{}", dir.join(name).display());
        Databases {
            control: Some(Control {
                apim: storage::apim::open(&at("apim.db")).await.unwrap(),
                shared: storage::shared::open(&at("shared.db")).await.unwrap(),
            }),
            carbon: storage::carbon::open(dir).await.unwrap(),
            broker: storage::broker::open(dir).await.unwrap(),
        }
    }

    fn me(cluster: &str) -> Identity {
        Identity {
            node_id: "n".to_owned(),
            node_name: "cp2".to_owned(),
            incarnation: 2,
            cluster_id: cluster.to_owned(),
            has_counted: false,
            issuer: String::new(),
        }
    }

    async fn belongs(databases: &Databases, mine: &str) -> anyhow::Result<Belongs> {
        cluster_of(databases, &me(mine), &[]).await
    }

    #[tokio::test]
    async fn a_founding_that_was_cut_short_gives_way_to_another_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let databases = databases(dir.path()).await;
        let first = belongs(&databases, "").await.unwrap();
        assert!(!first.was_second && !first.cluster.is_empty());
        // It ended after it had kept its own, and before it asked API-M.
        let over = belongs(&databases, "cut short").await.unwrap();
        assert_eq!((&over.cluster, over.was_second), (&first.cluster, true));
        // Nor does anything of it stand in the way of joining the other, which is all that is left over TLS.
        let joins = joins_as(&databases, &me("cut short")).await.unwrap();
        assert_eq!(joins.cluster_id, "");
        let joins = joins_as(&databases, &me(&over.cluster)).await.unwrap();
        assert_eq!(joins.cluster_id, over.cluster);
        // One that others were in does not go over.
        let mut write = databases.carbon.write("test.known").await.unwrap();
        known_members::add(&mut write, "gw1:4370").await.unwrap();
        write.commit().await.unwrap();
        let error = belongs(&databases, "of others")
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("of others"), "{error}");
    }

    #[tokio::test]
    async fn of_two_that_found_at_once_over_one_database_one_is_first_and_each_start_knows_who() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = databases(dir.path()).await;
        let two = Databases {
            control: one.control.clone(),
            carbon: storage::carbon::open(other.path()).await.unwrap(),
            broker: storage::broker::open(other.path()).await.unwrap(),
        };
        // Both have looked, and found none; then each notes its own.
        for (databases, cluster) in [(&one, "first"), (&two, "second")] {
            keep(&databases.carbon, cluster).await.unwrap();
        }
        let noted = note(one.control.as_ref(), "first").await.unwrap();
        assert_eq!(noted, "first");
        // The second one is cut short before it notes, or after; and once more whenever it starts.
        for _ in 0..3 {
            let second = belongs(&two, "second").await.unwrap();
            assert_eq!(
                (second.cluster.as_str(), second.was_second),
                ("first", true)
            );
            let first = belongs(&one, "first").await.unwrap();
            assert_eq!((first.cluster.as_str(), first.was_second), ("first", false));
        }
    }

    #[tokio::test]
    async fn a_founder_that_ended_before_anything_was_noted_founds_what_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let databases = databases(dir.path()).await;
        let begun = belongs(&databases, "begun").await.unwrap();
        assert_eq!((begun.cluster.as_str(), begun.was_second), ("begun", false));
        let noted = noted(databases.control.as_ref()).await.unwrap();
        assert_eq!(noted, "begun");
    }
}
