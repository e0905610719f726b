//! One deployed API: the virtual host and contexts at which it answers, its resources, and the
//! payload that the gateway serves it with.

use thiserror::Error;

use super::resources::Resources;
use super::shard::shard_of;
use crate::path::{PathFault, canonical};

/// The most segments that a context may have, version included.
pub const MAX_CONTEXT_SEGMENTS: usize = 16;

/// A deployed API. Virtual host and context with version are its identity in the table.
#[derive(Debug)]
pub struct Route<T> {
    vhost: String,
    context: String,
    default_context: Option<String>,
    /// Its resources.
    pub resources: Resources,
    /// What the gateway serves it with.
    pub api: T,
}

/// Why an API cannot be deployed at a context.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteFault {
    /// No request path could begin with it.
    #[error("the context \"{context}\" is no path: {fault}")]
    Context {
        /// The context.
        context: String,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// The root, which would hide all other APIs, or the bare prefix of tenants.
    #[error("the context \"{0}\" is reserved: give the API one of its own")]
    Reserved(String),
    /// More than [`MAX_CONTEXT_SEGMENTS`] segments.
    #[error("the context \"{0}\" has more than {MAX_CONTEXT_SEGMENTS} segments")]
    TooLong(String),
}

// === impl Route ===

impl<T> Route<T> {
    /// A route of an API at a virtual host and a context with version; the default version of an
    /// API also answers at a context without.
    ///
    /// # Errors
    /// A [`RouteFault`] when no request could reach it at one of the contexts.
    pub fn new(
        vhost: &str,
        context: &str,
        default_context: Option<&str>,
        resources: Resources,
        api: T,
    ) -> Result<Self, RouteFault> {
        Ok(Self {
            vhost: vhost.to_ascii_lowercase(),
            context: checked(context)?,
            default_context: default_context.map(checked).transpose()?,
            resources,
            api,
        })
    }

    /// The virtual host, in lower case.
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// The context with version.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The context at which it answers as the default version.
    pub fn default_context(&self) -> Option<&str> {
        self.default_context.as_deref()
    }

    /// The shards that hold the route: one, or two when a version leads the context
    /// (`/{version}/pizza`). Deploying and undeploying must go through each.
    pub fn shards(&self) -> impl Iterator<Item = usize> {
        let first = shard_of(&self.context);
        let second = self
            .default_context
            .as_deref()
            .map(shard_of)
            .filter(|shard| *shard != first);
        std::iter::once(first).chain(second)
    }

    /// Whether another route is a deployment of the same API at the same place.
    pub(super) fn is(&self, vhost: &str, context: &str) -> bool {
        self.vhost == vhost && self.context == context
    }
}

/// Whether requests could reach an API at a context, version filled in.
///
/// # Errors
/// A [`RouteFault`] when none could.
pub fn check_context(context: &str) -> Result<(), RouteFault> {
    checked(context).map(drop)
}

/// A context as request paths carry it.
fn checked(context: &str) -> Result<String, RouteFault> {
    let trimmed = context.strip_suffix('/').unwrap_or(context);
    let canonical = match trimmed {
        "" | "/t" => return Err(RouteFault::Reserved(context.to_owned())),
        _ => canonical(trimmed),
    };
    let path = canonical.map_err(|fault| RouteFault::Context {
        context: context.to_owned(),
        fault,
    })?;
    if path.split('/').skip(1).count() > MAX_CONTEXT_SEGMENTS {
        return Err(RouteFault::TooLong(context.to_owned()));
    }
    if path.ends_with('/') {
        let fault = PathFault::EmptySegment;
        return Err(RouteFault::Context {
            context: context.to_owned(),
            fault,
        });
    }
    Ok(path.into_owned())
}
