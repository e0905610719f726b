//! What is bounded toward a peer that says nothing.

use ractor::ActorProcessingErr;

use super::*;
use crate::protocol::PROTOCOL;

/// A peer that reads everything and answers the asks that say so.
struct Silent;

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
            Some(1) => reply.send(bytes)?,
            _ => unanswered.push(reply),
        }
        Ok(())
    }
}

const SOON: Duration = Duration::from_secs(10);
const BRIEFLY: Duration = Duration::from_millis(1);

async fn path() -> Path {
    let (router, _) = ractor::ActorRuntime::spawn(None, Silent, ()).await.unwrap();
    let terms = Terms {
        protocol: PROTOCOL,
        bears: 1,
    };
    Path::new(router, Arc::default(), terms)
}

#[tokio::test]
async fn what_was_given_up_keeps_its_place_until_something_later_is_answered() {
    let path = path().await;
    for _ in 0..ASKS {
        assert_eq!(path.ask(vec![0], BRIEFLY).await, Err(AskError::Timeout));
    }
    let more = path.ask(vec![0], BRIEFLY).await;
    assert_eq!(more, Err(AskError::Overloaded), "they lie below");
    assert_eq!(path.probe(vec![1], SOON).await, Ok(vec![1]));
    assert_eq!(path.ask(vec![1], SOON).await, Ok(vec![1]));
    assert_eq!(path.asks.available_permits(), ASKS);
    assert_eq!(path.bytes.available_permits(), BYTES);
}

#[tokio::test]
async fn bytes_of_an_ask_whose_asker_has_gone_are_counted_until_something_later_is_answered() {
    let path = path().await;
    let large = vec![0; BYTES / 2 + 1];
    tokio::select! {
        biased;
        _ = path.ask(large.clone(), SOON) => panic!("nobody answers"),
        () = std::future::ready(()) => {}
    }
    let more = path.ask(large, SOON).await;
    assert_eq!(more, Err(AskError::Overloaded));
    assert_eq!(path.ask(vec![1], SOON).await, Ok(vec![1]));
    assert_eq!(path.bytes.available_permits(), BYTES);
}
