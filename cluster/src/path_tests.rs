//! What is bounded toward a peer that says nothing.

use super::*;
use crate::protocol::PROTOCOL;
use crate::silent::{ANSWERED, silent};

const SOON: Duration = Duration::from_secs(10);
const BRIEFLY: Duration = Duration::from_millis(1);

async fn path() -> Path {
    let terms = Terms {
        protocol: PROTOCOL,
        bears: 1,
    };
    Path::new(silent().await, Arc::default(), terms)
}

#[tokio::test]
async fn what_was_given_up_keeps_its_place_until_something_later_is_answered() {
    let path = path().await;
    for _ in 0..ASKS {
        assert_eq!(path.ask(vec![0], BRIEFLY).await, Err(AskError::Timeout));
    }
    let more = path.ask(vec![0], BRIEFLY).await;
    assert_eq!(more, Err(AskError::Overloaded), "they lie below");
    assert_eq!(path.probe(vec![ANSWERED], SOON).await, Ok(vec![ANSWERED]));
    assert_eq!(path.ask(vec![ANSWERED], SOON).await, Ok(vec![ANSWERED]));
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
    assert_eq!(path.ask(vec![ANSWERED], SOON).await, Ok(vec![ANSWERED]));
    assert_eq!(path.bytes.available_permits(), BYTES);
}
