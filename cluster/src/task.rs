//! Tasks that are not actors (accept loops, connections): named, and their panics are reported.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Runs `future` as a task of its own, inside a span that carries its name.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that spawns a plain task, so that each has a name"
)]
pub fn spawn_named<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.instrument(tracing::debug_span!("task", name)))
}
