//! Who may found the view register (W3), decided over API-M by whichever node of the control plane is asked: the row
//! that they share knows one founder.

use std::time::Duration;

use cluster::{
    Actor, Address, AskError, Asked, BoxError, Child, Clock, Cluster, Door, System, child,
};
use domain::view::Others;
use storage::apim::view_register;
use storage::{Database, StoreError};

use super::message::{Claim, Claimed, Share, Shared};
use crate::CONTROL_PLANE;

/// A database may take so long.
const DEADLINE: Duration = Duration::from_secs(2);
/// Another node of the control plane is asked beside the first after so long.
const HEDGE: Duration = Duration::from_millis(300);

/// Asks who founds the view register, wherever that is decided. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClaimHandle {
    claim: Door<Claim>,
    share: Door<Share>,
}

/// The part of a control-plane node in it, over API-M; with the handle for that node itself.
#[must_use]
pub fn claims(system: &System, apim: &Database) -> (ClaimHandle, Child) {
    let arguments = ClaimsArguments {
        clock: system.clock.clone(),
        apim: apim.clone(),
    };
    let (address, child) = child::<ClaimsActor>(system, "view-claims", arguments);
    let claim = Door::local(
        system,
        address.clone(),
        ClaimsMessage::Claim,
        |message| match message {
            ClaimsMessage::Claim(asked) => Some(asked),
            ClaimsMessage::Share(_) => None,
        },
    );
    let share = Door::local(
        system,
        address,
        ClaimsMessage::Share,
        |message| match message {
            ClaimsMessage::Share(asked) => Some(asked),
            ClaimsMessage::Claim(_) => None,
        },
    );
    (ClaimHandle { claim, share }, child)
}

// === impl ClaimHandle ===

impl ClaimHandle {
    /// Has this node answer others.
    #[must_use]
    pub fn joined(self, cluster: &Cluster) -> Self {
        cluster.serve(self.claim.clone());
        cluster.serve(self.share.clone());
        self
    }

    /// Whichever node of the control plane answers.
    #[must_use]
    pub fn elsewhere(cluster: &Cluster) -> Self {
        Self {
            claim: Door::anywhere(None, cluster, CONTROL_PLANE, HEDGE),
            share: Door::anywhere(None, cluster, CONTROL_PLANE, HEDGE),
        }
    }

    /// A node whose register is empty claims to found it.
    ///
    /// # Errors
    /// When nobody answers in time; it may be written down all the same.
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, AskError> {
        self.claim.ask(claim, DEADLINE).await
    }

    /// Has it written down, for ever, that others take part beside the founder; before they do.
    ///
    /// # Errors
    /// When it is not certain that it is: then they must not.
    pub async fn share(&self, node: &str, others: Others) -> Result<(), BoxError> {
        let share = Share {
            node: node.to_owned(),
            others,
        };
        match self.share.ask(share, DEADLINE).await? {
            Shared::Yes => Ok(()),
            Shared::No => Err("another node has founded the view register anew".into()),
            Shared::Unavailable => Err("the control plane cannot write down who takes part".into()),
        }
    }
}

/// What it is started with.
#[derive(Clone)]
struct ClaimsArguments {
    clock: Clock,
    apim: Database,
}

/// What it is told.
enum ClaimsMessage {
    Claim(Asked<Claim>),
    Share(Asked<Share>),
}

/// The actor; API-M is its memory.
struct ClaimsActor(ClaimsArguments);

// === impl Actor ===

impl Actor for ClaimsActor {
    type Message = ClaimsMessage;
    type Arguments = ClaimsArguments;
    const KIND: &'static str = "agreed_view.claims";

    async fn start(
        arguments: ClaimsArguments,
        _me: Address<ClaimsMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self(arguments))
    }

    async fn handle(&mut self, message: ClaimsMessage) -> Result<(), BoxError> {
        let ClaimsArguments { clock, apim } = &self.0;
        match message {
            // Who gave up asks again.
            ClaimsMessage::Claim(asked) if asked.reply.is_abandoned() => {}
            ClaimsMessage::Claim(Asked { request, reply }) => {
                let claimed = claim(apim, &request, clock.now_ms()).await;
                reply.send(claimed.unwrap_or_else(|error| {
                    tracing::warn!(%error, "who founds the view register cannot be told");
                    Claimed::Unavailable
                }));
            }
            ClaimsMessage::Share(Asked { request, reply }) => {
                let shared = share(apim, &request).await;
                reply.send(shared.unwrap_or_else(|error| {
                    tracing::warn!(%error, "who decides on views cannot be written down");
                    Shared::Unavailable
                }));
            }
        }
        Ok(())
    }
}

/// What of this node's claim is written down.
async fn claim(apim: &Database, asked: &Claim, own_ms: i64) -> Result<Claimed, StoreError> {
    // Whoever waits for another's register asks again and again.
    let mut read = apim.read().await?;
    let founder = view_register::find(&mut read).await?;
    drop(read);
    let Claim {
        node,
        name,
        life,
        counted_in,
    } = asked;
    if !founder.may_be(node, name) {
        return Ok(Claimed::Others {
            name: founder.name,
            others: founder.others,
        });
    }
    let mut write = apim.write("apim.view_register.claim").await?;
    let mut founder = view_register::lock(&mut write).await?;
    let Some(founding) = founder.claim((node, name), *life, *counted_in) else {
        return Ok(Claimed::Others {
            name: founder.name,
            others: founder.others,
        });
    };
    view_register::save(&mut write, &founder).await?;
    let now_ms = write.moment_ms(own_ms).await?;
    write.commit().await?;
    Ok(Claimed::Yours { founding, now_ms })
}

async fn share(apim: &Database, asked: &Share) -> Result<Shared, StoreError> {
    let mut write = apim.write("apim.view_register.share").await?;
    let mut founder = view_register::lock(&mut write).await?;
    if !founder.share(&asked.node, asked.others) {
        return Ok(Shared::No);
    }
    view_register::save(&mut write, &founder).await?;
    write.commit().await?;
    Ok(Shared::Yes)
}

#[cfg(test)]
#[path = "claiming_tests.rs"]
mod tests;
