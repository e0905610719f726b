//! A shard of the counters: who has it by the agreed view, and what those say of it.

use actors::traffic_manager::{LAYOUT, RoleSeen, SeenShards, ShardSeen};

/// One shard.
pub(crate) struct Shard<'a> {
    pub(crate) number: u16,
    /// Stable ids of those who own it, stand by for it, and give what they have of it.
    pub(crate) owner: Option<&'a str>,
    pub(crate) standby: Option<&'a str>,
    pub(crate) sources: Vec<&'a str>,
    /// What owner and standby say.
    pub(crate) of_owner: Option<&'a ShardSeen>,
    pub(crate) of_standby: Option<&'a ShardSeen>,
}

// === impl Shard ===

impl<'a> Shard<'a> {
    pub(crate) fn of(seen: &'a SeenShards, number: u16) -> Self {
        let view = &seen.latest.view;
        let owner = view.owner(number, LAYOUT.rank);
        let owner = owner.map(|life| life.node.as_str());
        let standby = view.standby(number, LAYOUT.rank);
        let standby = standby.map(|life| life.node.as_str());
        let told_by = |node: &str| {
            let told = seen.told.get(node)?;
            told.shards.iter().find(|told| told.shard == number)
        };
        let is_source =
            |node: &&str| told_by(node).is_some_and(|told| told.seat.role == RoleSeen::Source);
        let sources = seen.told.keys().map(String::as_str).filter(is_source);
        Self {
            number,
            owner,
            standby,
            sources: sources.collect(),
            of_owner: owner.and_then(told_by),
            of_standby: standby.and_then(told_by),
        }
    }
}
