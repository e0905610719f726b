//! Faults of the machine below a node: a full disk, one that hangs, a wrong clock. They are put between the node
//! and the C library, so they need no rights and no mount (`faults.c`).

use std::path::{Path, PathBuf};
use std::process::Command;

use super::eventually;
use super::node::Options;

/// What can go wrong below a node in this directory.
pub struct Faults {
    full: PathBuf,
    clock: PathBuf,
    stuck: PathBuf,
    kept: PathBuf,
    library: PathBuf,
}

impl Faults {
    pub fn in_directory(dir: &Path) -> Self {
        let library = dir.join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/faults.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        // Whoever built these tests has one: it links them.
        assert!(made.expect("a C compiler").success());
        Self {
            full: dir.join("full"),
            clock: dir.join("clock"),
            stuck: dir.join("stuck"),
            kept: dir.join("kept"),
            library,
        }
    }

    /// A node that meets them, in an existing directory.
    pub fn options(&self, dir: &Path) -> Options {
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        Options {
            dir: Some(dir.to_owned()),
            environment: vec![
                ("LD_PRELOAD".to_owned(), text(&self.library)),
                ("FAULTS_FULL".to_owned(), text(&self.full)),
                ("FAULTS_CLOCK".to_owned(), text(&self.clock)),
                ("FAULTS_STUCK".to_owned(), text(&self.stuck)),
            ],
            ..Options::default()
        }
    }

    /// A command that meets what its environment says.
    pub fn below(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
    }

    /// A command whose writes of what is stuck wait, in this database.
    pub fn below_stuck(&self, command: &mut Command, database: &str) {
        self.below(command);
        command.env("FAULTS_STUCK", &self.stuck);
        command.env("FAULTS_STUCK_IN", database);
    }

    /// Nodes with these options keep the certificates that they have.
    pub fn keep_certificates(&self, options: &mut Options) {
        std::fs::write(&self.kept, "").expect("written");
        let kept = self.kept.to_str().expect("text").to_owned();
        options.environment.push(("FAULTS_KEPT".to_owned(), kept));
    }

    /// They take others from now on.
    pub fn take_certificates(&self) {
        std::fs::remove_file(&self.kept).expect("removed");
    }

    /// From now on no file can grow.
    pub fn fill_disk(&self) {
        std::fs::write(&self.full, "").expect("written");
    }

    /// There is room again.
    pub fn make_room(&self) {
        std::fs::remove_file(&self.full).expect("removed");
    }

    /// From now on what holds this text is not written into `broker.db`, and what held the one
    /// before is.
    pub fn stick(&self, text: &str) {
        let next = self.stuck.with_extension("next");
        std::fs::write(&next, text).expect("written");
        std::fs::rename(next, &self.stuck).expect("renamed");
    }

    /// Waits until somebody waits for the disk with what is stuck now.
    pub async fn until_met(&self) {
        let met = self.stuck.with_extension("met");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let stuck = read(&self.stuck);
        let is_met = || async { (read(&met) == stuck).then_some(()) };
        eventually(20, "somebody waits for the disk", is_met).await;
    }

    /// Everything is written again.
    pub fn unstick(&self) {
        std::fs::remove_file(&self.stuck).expect("removed");
    }

    /// The wall clock is ahead by so many seconds; negative: behind.
    pub fn set_clock(&self, seconds: i64) {
        std::fs::write(&self.clock, seconds.to_string()).expect("written");
    }
}
