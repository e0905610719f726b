//! Whether other nodes can come in at all: what the loop that began last says of the cluster port.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How accepting goes at the port, whichever life of the node's actor does it.
#[derive(Debug)]
pub(crate) struct Port(Mutex<State>);

#[derive(Debug)]
struct State {
    /// How many loops have begun.
    begun: u64,
    /// Why nobody can come in.
    problem: Option<String>,
}

/// One loop at the port. Another may have begun before this one is dropped: then its end says nothing.
pub(crate) struct Loop {
    port: Arc<Port>,
    number: u64,
}

// === impl Port ===

impl Default for Port {
    fn default() -> Self {
        Self(Mutex::new(State {
            begun: 0,
            problem: Some("nobody accepts connections yet".to_owned()),
        }))
    }
}

impl Port {
    /// Why nobody can come in; nothing while somebody can.
    pub(crate) fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    /// Begins to accept.
    pub(crate) fn begin(self: Arc<Self>) -> Loop {
        let mut state = self.state();
        state.begun += 1;
        state.problem = None;
        let number = state.begun;
        drop(state);
        Loop { port: self, number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Loop ===

impl Loop {
    pub(crate) fn accepted(&self) {
        if self.is_now(None) {
            tracing::info!("the cluster port accepts again");
        }
    }

    /// Told once until it goes again.
    pub(crate) fn failed(&self, error: &io::Error) {
        // The other was gone before its turn came: nothing is wrong with the port.
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        let problem = format!("a connection could not be accepted: {error}");
        if self.is_now(Some(problem)) {
            tracing::error!(%error, "the cluster port cannot accept, trying again");
        }
    }

    /// Whether it was otherwise before, and this loop is the one that says so.
    fn is_now(&self, problem: Option<String>) -> bool {
        let mut state = self.port.state();
        if state.begun != self.number {
            return false;
        }
        let before = std::mem::replace(&mut state.problem, problem);
        before.is_some() != state.problem.is_some()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.is_now(Some("nobody accepts connections any more".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_as_the_loop_says_that_began_last() {
        let port = Arc::new(Port::default());
        assert!(port.problem().unwrap().contains("yet"));
        let first = Arc::clone(&port).begin();
        assert_eq!(port.problem(), None);
        first.failed(&io::ErrorKind::ConnectionAborted.into());
        assert_eq!(port.problem(), None, "the other was gone");
        first.failed(&io::Error::other("out of descriptors"));
        let told = "a connection could not be accepted: out of descriptors";
        assert_eq!(port.problem().as_deref(), Some(told));
        first.accepted();
        assert_eq!(port.problem(), None);
        // The actor was started anew, and the loop of the one before ends late.
        let second = Arc::clone(&port).begin();
        first.failed(&io::Error::other("late"));
        drop(first);
        assert_eq!(port.problem(), None);
        drop(second);
        assert!(port.problem().unwrap().contains("any more"));
    }
}
