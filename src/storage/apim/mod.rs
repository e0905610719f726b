//! API-M: what the control plane decides. Shared by all control-plane nodes.

pub mod api_deployments;
pub mod api_keys;
pub mod api_lifecycle;
pub mod api_revisions;
pub mod apis;
#[cfg(test)]
mod apis_tests;
pub mod application_keys;
pub mod applications;
pub mod belongings;
pub mod blob_references;
pub mod change_log;
pub mod cluster_identity;
pub mod deny_policies;
#[cfg(test)]
mod feed_tests;
pub mod followers;
pub mod grants;
#[cfg(test)]
mod migration_tests;
pub mod oauth_clients;
pub mod policies;
#[cfg(test)]
mod portal_tests;
pub mod retired_nodes;
pub mod revocations;
pub mod snapshots;
pub mod subscriptions;
pub mod tokens;
pub mod usage;
pub mod verification_keys;
pub mod view_register;

use crate::database::{Database, Schema};
use crate::error::StoreError;

pub(crate) const SCHEMA: Schema = Schema {
    name: "apim",
    migrations: &[
        (
            1,
            "change log",
            include_str!("../../../migrations/apim/0001_change_log.sql"),
        ),
        (
            2,
            "apis",
            include_str!("../../../migrations/apim/0002_apis.sql"),
        ),
        (
            3,
            "applications",
            include_str!("../../../migrations/apim/0003_applications.sql"),
        ),
        (
            4,
            "subscriptions",
            include_str!("../../../migrations/apim/0004_subscriptions.sql"),
        ),
        (
            5,
            "tokens",
            include_str!("../../../migrations/apim/0005_tokens.sql"),
        ),
        (
            6,
            "api keys",
            include_str!("../../../migrations/apim/0006_api_keys.sql"),
        ),
        (
            7,
            "policies",
            include_str!("../../../migrations/apim/0007_policies.sql"),
        ),
        (
            8,
            "usage",
            include_str!("../../../migrations/apim/0008_usage.sql"),
        ),
        (
            9,
            "names and lives",
            include_str!("../../../migrations/apim/0009_names_and_lives.sql"),
        ),
        (
            10,
            "default version",
            include_str!("../../../migrations/apim/0010_default_version.sql"),
        ),
        (
            11,
            "publisher",
            include_str!("../../../migrations/apim/0011_publisher.sql"),
        ),
        (
            12,
            "client secrets",
            include_str!("../../../migrations/apim/0012_client_secrets.sql"),
        ),
        (
            13,
            "deny policies of applications",
            include_str!("../../../migrations/apim/0013_deny_policies_of_applications.sql"),
        ),
        (
            14,
            "what users have",
            include_str!("../../../migrations/apim/0014_what_users_have.sql"),
        ),
        (
            15,
            "owners",
            include_str!("../../../migrations/apim/0015_owners.sql"),
        ),
        (
            16,
            "nodes",
            include_str!("../../../migrations/apim/0016_nodes.sql"),
        ),
        (
            17,
            "followers",
            include_str!("../../../migrations/apim/0017_followers.sql"),
        ),
        (
            18,
            "token_lives",
            include_str!("../../../migrations/apim/0018_token_lives.sql"),
        ),
        (
            19,
            "lives of followers",
            include_str!("../../../migrations/apim/0019_lives_of_followers.sql"),
        ),
        (
            21,
            "followers that left",
            include_str!("../../../migrations/apim/0021_followers_that_left.sql"),
        ),
        (
            22,
            "cluster identity",
            include_str!("../../../migrations/apim/0022_cluster_identity.sql"),
        ),
        (
            23,
            "view register",
            include_str!("../../../migrations/apim/0023_view_register.sql"),
        ),
        (
            24,
            "view register lease",
            include_str!("../../../migrations/apim/0024_view_register_lease.sql"),
        ),
        (
            25,
            "view register said",
            include_str!("../../../migrations/apim/0025_view_register_said.sql"),
        ),
        (
            26,
            "view register anybodys",
            include_str!("../../../migrations/apim/0026_view_register_anybodys.sql"),
        ),
        (
            27,
            "retired nodes",
            include_str!("../../../migrations/apim/0027_retired_nodes.sql"),
        ),
        (
            28,
            "admissions",
            include_str!("../../../migrations/apim/0028_admissions.sql"),
        ),
    ],
};

/// Opens API-M at `url`.
///
/// # Errors
/// See [`Database::open`].
pub async fn open(url: &str) -> Result<Database, StoreError> {
    Database::open(url, &SCHEMA).await
}
