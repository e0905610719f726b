//! `/admin/`: nodes, the change log, and calls.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::calls::{self, Calls, Uncounted};
use super::changes::{self, ChangeLog};
use super::chart::{Bars, Cause, causes};
use super::frame::Frame;
use super::nodes::{self, Node};
use super::person::Person;
use super::{Console, HOME, answer};
use crate::services::Services;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    news: String,
    nodes: Vec<Node>,
    log: ChangeLog,
    calls: Result<Drawn, &'static str>,
}

/// Calls as they are drawn.
struct Drawn {
    bars: Bars,
    causes: Vec<Cause>,
}

/// The page.
pub(super) async fn page(
    person: Person,
    State(services): State<Services>,
    Extension(console): Extension<Arc<Console>>,
) -> Response {
    let (nodes, log, calls) = tokio::join!(
        nodes::all(&services),
        changes::look(&services),
        calls::look(&services, &console),
    );
    let page = Page {
        frame: Frame::of(&services, person, HOME),
        news: nodes::summary(&nodes),
        nodes,
        log,
        calls: calls.map(|calls| drawn(&calls)).map_err(why),
    };
    answer::page(StatusCode::OK, &page)
}

fn drawn(calls: &Calls) -> Drawn {
    Drawn {
        bars: Bars::of(calls),
        causes: causes(calls),
    }
}

fn why(uncounted: Uncounted) -> &'static str {
    match uncounted {
        Uncounted::Elsewhere => {
            "This node takes no counts of calls in: open this page at a node of the control plane."
        }
        Uncounted::Unavailable => {
            "The counts cannot be read now: the database does not answer, or not in time."
        }
    }
}
