//! The limits the owner grants by: one table, replaced whole when throttling policies change (PROTOCOLS L12).
//! Built by the traffic manager's change feed and shared by all its shards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::{Limit, WindowKind};
use crate::window::WindowSpec;

/// How much may be used in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Units a window: requests, bytes or events.
    pub limit: u64,
    /// The window.
    pub window: WindowSpec,
}

/// All limited policies as of one change-log number. Unlimited policies are not in it: nobody asks for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// The change-log number of the last change in it.
    pub applied: u64,
    quotas: BTreeMap<String, BTreeMap<String, Quota>>,
}

// === impl Policies ===

impl Policies {
    /// An empty table, true at `applied`.
    pub fn new(applied: u64) -> Self {
        Self {
            applied,
            quotas: BTreeMap::new(),
        }
    }

    /// Sets a policy's quota. `policy` carries its level, as in [`super::CellKey::policy`].
    pub fn set(&mut self, tenant: &str, policy: &str, quota: Quota) {
        self.quotas
            .entry(tenant.to_owned())
            .or_default()
            .insert(policy.to_owned(), quota);
    }

    /// Takes a policy out; asks for it are then answered `UnknownPolicy`.
    pub fn remove(&mut self, tenant: &str, policy: &str) {
        if let Some(of_tenant) = self.quotas.get_mut(tenant) {
            of_tenant.remove(policy);
        }
    }

    /// The quota of a policy.
    pub fn get(&self, tenant: &str, policy: &str) -> Option<Quota> {
        self.quotas.get(tenant)?.get(policy).copied()
    }
}

// === impl Quota ===

impl Quota {
    /// The quota of a policy's limit, whose windows count like this.
    pub fn of(limit: &Limit, kind: WindowKind) -> Self {
        Self {
            limit: limit.units,
            window: limit.window(kind),
        }
    }

    /// The most units of an ordinary lease: max(1, limit / 200) (PROTOCOLS L7).
    pub fn chunk(&self) -> u64 {
        (self.limit / 200).max(1)
    }
}
