//! What stands around every page: who looks, at which node, and where else they can go.

use super::person::Person;
use super::{ACTORS, HOME, SHARDS, SIGN_OUT};
use crate::services::Services;

/// The frame of a page.
pub(super) struct Frame {
    /// The node that serves it.
    pub(super) node: String,
    /// Who looks.
    pub(super) user: String,
    /// What the form of sign-out repeats.
    pub(super) mark: String,
    /// Where that is sent.
    pub(super) sign_out: &'static str,
    /// The pages: address, name, and whether it is this one.
    pub(super) pages: [(&'static str, &'static str, bool); 3],
}

// === impl Frame ===

impl Frame {
    /// The frame of the page at this address.
    pub(super) fn of(services: &Services, person: Person, here: &str) -> Self {
        let page = |address: &'static str, name| (address, name, address == here);
        Self {
            node: services.cluster.me().name.clone(),
            user: person.user,
            mark: person.mark,
            sign_out: SIGN_OUT,
            pages: [
                page(HOME, "Overview"),
                page(ACTORS, "Actors"),
                page(SHARDS, "Shards"),
            ],
        }
    }
}
