//! Backups and restores on a disk that is full, at whatever moment it fills: nothing is left that looks like one, and the
//! next try with room comes to its end.

use std::path::Path;
use std::process::Command;

use crate::backup::{restore, succeeds};
use crate::support::faults::Faults;
use crate::support::node::{Node, Options};
use crate::support::shop::Shop;

/// Bytes that there are for it; the last of them are not enough either.
const ROOMS: [u64; 5] = [0, 700, 9_000, 40_000, 200_000];

/// Runs it where there is so much room, and sees that it says what is the matter.
fn is_refused(mut command: Command, faults: &Faults, room: u64) -> String {
    faults.below(&mut command);
    let ran = command.env("FAULTS_ROOM", room.to_string()).output();
    let ran = ran.expect("the binary");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1), "with {room} bytes: {ran:?}");
    let clear = [
        "No space left on device",
        "disk is full",
        "is its disk full?",
    ];
    assert!(
        clear.iter().any(|clear| said.contains(clear)),
        "with {room} bytes: {said}"
    );
    assert!(ran.stdout.is_empty(), "with {room} bytes: {ran:?}");
    said
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_or_restore_that_finds_no_room_says_so_leaves_nothing_half_and_is_made_up_for() {
    let (mut shop, _upstream) = Shop::start("").await;
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let place = dir.path().join("backups");
    std::fs::create_dir(&place).expect("made");
    let file = place.join("backup");
    let to = file.to_str().expect("a path");
    let backup = || shop.node.command(&["backup", "--to", to]);
    for room in [0, 700, 5_000] {
        let said = is_refused(backup(), &faults, room);
        assert!(said.contains(to), "{said}");
        assert_eq!(names(&place), [""; 0], "with {room} bytes");
    }
    succeeds(backup());
    assert_eq!(names(&place), ["backup"]);
    shop.node.kill();
    for room in ROOMS {
        let root = dir.path().join(format!("with {room}"));
        let data = root.join("data");
        std::fs::create_dir(&root).expect("made");
        is_refused(restore(&file, &data), &faults, room);
        // What is half there is nothing that a node starts on.
        assert!(!data.join("carbon.db").exists());
        succeeds(restore(&file, &data));
        assert!(!data.join("restore-under-way").exists());
    }
    let last = ROOMS.map(|room| dir.path().join(format!("with {room}")));
    let options = Options {
        dir: last.last().cloned(),
        ..Options::default()
    };
    let node = Node::start_with(options).await;
    assert_eq!(node.admin_password, shop.node.admin_password);
    let call = node.api("GET", "/shop/1.0.0/items");
    let call = call.bearer(&shop.subscribed.access).send();
    call.await.expect(200);
}
