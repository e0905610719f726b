//! Join tokens that stand in files, and so in no list of processes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use crate::cluster::{options, set};
use crate::cluster_tls::{founder, refused};
use crate::support::node::{Node, Options};

fn issue(node: &Node, file: &Path, more: &[&str]) -> Output {
    let file = file.to_str().expect("a path");
    let mut command = node.command(&["cluster", "token", "--out", file]);
    command.args(more).output().expect("it runs")
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
