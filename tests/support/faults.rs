//! Faults of the machine below a node: a full disk, a wrong clock. They are put between the node
//! and the C library, so they need no rights and no mount (`faults.c`).

use std::path::{Path, PathBuf};
use std::process::Command;

use super::node::Options;

/// What can go wrong below a node in this directory.
pub struct Faults {
    full: PathBuf,
    clock: PathBuf,
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
            ],
            ..Options::default()
        }
    }

    /// From now on no file can grow.
    pub fn fill_disk(&self) {
        std::fs::write(&self.full, "").expect("written");
    }

    /// There is room again.
    pub fn make_room(&self) {
        std::fs::remove_file(&self.full).expect("removed");
    }

    /// The wall clock is ahead by so many seconds; negative: behind.
    pub fn set_clock(&self, seconds: i64) {
        std::fs::write(&self.clock, seconds.to_string()).expect("written");
    }
}
