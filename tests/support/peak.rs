//! The most memory that a node has had for a while, also for a moment.

use super::memory::Memory;
use super::node::Node;

/// Since it was made, which makes those of the same node that were made before useless. Pages of files count as well: of
/// code that runs for the first time meanwhile too.
pub struct Peak<'n> {
    node: &'n Node,
    /// What was resident then, KiB.
    began: u64,
}

// === impl Peak ===

impl<'n> Peak<'n> {
    /// From now on.
    pub fn of(node: &'n Node) -> Self {
        // The system forgets the peak of before (proc(5)).
        let path = format!("/proc/{}/clear_refs", node.pid());
        std::fs::write(path, "5").expect("its peak is forgotten");
        let began = Memory::of(node).peak;
        Self { node, began }
    }

    /// More than then, KiB.
    pub fn more(&self) -> u64 {
        Memory::of(self.node).peak.saturating_sub(self.began)
    }

    #[track_caller]
    pub fn is_within(&self, kib: u64) {
        let more = self.more();
        assert!(more < kib, "{more} KiB more at the most");
    }
}
