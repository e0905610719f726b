//! A peer of tests that reads everything and is silent, until it is told to answer.

use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::router::Routed;

/// An ask that this peer answers, with its own bytes.
pub(crate) const ANSWERED: u8 = 1;
/// An ask that it answers, as all that came before.
pub(crate) const ALL_ANSWERED: u8 = 2;

/// Its router.
pub(crate) struct Silent;

/// One that nobody has asked anything yet.
pub(crate) async fn silent() -> ActorRef<Routed> {
    let (router, _) = ractor::ActorRuntime::spawn(None, Silent, ()).await.unwrap();
    router
}

impl ractor::Actor for Silent {
    type Msg = Routed;
    /// Those who are not answered.
    type State = Vec<RpcReplyPort<Vec<u8>>>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<Routed>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        _: ActorRef<Routed>,
        Routed { bytes, reply, .. }: Routed,
        unanswered: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match bytes.first() {
            Some(&ANSWERED) => reply.send(bytes)?,
            Some(&ALL_ANSWERED) => {
                for waiting in unanswered.drain(..) {
                    let _ = waiting.send(Vec::new());
                }
                reply.send(bytes)?;
            }
            _ => unanswered.push(reply),
        }
        Ok(())
    }
}
