//! Who may found the view register (W3), decided over API-M by whichever node of the control plane is asked: the row
//! that they share knows one founder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster::{
    Actor, Address, AskError, Asked, BoxError, Child, Clock, Cluster, Door, Request, System, child,
};
use domain::view::{Claimant, Founder, Hold, Holder, Others, Verdict, Word};
use storage::apim::view_register;
use storage::{Database, StoreError};

use super::message::{
    Claim, Claimed, GiveUp, GivenUp, HeldOn, HoldOn, Retire, Retired, Share, Shared,
};
use super::retiring::{IsThere, Retirements, sees};
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
    hold: Door<HoldOn>,
    give_up: Door<GiveUp>,
    retire: Door<Retire>,
    /// Whether it was told that another has founded anew.
    has_told: Arc<AtomicBool>,
}

/// The part of a control-plane node in it, over API-M; with the handle for that node itself, `cluster.me()`. Where API-M
/// is a file in its data directory, `is_own_file`, nobody else can be the founder that this node is.
#[must_use]
pub fn claims(
    system: &System,
    apim: &Database,
    (cluster, is_own_file): (&Cluster, bool),
) -> (ClaimHandle, Child) {
    let seen = cluster.clone();
    let arguments = ClaimsArguments {
        clock: system.clock.clone(),
        apim: apim.clone(),
        me: cluster.me().id.clone(),
        is_own_file,
        is_there: Arc::new(move |node| sees(&seen, node)),
    };
    let (address, child) = child::<ClaimsActor>(system, "view-claims", arguments);
    let door = |message| match message {
        ClaimsMessage::Claim(asked) => Some(asked),
        _ => None,
    };
    let claim = Door::local(system, address.clone(), ClaimsMessage::Claim, door);
    let door = |message| match message {
        ClaimsMessage::Share(asked) => Some(asked),
        _ => None,
    };
    let share = Door::local(system, address.clone(), ClaimsMessage::Share, door);
    let door = |message| match message {
        ClaimsMessage::Hold(asked) => Some(asked),
        _ => None,
    };
    let hold = Door::local(system, address.clone(), ClaimsMessage::Hold, door);
    let door = |message| match message {
        ClaimsMessage::GiveUp(asked) => Some(asked),
        _ => None,
    };
    let give_up = Door::local(system, address.clone(), ClaimsMessage::GiveUp, door);
    let door = |message| match message {
        ClaimsMessage::Retire(asked) => Some(asked),
        _ => None,
    };
    let retire = Door::local(system, address, ClaimsMessage::Retire, door);
    let handle = ClaimHandle {
        claim,
        share,
        hold,
        give_up,
        retire,
        has_told: Arc::default(),
    };
    (handle, child)
}

// === impl ClaimHandle ===

impl ClaimHandle {
    /// Has this node answer others.
    #[must_use]
    pub fn joined(self, cluster: &Cluster) -> Self {
        cluster.serve(self.claim.clone());
        cluster.serve(self.share.clone());
        cluster.serve(self.hold.clone());
        cluster.serve(self.give_up.clone());
        cluster.serve(self.retire.clone());
        self
    }

    /// Whichever node of the control plane answers.
    #[must_use]
    pub fn elsewhere(cluster: &Cluster) -> Self {
        fn anywhere<R: Request>(cluster: &Cluster) -> Door<R> {
            Door::anywhere(None, cluster, CONTROL_PLANE, HEDGE)
        }
        Self {
            claim: anywhere(cluster),
            share: anywhere(cluster),
            hold: anywhere(cluster),
            give_up: anywhere(cluster),
            retire: anywhere(cluster),
            has_told: Arc::default(),
        }
    }

    /// A node whose register is empty claims to found it.
    ///
    /// # Errors
    /// When nobody answers in time; it may be written down all the same.
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, AskError> {
        self.claim.ask(claim, DEADLINE).await
    }

    /// The node that leads the register says that it is there, and asks how far it may go by itself.
    ///
    /// # Errors
    /// When nobody answers in time; it may be written down all the same.
    pub async fn hold(&self, holder: HoldOn) -> Result<HeldOn, AskError> {
        self.hold.ask(holder, DEADLINE).await
    }

    /// An operator says that this node, which founded the register, never runs again, and this is all that was seen of it
    /// for as long as it was to be watched. Without that it is looked at.
    ///
    /// # Errors
    /// When nobody answers in time; it may be written down all the same.
    pub async fn give_up(&self, node: &str, watched: Option<u64>) -> Result<GivenUp, AskError> {
        let node = node.to_owned();
        self.give_up.ask(GiveUp { node, watched }, DEADLINE).await
    }

