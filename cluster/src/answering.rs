//! The way back to whoever asked: bounded, so that an asker that takes nothing costs no memory (M2).

use std::sync::Arc;
use std::time::Duration;

use ractor::RpcReplyPort;

use crate::ask::AskError;
use crate::codec::encode;
use crate::door::Request as _;
use crate::node::Probe;
use crate::path::Path;
use crate::router::fault;
use crate::task::spawn_named;
use crate::untaken::{Owed, Room};

/// How long the proof that answers have arrived is waited for; a peer that is silent for so long is
/// gone.
const PROOF: Duration = Duration::from_secs(5);

/// One answer on its way.
pub(crate) struct Answering {
    pub(crate) asker: Arc<Path>,
    pub(crate) reply: RpcReplyPort<Vec<u8>>,
}

// === impl Answering ===

impl Answering {
    /// Whether an answer can be sent now; it is worth while to find one then.
    pub(crate) fn has_room(&self) -> bool {
        self.asker.room_for_answers() == Room::Answers
    }

    /// Whether even a sign of life is one too many.
    pub(crate) fn is_beyond_all(&self) -> bool {
        self.asker.room_for_answers() == Room::Nothing
    }

    /// Says that the ask was not carried out; nothing where the asker takes not even that.
    pub(crate) fn refuse(self, error: AskError) {
        let answer = fault(error);
        if self.asker.owes(answer.len(), Owed::Refusal) {
            let _ = self.reply.send(answer);
        }
        prove(&self.asker);
    }

    /// Says that this node is there; nothing to one that has not taken the last times.
    pub(crate) fn send_sign_of_life(self, answer: Vec<u8>) {
        if self.asker.owes(answer.len(), Owed::Probe) {
            let _ = self.reply.send(answer);
        }
        prove(&self.asker);
    }

    /// Sends an answer; one too many is told as one that was lost.
    pub(crate) fn send(self, answer: Vec<u8>) {
        if !self.asker.owes(answer.len(), Owed::Answer) {
            return self.refuse(AskError::Dropped);
        }
        let _ = self.reply.send(answer);
        prove(&self.asker);
    }
}

/// Finds out what the asker has taken, once that is much.
fn prove(asker: &Arc<Path>) {
    if !asker.wants_proof() {
        return;
    }
    let asker = Arc::clone(asker);
    spawn_named("remote proof", async move {
        if let Ok(bytes) = encode(Probe::KIND, Probe::VERSION, &Probe) {
            // Silence is judged elsewhere.
            let _ = asker.probe(bytes, PROOF).await;
        }
        asker.has_proof();
    });
}

#[cfg(test)]
#[path = "answering_tests.rs"]
mod tests;
