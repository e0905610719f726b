//! What a node has of memory, as the system counts it (proc(5)).

use super::node::Node;

/// At one moment, KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// All that is resident (`VmRSS`), pages of files among it: the code that has run so far is a good part of that.
    pub resident: u64,
    /// The most that has been resident (`VmHWM`), pages of files again among it.
    pub peak: u64,
}

// === impl Memory ===

impl Memory {
    pub fn of(node: &Node) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid()));
        let status = status.expect("a process");
        let kib = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.expect("a number").parse().expect("a number")
        };
        Self {
            resident: kib("VmRSS:"),
            peak: kib("VmHWM:"),
        }
    }
}
