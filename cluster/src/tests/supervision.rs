use super::*;
use crate::{AskError, MAILBOX_LIMIT, branch, start_root};

#[tokio::test]
async fn a_panicking_failing_or_killed_child_comes_back_and_its_neighbour_keeps_its_state() {
    let system = system();
    let plan = Plan::default();
    let (hurt, first) = counter(&system, "hurt", &plan);
    let (spared, second) = counter(&system, "spared", &Plan::default());
    let root = start_root(&system, vec![first, second]).await.unwrap();
    add(&spared, 7).await;
    for (round, fault) in (1_u64..).zip(["panic", "fail", "kill"]) {
        assert_eq!(add(&hurt, 5).await, 5, "a new incarnation starts empty");
        match fault {
            "panic" => hurt.tell(Message::Panic).unwrap(),
            "fail" => hurt.tell(Message::Fail).unwrap(),
            _ => hurt.kill(),
        }
        until(fault, || report(&system, "hurt").restarts == round).await;
        let now = report(&system, "hurt");
        assert_eq!((now.depth, now.errors), (0, round));
        assert!(now.last_error.is_some());
    }
    assert_eq!(add(&hurt, 1).await, 1);
    assert_eq!(add(&spared, 1).await, 8);
    let counted = report(&system, "spared");
    assert_eq!(
        (counted.received, counted.handled, counted.restarts),
        (2, 2, 0)
    );
    assert!(counted.busy_ns > 0);
    root.stop(SOON).await;
}

#[tokio::test]
async fn restarts_beyond_the_burst_pause_and_never_stop() {
    let system = system();
    let plan = Plan::default();
    let (address, one) = counter(&system, "one", &plan);
    let root = start_root(&system, vec![one]).await.unwrap();
    let began = system.clock.monotonic();
    for round in 1..=7 {
        address.kill();
        until("restarted", || report(&system, "one").restarts == round).await;
        let spent = system.clock.monotonic() - began;
        let pauses = round.saturating_sub(5);
        assert!(spent >= Duration::from_millis(950) * u32::try_from(pauses).unwrap());
    }
    assert_eq!(add(&address, 1).await, 1);
    root.stop(SOON).await;
}

#[tokio::test]
async fn a_child_that_cannot_start_is_tried_again_while_its_sibling_works() {
    let system = system();
    let plan = Plan::default();
    let (late, first) = counter(&system, "late", &plan);
    let (well, second) = counter(&system, "well", &Plan::default());
    let root = start_root(&system, vec![first, second]).await.unwrap();
    plan.refuse.store(2, Ordering::SeqCst);
    late.kill();
    until("refused once", || plan.starts.load(Ordering::SeqCst) >= 2).await;
    well.kill();
    until("sibling back", || report(&system, "well").restarts == 1).await;
    assert_eq!(add(&well, 1).await, 1);
    assert_eq!(report(&system, "late").restarts, 0);
    // Asked while it is away: the answer comes from the incarnation that starts at last.
    assert_eq!(add(&late, 3).await, 3);
    assert_eq!(plan.starts.load(Ordering::SeqCst), 4);
    root.stop(SOON).await;
}

#[tokio::test]
async fn a_killed_branch_comes_back_with_its_children_behind_the_same_addresses() {
    let system = system();
    let plan = Plan::default();
    let (address, leaf) = counter(&system, "twig/leaf", &plan);
    let twig = branch(&system, "twig", vec![leaf]);
    let (other, beside) = counter(&system, "beside", &Plan::default());
    let root = start_root(&system, vec![branch(&system, "limb", vec![twig]), beside])
        .await
        .unwrap();
    add(&other, 2).await;
    for (round, dies) in (1..).zip(["twig", "limb"]) {
        assert_eq!(add(&address, 4).await, 4);
        // Even when a child does not start at once, its branch does.
        plan.refuse.store(1, Ordering::SeqCst);
        assert!(system.registry.restart(dies));
        until(dies, || plan.starts.load(Ordering::SeqCst) == 1 + 2 * round).await;
        assert_eq!(report(&system, dies).restarts, 1);
    }
    assert_eq!(add(&address, 1).await, 1);
    assert_eq!(add(&other, 1).await, 3);
    root.stop(SOON).await;
}

#[tokio::test]
async fn an_ask_whose_actor_dies_is_dropped_and_frees_its_place() {
    let system = system();
    let (address, one) = counter(&system, "one", &Plan::default());
    let root = start_root(&system, vec![one]).await.unwrap();
    let (held, queued, ()) = tokio::join!(
        address.ask(SOON, Message::Hold),
        address.ask(SOON, Message::Sum),
        async {
            until("both wait", || address.depth() == 2).await;
            address.kill();
        }
    );
    assert_eq!(
        (held, queued),
        (Err(AskError::Dropped), Err(AskError::Dropped))
    );
    until("no place is taken", || address.depth() == 0).await;
    root.stop(SOON).await;
}

#[tokio::test]
async fn a_full_mailbox_refuses_at_once_and_takes_again_after_a_restart() {
    let system = system();
    let (address, one) = counter(&system, "one", &Plan::default());
    let root = start_root(&system, vec![one]).await.unwrap();
    while address
        .tell(Message::Hold(crate::ask::reply_pair().0))
        .is_ok()
    {}
    assert_eq!(address.depth(), MAILBOX_LIMIT);
    assert_eq!(
        address.ask(SOON, Message::Sum).await,
        Err(AskError::Overloaded)
    );
    let door = crate::Door::local(&system, address.clone(), wrap, unwrap);
    assert_eq!(door.ask(Add(1), SOON).await, Err(AskError::Overloaded));
    address.kill();
    until("empty", || address.depth() == 0).await;
    assert_eq!(add(&address, 1).await, 1);
    root.stop(SOON).await;
}

#[tokio::test]
async fn nobody_at_an_address_is_unavailable_and_a_late_answer_is_a_timeout() {
    let system = system();
    let short = Duration::from_millis(50);
    let (address, one) = counter(&system, "one", &Plan::default());
    assert_eq!(
        address.ask(short, Message::Sum).await,
        Err(AskError::Unavailable)
    );
    let root = start_root(&system, vec![one]).await.unwrap();
    assert_eq!(
        address.ask(short, Message::Hold).await,
        Err(AskError::Timeout)
    );
    root.stop(short).await;
    until("killed at the deadline", || {
        address.tell(Message::Panic).is_err()
    })
    .await;
    assert_eq!(
        address.ask(short, Message::Sum).await,
        Err(AskError::Unavailable)
    );
}

#[tokio::test]
async fn an_orderly_stop_stops_children_last_to_first() {
    let system = system();
    let plan = |name| Plan {
        name,
        ..Plan::default()
    };
    let stopped = Arc::default();
    let made = ["a", "b", "c"].map(|name| {
        let plan = Plan {
            stopped: Arc::clone(&stopped),
            ..plan(name)
        };
        counter(&system, name, &plan).1
    });
    let [a, b, c] = made;
    let root = start_root(&system, vec![a, branch(&system, "inner", vec![b, c])])
        .await
        .unwrap();
    root.stop(SOON).await;
    assert_eq!(*stopped.lock().unwrap(), ["c", "b", "a"]);
}

#[tokio::test]
async fn a_first_start_that_fails_is_reported_to_whoever_starts_the_tree() {
    let system = system();
    let plan = Plan::default();
    plan.refuse.store(1, Ordering::SeqCst);
    let (_, one) = counter(&system, "one", &plan);
    let started = start_root(&system, vec![branch(&system, "inner", vec![one])]).await;
    assert!(started.is_err());
}
