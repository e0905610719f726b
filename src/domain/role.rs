//! The roles of a tenant and the REST scopes that each of them may get.

/// May do everything.
pub const ADMIN: &str = "admin";
/// Creates and edits APIs.
pub const CREATOR: &str = "Internal/creator";
/// Publishes APIs and looks after their subscriptions.
pub const PUBLISHER: &str = "Internal/publisher";
/// Uses the Developer Portal.
pub const SUBSCRIBER: &str = "Internal/subscriber";
/// Runs the platform.
pub const DEVOPS: &str = "Internal/devops";
/// Everybody, held by every user without being stored.
pub const EVERYONE: &str = "Internal/everyone";

/// The roles that exist from the start.
pub const BUILT_IN: [&str; 6] = [ADMIN, CREATOR, PUBLISHER, SUBSCRIBER, DEVOPS, EVERYONE];
