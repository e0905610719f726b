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

    /// A live key of the gateway, and a value that is not its default.
    const CHANGED: [(&str, &str); 11] = [
        ("gateway.body_limit", "\"1KB\""),
        ("gateway.body_timeout_ms", "1001"),
        ("gateway.connect_timeout_ms", "1002"),
        ("gateway.enable_outbound_auth_header", "true"),
        ("gateway.head_timeout_ms", "1003"),
        ("gateway.idle_timeout_ms", "1004"),
        ("gateway.max_calls", "1005"),
        ("gateway.max_connections", "1006"),
        ("gateway.max_memory", "\"1GB\""),
        ("gateway.response_timeout_ms", "1007"),
        ("gateway.websocket_idle_timeout_ms", "1008"),
    ];
    const MANUAL: &str = include_str!("../../docs/operations.md");

    fn whole(text: &str) -> Config {
        let flags = Flags {
            config: Some("headgate.toml".into()),
            ..Flags::default()
        };
        Config::load_text(&flags, text, std::iter::empty()).unwrap()
    }

    fn read(text: &str) -> Vec<Effective> {
        whole(text).effective
    }

    /// A file with one key of the gateway's.
    fn with(key: &str, value: &str) -> Config {
        let name = key.strip_prefix("gateway.").unwrap();
        whole(&format!("[gateway]\n{name} = {value}"))
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
    fn every_live_key_is_in_force_on_what_runs_once_it_was_read() {
        let running = whole("");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::default();
        let authority = authority.self_signed(&key).unwrap();
        std::fs::write(&file, authority.pem()).unwrap();
        let authorities = format!("{file:?}");
        let of_gateway = CHANGED.into_iter();
        let of_gateway: Vec<(&str, &str)> = of_gateway
            .chain([("gateway.upstream_ca", authorities.as_str())])
            .collect();
        for &(key, value) in &of_gateway {
            let read = with(key, value);
            let found = differences(&running.effective, &read.effective);
            assert_eq!(keys(&found.live), [key]);
            let [before, asked] = [&running, &read].map(|one| format!("{:?}", one.gateway));
            assert_ne!(before, asked, "{key} is read");
            let after = gateway(&running.gateway, &read.gateway);
            assert_eq!(format!("{after:?}"), asked, "{key} is in force");
        }
        // Those of the log are put in force together, by `telemetry::filter`.
        let of_log = ["log.access", "log.filter"];
        let tried = of_gateway.iter().map(|(key, _)| *key).chain(of_log);
        let mut tried: Vec<&str> = tried.collect();
        tried.sort_unstable();
        assert_eq!(tried, LIVE);
    }

    #[test]
    fn what_waits_for_a_restart_is_not_in_force_in_part() {
        let running = whole("");
        let text = "[gateway]\ntrusted_proxies = \"10.0.0.0/8\"\nhttp_endpoint = \"off\"\nhttps_endpoint = \"off\"\n\
            allow_loopback_endpoints = true\nwhen_cut_off = \"refuse\"\nmax_stale_s = 60";
        let read = whole(text);
        let found = differences(&running.effective, &read.effective);
        assert_eq!(keys(&found.live), [""; 0]);
        let after = gateway(&running.gateway, &read.gateway);
        assert_eq!(format!("{after:?}"), format!("{:?}", running.gateway));
    }

    #[test]
    fn the_manual_names_every_key_that_is_live_where_it_tells_of_reloads() {
        let mut parts = MANUAL.split("\n\n");
        let told = parts
            .find(|part| part.contains("told by `headgate reload`"))
            .unwrap();
        for key in LIVE {
            assert!(told.contains(&format!("`{key}`")), "{key} is not named");
        }
        let named = told.split('`').skip(1).step_by(2);
        for key in named.filter(|name| name.starts_with("gateway.") || name.starts_with("log.")) {
            assert!(LIVE.contains(&key), "{key} waits for a restart");
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
