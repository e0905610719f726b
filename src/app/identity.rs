//! Who this node is, in this life of it.

use storage::broker::ledger_state;
use storage::broker::node::{self, Owner};
use storage::carbon::identity::{self, Identity};
use storage::carbon::projection;

use super::databases::Databases;
use crate::config::{Node, Role};

/// This start's identity: the incarnation is on disk before anybody hears of it (W1). When Carbon was
/// lost the node is still whom Broker belongs to: under another id what waits there would be counted
/// twice, and a lower incarnation would neither end what earlier ones began nor outrank their marks.
/// When Broker was lost this is no founding (L6): what was granted in running windows is not known.
pub(super) async fn raise(
    databases: &Databases,
    node: &Node,
    now_ms: i64,
) -> anyhow::Result<Identity> {
    let mut read = databases.broker.read().await?;
    let owner = node::find(&mut read).await?;
    let is_new = owner.is_none() && !ledger_state::has_run(&mut read).await?;
    drop(read);
    // Usage of calls waits there; nobody was let in before a change was applied.
    let mut read = databases.carbon.read().await?;
    let has_served = projection::applied(&mut read).await?.is_some();
    let lost_carbon = owner.is_some() && identity::find(&mut read).await?.is_none();
    drop(read);
    let above = owner.as_ref().map_or(0, |owner| owner.incarnation);
    let known_id = owner.map(|owner| owner.node_id);
    let new_id = known_id.clone();
    let new_id = || new_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut write = databases.carbon.write("carbon.identity.raise").await?;
    let me = identity::raise(&mut write, &node.name, above, new_id).await?;
    if let Some(known_id) = known_id.filter(|id| *id != me.node_id) {
        anyhow::bail!(
            "carbon.db is of node {} and broker.db of node {known_id}: put back the files that belong \
             together, or move carbon.db away, which is made anew for the node of broker.db",
            me.node_id
        );
    }
    write.commit().await?;
    if lost_carbon {
        tracing::warn!(
            incarnation = me.incarnation,
            "carbon.db was lost: if this node was one of several that vote on the view, it has forgotten what it promised \
             them: stop it, forget it there (headgate cluster forget), and start it with an empty data directory"
        );
    }
    let mut write = databases.broker.write("broker.node.save").await?;
    let owner = Owner {
        node_id: me.node_id.clone(),
        incarnation: me.incarnation,
    };
    node::save(&mut write, &owner).await?;
    if is_new && me.has_counted {
        ledger_state::begin_without_past(&mut write, now_ms).await?;
        tracing::error!(
            incarnation = me.incarnation,
            "broker.db was lost: plans whose counts no other traffic manager has are used up (429) until their running \
             windows end, or until headgate cluster forget with this node's name lets them count from nothing; usage \
             that waited in it is missing"
        );
    } else if is_new && has_served {
        tracing::error!(
            incarnation = me.incarnation,
            "broker.db was lost: usage that waited in it is missing"
        );
    }
    write.commit().await?;
    note_counting(databases, node, &me).await?;
    Ok(me)
}

/// That plans are counted here from now on. After Broker, where this node's mark is by now: a first start that was cut short
/// before has counted nothing, and is not taken for one that lost what it counted.
async fn note_counting(databases: &Databases, node: &Node, me: &Identity) -> anyhow::Result<()> {
    if node.roles.contains(&Role::TrafficManager) && !me.has_counted {
        let mut write = databases
            .carbon
            .write("carbon.identity.note_counting")
            .await?;
        identity::note_counting(&mut write).await?;
        write.commit().await?;
    }
    Ok(())
}
