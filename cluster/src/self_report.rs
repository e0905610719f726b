//! What an actor shows operators of its state and whom it deals with. It is asked for behind what waits in the mailbox, and
//! read beside that: who hangs shows what it showed last, and how old that is.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most of either that one actor shows, so that it fits into a message.
const MOST: usize = 64;
/// The longest text of it, bytes.
const LONGEST: usize = 400;

/// What an actor shows; nothing of it is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfReport {
    /// What of its state, and how it stands.
    pub state: Vec<(String, String)>,
    /// With whom it deals beside its supervisor and its children: actors, members, databases.
    pub links: Vec<String>,
}

/// What was shown last.
#[derive(Debug, Default)]
pub(crate) struct Showcase {
    /// Whether a wish to be shown something waits in the mailbox.
    asked: AtomicBool,
    last: Mutex<Option<(Duration, SelfReport)>>,
}

// === impl SelfReport ===

impl SelfReport {
    /// And this of its state.
    #[must_use]
    pub fn with(mut self, what: &str, stands: impl Display) -> Self {
        if self.state.len() < MOST {
            self.state
                .push((what.to_owned(), shortened(stands.to_string())));
        }
        self
    }

    /// And it deals with this one.
    #[must_use]
    pub fn linked(mut self, with: impl Display) -> Self {
        if self.links.len() < MOST {
            self.links.push(shortened(with.to_string()));
        }
        self
    }

    /// And it deals with these.
    #[must_use]
    pub fn linked_all<T: Display>(self, with: impl IntoIterator<Item = T>) -> Self {
        with.into_iter().fold(self, Self::linked)
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

// === impl Showcase ===

impl Showcase {
    /// Whether nobody waits to be shown something yet: one wish is enough for all who ask.
    pub(crate) fn asks(&self) -> bool {
        !self.asked.swap(true, Ordering::AcqRel)
    }

    /// Nobody waits any more, shown anything or not.
    pub(crate) fn is_over(&self) {
        self.asked.store(false, Ordering::Release);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    pub(crate) fn show(&self, shown: SelfReport, now: Duration) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, shown));
        self.is_over();
    }

    /// What was shown last, and when.
    pub(crate) fn last(&self) -> Option<(Duration, SelfReport)> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_its_bounds() {
        let many = (0..1_000).map(|n| format!("é{}", "é".repeat(n)));
        let shown = SelfReport::default().linked_all(many);
        assert_eq!(shown.links.len(), MOST);
        let shown = (0..1_000).fold(SelfReport::default(), |shown, n| {
            shown.with("n", "x".repeat(n * 10))
        });
        assert_eq!(shown.state.len(), MOST);
        assert!(
            shown
                .state
                .iter()
                .all(|(_, text)| text.len() <= LONGEST + 3)
        );
    }
}
