//! The view register of the cluster (W3): what its bytes mean, and that a voter seals by an entry before it
//! acknowledges it (W4).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use serde::{Deserialize, Serialize};

use cluster::{
    BoxError, LogPlace, RegisterLink, RegisterSeed, RegisterStore, Storing, System, spawn_named,
};
use domain::view::{Entry, Epoch, Founding, Others, View};

use super::claiming::ClaimHandle;
use super::handle::Nodes;
use super::message::{AskVoter, Promise, Promised};
use super::register::{Known, Register, SharedRegister, Step};

/// A disk may take so long for a promise.
const SEALING: Duration = Duration::from_secs(5);

/// What the register agrees on is the view, and whom an operator chose to vote on it.
struct ViewValue;

/// The value as it is kept.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    view: View,
    chosen: Vec<String>,
}

/// The voter of this node.
struct OwnVoter {
    nodes: Nodes,
    claims: ClaimHandle,
}

/// The register of a node of a cluster.
struct OfCluster {
    me: String,
    register: cluster::Register,
    claims: ClaimHandle,
    known: watch::Receiver<Known>,
}

/// The register of this node: its promises lie in `store`, `link` is the way to other voters, and `claims` to where it
/// is written down, before they do so, that others own shards or vote beside its founder.
///
/// # Errors
/// When the node's id is none that can vote.
pub fn register_of_cluster(
    system: &System,
    nodes: &Nodes,
    store: Arc<dyn RegisterStore>,
    link: Arc<dyn RegisterLink>,
    claims: &ClaimHandle,
) -> Result<(cluster::Register, SharedRegister, cluster::Child), cluster::OrderError> {
    let settings = cluster::RegisterSettings {
        node: nodes.me().node.clone(),
        value: Arc::new(ViewValue),
        sealing: Arc::new(OwnVoter {
            nodes: nodes.clone(),
            claims: claims.clone(),
        }),
        store,
        link,
        timing: cluster::RegisterTiming::default(),
    };
    let (register, child) = cluster::register(system, "agreed-view/register", settings)?;
    let (sender, known) = watch::channel(Known::default());
    spawn_named("register news", follow(register.changes(), sender));
    let shared = Arc::new(OfCluster {
        me: nodes.me().node.clone(),
        register: register.clone(),
        claims: claims.clone(),
        known,
    });
    Ok((register, shared, child))
}

