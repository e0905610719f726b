//! Whether the node may take requests: named checks, each of which can fail it alone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cluster::spawn_named;

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

    /// Runs all checks side by side; gives their outcomes in the order in which they were added.
    pub async fn run(&self) -> Vec<Checked> {
        let running: Vec<_> = self
            .checks
            .iter()
            .map(|(name, probe)| (*name, spawn_named("readiness check", bounded(probe()))))
            .collect();
        let mut outcomes = Vec::with_capacity(running.len());
        for (name, check) in running {
            let problem = match check.await {
                Ok(problem) => problem,
                Err(_) => Some("the check itself failed, see the log".to_owned()),
            };
            outcomes.push(Checked { name, problem });
        }
        outcomes
    }
}

async fn bounded(outcome: Outcome) -> Option<String> {
    match tokio::time::timeout(DEADLINE, outcome).await {
        Ok(Ok(())) => None,
        Ok(Err(problem)) => Some(problem),
        Err(_) => Some(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn checks_run_side_by_side_and_one_that_hangs_or_panics_fails_alone() {
        let mut readiness = Readiness::default();
        readiness.add("stuck", std::future::pending);
        readiness.add("broken", || async { panic!("planted") });
        let both = Arc::new(Barrier::new(2));
        for name in ["one", "other"] {
            let both = Arc::clone(&both);
            readiness.add(name, move || {
                let both = Arc::clone(&both);
                // Alone it would wait until its deadline.
                async move {
                    both.wait().await;
                    Ok(())
                }
            });
        }
        let outcomes = readiness.run().await;
        let failed = |checked: &&Checked| checked.problem.is_some();
        let failed: Vec<_> = outcomes.iter().filter(failed).map(|c| c.name).collect();
        assert_eq!(failed, ["stuck", "broken"]);
    }
}
