use super::*;
use crate::{ActorFound, ActorSeen, AskActor, start_root};

fn seen(system: &System, anew: bool) -> ActorSeen {
    let name = "counter".to_owned();
    let ActorFound(seen) = system.actor(&AskActor { name, anew });
    seen.unwrap()
}

/// What it shows once it was asked to.
async fn shown(system: &System) -> ActorSeen {
    let mut last = seen(system, true);
    let deadline = tokio::time::Instant::now() + SOON;
    while last.is_asked {
        assert!(tokio::time::Instant::now() < deadline, "{last:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
        last = seen(system, false);
    }
    last
}

fn sum(seen: &ActorSeen) -> &str {
    let shown = seen.shown.as_ref().unwrap();
    assert_eq!(shown.links, ["somebody"]);
    &shown.state[0].1
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_shows_how_it_stands_also_when_idle_and_what_it_showed_last_while_it_hangs() {
    let system = system();
    let (address, child) = counter(&system, "counter", &Plan::default());
    assert_eq!(seen(&system, false).shown, None);
    let root = start_root(&system, vec![child]).await.unwrap();
    let door = crate::Door::local(&system, address.clone(), wrap, unwrap);
    assert_eq!(door.ask(Add(3), SOON).await, Ok(3));
    assert_eq!(sum(&shown(&system).await), "3");
    let handled = seen(&system, false).report.handled;
    assert_eq!(door.ask(Add(4), SOON).await, Ok(7));
    assert_eq!(sum(&shown(&system).await), "7");
    // To be seen is no work of its own.
    assert_eq!(seen(&system, false).report.handled, handled + 1);
    let held = crate::spawn_named("held", {
        let address = address.clone();
        async move { address.ask(SOON, Message::Hold).await }
    });
    let deadline = tokio::time::Instant::now() + SOON;
    while system.registry.report(Duration::ZERO)[0].depth == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for _ in 0..100 {
        let now = seen(&system, true);
        assert!(now.is_asked);
        assert_eq!(sum(&now), "7");
    }
    // Nobody waits for what its next incarnation never hears of.
    address.kill();
    assert!(held.await.unwrap().is_err());
    let deadline = tokio::time::Instant::now() + SOON;
    while sum(&shown(&system).await) != "0" {
        assert!(tokio::time::Instant::now() < deadline);
    }
    root.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_of_an_actor_that_is_not_there() {
    let asked = AskActor {
        name: "nobody".to_owned(),
        anew: true,
    };
    assert_eq!(system().actor(&asked), ActorFound(None));
}
