//! The gateways of a cell: one mostly, a handful at most, so a list that is as long as it has to be. There is one for
//! every key that is counted.

use super::cell::Held;
use super::message::Holder;

/// What is held, by gateway node id, in that order.
#[derive(Debug, Clone, Default)]
pub(super) struct Holders(Vec<(String, Held)>);

// === impl Holders ===

impl Holders {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, node: &str) -> Option<&Held> {
        let at = self.find(node).ok()?;
        self.0.get(at).map(|(_, held)| held)
    }

    pub(super) fn get_mut(&mut self, node: &str) -> Option<&mut Held> {
        let at = self.find(node).ok()?;
        self.0.get_mut(at).map(|(_, held)| held)
    }

    /// What this holder's gateway has; of one that is new here, nothing yet.
    pub(super) fn of(&mut self, holder: &Holder) -> &mut Held {
        let (at, held) = match self.find(&holder.node) {
            Ok(at) => (at, self.0.remove(at)),
            Err(at) => {
                self.0.reserve_exact(1);
                (at, (holder.node.clone(), Held::new(holder)))
            }
        };
        // Put back where it was: a list of one is not worth more.
        let (_, held) = self.0.insert_mut(at, held);
        held
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Held)> {
        self.0.iter().map(|(node, held)| (node, held))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Held> {
        self.0.iter().map(|(_, held)| held)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.0.iter_mut().map(|(_, held)| held)
    }

    fn find(&self, node: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.as_str().cmp(node))
    }
}

impl FromIterator<(String, Held)> for Holders {
    fn from_iter<T: IntoIterator<Item = (String, Held)>>(held: T) -> Self {
        let mut held: Vec<_> = held.into_iter().collect();
        held.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(held)
    }
}
