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
            if policy.limit.is_none() {
                let boundless = Quota {
                    limit: BOUNDLESS,
                    window: WindowSpec::new(TimeUnit::Min, 1),
                };
                table.set(tenant, &limit_name(*level, name, 0), boundless);
            }
            for (number, limit) in policy.numbered_limits() {
                let quota = Quota::of(limit, policy.options.window);
                table.set(tenant, &limit_name(*level, name, number), quota);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::policy::{ConditionalGroup, Limit};

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

    #[test]
    fn every_conditional_group_has_a_quota_of_its_own() {
        let mut policy = Policy::defaults("t", String::new).remove(0);
        let limit = policy.limit.unwrap();
        policy.level = PolicyLevel::Api;
        policy.groups = [7, 8]
            .map(|units| ConditionalGroup {
                description: String::new(),
                conditions: Vec::new(),
                limit: Limit { units, ..limit },
            })
            .to_vec();
        let name = policy.name.clone();
        let mut book = PolicyBook::default();
        let policy = Box::new(policy);
        book.apply("t", Change::PolicySaved { policy });
        let table = book.view(1).table;
        let quota = |number| {
            let name = limit_name(PolicyLevel::Api, &name, number);
            table.get("t", &name).map(|quota| quota.limit)
        };
        let quotas: Vec<_> = (0..5).map(quota).collect();
        assert_eq!(quotas, [Some(limit.units), None, Some(7), Some(8), None]);
    }
}
