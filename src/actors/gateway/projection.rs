//! The gateway's state as changes make it, and as Carbon keeps it: pure but for publishing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cluster::SelfReport;
use domain::api::SUPER_TENANT;
use domain::artifact::{Artifact, DEFAULT_VHOST};
use domain::change::Change;
use domain::change_log::Follower as Machine;
use domain::policy::PolicyLevel;
use domain::route_table::{RouteTable, Vhosts};

use super::ended::Ended;
use super::locked;
use super::route::ApiRoute;
use super::rules::Rules;
use super::state::State;
use crate::key_manager::PublicKeys;

/// What Carbon is to hold after a change: section, item, and the change as JSON; none to forget it.
pub(super) struct Kept {
    pub(super) section: &'static str,
    pub(super) item: String,
    pub(super) body: Option<String>,
    pub(super) until_ms: Option<i64>,
}

/// Everything deployed and every policy.
pub(super) struct Projection {
    artifacts: BTreeMap<String, Artifact>,
    table: RouteTable<ApiRoute>,
    rules: Rules,
    keys: Arc<PublicKeys>,
    ended: Arc<Mutex<Ended>>,
}

// === impl Projection ===

impl Projection {
    /// What operators see of it, and of who follows the change log with it.
    pub(super) fn said(&self, machine: &Machine, unsaved: usize) -> SelfReport {
        SelfReport::default()
            .with("applied up to", machine.applied().n)
            .with("APIs", self.artifacts.len())
            .with("changes not in Carbon yet", unsaved)
            .linked("change-feed of a control plane")
            .linked("carbon database")
    }

