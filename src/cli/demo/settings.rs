//! The demo's `headgate.toml`: loopback only, endpoints on loopback allowed, its ports shifted.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::config::{Config, Flags};

/// The configuration file in the demo's directory.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join("headgate.toml")
}

/// The configuration that the file makes, or the one that a first run would write.
///
/// Where the node listens, keeps its data, finds its databases and other nodes is the demo's own: a
/// shell that serves another node must not have the demo open its ports, write into its databases or
/// join its cluster. How actors hand over what they ask makes no other node of it, and all
/// tests run with each way.
pub(super) fn load(
    directory: &Path,
    offset: Option<u16>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> anyhow::Result<Config> {
    let environment: Vec<_> = environment.collect();
    if let Some((name, _)) = environment.iter().find(|(name, _)| is_the_demos_own(name)) {
        bail!(
            "environment {}: the demo has its own node, databases and ports, and no cluster: unset it, or use \
             headgate start",
            name.to_string_lossy()
        );
    }
    let file = file(directory);
    let flags = Flags {
        config: Some(file.clone()),
        ..Flags::default()
    };
    if !file.exists() {
        let text = text(offset.unwrap_or(0));
        return Ok(Config::load_text(&flags, &text, environment.into_iter())?);
    }
    let config = Config::load(&flags, environment.into_iter())?;
    match offset {
        // The API made on the first run points at the sample service's port of then.
        Some(offset) if offset != config.listen.port_offset => bail!(
            "{} says port_offset = {}: leave --port-offset out, or use another --data-dir",
            file.display(),
            config.listen.port_offset
        ),
        _ => Ok(config),
    }
}

fn is_the_demos_own(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    if name == "headgate__node__encode_asks" {
        return false;
    }
    let sections = [
        "headgate__node__",
        "headgate__listen__",
        "headgate__database__",
        "headgate__cluster__",
    ];
    sections.iter().any(|section| name.starts_with(section))
}

/// Writes the file where it is missing.
pub(super) fn keep(directory: &Path, offset: u16) -> anyhow::Result<()> {
    let file = file(directory);
    if file.exists() {
        return Ok(());
    }
    let cannot = || format!("{} cannot be written", file.display());
    let mut maker = std::fs::DirBuilder::new();
    maker.recursive(true).mode(0o700);
    maker.create(directory).with_context(cannot)?;
    std::fs::write(&file, text(offset)).with_context(cannot)
}

fn text(offset: u16) -> String {
    format!(
        "# Made by headgate demo; headgate start --config FILE runs the same node again.\n\
         [node]\n\
         data_dir = \".\"\n\
         \n\
         [listen]\n\
         port_offset = {offset}\n\
         management = \"127.0.0.1:9443\"\n\
         ingress_http = \"127.0.0.1:8280\"\n\
         ingress_https = \"127.0.0.1:8243\"\n\
         \n\
         [gateway]\n\
         # The sample service listens on loopback.\n\
         allow_loopback_endpoints = true\n\
         \n\
         [log]\n\
         filter = \"warn\"\n\
         access = false\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(directory: &Path, offset: Option<u16>) -> anyhow::Result<Config> {
        super::load(directory, offset, std::iter::empty())
    }

    #[test]
    fn what_makes_the_demo_another_node_is_refused_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let load = |name: &str, value: &str| {
            let variable = (OsString::from(name), OsString::from(value));
            super::load(directory.path(), Some(40), std::iter::once(variable))
        };
        for (name, value) in [
            ("HEADGATE__LISTEN__PORT_OFFSET", "0"),
            ("HEADGATE__DATABASE__APIM__URL", "postgres://db/production"),
            ("HEADGATE__NODE__DATA_DIR", "/var/lib/headgate"),
            ("HEADGATE__CLUSTER__SEEDS", "gw1:4370"),
        ] {
            let refused = load(name, value).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
        for (name, value) in [
            ("HEADGATE__LOG__FORMAT", "json"),
            ("HEADGATE__NODE__ENCODE_ASKS", "true"),
        ] {
            let config = load(name, value).unwrap();
            assert_eq!(config.listen.port_offset, 40);
            assert_eq!(config.node.encode_asks, value == "true");
        }
    }

    #[test]
    fn the_first_run_writes_a_loopback_configuration_and_later_runs_keep_it() {
        let directory = tempfile::tempdir().unwrap();
        let config = load(directory.path(), Some(40)).unwrap();
        assert!(!file(directory.path()).exists(), "its ports may be busy");
        keep(directory.path(), config.listen.port_offset).unwrap();
        assert_eq!(config.listen.management.port(), 9483);
        assert!(config.gateway.allow_loopback_endpoints);
        for address in [config.listen.ingress_http, config.listen.ingress_https] {
            assert!(address.unwrap().ip().is_loopback());
        }
        assert_eq!(load(directory.path(), None).unwrap().listen.port_offset, 40);
        let refused = load(directory.path(), Some(41)).unwrap_err().to_string();
        assert!(refused.contains("port_offset = 40"), "{refused}");
    }
}
