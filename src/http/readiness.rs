//! Whether the node may take requests: named checks, each of which can fail it alone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A check that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(2);

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Probe = Arc<dyn Fn() -> Outcome + Send + Sync>;

/// The checks of a node.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Probe)>,
}

/// One check's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its name.
    pub name: &'static str,
    /// None when it passed, else why it did not.
    pub problem: Option<String>,
}

// === impl Readiness ===

impl Readiness {
    /// Adds a check.
    pub fn add<F, P>(&mut self, name: &'static str, probe: P)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
        P: Fn() -> F + Send + Sync + 'static,
    {
        let probe: Probe = Arc::new(move || Box::pin(probe()));
        self.checks.push((name, probe));
    }

    /// Runs all checks, one after the other.
    pub async fn run(&self) -> Vec<Checked> {
        let mut outcomes = Vec::with_capacity(self.checks.len());
        for (name, probe) in &self.checks {
            let problem = match tokio::time::timeout(DEADLINE, probe()).await {
                Ok(Ok(())) => None,
                Ok(Err(problem)) => Some(problem),
                Err(_) => Some(format!("no answer within {} s", DEADLINE.as_secs())),
            };
            outcomes.push(Checked { name, problem });
        }
        outcomes
    }
}