/// Says what the register knows in the words of the view.
async fn follow(mut changes: watch::Receiver<cluster::Known>, sender: watch::Sender<Known>) {
    loop {
        let said = changes.borrow_and_update().clone();
        match kept(&said.value) {
            Ok(Kept { view, chosen }) => {
                sender.send_if_modified(|known| {
                    // While the voters change the old ones count, until the new ones alone do.
                    let mut sets = said.voters.sets.iter().cloned();
                    let voters = sets.next().unwrap_or_default();
                    let new = Known {
                        view,
                        leads: said.leads,
                        at: said.at.and_then(|at| Epoch::new(at.term, at.index)),
                        voters,
                        next: sets.next_back().unwrap_or_default(),
                        chosen,
                        leader: said.leader.clone(),
                    };
                    let changes = *known != new;
                    *known = new;
                    changes
                });
            }
            // It was looked at before it was taken.
            Err(error) => tracing::error!(%error, "the register's value is not understood"),
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// What the register of `me` is founded with.
///
/// # Errors
/// When there were too many foundings.
pub(super) fn seed(founding: &Founding, me: &str, now_ms: i64) -> Result<RegisterSeed, BoxError> {
    let view = founding.view(me, now_ms);
    let view = view.ok_or("no epochs are left above those of so many foundings")?;
    let chosen = Vec::new();
    Ok(RegisterSeed {
        term: founding.term(),
        value: serde_json::to_vec(&Kept { view, chosen })?,
    })
}

fn kept(value: &[u8]) -> Result<Kept, BoxError> {
    if value.is_empty() {
        return Ok(Kept::default());
    }
    Ok(serde_json::from_slice(value)?)
}

fn epoch(at: LogPlace) -> Result<Epoch, BoxError> {
    Epoch::new(at.term, at.index).ok_or_else(|| format!("{at} is beyond all epochs").into())
}

// === impl Value ===

impl cluster::Value for ViewValue {
    fn initial(&self) -> Vec<u8> {
        Vec::new()
    }

    fn apply(
        &self,
        value: &[u8],
        at: LogPlace,
        agreed: cluster::Agreed<'_>,
    ) -> Result<Vec<u8>, BoxError> {
        let cluster::Agreed::Entry(entry) = agreed else {
            return Ok(value.to_vec());
        };
        let mut kept = kept(value)?;
        match serde_json::from_slice(entry)? {
            Step::View(entry) => {
                kept.view.apply(epoch(at)?, entry);
            }
            Step::Voters(chosen) => kept.chosen = chosen,
        }
        Ok(serde_json::to_vec(&kept)?)
    }

    fn check(&self, value: &[u8]) -> Result<(), BoxError> {
        kept(value).map(drop)
    }
}

// === impl Sealing ===

impl cluster::Sealing for OwnVoter {
    fn appended<'a>(&'a self, entries: &'a [(LogPlace, Vec<u8>)]) -> Storing<'a, ()> {
        Box::pin(async move {
            let mut last = None;
            for (at, entry) in entries {
                if let Step::View(Entry::Sync { .. }) = serde_json::from_slice(entry)? {
                    last = last.max(Some(epoch(*at)?));
                }
            }
            match last {
                Some(epoch) => self.seal(epoch).await,
                None => Ok(()),
            }
        })
    }

    fn installed<'a>(&'a self, _at: LogPlace, value: &'a [u8]) -> Storing<'a, ()> {
        Box::pin(async move { self.seal(kept(value)?.view.epoch).await })
    }

    fn shared(&self) -> Storing<'_, ()> {
        let me = &self.nodes.me().node;
        Box::pin(self.claims.share(me, Others::Vote))
    }
}

impl OwnVoter {
    async fn seal(&self, epoch: Epoch) -> Result<(), BoxError> {
        let promise = Promise::Seal;
        let asked = AskVoter { epoch, promise };
        let me = &self.nodes.me().node;
        match self.nodes.ask_voter(me, asked, SEALING).await? {
            Promised::Sealed(_) => Ok(()),
            other => Err(format!("the voter of this node did not seal: {other:?}").into()),
        }
    }
}

// === impl OfCluster ===

impl OfCluster {
    /// Whether others are to own shards beside this node, which decides alone and owned all of them until now: what its
    /// disk has is not everything then.
    fn brings_others(&self, entry: &Entry) -> bool {
        let Entry::Sync { members, .. } = entry else {
            return false;
        };
        let known = self.known.borrow();
        let mut before = known.view.members.iter();
        let is_alone = known.voters.iter().all(|voter| *voter == self.me)
            && before.all(|life| life.node == self.me);
        is_alone && members.iter().any(|life| life.node != self.me)
    }
}

// === impl Register ===

impl Register for OfCluster {
    fn known(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }

    fn propose(&self, entry: Entry) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (me, claims) = (self.me.clone(), self.claims.clone());
        let shares = self.brings_others(&entry);
        let agreeing = self.agree(Step::View(entry));
        Box::pin(async move {
            if shares && let Err(error) = claims.share(&me, Others::Own).await {
                tracing::debug!(%error, "nobody else owns shards for now");
                return;
            }
            if let Err(error) = agreeing.await {
                tracing::debug!(error, "a view was not agreed on, or not yet");
            }
        })
    }

    fn agree(&self, step: Step) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let register = self.register.clone();
        Box::pin(async move {
            let step = serde_json::to_vec(&step).map_err(|error| error.to_string())?;
            let agreed = register.propose(step).await;
            agreed.map(drop).map_err(|error| error.to_string())
        })
    }

    fn change_voters(&self, voters: Vec<String>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let register = self.register.clone();
        Box::pin(async move {
            match register.change_voters(&voters).await {
                Ok(_) => tracing::info!(voters = voters.join(" "), "others vote on views now"),
                Err(error) => {
                    tracing::debug!(%error, "the voters stay as they are for now");
                }
            }
        })
    }
}
