//! How much memory the process has, and how much it may have: beyond that a gateway takes few calls at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headgate_http::gateway::Current;
use tokio_util::sync::CancellationToken;

use crate::config::MaxMemory;

/// How often it is looked at.
const ROUND: Duration = Duration::from_millis(250);
/// Of a hundred of what it may have at all: what else runs on the machine, and what comes between two looks, has the rest.
const SHARE: u64 = 85;
/// Where Linux shows control groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// The limit in bytes; none where there is none, or nothing says what the machine has.
pub(super) fn limit(configured: MaxMemory) -> Option<u64> {
    match configured {
        MaxMemory::None => None,
        MaxMemory::Bytes(bytes) => Some(bytes),
        MaxMemory::Auto => may_have().map(|bytes| bytes / 100 * SHARE),
    }
}

/// Tells the gateway what is resident, until `stop`.
pub(super) async fn watch(gateway: Current, stop: CancellationToken) {
    loop {
        if let Some(bytes) = resident() {
            gateway.has_resident(bytes);
        }
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn resident() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// A size that `/proc` gives in a line of its own (proc(5)), bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let size = lines.find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = size.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1_024)
}

/// What the machine has, or less where a control group says so.
fn may_have() -> Option<u64> {
    let machine = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:");
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups(&own).into_iter().filter_map(|group| {
        let text = fs::read_to_string(group.join("memory.max")).ok()?;
        text.trim().parse().ok()
    });
    limits.chain(machine).min()
}

/// The control group of a process and all above it, by its `/proc/self/cgroup` (cgroups(7), version 2).
fn groups(own: &str) -> Vec<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let path = Path::new(path.unwrap_or_default());
    let root = Path::new(GROUPS);
    path.ancestors().map(|group| root.join(group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_memory_is_read() {
        let meminfo = "MemTotal:        2048 kB\nMemFree: 1 kB\n";
        assert_eq!(field(meminfo, "MemTotal:"), Some(2_097_152));
        assert_eq!(field(meminfo, "VmRSS:"), None);
        assert_eq!(field("VmRSS: x kB\n", "VmRSS:"), None);
        let own = "1:name=systemd:/x\n0::/system.slice/headgate.service\n";
        let all = [
            "/sys/fs/cgroup/system.slice/headgate.service",
            "/sys/fs/cgroup/system.slice",
            "/sys/fs/cgroup/",
        ];
        assert_eq!(groups(own), all.map(PathBuf::from));
        assert_eq!(groups(""), [PathBuf::from("/sys/fs/cgroup/")]);
    }

    #[test]
    fn this_process_has_memory_and_may_have_more() {
        let limit = limit(MaxMemory::Auto).unwrap();
        assert!(resident().unwrap() < limit);
    }
}
