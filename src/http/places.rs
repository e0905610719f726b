//! How many connections and requests a management port has at once. Who comes when all places are taken is told 503, and
//! health is answered all the same, on a few connections beyond: a balancer is to see a busy node, not a dead one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;
use crate::inspection::is_health;
use crate::spell::Spell;

/// So many connections more are served, which are answered about health alone.
const BEYOND: usize = 64;
/// Of a node that says nothing else.
const MOST: Most = Most {
    connections: 2_048,
    requests: 512,
};

/// How many at once.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Connections of each listener (`management.max_connections`).
    pub connections: usize,
    /// Requests of all of them, from the head to the answer's (`management.max_requests`).
    pub requests: usize,
}

/// The places of a node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Places(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    most: Most,
    /// Held by each request, and once more.
    requests: Arc<()>,
    spell: Mutex<Spell>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// Everything.
    Whole,
    /// Health alone: there are as many others as there may be.
    Health,
}

// === impl Places ===

impl Default for Places {
    fn default() -> Self {
        Self::of(MOST)
    }
}

impl Places {
    /// So many, none taken.
    #[must_use]
    pub fn of(most: Most) -> Self {
        Self(Arc::new(Taken {
            most,
            requests: Arc::default(),
            spell: Mutex::default(),
        }))
    }

    /// What the next connection of a listener with so many is for, `now` on a clock that does not go back. Nothing: it is
    /// closed.
    pub(crate) fn seat(&self, open: usize, now: Duration) -> Option<Seat> {
        let most = self.0.most.connections;
        if open < most {
            if self.spell(|spell| spell.has_room(now)) {
                tracing::info!("there is room for connections to the management port again");
            }
            return Some(Seat::Whole);
        }
        refused("management_connections");
        if let Some(refused) = self.spell(|spell| spell.refuses(now)) {
            let setting = "management.max_connections";
            tracing::warn!(
                setting,
                most,
                refused,
                "a management port has as many connections as it may: others are told of health alone"
            );
        }
        (open < most.saturating_add(BEYOND)).then_some(Seat::Health)
    }

    fn spell<T>(&self, of: impl FnOnce(&mut Spell) -> T) -> T {
        of(&mut self.0.spell.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One more request; none where there are as many as there may be. Two in one moment may both be the last one.
    fn request(&self) -> Option<Arc<()>> {
        let Taken { most, requests, .. } = &*self.0;
        (Arc::strong_count(requests) <= most.requests).then(|| Arc::clone(requests))
    }
}

fn refused(of: &'static str) {
    metrics::counter!("headgate_overload_refused_total", "of" => of).increment(1);
}

/// Lets a request in, or tells whoever sent it that there is no place.
pub(crate) async fn let_in(
    State(places): State<Places>,
    Extension(seat): Extension<Seat>,
    request: Request,
    next: Next,
) -> Response {
    if is_health(request.uri().path()) {
        return next.run(request).await;
    }
    if seat == Seat::Health {
        let mut answer = no_place("connections");
        // HTTP/2 has no such field (RFC 9113, 8.2.2).
        if request.version() <= Version::HTTP_11 {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        return answer;
    }
    let Some(place) = places.request() else {
        refused("management_requests");
        return no_place("requests");
    };
    let answer = next.run(request).await;
    drop(place);
    answer
}

fn no_place(of: &str) -> Response {
    let why = format!("the management port has as many {of} as it may, try again");
    let mut answer = ApiError::busy(why).into_response();
    let soon = HeaderValue::from_static("1");
    answer.headers_mut().insert(RETRY_AFTER, soon);
    answer
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tokio::sync::Notify;
    use tower::ServiceExt as _;

    use super::*;

    fn places(connections: usize, requests: usize) -> Places {
        Places::of(Most {
            connections,
            requests,
        })
    }

    /// Requests that are answered when it is told.
    fn router(places: &Places, seat: Seat, go: &Arc<Notify>) -> Router {
        let go = Arc::clone(go);
        let slow = move || async move { go.notified().await };
        Router::new()
            .route("/slow", get(slow))
            .route("/livez", get(|| async { "on" }))
            .layer(from_fn_with_state(places.clone(), let_in))
            .layer(Extension(seat))
    }

    async fn get_from(router: &Router, path: &str) -> Response {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_beyond_the_most_is_told_503_and_health_is_answered_all_the_same() {
        let (places, go) = (places(9, 2), Arc::default());
        let router = router(&places, Seat::Whole, &go);
        let slow = || {
            let router = router.clone();
            cluster::spawn_named(
                "test request",
                async move { get_from(&router, "/slow").await },
            )
        };
        let held = [slow(), slow()];
        while places.request().is_some() {
            tokio::task::yield_now().await;
        }
        let refused = get_from(&router, "/slow").await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()[RETRY_AFTER], "1");
        assert!(!refused.headers().contains_key(CONNECTION));
        assert_eq!(get_from(&router, "/livez").await.status(), 200);
        go.notify_waiters();
        for held in held {
            assert_eq!(held.await.unwrap().status(), 200);
        }
        assert!(places.request().is_some(), "they gave their places back");
    }

    #[tokio::test]
    async fn a_connection_beyond_the_most_is_told_of_health_alone_and_one_far_beyond_nothing() {
        let (places, now) = (places(2, 9), Duration::from_secs(9));
        assert_eq!(places.seat(1, now), Some(Seat::Whole));
        assert_eq!(places.seat(2, now), Some(Seat::Health));
        assert_eq!(places.seat(2 + BEYOND - 1, now), Some(Seat::Health));
        assert_eq!(places.seat(2 + BEYOND, now), None);
        let router = router(&places, Seat::Health, &Arc::default());
        let refused = get_from(&router, "/slow").await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()[CONNECTION], "close");
        assert_eq!(get_from(&router, "/livez").await.status(), 200);
    }
}
