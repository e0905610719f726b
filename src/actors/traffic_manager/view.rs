//! The throttling policies as the shards see them: pure. Every limit of every policy gets a name of
//! its own in the ledger's table (L12).

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::change::Change;
use domain::ledger::{Policies, Quota};
use domain::policy::{Policy, PolicyLevel, TimeUnit};
use domain::window::WindowSpec;

use super::translate::limit_name;

/// What a policy without a limit allows in a minute: nobody should ask for it, but a gateway that
/// has not heard of the change yet must not be stopped by it.
const BOUNDLESS: u64 = 1 << 40;

/// The policies at one position of the change log.
#[derive(Debug, Clone)]
pub(super) struct PolicyView {
    /// The position.
    pub(super) applied: u64,
    /// The limits; the same as in the view before when no policy changed.
    pub(super) table: Arc<Policies>,
}

/// All policies, kept from changes.
#[derive(Debug, Default)]
pub(super) struct PolicyBook {
    policies: BTreeMap<(String, PolicyLevel, String), Policy>,
    /// None when a policy changed since it was built.
    table: Option<Arc<Policies>>,
}

// === impl PolicyBook ===

impl PolicyBook {
    /// Takes in a change; others than of policies change nothing.
    pub(super) fn apply(&mut self, tenant: &str, change: Change) {
        match change {
            Change::PolicySaved { policy } => {
                let key = (tenant.to_owned(), policy.level, policy.name.clone());
                self.policies.insert(key, *policy);
            }
            Change::PolicyRemoved { level, name } => {
                self.policies.remove(&(tenant.to_owned(), level, name));
            }
            _ => return,
        }
        self.table = None;
    }

    /// The view at `applied`.
    pub(super) fn view(&mut self, applied: u64) -> PolicyView {
        let table = match self.table.take() {
            Some(table) => table,
            None => Arc::new(self.build(applied)),
        };
        self.table = Some(Arc::clone(&table));
        PolicyView { applied, table }
    }

    fn build(&self, applied: u64) -> Policies {
        let mut table = Policies::new(applied);
        for ((tenant, level, name), policy) in &self.policies {
            let whole = policy.limit.as_ref().map_or(
                Quota {
                    limit: BOUNDLESS,
                    window: WindowSpec::new(TimeUnit::Min, 1),
                },
                Quota::of,
            );
            let burst = policy.burst.as_ref().map(Quota::of);
            let groups = policy.groups.iter().map(|group| Quota::of(&group.limit));
            let numbered = [(0, whole)]
                .into_iter()
                .chain(burst.map(|quota| (1, quota)))
                .chain((2..=u16::MAX).zip(groups));
            for (index, quota) in numbered {
                table.set(tenant, &limit_name(*level, name, index), quota);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_stays_the_same_until_a_policy_changes() {
        let mut book = PolicyBook::default();
        let policies = Policy::defaults("t", || "id".to_owned());
        for policy in policies.clone() {
            let policy = Box::new(policy);
            book.apply("t", Change::PolicySaved { policy });
        }
        let gold = limit_name(PolicyLevel::Subscription, "Gold", 0);
        let first = book.view(5);
        assert_eq!(
            first.table.get("t", &gold).map(|quota| quota.limit),
            Some(5_000)
        );
        let user = "u".to_owned();
        book.apply(
            "t",
            Change::UserChanged {
                user,
                removed: true,
            },
        );
        let second = book.view(6);
        assert!(Arc::ptr_eq(&first.table, &second.table));
        book.apply(
            "t",
            Change::PolicyRemoved {
                level: PolicyLevel::Subscription,
                name: "Gold".to_owned(),
            },
        );
        assert_eq!(book.view(7).table.get("t", &gold), None);
    }
}