    /// An operator has forgotten this node, which had been admitted so often before: nobody renews its certificate any more.
    /// Without that it is looked at.
    ///
    /// # Errors
    /// When nobody answers in time; it may be written down all the same.
    pub async fn retire(&self, node: &str, admissions: Option<u64>) -> Result<Retired, AskError> {
        let node = node.to_owned();
        self.retire.ask(Retire { node, admissions }, DEADLINE).await
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
            Shared::No => {
                if !self.has_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "nobody takes part beside this node, which founded the view register: another node of its name has \
                         founded it anew since. Stop this one, if that is to go on; if it is to go on itself, stop the other \
                         one, and start this one with an empty data directory"
                    );
                }
                Err("another node has founded the view register anew".into())
            }
            Shared::Unavailable => Err("the control plane cannot write down who takes part".into()),
        }
    }
}

/// What it is started with.
#[derive(Clone)]
pub(super) struct ClaimsArguments {
    pub(super) clock: Clock,
    pub(super) apim: Database,
    me: String,
    is_own_file: bool,
    pub(super) is_there: IsThere,
}

/// What it is told.
enum ClaimsMessage {
    Claim(Asked<Claim>),
    Share(Asked<Share>),
    Hold(Asked<HoldOn>),
    GiveUp(Asked<GiveUp>),
    Retire(Asked<Retire>),
}

/// The actor; API-M is its memory, but for how much it did of late.
struct ClaimsActor(ClaimsArguments, Retirements);

// === impl Actor ===

impl Actor for ClaimsActor {
    type Message = ClaimsMessage;
    type Arguments = ClaimsArguments;
    const KIND: &'static str = "agreed_view.claims";

    async fn start(
        arguments: ClaimsArguments,
        _me: Address<ClaimsMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self(arguments, Retirements::default()))
    }

    async fn handle(&mut self, message: ClaimsMessage) -> Result<(), BoxError> {
        let arguments = &self.0;
        match message {
            // Who gave up asks again.
            ClaimsMessage::Claim(asked) if asked.reply.is_abandoned() => {}
            ClaimsMessage::Claim(Asked { request, reply }) => {
                let claimed = claim(arguments, &request).await;
                reply.send(claimed.unwrap_or_else(|error| {
                    tracing::warn!(%error, "who founds the view register cannot be told");
                    Claimed::Unavailable
                }));
            }
            ClaimsMessage::Share(Asked { request, reply }) => {
                let shared = share(&arguments.apim, &request).await;
                reply.send(shared.unwrap_or_else(|error| {
                    tracing::warn!(%error, "who decides on views cannot be written down");
                    Shared::Unavailable
                }));
            }
            ClaimsMessage::Hold(asked) if asked.reply.is_abandoned() => {}
            ClaimsMessage::Hold(Asked { request, reply }) => {
                let held = hold(arguments, &request).await;
                // Whoever asks says what comes of it.
                reply.send(held.unwrap_or_else(|error| {
                    tracing::debug!(%error, "who holds the view register cannot be written down");
                    HeldOn::Unavailable
                }));
            }
            ClaimsMessage::GiveUp(Asked { request, reply }) => {
                let given_up = give_up(arguments, &request).await;
                reply.send(given_up.unwrap_or_else(|error| {
                    tracing::warn!(%error, "who never runs again cannot be written down");
                    GivenUp::Unavailable
                }));
            }
            ClaimsMessage::Retire(asked) if asked.reply.is_abandoned() => {}
            ClaimsMessage::Retire(Asked { request, reply }) => {
                let retired = self.1.retire(arguments, &request).await;
                reply.send(retired.unwrap_or_else(|error| {
                    tracing::warn!(%error, "a node that is forgotten cannot be written down");
                    Retired::Unavailable
                }));
            }
        }
        Ok(())
    }
}

// === impl ClaimsArguments ===

impl ClaimsArguments {
    /// A node of the control plane that has the database for itself, and sees those that are there.
    #[cfg(test)]
    pub(super) fn seeing(
        apim: &Database,
        is_there: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            clock: Clock::system(),
            apim: apim.clone(),
            me: "cp".to_owned(),
            is_own_file: true,
            is_there: Arc::new(is_there),
        }
    }

    /// For how long this node may go on without having said that it is there; 0 where it is this one, whose data directory
    /// nobody else has.
    fn hold_ms(&self, node: &str, hold_ms: i64) -> i64 {
        let is_locked = self.is_own_file && self.me == node;
        if is_locked { 0 } else { hold_ms }
    }
}

