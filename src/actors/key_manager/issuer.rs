//! Who issues the cluster's tokens, for whoever has to tell them from others'.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// The `iss` of the cluster's tokens. A node of the control plane has it from its start; a gateway may
/// learn it from them. Clones change together.
#[derive(Debug, Clone, Default)]
pub struct Issuer(Arc<ArcSwap<String>>);

// === impl Issuer ===

impl Issuer {
    /// This one, until another is known.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let issuer = Self::default();
        issuer.set(text);
        issuer
    }

    /// As it is at this moment.
    #[must_use]
    pub fn text(&self) -> Arc<String> {
        self.0.load_full()
    }

    /// Another one from now on.
    pub fn set(&self, text: &str) {
        if **self.0.load() != text {
            self.0.store(Arc::new(text.to_owned()));
        }
    }
}
