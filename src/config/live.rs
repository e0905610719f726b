//! What of a configuration takes effect while the node runs, and what waits for its next start.

use std::collections::BTreeMap;

use super::Gateway;
use super::source::Effective;

/// Keys that take effect at a reload.
const LIVE: [&str; 14] = [
    "gateway.body_limit",
    "gateway.body_timeout_ms",
    "gateway.connect_timeout_ms",
    "gateway.enable_outbound_auth_header",
    "gateway.head_timeout_ms",
    "gateway.idle_timeout_ms",
    "gateway.max_calls",
    "gateway.max_connections",
    "gateway.max_memory",
    "gateway.response_timeout_ms",
    "gateway.upstream_ca",
    "gateway.websocket_idle_timeout_ms",
    "log.access",
    "log.filter",
];

/// What a reload found to be different.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// In force from now on.
    pub(crate) live: Vec<Effective>,
    /// At the node's next start.
    pub(crate) at_restart: Vec<Effective>,
}

/// What `read` has that `running` has not.
pub(crate) fn differences(running: &[Effective], read: &[Effective]) -> Differences {
    let before: BTreeMap<&str, &Effective> =
        running.iter().map(|one| (one.key.as_str(), one)).collect();
    let differs = |one: &&Effective| {
        let before = before.get(one.key.as_str());
        before.is_none_or(|before| !before.is_the_value_of(one))
    };
    let (live, at_restart) = read
        .iter()
        .filter(differs)
        .cloned()
        .partition(|one| LIVE.contains(&one.key.as_str()));
    Differences { live, at_restart }
}

/// The gateway's settings once the live ones of `read` are in force; what waits for a restart stays as it runs.
pub(crate) fn gateway(running: &Gateway, read: &Gateway) -> Gateway {
    Gateway {
        max_calls: read.max_calls,
        max_connections: read.max_connections,
        max_memory: read.max_memory,
        body_limit: read.body_limit,
        body_timeout: read.body_timeout,
        connect_timeout: read.connect_timeout,
        outbound_auth_header: read.outbound_auth_header,
        head_timeout: read.head_timeout,
        idle_timeout: read.idle_timeout,
        response_timeout: read.response_timeout,
        upstream_authorities: read.upstream_authorities.clone(),
        websocket_idle_timeout: read.websocket_idle_timeout,
        ..running.clone()
    }
}

/// What runs once the live ones of `found` are in force.
pub(crate) fn merged(running: &[Effective], found: &Differences) -> Vec<Effective> {
    let live = |one: &Effective| found.live.iter().find(|live| live.key == one.key);
    let merged = running.iter().map(|one| live(one).unwrap_or(one).clone());
    merged.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Flags};
    use super::*;

    fn read(text: &str) -> Vec<Effective> {
        let flags = Flags {
            config: Some("headgate.toml".into()),
            ..Flags::default()
        };
        let config = Config::load_text(&flags, text, std::iter::empty());
        config.unwrap().effective
    }

    fn keys(list: &[Effective]) -> Vec<&str> {
        list.iter().map(|one| one.key.as_str()).collect()
    }

    #[test]
    fn every_live_key_is_one_that_there_is() {
        let all = read("");
        for key in LIVE {
            assert!(keys(&all).contains(&key), "{key}");
        }
    }

    #[test]
    fn what_needs_a_restart_is_said_again_until_there_was_one() {
        let running = read("[log]\nfilter = \"info\"");
        let after = read("[log]\nfilter = \"debug\"\n[node]\nname = \"other\"");
        let found = differences(&running, &after);
        assert_eq!(keys(&found.live), ["log.filter"]);
        assert_eq!(keys(&found.at_restart), ["node.name"]);
        let running = merged(&running, &found);
        let again = differences(&running, &after);
        assert_eq!(keys(&again.live), [""; 0]);
        assert_eq!(keys(&again.at_restart), ["node.name"]);
        let back = differences(&running, &read("[log]\nfilter = \"info\""));
        assert_eq!(keys(&back.live), ["log.filter"]);
        assert_eq!(keys(&back.at_restart), [""; 0]);
    }

    #[test]
    fn a_secret_that_changes_is_a_difference_though_it_is_not_shown() {
        let with = |password: &str| {
            let url = format!("postgres://hg:{password}@db/apim");
            read(&format!("[database.apim]\nurl = \"{url}\""))
        };
        let found = differences(&with("one"), &with("other"));
        assert_eq!(keys(&found.at_restart), ["database.apim.url"]);
        assert_eq!(found.at_restart[0].value, "postgres://hg:***@db/apim");
    }
}
