//! `/admin/`: what inspection tells, as pages for a browser. Each is made whole by the node that serves it, reads well
//! without a script, and is kept fresh by one (`assets/console.js`); who sees them has signed in here (ADR 23).
//!
//! Pages ask through the same doors as `inspection`, whose JSON stands beside them under `/admin/`.

mod actors;
mod answer;
mod assets;
mod calls;
mod changes;
mod chart;
mod cookie;
mod form;
mod frame;
mod lasting;
mod nodes;
mod overview;
mod person;
mod session;
mod shard_map;
mod shards;
mod sign_in;
mod sign_out;
mod token;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::Extension;
use axum::middleware::from_fn;
use axum::response::Redirect;
use axum::routing::{MethodRouter, any, get};

use crate::services::Services;
use calls::Kept;
use session::Sessions;

/// Where the pages begin.
const HOME: &str = "/admin/";
/// Where people sign in.
const SIGN_IN: &str = "/admin/sign-in";
/// Where they sign out.
const SIGN_OUT: &str = "/admin/sign-out";
/// The actors.
const ACTORS: &str = "/admin/ui/actors";
/// The shards.
const SHARDS: &str = "/admin/ui/shards";

/// What this node keeps for its pages, all of it in memory and bounded.
#[derive(Default)]
struct Console {
    sessions: Mutex<Sessions>,
    /// Administrators sign in one after another: of several that register one client only the last has its secret.
    turn: tokio::sync::Mutex<()>,
    calls: Arc<Mutex<Option<Kept>>>,
    /// Held by whoever reads them.
    reading: Arc<tokio::sync::Mutex<()>>,
}

// === impl Console ===

impl Console {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, Option<Kept>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The routes of the pages, on every node.
pub(crate) fn router() -> Router<Services> {
    let page = |page: MethodRouter<Services>| page.fallback(answer::no_such_method);
    Router::new()
        .route("/admin", any(|| async { Redirect::permanent(HOME) }))
        .route(HOME, page(get(overview::page)))
        .route(ACTORS, page(get(actors::page)))
        .route(SHARDS, page(get(shards::page)))
        .route(SIGN_IN, page(get(sign_in::ask).post(sign_in::sign_in)))
        .route(SIGN_OUT, page(axum::routing::post(sign_out::sign_out)))
        .route(assets::STYLE, page(get(assets::style)))
        .route(assets::SCRIPT, page(get(assets::script)))
        .route("/admin/ui/{*rest}", any(answer::no_such_page))
        .layer(from_fn(answer::dressed))
        .layer(Extension(Arc::<Console>::default()))
}
