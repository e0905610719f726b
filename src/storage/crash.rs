//! Named crash points: before each statement of each write and before its commit, so that a test
//! can end the process exactly there and look at what is left. Development builds only.
//!
//! `HEADGATE_CRASH_AT=name:k` ends the process before the k-th statement of the write `name`
//! (1 is the first); `HEADGATE_CRASH_LIST=FILE` appends each point passed to a file instead.

use std::io::Write as _;
use std::sync::OnceLock;

/// What the environment asks for.
struct Wish {
    crash_at: Option<String>,
    list: Option<std::path::PathBuf>,
}

/// Passes the point before statement `k` of the write `name`.
pub(crate) fn point(name: &'static str, k: u32) {
    if !cfg!(debug_assertions) {
        return;
    }
    static WISH: OnceLock<Wish> = OnceLock::new();
    let wish = WISH.get_or_init(|| Wish {
        crash_at: std::env::var("HEADGATE_CRASH_AT").ok(),
        list: std::env::var_os("HEADGATE_CRASH_LIST").map(Into::into),
    });
    if let Some(path) = &wish.list {
        record_crash_points(path, name, k);
    }
    if wish.crash_at.as_deref() == Some(format!("{name}:{k}").as_str()) {
        // As SIGKILL would: no destructor, no flush.
        std::process::abort();
    }
}

// One `name:k` a line, written in one piece: writes that run side by side tear no line.
fn record_crash_points(path: &std::path::Path, name: &str, k: u32) {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    if let Ok(mut file) = file {
        let _ = file.write_all(format!("{name}:{k}\n").as_bytes());
    }
}
