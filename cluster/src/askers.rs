//! Whose asks come in: each connection by what its asks bear. What that is was agreed on in the first
//! words, so nobody can ask in another's name; and what is owed to whom asks is owed to the connection.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::path::Path;

/// All connections that can be answered.
#[derive(Debug, Default)]
pub(crate) struct Askers(RwLock<BTreeMap<u64, Arc<Path>>>);

/// One of them, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Asker {
    askers: Arc<Askers>,
    bears: u64,
    path: Arc<Path>,
}

// === impl Askers ===

impl Askers {
    /// The way back to whoever's asks bear this.
    pub(crate) fn find(&self, bears: u64) -> Option<Arc<Path>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&bears).cloned()
    }

    /// From now on asks that bear this came by the connection that `path` leads back on.
    pub(crate) fn admit(self: &Arc<Self>, bears: u64, path: Arc<Path>) -> Asker {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(bears, Arc::clone(&path));
        Asker {
            askers: Arc::clone(self),
            bears,
            path,
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let mut known = self
            .askers
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // A later connection may bear the same, where lives are borne.
        if let Some(path) = known.get(&self.bears)
            && Arc::ptr_eq(path, &self.path)
        {
            known.remove(&self.bears);
        }
    }
}