    pub(super) fn new() -> Self {
        Self {
            artifacts: BTreeMap::new(),
            table: RouteTable::empty(),
            rules: Rules::seeded(),
            keys: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// Applies a change, publishes what requests read of it, and says what to keep.
    pub(super) fn apply(&mut self, tenant: &str, change: &Change, state: &State) -> Vec<Kept> {
        match change {
            Change::ApiDeployed { artifact } => vec![self.deploy((**artifact).clone(), state)],
            Change::ApiUndeployed {
                api_id,
                environment,
            } => {
                let item = place(tenant, api_id, environment);
                self.undeploy(&item, state);
                vec![forget("artifact", item)]
            }
            Change::ApiStateChanged { api_id, state: to } => {
                self.alter(tenant, api_id, state, |artifact| artifact.state = *to)
            }
            Change::DefaultVersionChanged {
                api_id,
                default_context,
            } => self.alter(tenant, api_id, state, |artifact| {
                artifact.default_context.clone_from(default_context);
            }),
            // Ids are unique only where they were given (S4): one row must not replace another's.
            Change::TokenRevoked {
                issuer,
                token_id,
                expires_at_ms,
            } => {
                locked(&self.ended).apply(tenant, change);
                let item = format!("{tenant}/{issuer}/{token_id}");
                vec![kept("revoked_token", item, change, Some(*expires_at_ms))]
            }
            Change::IssuedBefore {
                subject,
                id,
                until_ms,
                ..
            } => {
                locked(&self.ended).apply(tenant, change);
                let item = format!("{tenant}/{}/{id}", subject.as_str());
                vec![kept("mark", item, change, Some(*until_ms))]
            }
            Change::VerificationKeysChanged { jwks } => {
                if tenant == SUPER_TENANT {
                    self.keys = Arc::new(PublicKeys::of_set(jwks));
                    state.keys.store(Arc::clone(&self.keys));
                }
                vec![kept("keys", tenant.to_owned(), change, None)]
            }
            Change::ApplicationRemoved { .. }
            | Change::ApiKeyChanged { .. }
            | Change::SubscriptionChanged { .. } => {
                locked(&self.ended).apply(tenant, change);
                Vec::new()
            }
            _ => self.rule(tenant, change, state).into_iter().collect(),
        }
    }

    /// Publishes everything anew, after a snapshot or a start from Carbon.
    pub(super) fn publish(&self, state: &State) {
        for shard in &state.shards {
            let index = shard.load().index();
            if let Some(fresh) = self.table.shard(index) {
                shard.store(Arc::clone(fresh));
            }
        }
        self.publish_vhosts(state);
        state.rules.store(Arc::new(self.rules.clone()));
        state.keys.store(Arc::clone(&self.keys));
        state.ended.store(Arc::clone(&self.ended));
    }

    /// Forgets revocations and marks that are over.
    pub(super) fn sweep(&self, now_ms: i64) {
        locked(&self.ended).sweep(now_ms);
    }

    fn rule(&mut self, tenant: &str, change: &Change, state: &State) -> Option<Kept> {
        let kept = match change {
            Change::PolicySaved { policy } => {
                self.rules.save((**policy).clone());
                let item = policy_item(tenant, policy.level, &policy.name);
                kept("policy", item, change, None)
            }
            Change::PolicyRemoved { level, name } => {
                self.rules.remove(tenant, *level, name);
                forget("policy", policy_item(tenant, *level, name))
            }
            Change::DenyPolicySaved { policy } => {
                self.rules.deny(policy.clone());
                kept("deny_policy", policy.id.clone(), change, None)
            }
            Change::DenyPolicyRemoved { id } => {
                self.rules.undeny(id);
                forget("deny_policy", id.clone())
            }
            _ => return None,
        };
        state.rules.store(Arc::new(self.rules.clone()));
        Some(kept)
    }

    fn alter(
        &mut self,
        tenant: &str,
        api_id: &str,
        state: &State,
        change: impl Fn(&mut Artifact),
    ) -> Vec<Kept> {
        let of_api = |artifact: &&Artifact| artifact.api_id == api_id && artifact.tenant == tenant;
        let found: Vec<Artifact> = self.artifacts.values().filter(of_api).cloned().collect();
        let altered = found.into_iter().map(|mut artifact| {
            change(&mut artifact);
            artifact
        });
        altered
            .map(|artifact| self.deploy(artifact, state))
            .collect()
    }

    fn deploy(&mut self, artifact: Artifact, state: &State) -> Kept {
        let item = place(&artifact.tenant, &artifact.api_id, &artifact.environment);
        let change = Change::ApiDeployed {
            artifact: Box::new(artifact.clone()),
        };
        let moved = self.artifacts.get(&item).is_some_and(|before| {
            before.vhost != artifact.vhost || before.context != artifact.context
        });
        if moved {
            self.undeploy(&item, state);
        }
        let mut others = self.artifacts.values();
        let new_vhost = !others.any(|known| known.vhost == artifact.vhost);
        match ApiRoute::compile(artifact.clone()) {
            Ok(route) => {
                for shard in self.table.deploy(&Arc::new(route)) {
                    store(state, shard);
                }
            }
            Err(reason) => {
                tracing::error!(api = %artifact.api_id, %reason, "deployed api cannot be served");
                // What is served is what Carbon says, now and after a restart. Later changes of
                // the API are kept all the same: another version of the gateway may serve it.
                self.withdraw(&artifact, state);
            }
        }
        self.artifacts.insert(item.clone(), artifact);
        if new_vhost {
            self.publish_vhosts(state);
        }
        kept("artifact", item, &change, None)
    }

    fn undeploy(&mut self, item: &str, state: &State) {
        if let Some(artifact) = self.artifacts.remove(item) {
            self.withdraw(&artifact, state);
        }
    }

    /// Takes the route of an API out of service.
    fn withdraw(&mut self, artifact: &Artifact, state: &State) {
        let context = domain::path::canonical(&artifact.context);
        let context = context.unwrap_or_default();
        for shard in self.table.undeploy(&artifact.vhost, &context) {
            store(state, shard);
        }
    }

    fn publish_vhosts(&self, state: &State) {
        let hosts = self
            .artifacts
            .values()
            .map(|artifact| artifact.vhost.as_str());
        let vhosts = Vhosts::new(DEFAULT_VHOST, hosts.chain([DEFAULT_VHOST]));
        state.vhosts.store(Arc::new(vhosts));
    }
}

fn store(state: &State, shard: Arc<domain::route_table::Shard<ApiRoute>>) {
    if let Some(slot) = state.shards.get(shard.index()) {
        slot.store(shard);
    }
}

fn place(tenant: &str, api_id: &str, environment: &str) -> String {
    format!("{tenant}/{api_id}/{environment}")
}

fn policy_item(tenant: &str, level: PolicyLevel, name: &str) -> String {
    format!("{tenant}/{}/{name}", level.as_str())
}

fn kept(section: &'static str, item: String, change: &Change, until_ms: Option<i64>) -> Kept {
    Kept {
        section,
        item,
        body: serde_json::to_string(change).ok(),
        until_ms,
    }
}

const fn forget(section: &'static str, item: String) -> Kept {
    Kept {
        section,
        item,
        body: None,
        until_ms: None,
    }
}

/// The tenant of a stored change: the part of its item in front of the first slash, where it has one.
pub(super) fn tenant_of(item: &str) -> &str {
    item.split_once('/')
        .map_or(SUPER_TENANT, |(tenant, _)| tenant)
}

#[cfg(test)]
mod tests {
    use cluster::Clock;
    use domain::api::{Cors, Endpoints};
    use domain::artifact::DEFAULT_ENVIRONMENT;
    use domain::change::MarkedSubject;
    use domain::lifecycle::LifecycleState;

    use super::*;

    fn artifact(revision: &str, api_key_header: &str) -> Artifact {
        Artifact {
            tenant: SUPER_TENANT.to_owned(),
            api_id: "one".to_owned(),
            name: "One".to_owned(),
            version: "1.0.0".to_owned(),
            context: "/one/1.0.0".to_owned(),
            default_context: None,
            provider: "admin".to_owned(),
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            vhost: DEFAULT_VHOST.to_owned(),
            revision_id: revision.to_owned(),
            state: LifecycleState::Published,
            transports: vec!["https".to_owned()],
            oauth2: true,
            api_key: false,
            authorization_header: "authorization".to_owned(),
            api_key_header: api_key_header.to_owned(),
            audiences: Vec::new(),
            plans: Vec::new(),
            api_policy: None,
            cors: Cors::default(),
            endpoints: Endpoints::default(),
            operations: Vec::new(),
        }
    }

    #[test]
    fn a_revision_that_cannot_be_served_takes_the_one_before_out_of_service() {
        let state = State::new(Clock::system());
        let mut projection = Projection::new();
        let path = "/one/1.0.0/items";
        let served = || {
            let shard = state.shards[domain::route_table::shard_of(path)].load();
            let vhosts = state.vhosts.load();
            let hit = shard.find(vhosts.resolve(DEFAULT_VHOST), path);
            hit.map(|hit| hit.route.api.artifact.revision_id.clone())
        };
        projection.deploy(artifact("first", "apikey"), &state);
        assert_eq!(served().as_deref(), Some("first"));
        let kept = projection.deploy(artifact("second", "no name"), &state);
        // What is served is what Carbon keeps: after a restart it could not be served either.
        assert!(kept.body.unwrap().contains("second"));
        assert_eq!(served(), None);
        projection.deploy(artifact("third", "apikey"), &state);
        assert_eq!(served().as_deref(), Some("third"));
    }

    #[test]
    fn revocations_of_two_issuers_and_marks_of_two_subjects_are_kept_side_by_side() {
        let state = State::new(Clock::system());
        let mut projection = Projection::new();
        let revoked = |issuer: &str| Change::TokenRevoked {
            issuer: issuer.to_owned(),
            token_id: "1".to_owned(),
            expires_at_ms: 7,
        };
        let marked = |subject| Change::IssuedBefore {
            subject,
            id: "1".to_owned(),
            before_ms: 5,
            until_ms: 7,
        };
        let changes = [
            revoked("https://one"),
            revoked("https://two"),
            marked(MarkedSubject::User),
            marked(MarkedSubject::Application),
        ];
        let mut items = std::collections::BTreeSet::new();
        for tenant in ["one", "two"] {
            for change in &changes {
                for kept in projection.apply(tenant, change, &state) {
                    assert_eq!(tenant_of(&kept.item), tenant);
                    items.insert((kept.section, kept.item));
                }
            }
        }
        assert_eq!(items.len(), 8, "{items:?}");
    }

    #[test]
    fn changes_of_an_api_that_cannot_be_served_are_kept() {
        let state = State::new(Clock::system());
        let mut projection = Projection::new();
        projection.deploy(artifact("first", "no name"), &state);
        let blocked = Change::ApiStateChanged {
            api_id: "one".to_owned(),
            state: LifecycleState::Blocked,
        };
        let kept = projection.apply(SUPER_TENANT, &blocked, &state);
        let [kept] = kept.as_slice() else {
            panic!("{} kept", kept.len());
        };
        let body = kept.body.as_deref().unwrap();
        let Change::ApiDeployed { artifact } = serde_json::from_str(body).unwrap() else {
            panic!("{body}");
        };
        assert_eq!(artifact.state, LifecycleState::Blocked);
    }

    #[test]
    fn a_virtual_host_is_known_when_the_first_api_on_it_that_can_be_served_comes() {
        let state = State::new(Clock::system());
        let mut projection = Projection::new();
        let on = |header: &str| Artifact {
            vhost: "apis.example".to_owned(),
            ..artifact("first", header)
        };
        projection.deploy(on("no name"), &state);
        projection.deploy(on("apikey"), &state);
        assert_eq!(state.vhosts.load().resolve("apis.example"), "apis.example");
    }
}
