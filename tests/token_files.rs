//! Join tokens that stand in files, and so in no list of processes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::cluster::{options, set};
use crate::cluster_tls::{founder, refused};
use crate::support::faults::Faults;
use crate::support::node::{Node, Options};

fn issuing(node: &Node, file: &Path, more: &[&str]) -> Command {
    let file = file.to_str().expect("a path");
    let mut command = node.command(&["cluster", "token", "--out", file]);
    command.args(more);
    command
}

fn issue(node: &Node, file: &Path, more: &[&str]) -> Output {
    issuing(node, file, more).output().expect("it runs")
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

fn kept(file: &Path) -> String {
    let mode = std::fs::metadata(file)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(file).expect("text");
    assert!(
        text.starts_with("hgjoin_") && text.ends_with('\n'),
        "{text}"
    );
    text.trim().to_owned()
}

fn joining_by(file: &Path) -> Options {
    let mut options = options("tm1", "traffic-manager", "");
    let file = file.to_str().expect("a path");
    set(&mut options, "HEADGATE__CLUSTER__JOIN_FILE", file);
    options
}

#[tokio::test]
async fn a_token_is_written_for_its_owner_alone_and_over_nothing_unless_it_is_said() {
    let control = founder("cp1").await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    let made = issue(&control, &file, &[]);
    assert!(made.status.success(), "{made:?}");
    let first = kept(&file);
    let again = issue(&control, &file, &[]);
    assert_eq!(again.status.code(), Some(1));
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(told.contains("is there already"), "{told}");
    assert_eq!(kept(&file), first);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&file, open).expect("a mode");
    let over = issue(&control, &file, &["--replace", "--output", "json"]);
    assert!(over.status.success(), "{over:?}");
    let second = kept(&file);
    assert_ne!(second, first);
    let said = [&made, &over].map(|output| [output.stdout.clone(), output.stderr.clone()].concat());
    for said in said.iter().map(|said| String::from_utf8_lossy(said)) {
        assert!(!said.contains("hgjoin_"), "{said}");
        assert!(said.contains(file.to_str().expect("a path")), "{said}");
    }
    // A token that nobody can have is not left behind as an empty file.
    let nowhere = dir.path().join("other");
    let mut alone = founder("alone").await;
    assert_eq!(alone.terminate().await, Some(0));
    assert!(!issue(&alone, &nowhere, &[]).status.success());
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn a_node_joins_by_a_token_in_a_file_and_needs_it_no_more() {
    let control = founder("cp1").await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    let early = refused(joining_by(&file), &dir.path().join("early")).await;
    assert!(early.contains("cluster.join_file: "), "{early}");
    assert!(issue(&control, &file, &[]).status.success());
    let token = kept(&file);
    let mut node = Node::start_with(joining_by(&file)).await;
    for place in ["cmdline", "environ"] {
        let shown = std::fs::read(format!("/proc/{}/{place}", node.pid())).expect("a process");
        assert!(!String::from_utf8_lossy(&shown).contains(&token), "{place}");
    }
    assert!(!node.log().contains(&token));
    assert!(!node.log().contains("may be read by others"));
    // It is used up, and then gone: neither is in anybody's way.
    for is_there in [true, false] {
        assert_eq!(node.terminate().await, Some(0));
        if !is_there {
            std::fs::remove_file(&file).expect("removed");
        }
        node = node.crash_and_restart(joining_by(&file)).await;
    }
    assert!(node.log().contains("joined with a token"));
}

/// Runs it, and ends it as SIGKILL would before anything is issued.
fn killed(mut command: Command) {
    command.env("HEADGATE_CRASH_AT", "carbon.join_tokens.create:1");
    assert_eq!(command.output().expect("it runs").status.code(), None);
}

/// Refused before anything is issued, for that would end the command.
fn is_refused_early(mut command: Command) -> String {
    command.env("HEADGATE_CRASH_AT", "carbon.join_tokens.create:1");
    let ran = command.output().expect("it runs");
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

#[tokio::test]
async fn a_token_is_in_its_file_whole_or_not_at_all_whatever_ends_the_command() {
    let control = founder("cp1").await;
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(&control.dir);
    let file = dir.path().join("gw1");
    killed(issuing(&control, &file, &[]));
    assert!(!file.exists());
    // The next one finds its place free.
    assert!(issue(&control, &file, &[]).status.success());
    let mut before = kept(&file);
    killed(issuing(&control, &file, &["--replace"]));
    assert_eq!(kept(&file), before);
    for part in names(dir.path()) {
        if part.ends_with(".part") {
            std::fs::remove_file(dir.path().join(part)).expect("removed");
        }
    }
    // The room that is just enough: the last byte that finds none is the token's.
    let (mut too_little, mut enough) = (0, 200_000);
    while enough - too_little > 1 {
        let room = (too_little + enough) / 2;
        let mut command = issuing(&control, &file, &["--replace"]);
        faults.below(&mut command);
        let ran = command.env("FAULTS_ROOM", room.to_string()).output();
        let is_done = ran.expect("it runs").status.success();
        let after = kept(&file);
        assert_eq!(after != before, is_done, "with {room} bytes");
        assert_eq!(names(dir.path()), ["gw1"], "with {room} bytes");
        before = after;
        *(if is_done {
            &mut enough
        } else {
            &mut too_little
        }) = room;
    }
    assert!(too_little > 0 && enough < 200_000, "{enough}");
}

#[tokio::test]
async fn a_token_goes_to_no_other_place_than_its_file_and_what_has_no_place_is_not_issued() {
    let control = founder("cp1").await;
    let dir = tempfile::tempdir().expect("a directory");
    let place = |name: &str| dir.path().join(name);
    std::fs::write(place("gw1.new"), "somebody's own").expect("written");
    for more in [&[][..], &["--replace"]] {
        assert!(issue(&control, &place("gw1"), more).status.success());
    }
    let token = kept(&place("gw1"));
    std::fs::create_dir(place("directory")).expect("made");
    std::os::unix::fs::symlink(place("gw1"), place("link")).expect("made");
    for (name, more, told) in [
        ("gw1", &[][..], "is there already"),
        ("link", &[], "is there already"),
        ("directory", &["--replace"], "is no plain file"),
        ("link", &["--replace"], "is no plain file"),
        ("nowhere/gw1", &["--replace"], ".part cannot be made"),
        ("nowhere/gw1", &[], ".part cannot be made"),
        ("gw2/", &[], "names no file"),
    ] {
        let said = is_refused_early(issuing(&control, &place(name), more));
        assert!(said.contains(told), "{name} {more:?}: {said}");
    }
    let all = names(dir.path());
    assert_eq!(all, ["directory", "gw1", "gw1.new", "link"]);
    assert_eq!(names(&place("directory")), [""; 0]);
    let own = std::fs::read_to_string(place("gw1.new")).expect("text");
    assert_eq!(
        (own.as_str(), kept(&place("gw1"))),
        ("somebody's own", token)
    );
}

#[tokio::test]
async fn a_command_that_is_interrupted_while_it_waits_leaves_nothing_of_its_token() {
    let control = founder("cp1").await;
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(&control.dir);
    let file = dir.path().join("gw1");
    faults.stick("gateway");
    let mut command = issuing(&control, &file, &["--roles", "gateway"]);
    faults.below_stuck(&mut command, "/carbon.db");
    let child = command.stderr(Stdio::piped()).spawn().expect("it runs");
    faults.until_met().await;
    assert_eq!(names(dir.path()).len(), 1);
    assert!(!file.exists());
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("it runs").success());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(names(dir.path()), [""; 0]);
    faults.unstick();
    assert!(issue(&control, &file, &[]).status.success());
    kept(&file);
}

#[tokio::test]
async fn a_node_says_that_others_may_read_the_token_that_it_joins_by() {
    let control = founder("cp1").await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    assert!(issue(&control, &file, &[]).status.success());
    let open = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&file, open).expect("a mode");
    let node = Node::start_with(joining_by(&file)).await;
    let log = node.log();
    let said = log
        .lines()
        .find(|line| line.contains("may be read by others"));
    let said = said.expect("it is said");
    assert!(
        said.contains("WARN") && said.contains(file.to_str().expect("a path")),
        "{said}"
    );
}
