//! What is seen of the whole cluster: asked for once, and shown as JSON by `inspection` and as pages by `console`.

use std::time::Duration;

pub(crate) mod actors;
pub(crate) mod followers;
pub(crate) mod members;
pub(crate) mod shards;

/// How long whatever is asked may take to answer; whatever does not is marked, in the JSON as on the pages.
pub(crate) const PATIENCE: Duration = Duration::from_millis(800);
