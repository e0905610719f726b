//! What many cells have in common is kept once.

/// Values by number, each for as long as it is used.
#[derive(Debug)]
pub(super) struct Pool<T>(Vec<Option<Entry<T>>>);

#[derive(Debug)]
struct Entry<T> {
    value: T,
    uses: usize,
}

// === impl Pool ===

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pool<T> {
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let entry = self.0.get(usize::try_from(number).ok()?)?.as_ref();
        entry.map(|entry| &entry.value)
    }

    /// One use more of the value that `is_it` tells, or else of a new one. None when there are more than numbers.
    pub(super) fn take(
        &mut self,
        is_it: impl Fn(&T) -> bool,
        new: impl FnOnce() -> T,
    ) -> Option<u32> {
        let known =
            |entry: &Option<Entry<T>>| entry.as_ref().is_some_and(|entry| is_it(&entry.value));
        let place = self.0.iter().position(known);
        let place = match place.or_else(|| self.0.iter().position(Option::is_none)) {
            Some(place) => place,
            None => {
                self.0.push(None);
                self.0.len() - 1
            }
        };
        let number = u32::try_from(place).ok()?;
        let entry = self.0.get_mut(place)?;
        match entry {
            Some(entry) => entry.uses += 1,
            None => {
                let value = new();
                *entry = Some(Entry { value, uses: 1 });
            }
        }
        Some(number)
    }

    /// One use less.
    pub(super) fn give_back(&mut self, number: u32) {
        let place = usize::try_from(number).ok();
        if let Some(entry) = place.and_then(|place| self.0.get_mut(place))
            && let Some(used) = entry
        {
            used.uses = used.uses.saturating_sub(1);
            if used.uses == 0 {
                *entry = None;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.iter().flatten().count()
    }
}
