//! All shards in one value, for those who need no concurrency: start-up, tests, the simulator.

use std::sync::Arc;

use super::route::Route;
use super::shard::{Hit, SHARDS, Shard, shard_of};

/// The routes of a gateway.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    shards: Vec<Arc<Shard<T>>>,
}

// === impl RouteTable ===

impl<T> RouteTable<T> {
    /// A table without routes.
    pub fn empty() -> Self {
        Self {
            shards: (0..SHARDS)
                .map(|index| Arc::new(Shard::empty(index)))
                .collect(),
        }
    }

    /// A table with these routes; of two at one place the later counts.
    pub fn with_all(routes: impl IntoIterator<Item = Route<T>>) -> Self {
        let mut table = Self::empty();
        for route in routes {
            table.deploy(&Arc::new(route));
        }
        table
    }

    /// Deploys a route; gives back the shards that changed.
    pub fn deploy(&mut self, route: &Arc<Route<T>>) -> Vec<Arc<Shard<T>>> {
        // a route that was here before may have answered in shards that this one does not
        let before = self.deployed(route.vhost(), route.context());
        let left: Vec<usize> = before.iter().flat_map(|before| before.shards()).collect();
        let taken: Vec<usize> = route.shards().collect();
        self.change(left.into_iter().chain(taken), |shard| shard.insert(route))
    }

    /// Undeploys the API at a virtual host and context with version; gives back the shards that
    /// changed.
    pub fn undeploy(&mut self, vhost: &str, context: &str) -> Vec<Arc<Shard<T>>> {
        let before = self.deployed(vhost, context);
        let left: Vec<usize> = before.iter().flat_map(|before| before.shards()).collect();
        self.change(left.into_iter(), |shard| shard.remove(vhost, context))
    }

    /// The route that is deployed at a virtual host and context with version.
    pub fn deployed(&self, vhost: &str, context: &str) -> Option<Arc<Route<T>>> {
        let hit = self.find(vhost, context)?;
        (!hit.by_default && hit.context == context).then(|| Arc::clone(hit.route))
    }

    /// The shard by its number.
    pub fn shard(&self, index: usize) -> Option<&Arc<Shard<T>>> {
        self.shards.get(index)
    }

    /// The API whose context is the longest prefix of a canonical path.
    pub fn find<'p>(&self, vhost: &str, path: &'p str) -> Option<Hit<'_, 'p, T>> {
        self.shards.get(shard_of(path))?.find(vhost, path)
    }

    /// Changes shards, in place those that nobody else holds.
    fn change(
        &mut self,
        indices: impl Iterator<Item = usize>,
        change: impl Fn(&mut Shard<T>),
    ) -> Vec<Arc<Shard<T>>> {
        let mut indices: Vec<usize> = indices.collect();
        indices.sort_unstable();
        indices.dedup();
        let mut changed = Vec::with_capacity(indices.len());
        for index in indices {
            if let Some(shard) = self.shards.get_mut(index) {
                change(Arc::make_mut(shard));
                changed.push(Arc::clone(shard));
            }
        }
        changed
    }
}
