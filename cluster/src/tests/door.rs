use super::*;
use crate::{AskError, Door, start_root};

/// Writes itself as a string and wants a number back: never decodable.
#[derive(Debug)]
struct Broken;

impl Serialize for Broken {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("five")
    }
}

impl<'de> Deserialize<'de> for Broken {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <[u64; 4]>::deserialize(from).map(|_| Self)
    }
}

impl Request for Broken {
    type Reply = ();
    const KIND: u16 = 0x7f02;
    const VERSION: u16 = 1;
}

#[tokio::test]
async fn an_encoding_door_gives_the_same_answers() {
    for encode in [false, true] {
        let system = System::new(Clock::system(), encode);
        let (address, one) = counter(&system, "one", &Plan::default());
        let root = start_root(&system, vec![one]).await.unwrap();
        let door = Door::local(&system, address.clone(), wrap, unwrap);
        assert_eq!(door.ask(Add(u64::MAX - 1), SOON).await, Ok(u64::MAX - 1));
        address.kill();
        assert!(matches!(
            door.ask(Add(2), SOON).await,
            Ok(2) | Err(AskError::Dropped)
        ));
        root.stop(SOON).await;
        let gone = door.ask(Add(1), Duration::from_millis(50)).await;
        assert_eq!(gone, Err(AskError::Unavailable));
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_decoded_is_unsupported() {
    let system = System::new(Clock::system(), true);
    let (address, one) = counter(&system, "one", &Plan::default());
    let root = start_root(&system, vec![one]).await.unwrap();
    let door = Door::<Broken>::local(&system, address, |_| Message::Panic, |_| None);
    assert_eq!(door.ask(Broken, SOON).await, Err(AskError::Unsupported));
    assert_eq!(report(&system, "one").received, 0);
    root.stop(SOON).await;
}

#[tokio::test]
async fn a_balanced_door_sends_each_request_to_the_actor_its_key_picks() {
    let system = system();
    let (addresses, children): (Vec<_>, Vec<_>) = ["p/0", "p/1", "p/2"]
        .map(|name| counter(&system, name, &Plan::default()))
        .into_iter()
        .unzip();
    let root = start_root(&system, children).await.unwrap();
    let doors = addresses
        .iter()
        .map(|address| Door::local(&system, address.clone(), wrap, unwrap))
        .collect();
    let door = Door::balanced(doors, |add: &Add, _| usize::try_from(add.0).unwrap());
    for units in 0..6 {
        door.ask(Add(units), SOON).await.unwrap();
    }
    let mut sums = Vec::new();
    for address in &addresses {
        sums.push(address.ask(SOON, Message::Sum).await.unwrap());
    }
    assert_eq!(sums, [3, 5, 7], "0+3, 1+4 and 2+5");
    let none = Door::<Add>::balanced(Vec::new(), |_, _| 0);
    let answer = none.ask(Add(1), Duration::from_millis(20)).await;
    assert_eq!(answer, Err(AskError::Unavailable));
    root.stop(SOON).await;
}