/// What of this node's claim is written down.
async fn claim(arguments: &ClaimsArguments, asked: &Claim) -> Result<Claimed, StoreError> {
    let apim = &arguments.apim;
    let now_ms = arguments.clock.now_ms();
    let mut by = Claimant {
        node: &asked.node,
        name: &asked.name,
        life: asked.life,
        counted_in: asked.counted_in,
        known: asked.known,
        hold_ms: arguments.hold_ms(&asked.node, asked.hold_ms),
        watched: asked.watched,
        has_the_file: arguments.is_own_file && arguments.me == asked.node,
        moment_ms: apim.moment_ms(now_ms).await?,
    };
    // Whoever waits for another's register asks again and again.
    let mut read = apim.read().await?;
    let before = view_register::find(&mut read).await?;
    drop(read);
    // This node is there, and nobody else has what it has.
    let is_mine = arguments.is_own_file && before.node == arguments.me && asked.node != before.node;
    let is_mine = is_mine && !before.is_anybodys;
    let mut founder = before.clone();
    let verdict = founder.claim(&by);
    if is_mine || verdict == Verdict::Others && founder == before {
        return Ok(Claimed::Others {
            name: before.name,
            others: before.others,
            generation: before.generation,
        });
    }
    if verdict == Verdict::Held && founder == before {
        return Ok(held(&founder));
    }
    let mut write = apim.write("apim.view_register.claim").await?;
    let mut founder = view_register::lock(&mut write).await?;
    by.moment_ms = write.moment_ms(arguments.clock.now_ms()).await?;
    let verdict = founder.claim(&by);
    view_register::save(&mut write, &founder).await?;
    write.commit().await?;
    Ok(match verdict {
        Verdict::Yours { founding, after_ms } => Claimed::Yours {
            founding,
            now_ms: by.moment_ms.max(after_ms),
        },
        Verdict::Held => held(&founder),
        Verdict::Others => Claimed::Others {
            name: founder.name,
            others: founder.others,
            generation: founder.generation,
        },
    })
}

fn held(founder: &Founder) -> Claimed {
    Claimed::Held {
        node: founder.node.clone(),
        renewals: founder.renewals,
        hold_ms: founder.hold_ms,
        generation: founder.generation,
    }
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

async fn hold(arguments: &ClaimsArguments, asked: &HoldOn) -> Result<HeldOn, StoreError> {
    let apim = &arguments.apim;
    let mut by = Holder {
        node: &asked.node,
        name: &asked.name,
        life: asked.life,
        generation: asked.generation,
        others: asked.others,
        t_ms: asked.reach_ms.saturating_sub(asked.hold_ms),
        reach_ms: asked.reach_ms,
        hold_ms: arguments.hold_ms(&asked.node, asked.hold_ms),
        leaves_from_ms: asked.leaves_from_ms,
        moment_ms: arguments.clock.now_ms(),
    };
    let mut read = apim.read().await?;
    let before = view_register::find(&mut read).await?;
    drop(read);
    let mut founder = before.clone();
    let mut hold = founder.hold(&by);
    // A file that is this node's alone is not written each time.
    if founder != before {
        let mut write = apim.write("apim.view_register.hold").await?;
        founder = view_register::lock(&mut write).await?;
        by.moment_ms = write.moment_ms(arguments.clock.now_ms()).await?;
        hold = founder.hold(&by);
        view_register::save(&mut write, &founder).await?;
        write.commit().await?;
    }
    Ok(match hold {
        Hold::Free => HeldOn::Free,
        Hold::Until(reach_ms) => HeldOn::Until { reach_ms },
        Hold::Lost => HeldOn::Lost { name: founder.name },
    })
}

async fn give_up(arguments: &ClaimsArguments, asked: &GiveUp) -> Result<GivenUp, StoreError> {
    let apim = &arguments.apim;
    let mut read = apim.read().await?;
    let before = view_register::find(&mut read).await?;
    drop(read);
    let mut founder = before.clone();
    let mut word = founder.give_up(&asked.node, asked.watched);
    // Where others vote with it that it answers says nothing: it may be all that is left.
    let is_alone = before.others < Others::Vote;
    if is_alone && asked.node == arguments.me && word != Word::NotFounder {
        return Ok(GivenUp::There);
    }
    if founder != before {
        let mut write = apim.write("apim.view_register.give_up").await?;
        founder = view_register::lock(&mut write).await?;
        word = founder.give_up(&asked.node, asked.watched);
        view_register::save(&mut write, &founder).await?;
        write.commit().await?;
    }
    Ok(match word {
        Word::Taken => GivenUp::Yes {
            founder: founder.node,
        },
        Word::NotFounder => GivenUp::No,
        Word::Watch { renewals, for_ms } => GivenUp::Watch {
            renewals,
            for_ms,
            founder: founder.node,
        },
    })
}

#[cfg(test)]
#[path = "claiming_tests.rs"]
mod tests;
