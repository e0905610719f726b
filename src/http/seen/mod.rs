//! What is seen of the whole cluster: asked for once, and shown as JSON by `inspection` and as pages by `console`.

pub(crate) mod actors;
pub(crate) mod followers;
pub(crate) mod shards;
