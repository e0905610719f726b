//! The probe: a question of this crate's own, answered with the peer's view.

use serde::{Deserialize, Serialize};

use crate::door::Request;
use crate::members::Gossip;

/// Are you there?
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Probe;

impl Request for Probe {
    type Reply = Gossip;
    const KIND: u16 = crate::router::PROBE;
    const VERSION: u16 = 1;
}
