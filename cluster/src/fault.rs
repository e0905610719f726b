//! A fault point in every actor, so that a test can have any of them panic under load. Development
//! builds only.
//!
//! With `HEADGATE_RESTART_BY=turns` every other incarnation of an actor, the first of all, is not ended
//! at once by a wish to start it anew: it panics at its next message. A second wish before that ends it
//! at once, as the only one does otherwise.

use std::sync::OnceLock;

/// Whether actors that are started anew are to panic by turns.
pub(crate) fn by_turns() -> bool {
    if !cfg!(debug_assertions) {
        return false;
    }
    static WISH: OnceLock<bool> = OnceLock::new();
    *WISH.get_or_init(|| std::env::var("HEADGATE_RESTART_BY").is_ok_and(|by| by == "turns"))
}

/// Panics when `doomed` asks for it, once.
pub(crate) fn point(doomed: &std::sync::atomic::AtomicBool) {
    use std::sync::atomic::Ordering;
    if cfg!(debug_assertions)
        && doomed.load(Ordering::Relaxed)
        && doomed.swap(false, Ordering::Relaxed)
    {
        // A panic to whoever catches it.
        std::panic::resume_unwind(Box::new("a panic was asked for"));
    }
}
