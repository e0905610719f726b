//! What black-box tests share: a node as a child process on ports of its own, an HTTP client, an
//! upstream that remembers, and the way from an OpenAPI document to a token.

pub mod attacked;
pub mod balancer;
pub mod browser;
pub mod dialer;
pub mod faults;
pub mod flooder;
pub mod frames;
pub mod glass;
pub mod http;
pub mod line;
pub mod memory;
pub mod minutes;
pub mod net;
pub mod node;
pub mod pair;
pub mod peak;
pub mod platform;
pub mod postgres;
pub mod scripted;
pub mod shop;
pub mod sockets;
pub mod stranger;
pub mod terminal;
pub mod upstream;
pub mod wire;
pub mod work;

use std::future::Future;
use std::time::{Duration, Instant};

/// Waits until `condition` gives something, at most `seconds`.
#[allow(
    clippy::disallowed_methods,
    reason = "a test measures its own deadline"
)]
pub async fn eventually<T, F>(seconds: u64, what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(
            began.elapsed() < Duration::from_secs(seconds),
            "not within {seconds} s: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
