//! A listener with as many connections as it may have: whoever comes then is told so, where that costs little, and closed.

use std::sync::Arc;
use std::time::Duration;

use cluster::spawn_named;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::spell::Spell;

/// How many are told at once; others are only closed.
const TOLD: usize = 64;
/// How long one may take to hear it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Code, message and description as of `Fault::platform`, for a request that nobody read.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 123\r\n\r\n\
{\"code\":\"900900\",\"description\":\"This gateway has as many connections as it may. Try again\",\"message\":\"Service Unavailable\"}";

/// Refuses what one listener has no room for.
#[derive(Debug)]
pub(super) struct Full {
    places: Arc<Semaphore>,
    spell: Spell,
}

// === impl Full ===

impl Default for Full {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(TOLD)),
            spell: Spell::default(),
        }
    }
}

impl Full {
    /// There is room for the next one, which comes `now`.
    pub(super) fn is_over(&mut self, now: Duration) {
        if self.spell.has_room(now) {
            tracing::info!("there is room for connections again");
        }
    }

    /// There is none. Over TLS nothing can be told before hands are shaken, which is what there is no room for.
    pub(super) fn refuse(&mut self, stream: TcpStream, secure: bool, most: usize, now: Duration) {
        metrics::counter!("headgate_overload_refused_total", "of" => "connections").increment(1);
        if let Some(refused) = self.spell.refuses(now) {
            let setting = "gateway.max_connections";
            tracing::warn!(
                setting,
                most,
                refused,
                "a listener has as many connections as it may: others are refused"
            );
        }
        if let (false, Ok(place)) = (secure, Arc::clone(&self.places).try_acquire_owned()) {
            spawn_named("refusing a connection", async move {
                let _ = tokio::time::timeout(PATIENCE, tell(stream)).await;
                drop(place);
            });
        }
    }
}

/// What was not read when a connection ends takes the answer with it: it is read, and thrown away.
async fn tell(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    let mut unread = [0; 4_096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.ends_with(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
