//! Throttling and deny policies as requests read them: one immutable table, replaced whole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use domain::address::AddressRange;
use domain::api::SUPER_TENANT;
use domain::deny_policy::{DenyPolicy, DenyTarget};
use domain::policy::{Policy, PolicyLevel};
use domain::validation::GrantedApplication;
use domain::window::WindowSpec;
use foldhash::fast::FixedState;

use super::policy_rule::PolicyRule;
use crate::traffic_manager::message::ThrottleKey;

/// All policies of all tenants.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    tenants: HashMap<String, TenantRules, FixedState>,
    denials: BTreeMap<String, DenyPolicy>,
}

#[derive(Debug, Clone, Default)]
struct TenantRules {
    levels: [HashMap<String, Arc<PolicyRule>, FixedState>; 3],
    denied: Denied,
}

#[derive(Debug, Clone, Default)]
struct Denied {
    apis: HashSet<String, FixedState>,
    applications: HashSet<String, FixedState>,
    application_names: HashSet<String, FixedState>,
    users: HashSet<String, FixedState>,
    addresses: Vec<(AddressRange, bool)>,
    any: bool,
}

/// What a call is, for deny policies.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Context with version.
    pub api: &'a str,
    /// The application.
    pub application: Option<&'a GrantedApplication>,
    /// The user.
    pub user: Option<&'a str>,
    /// The caller's address.
    pub address: IpAddr,
}

// === impl Rules ===

impl Rules {
    /// The policies that every tenant starts with.
    #[must_use]
    pub fn seeded() -> Self {
        let mut rules = Self::default();
        for policy in Policy::defaults(SUPER_TENANT, String::new) {
            rules.save(policy);
        }
        rules
    }

    /// Sets a policy.
    pub fn save(&mut self, policy: Policy) {
        let tenant = self.tenants.entry(policy.tenant.clone()).or_default();
        let rule = Arc::new(PolicyRule::compile(policy));
        if let Some(level) = tenant.levels.get_mut(index(rule.policy.level)) {
            level.insert(rule.policy.name.clone(), rule);
        }
    }

    /// Takes a policy out.
    pub fn remove(&mut self, tenant: &str, level: PolicyLevel, name: &str) {
        if let Some(tenant) = self.tenants.get_mut(tenant)
            && let Some(level) = tenant.levels.get_mut(index(level))
        {
            level.remove(name);
        }
    }

    /// Sets a deny policy.
    pub fn deny(&mut self, policy: DenyPolicy) {
        let tenant = policy.tenant.clone();
        self.denials.insert(policy.id.clone(), policy);
        self.compile(&tenant);
    }

    /// Takes a deny policy out.
    pub fn undeny(&mut self, id: &str) {
        if let Some(policy) = self.denials.remove(id) {
            self.compile(&policy.tenant);
        }
    }

    /// A policy by its name.
    #[must_use]
    pub fn policy(&self, tenant: &str, level: PolicyLevel, name: &str) -> Option<&Arc<PolicyRule>> {
        self.tenants
            .get(tenant)?
            .levels
            .get(index(level))?
            .get(name)
    }

    /// Whether a tenant has deny policies at all.
    #[must_use]
    pub fn denies_any(&self, tenant: &str) -> bool {
        self.tenants
            .get(tenant)
            .is_some_and(|tenant| tenant.denied.any)
    }

    /// The window in which a key is counted; none when no policy counts it any more.
    pub(super) fn window_of(&self, key: &ThrottleKey) -> Option<WindowSpec> {
        let rule = self.policy(&key.tenant, key.level, &key.policy)?;
        rule.counted(key.limit).map(|limit| limit.window)
    }

    /// Whether a deny policy is against the call.
    #[must_use]
    pub fn denies(&self, tenant: &str, facts: &Facts<'_>) -> bool {
        let Some(denied) = self.tenants.get(tenant).map(|tenant| &tenant.denied) else {
            return false;
        };
        denied.any && denied.matches(facts)
    }

    fn compile(&mut self, tenant: &str) {
        let mut denied = Denied::default();
        let active = self.denials.values();
        for policy in active.filter(|policy| policy.active && policy.tenant == tenant) {
            denied.add(policy);
        }
        self.tenants.entry(tenant.to_owned()).or_default().denied = denied;
    }
}

// === impl Denied ===

impl Denied {
    fn add(&mut self, policy: &DenyPolicy) {
        self.any = true;
        self.applications.extend(policy.application_id.clone());
        match &policy.target {
            DenyTarget::Api(context) => drop(self.apis.insert(context.clone())),
            // Names of users and applications differ by more than case.
            // By name as well: one that is made again under the name of the denied one is denied.
            DenyTarget::Application(name) => {
                self.application_names.insert(name.to_lowercase());
            }
            DenyTarget::User(name) => drop(self.users.insert(name.to_lowercase())),
            DenyTarget::Address { address, invert } => {
                self.addresses
                    .extend(AddressRange::parse(address).map(|range| (range, *invert)));
            }
            DenyTarget::AddressRange { from, to, invert } => {
                self.addresses
                    .extend(AddressRange::between(from, to).map(|range| (range, *invert)));
            }
        }
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        let application = || {
            !self.application_names.is_empty()
                && facts.application.is_some_and(|known| {
                    let name = || format!("{}:{}", known.owner, known.name).to_lowercase();
                    self.applications.contains(&known.id)
                        || self.application_names.contains(&name())
                })
        };
        let user = || {
            !self.users.is_empty()
                && facts
                    .user
                    .is_some_and(|user| self.users.contains(&user.to_lowercase()))
        };
        self.apis.contains(facts.api)
            || application()
            || user()
            || self
                .addresses
                .iter()
                .any(|(range, invert)| range.contains(facts.address) != *invert)
    }
}

const fn index(level: PolicyLevel) -> usize {
    match level {
        PolicyLevel::Subscription => 0,
        PolicyLevel::Application => 1,
        PolicyLevel::Api => 2,
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
