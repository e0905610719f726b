//! The contexts of one shard: an immutable map from virtual host and context to the API there.
//!
//! Contexts are sharded by their first segment (of tenants: the first two), because a request must
//! find all contexts that could be a prefix of its path in one shard.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::route::{MAX_CONTEXT_SEGMENTS, Route};

/// The number of shards.
pub const SHARDS: usize = 256;

/// One shard: what a gateway's request path loads as a snapshot.
#[derive(Debug)]
pub struct Shard<T> {
    index: usize,
    hosts: Vec<Host<T>>,
}

/// What a path led to.
#[derive(Debug)]
pub struct Hit<'s, 'p, T> {
    /// The API.
    pub route: &'s Arc<Route<T>>,
    /// The part of the path that is its context.
    pub context: &'p str,
    /// What follows it: empty, or with a slash in front. [`super::Resources::find`] takes it so.
    pub rest: &'p str,
    /// Whether it was reached as the default version, without version in the path.
    pub by_default: bool,
}

#[derive(Debug)]
struct Host<T> {
    name: Arc<str>,
    contexts: HashMap<Arc<str>, Slot<T>, FixedState>,
    /// The most segments that one of the contexts has.
    segments: usize,
}

/// Who answers at a context: the API with that very context and version, else the default version
/// that was deployed last.
#[derive(Debug)]
struct Slot<T> {
    exact: Option<Arc<Route<T>>>,
    defaults: Vec<Arc<Route<T>>>,
}

/// The shard of a context or of a canonical request path. The same in every process and version:
/// FNV-1a over the first segment, of tenant paths (`/t/acme/…`) over the first two.
pub fn shard_of(path: &str) -> usize {
    let body = path.strip_prefix('/').unwrap_or(path);
    let slashes = if body.starts_with("t/") { 2 } else { 1 };
    let mut seen = 0;
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in body.bytes() {
        if byte == b'/' {
            seen += 1;
            if seen == slashes {
                break;
            }
        }
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let folded = hash ^ (hash >> 32);
    usize::from((folded ^ (folded >> 8) ^ (folded >> 16)).to_le_bytes()[0])
}

// === impl Shard ===

impl<T> Shard<T> {
    /// A shard without routes.
    pub const fn empty(index: usize) -> Self {
        Self {
            index,
            hosts: Vec::new(),
        }
    }

    /// The number of the shard, below [`SHARDS`].
    pub const fn index(&self) -> usize {
        self.index
    }

    /// A new shard in which the route has taken the place of what was deployed at its virtual host
    /// and context before. Contexts of the route that belong to another shard are left to that one.
    #[must_use]
    pub fn with(&self, route: &Arc<Route<T>>) -> Self {
        let mut shard = self.without(route.vhost(), route.context());
        if shard_of(route.context()) == self.index {
            shard.put(route.vhost(), route.context(), |slot| {
                slot.exact = Some(Arc::clone(route))
            });
        }
        if let Some(context) = route.default_context()
            && shard_of(context) == self.index
        {
            shard.put(route.vhost(), context, |slot| {
                slot.defaults.push(Arc::clone(route))
            });
        }
        shard
    }

    /// A new shard without the API that is deployed at a virtual host and context with version,
    /// both spelt as [`Route`] gives them.
    #[must_use]
    pub fn without(&self, vhost: &str, context: &str) -> Self {
        let hosts = self.hosts.iter().map(|host| host.without(vhost, context));
        Self {
            index: self.index,
            hosts: hosts.filter(|host| !host.contexts.is_empty()).collect(),
        }
    }

    /// The API whose context is the longest prefix, segment by segment, of a canonical path.
    pub fn find<'p>(&self, vhost: &str, path: &'p str) -> Option<Hit<'_, 'p, T>> {
        let host = self.hosts.iter().find(|host| *host.name == *vhost)?;
        let mut ends = [0_usize; MAX_CONTEXT_SEGMENTS];
        let mut count = 0;
        for (end, place) in ends_of_segments(path).take(host.segments).zip(&mut ends) {
            *place = end;
            count += 1;
        }
        ends.iter().take(count).rev().find_map(|end| {
            let (context, rest) = path.split_at_checked(*end)?;
            let slot = host.contexts.get(context)?;
            let (route, by_default) = slot.answering()?;
            Some(Hit {
                route,
                context,
                rest,
                by_default,
            })
        })
    }

    /// The routes of the shard, each once.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route<T>>> {
        self.hosts
            .iter()
            .flat_map(|host| host.contexts.iter())
            .flat_map(move |(context, slot)| {
                let elsewhere = slot.defaults.iter().filter(|route| {
                    shard_of(route.context()) != self.index
                        && route.default_context() == Some(context)
                });
                slot.exact.iter().chain(elsewhere)
            })
    }

    fn put(&mut self, vhost: &str, context: &str, fill: impl FnOnce(&mut Slot<T>)) {
        if let Some(host) = self.hosts.iter_mut().find(|host| *host.name == *vhost) {
            fill(host.slot(context));
            return;
        }
        let mut host = Host {
            name: vhost.into(),
            contexts: HashMap::default(),
            segments: 0,
        };
        fill(host.slot(context));
        self.hosts.push(host);
    }
}

// === impl Host ===

impl<T> Host<T> {
    fn slot(&mut self, context: &str) -> &mut Slot<T> {
        self.segments = self.segments.max(ends_of_segments(context).count());
        self.contexts.entry(context.into()).or_default()
    }

    /// A copy without one API.
    fn without(&self, vhost: &str, context: &str) -> Self {
        let affected = *self.name == *vhost;
        let mut contexts =
            HashMap::with_capacity_and_hasher(self.contexts.len() + 1, FixedState::default());
        let mut segments = 0;
        for (at, slot) in &self.contexts {
            let slot = if affected {
                slot.without(vhost, context)
            } else {
                slot.clone()
            };
            if slot.answering().is_some() {
                segments = segments.max(ends_of_segments(at).count());
                contexts.insert(Arc::clone(at), slot);
            }
        }
        Self {
            name: Arc::clone(&self.name),
            contexts,
            segments,
        }
    }
}

// === impl Slot ===

impl<T> Slot<T> {
    fn answering(&self) -> Option<(&Arc<Route<T>>, bool)> {
        let exact = self.exact.as_ref().map(|route| (route, false));
        exact.or_else(|| self.defaults.last().map(|route| (route, true)))
    }

    fn without(&self, vhost: &str, context: &str) -> Self {
        let stays = |route: &&Arc<Route<T>>| !route.is(vhost, context);
        Self {
            exact: self.exact.as_ref().filter(stays).cloned(),
            defaults: self.defaults.iter().filter(stays).cloned().collect(),
        }
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self {
            exact: self.exact.clone(),
            defaults: self.defaults.clone(),
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            exact: None,
            defaults: Vec::new(),
        }
    }
}

/// The offsets at which the segments of a path end, from the first on.
fn ends_of_segments(path: &str) -> impl Iterator<Item = usize> {
    let ends = path
        .bytes()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| *byte == b'/')
        .map(|(at, _)| at);
    ends.chain(std::iter::once(path.len()))
}
