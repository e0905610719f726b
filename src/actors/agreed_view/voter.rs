//! A voter of the agreed view (W4, L3): what it promises lies in Carbon before it says so. Asked by the coordinator that
//! leads, by members that grant, and by this node's own register as it appends an entry.

use cluster::{Actor, Address, Asked, BoxError, Clock, SelfReport};
use domain::view::{Cover, Voter};
use storage::{Database, StoreError, carbon::voter};

use super::message::{AskVoter, Promise, Promised};

/// What it is started with.
#[derive(Clone)]
pub(super) struct VoterArguments {
    pub(super) clock: Clock,
    pub(super) carbon: Database,
    /// How far it may fence.
    pub(super) cover: Cover,
}

/// What it is told.
pub(super) struct VoterMessage(pub(super) Asked<AskVoter>);

/// The actor.
pub(super) struct VoterActor {
    clock: Clock,
    carbon: Database,
    cover: Cover,
    /// What is on disk.
    voter: Voter,
    /// Whether nothing could be written at the last try.
    failing: bool,
}

// === impl Actor ===

impl Actor for VoterActor {
    type Message = VoterMessage;
    type Arguments = VoterArguments;
    const KIND: &'static str = "agreed_view.voter";

    async fn start(
        arguments: VoterArguments,
        _me: Address<VoterMessage>,
    ) -> Result<Self, BoxError> {
        let mut read = arguments.carbon.read().await?;
        let voter = voter::find(&mut read).await?;
        drop(read);
        if let Some(fenced_ms) = voter.fenced_ms() {
            arguments
                .cover
                .has_used(fenced_ms, arguments.clock.now_ms());
        }
        Ok(Self {
            clock: arguments.clock,
            carbon: arguments.carbon,
            cover: arguments.cover,
            voter,
            failing: false,
        })
    }

    async fn handle(&mut self, message: VoterMessage) -> Result<(), BoxError> {
        let Asked { request, reply } = message.0;
        if let Some(promised) = self.promise(request).await {
            reply.send(promised);
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        SelfReport::default()
            .with("sealed at epoch", self.voter.sealed_at().number())
            .with(
                "fenced T",
                self.voter
                    .fenced_ms()
                    .map_or_else(|| "nothing".to_owned(), |ms| ms.to_string()),
            )
            .with("its disk cannot be written", self.failing)
            .linked("carbon database")
    }
}

// === impl VoterActor ===

impl VoterActor {
    /// None where it may not go so far: whoever asks asks again, and it may be let further by then.
    async fn promise(&mut self, asked: AskVoter) -> Option<Promised> {
        let mut voter = self.voter;
        let promised = match asked.promise {
            Promise::Seal => Promised::Sealed(voter.seal(asked.epoch)),
            Promise::Fence { t_ms } => match voter.fence(asked.epoch, t_ms) {
                Err(at) => return Some(Promised::Refused { at }),
                // What nobody may ask for any more is not remembered as asked for.
                Ok(()) if !self.cover.covers(t_ms, self.clock.now_ms()) => return None,
                Ok(()) => Promised::Fenced,
            },
        };
        if voter == self.voter {
            return Some(promised);
        }
        Some(match write(&self.carbon, &voter).await {
            Ok(()) => {
                self.voter = voter;
                if std::mem::take(&mut self.failing) {
                    tracing::info!("a voter's promises are written again");
                }
                promised
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "a voter's promise cannot be written, so it makes none");
                }
                Promised::Failed
            }
        })
    }
}

/// Has these promises on disk.
pub(super) async fn write(carbon: &Database, promises: &Voter) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.voter").await?;
    voter::save(&mut write, promises).await?;
    write.commit().await
}
