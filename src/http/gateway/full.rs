//! A listener with as many connections as it may have: whoever comes then is told so, where that costs little, and closed.

use std::sync::Arc;
use std::time::Duration;

use cluster::spawn_named;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// How many are told at once; others are only closed.
const TOLD: usize = 64;
/// How far apart it is said that a listener is full, at least.
const APART: Duration = Duration::from_secs(60);
/// How long nobody must have been refused before it is said that there is room.
const QUIET: Duration = Duration::from_secs(10);
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

/// Whether a listener is full, over the moments in which one goes and the next one comes. Times are those of one clock that
/// does not go back.
#[derive(Debug, Default)]
struct Spell {
    /// When one was refused last, while it is said that it is full.
    refused: Option<Duration>,
    /// When that was said last, and how many were refused since.
    told: Option<Duration>,
    count: u64,
}

// === impl Spell ===

impl Spell {
    /// One is refused; gives how many were since it was said last, where it is to be said.
    fn refuses(&mut self, now: Duration) -> Option<u64> {
        self.count += 1;
        let is_fresh = |told: Duration| now.saturating_sub(told) < APART;
        if self.told.is_some_and(is_fresh) {
            // What was told is not over.
            self.refused = self.refused.map(|_| now);
            return None;
        }
        (self.refused, self.told) = (Some(now), Some(now));
        Some(std::mem::take(&mut self.count))
    }

    /// There is room for one; gives whether it is to be said.
    fn has_room(&mut self, now: Duration) -> bool {
        let is_over = |refused: &Duration| now.saturating_sub(*refused) >= QUIET;
        self.refused.take_if(|refused| is_over(refused)).is_some()
    }
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

    #[test]
    fn a_full_listener_says_so_once_a_minute_and_that_there_is_room_when_nobody_was_refused_for_a_while()
     {
        let at = Duration::from_secs;
        let mut spell = Spell::default();
        assert!(!spell.has_room(at(0)), "nothing was said");
        // Each that goes makes room for one, and another one is refused.
        let (mut told, mut rooms) = (Vec::new(), 0);
        for second in 0..150 {
            told.extend(spell.refuses(at(second)));
            rooms += u32::from(spell.has_room(at(second)));
        }
        assert_eq!((told, rooms), (vec![1, 60, 60], 0));
        assert!(!spell.has_room(at(158)));
        assert!(spell.has_room(at(159)));
        assert!(!spell.has_room(at(170)), "it is said once");
        // Full anew within the minute: neither is said.
        assert_eq!(spell.refuses(at(171)), None);
        assert!(!spell.has_room(at(182)));
        assert_eq!(spell.refuses(at(183)), Some(31));
        assert!(spell.has_room(at(193)));
    }
}
