//! What is damaged is refused as a whole, with what to do.

use std::sync::Arc;

use super::world::{Shelf, World, until};
use crate::register::store::Kept;
use crate::register::words::{PlaceWord, read, write};
use crate::register::{RegisterStore, Stored};

/// What a voter has that agreed on a few words, cut its log once, and has others.
async fn grown() -> Stored {
    let timing = crate::register::RegisterTiming {
        entries: 8,
        ..super::world::timing()
    };
    let world = World::of(1, timing).await;
    world.found().await;
    for number in 0..20 {
        world.agree(0, &number.to_string()).await;
    }
    let stored = || world.nodes[0].shelf.stored.lock().unwrap().clone();
    let is_cut = || {
        stored()
            .entries
            .first()
            .is_some_and(|(number, _)| *number > 1)
    };
    until("its log is cut", is_cut).await;
    stored()
}

fn refused(stored: Stored) -> String {
    match Kept::of(stored) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_or_changed_or_is_of_a_later_version_is_refused_as_a_whole() {
    let whole = grown().await;
    assert_eq!(refused(whole.clone()), "nothing");
    assert_eq!(refused(Stored::default()), "nothing");
    type Damage = fn(&mut Stored);
    let rows: [(&str, Damage); 8] = [
        ("is missing before", |stored| drop(stored.entries.remove(2))),
        ("is missing before", |stored| drop(stored.entries.remove(0))),
        ("agreed on are missing", |stored| stored.entries.truncate(1)),
        ("no snapshot covers", |stored| stored.snapshot = None),
        ("says that it is", |stored| stored.entries[1].0 += 40),
        ("malformed", |stored| stored.entries[1].1.truncate(9)),
        ("of an earlier term", |stored| {
            let purged = write(&PlaceWord(90, stored.entries[0].0 - 1)).unwrap();
            stored.purged = Some(purged.clone());
            let mut bytes = stored.snapshot.clone().unwrap();
            let at = read::<crate::register::words::SnapshotWord>(&bytes);
            let mut at = at.unwrap();
            at.at = Some(PlaceWord(90, at.at.unwrap().1));
            bytes = write(&at).unwrap();
            stored.snapshot = Some(bytes);
        }),
        ("by a later version of headgate", |stored| {
            // The version in the envelope.
            stored.vote.as_mut().unwrap()[3] = 2;
        }),
    ];
    for (says, damage) in rows {
        let mut stored = whole.clone();
        damage(&mut stored);
        let said = refused(stored);
        assert!(said.contains(says), "{says}: {said}");
        let does = ["data directory", "start that version again"];
        assert!(does.iter().any(|does| said.contains(does)), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_start_on_a_log_that_is_damaged() {
    let mut world = World::voting(1).await;
    world.agree(0, "a").await;
    world.stop(0).await;
    let shelf = Arc::clone(&world.nodes[0].shelf);
    shelf.stored.lock().unwrap().entries.remove(0);
    let error = world.try_start(0).await.unwrap_err().to_string();
    assert!(error.contains("damaged: entry 1 is missing"), "{error}");
    let empty = Shelf::default().load().await.unwrap();
    assert_eq!(empty, Stored::default());
}
