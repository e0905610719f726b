//! The two cookies of the pages: one proves who signed in, the other that a form of sign-in was sent by its page.
//!
//! Both are random texts that mean nothing elsewhere. Their names hold the node: several nodes on one host share a
//! browser's cookies, whatever their ports.

use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use uuid::Uuid;

use actors::key_manager::hash_hex;
use cluster::Cluster;

use crate::node_cookies::PREFIX;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Who signed in.
    Session,
    /// A form of sign-in.
    Form,
}

/// A new value: 244 random bits.
pub(super) fn fresh() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The value that came with a request.
pub(super) fn read(headers: &HeaderMap, cluster: &Cluster, purpose: Purpose) -> Option<String> {
    value(headers, &name(&cluster.me().id, purpose))
}

/// What has a browser keep a value for so long; at most while it runs, when that is not said.
pub(super) fn keep(
    cluster: &Cluster,
    purpose: Purpose,
    value: &str,
    life: Option<Duration>,
) -> Option<HeaderValue> {
    let name = name(&cluster.me().id, purpose);
    let life = life.map_or(String::new(), |life| {
        format!("; Max-Age={}", life.as_secs())
    });
    let text = format!("{name}={value}; Path=/admin; Secure; HttpOnly; SameSite=Strict{life}");
    HeaderValue::try_from(text).ok()
}

/// What has a browser forget it.
pub(super) fn forget(cluster: &Cluster, purpose: Purpose) -> Option<HeaderValue> {
    keep(cluster, purpose, "", Some(Duration::ZERO))
}

/// One that the data plane keeps from upstreams.
fn name(node: &str, purpose: Purpose) -> String {
    let node: String = hash_hex(node).chars().take(12).collect();
    match purpose {
        Purpose::Session => format!("{PREFIX}{node}"),
        Purpose::Form => format!("{PREFIX}form-{node}"),
    }
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; bb=2", "b=3;c=4; d=", "e=\u{7f}"] {
            headers.append(
                COOKIE,
                HeaderValue::from_bytes(line.as_bytes()).unwrap_or(HeaderValue::from_static("e")),
            );
        }
        let value = |name| value(&headers, name);
        assert_eq!(value("b").as_deref(), Some("3"));
        assert_eq!(value("bb").as_deref(), Some("2"));
        assert_eq!(value("c").as_deref(), Some("4"));
        assert_eq!((value("d"), value("x")), (None, None));
    }

    #[test]
    fn each_node_has_names_and_each_sign_in_a_value_of_its_own() {
        assert_ne!(name("a", Purpose::Session), name("b", Purpose::Session));
        assert_ne!(name("a", Purpose::Session), name("a", Purpose::Form));
        assert_ne!(fresh(), fresh());
        assert_eq!(fresh().len(), 64);
    }
}
