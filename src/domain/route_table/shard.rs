//! The contexts of one shard: an immutable map from virtual host and context to the API there.
//!
//! Contexts are sharded by their first segment (of tenants: the first two), because a request must
//! find all contexts that could be a prefix of its path in one shard.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::context::Context;
use super::route::{MAX_CONTEXT_SEGMENTS, Route};

/// The number of shards.
pub const SHARDS: usize = 256;

/// The parts of a shard's map that a change copies one of: when most contexts begin alike
/// (`/api/…`) they share a shard, and a deployment must not cost a copy of them all.
const PARTS: usize = 64;

/// One shard: what a gateway's request path loads as a snapshot. A copy costs little.
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

/// The contexts of a virtual host.
#[derive(Debug)]
struct Host<T> {
    name: Arc<str>,
    parts: Vec<Part<T>>,
    /// The most segments that one of the contexts has, or had.
    segments: usize,
}

/// Slots by the hash of their context. A sorted list and no map: with few contexts to a part it is found in one cache
/// line or two. It lies where its pointer leads, with nothing in between.
type Part<T> = Arc<[Slot<T>]>;

/// Who answers at a context: the API with that very context and version, else the default version
/// that was deployed last.
#[derive(Debug)]
struct Slot<T> {
    hash: u64,
    context: Context,
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
        let mut shard = self.clone();
        shard.insert(route);
        shard
    }

    /// A new shard without the API that is deployed at a virtual host and context with version,
    /// both spelt as [`Route`] gives them.
    #[must_use]
    pub fn without(&self, vhost: &str, context: &str) -> Self {
        let mut shard = self.clone();
        shard.remove(vhost, context);
        shard
    }

    /// [`Self::with`] in place, for a shard that nobody reads yet.
    pub(super) fn insert(&mut self, route: &Arc<Route<T>>) {
        self.remove(route.vhost(), route.context());
        if shard_of(route.context()) == self.index {
            self.put(route.vhost(), route.context(), |slot| {
                slot.exact = Some(Arc::clone(route))
            });
        }
        if let Some(context) = route.default_context()
            && shard_of(context) == self.index
        {
            self.put(route.vhost(), context, |slot| {
                slot.defaults.push(Arc::clone(route))
            });
        }
    }

    /// [`Self::without`] in place.
    pub(super) fn remove(&mut self, vhost: &str, context: &str) {
        let index = self.index;
        let Some(host) = self.hosts.iter_mut().find(|host| *host.name == *vhost) else {
            return;
        };
        let forget = |slot: &mut Slot<T>| slot.defaults.retain(|route| !route.is(vhost, context));
        if shard_of(context) == index {
            let before = host
                .change(context.as_bytes(), |slot| slot.exact.take())
                .flatten();
            if let Some(default) = before.as_ref().and_then(|before| before.default_context()) {
                host.change(default.as_bytes(), forget);
            }
            return;
        }
        // the version leads the context, so this shard may hold the default context alone
        let is_default =
            |slot: &Slot<T>| slot.defaults.iter().any(|route| route.is(vhost, context));
        let found: Vec<Context> = host
            .slots()
            .filter(|slot| is_default(slot))
            .map(|slot| slot.context.clone())
            .collect();
        for at in found {
            host.change(at.as_bytes(), forget);
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
            let slot = host.slot(context)?;
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
            .flat_map(Host::slots)
            .flat_map(move |slot| {
                let strangers = slot.defaults.iter();
                let strangers = strangers.filter(|route| shard_of(route.context()) != self.index);
                slot.exact.iter().chain(strangers)
            })
    }

    fn put(&mut self, vhost: &str, context: &str, fill: impl FnOnce(&mut Slot<T>)) {
        if let Some(host) = self.hosts.iter_mut().find(|host| *host.name == *vhost) {
            host.put(context, fill);
            return;
        }
        let mut host = Host::new(vhost);
        host.put(context, fill);
        self.hosts.push(host);
    }
}

impl<T> Clone for Shard<T> {
    fn clone(&self) -> Self {
        Self {
            index: self.index,
            hosts: self.hosts.clone(),
        }
    }
}

// === impl Host ===

impl<T> Host<T> {
    fn new(name: &str) -> Self {
        let empty: Part<T> = Arc::new([]);
        Self {
            name: name.into(),
            parts: vec![empty; PARTS],
            segments: 0,
        }
    }

    fn slot(&self, context: &str) -> Option<&Slot<T>> {
        let context = context.as_bytes();
        let hash = hash_of(context);
        let part = self.parts.get(part_of(hash))?;
        part.get(place(part, hash, context).ok()?)
    }

    fn slots(&self) -> impl Iterator<Item = &Slot<T>> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    fn put(&mut self, context: &str, fill: impl FnOnce(&mut Slot<T>)) {
        self.segments = self.segments.max(ends_of_segments(context).count());
        let hash = hash_of(context.as_bytes());
        let Some(part) = self.parts.get_mut(part_of(hash)) else {
            return;
        };
        let mut slots = part.to_vec();
        let at = place(&slots, hash, context.as_bytes()).unwrap_or_else(|at| {
            slots.insert(at, Slot::new(hash, context));
            at
        });
        if let Some(slot) = slots.get_mut(at) {
            fill(slot);
        }
        *part = slots.into();
    }

    /// Changes the slot of a context, if there is one; a slot where nobody answers any more goes.
    fn change<R>(&mut self, context: &[u8], change: impl FnOnce(&mut Slot<T>) -> R) -> Option<R> {
        let hash = hash_of(context);
        let part = self.parts.get_mut(part_of(hash))?;
        let at = place(part, hash, context).ok()?;
        let mut slots = part.to_vec();
        let slot = slots.get_mut(at)?;
        let result = change(slot);
        if slot.answering().is_none() {
            slots.remove(at);
        }
        *part = slots.into();
        Some(result)
    }
}

impl<T> Clone for Host<T> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            parts: self.parts.clone(),
            segments: self.segments,
        }
    }
}

// === impl Slot ===

impl<T> Slot<T> {
    fn new(hash: u64, context: &str) -> Self {
        Self {
            hash,
            context: Context::new(context),
            exact: None,
            defaults: Vec::new(),
        }
    }

    fn answering(&self) -> Option<(&Arc<Route<T>>, bool)> {
        let exact = self.exact.as_ref().map(|route| (route, false));
        exact.or_else(|| self.defaults.last().map(|route| (route, true)))
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self {
            hash: self.hash,
            context: self.context.clone(),
            exact: self.exact.clone(),
            defaults: self.defaults.clone(),
        }
    }
}

fn hash_of(context: &[u8]) -> u64 {
    FixedState::default().hash_one(context)
}

/// The part of a context, from bits of its hash that the order within the part does not begin with.
fn part_of(hash: u64) -> usize {
    let [lowest, ..] = hash.to_le_bytes();
    usize::from(lowest) % PARTS
}

/// Where the slot of a context is in a part, or belongs.
fn place<T>(part: &[Slot<T>], hash: u64, context: &[u8]) -> Result<usize, usize> {
    part.binary_search_by(|slot| {
        slot.hash
            .cmp(&hash)
            .then_with(|| slot.context.as_bytes().cmp(context))
    })
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
