//! A real node as a child process: the binary of this build on ports of its own, its resident
//! memory and its CPU time.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use cluster::Clock;

/// A node that is not up by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node.
pub(crate) struct Node {
    child: Child,
    data: PathBuf,
    ports: Value,
}

// === impl Node ===

impl Node {
    /// Starts a node on a data directory, and waits until it says where it listens.
    pub(crate) async fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, &[]).await
    }

    /// The same with these settings as well.
    pub(crate) async fn start_with(data: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let ports = data.join("run/ports.json");
        let _ = std::fs::remove_file(&ports);
        let child = Command::new(env!("CARGO_BIN_EXE_headgate"))
            .args(["start", "--data-dir"])
            .arg(data)
            .env("HEADGATE__LISTEN__MANAGEMENT", "127.0.0.1:0")
            .env("HEADGATE__LISTEN__MANAGEMENT_HTTP", "127.0.0.1:0")
            .env("HEADGATE__LISTEN__INGRESS_HTTP", "127.0.0.1:0")
            .env("HEADGATE__LISTEN__INGRESS_HTTPS", "127.0.0.1:0")
            .env("HEADGATE__GATEWAY__ALLOW_LOOPBACK_ENDPOINTS", "true")
            .env("HEADGATE__LOG__FILTER", "error")
            .env("HEADGATE__LOG__ACCESS", "false")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the node cannot be started")?;
        let mut node = Self {
            child,
            data: data.to_owned(),
            ports: Value::Null,
        };
        let clock = Clock::system();
        let started = clock.monotonic();
        while clock.monotonic() - started < PATIENCE {
            if let Some(status) = node.child.try_wait()? {
                bail!("the node ended with {status}");
            }
            if let Ok(text) = std::fs::read(&ports) {
                node.ports = serde_json::from_slice(&text)?;
                return Ok(node);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("the node did not come up within {PATIENCE:?}")
    }

    /// One of its addresses: `management_http`, `ingress_http` …
    pub(crate) fn address(&self, name: &str) -> anyhow::Result<String> {
        let address = self.ports.get(name).and_then(Value::as_str);
        Ok(address
            .with_context(|| format!("{name} is off"))?
            .to_owned())
    }

    /// The password that its first start made for `admin`.
    #[allow(dead_code, reason = "each benchmark uses its part")]
    pub(crate) fn password(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.data.join("admin-password"))?
            .trim()
            .to_owned())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(pid).context("no process")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the node ended with {status}");
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process, in bytes.
#[allow(dead_code, reason = "each benchmark uses its part")]
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("no VmRSS")?.trim().parse::<u64>()? * 1024)
}

/// CPU time that all threads of a process have used, in nanoseconds.
#[allow(dead_code, reason = "each benchmark uses its part")]
pub(crate) fn cpu_ns(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let times = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let run = times.split_whitespace().next().context("no schedstat")?;
        sum += run.parse::<u64>()?;
    }
    Ok(sum)
}
