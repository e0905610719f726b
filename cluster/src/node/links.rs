//! The connections that a node holds, from the welcome to their end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::askers::Asker;
use crate::counters::Counters;
use crate::hello::Hello;
use crate::members::Table;
use crate::path::{Path, Terms};
use crate::transport::Shut;

/// One connection.
pub(super) struct Link {
    /// Who is at its other end, and what was agreed on.
    pub(super) with: With,
    /// Once it carries something.
    pub(super) shut: Option<Shut>,
    /// Where it came from, until asks can be sent; none where this node has dialed.
    pub(super) unready_from: Option<SocketAddr>,
    /// Once asks can be sent.
    pub(super) path: Option<Arc<Path>>,
    /// Once the peer's asks are answered.
    pub(super) asker: Option<Asker>,
    /// Said when the session below has ended.
    pub(super) ended: CancellationToken,
    /// It was to be closed before it had begun.
    pub(super) unwanted: bool,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct With {
    /// The peer's stable id.
    pub(super) peer: String,
    /// How this node speaks there.
    pub(super) terms: Terms,
    /// What the peer's asks bear.
    pub(super) bears: u64,
}

/// All of them, by number.
#[derive(Default)]
pub(super) struct Links {
    open: BTreeMap<u64, Link>,
}

// === impl With ===

impl With {
    /// What is agreed on by this version of the protocol, the key that the other was told, and what
    /// the other said.
    pub(super) fn agreed(protocol: u16, key: u64, hello: &Hello) -> Self {
        let terms = Terms {
            protocol,
            bears: hello.key,
        };
        Self {
            peer: hello.member.id.clone(),
            terms,
            bears: key,
        }
    }
}

/// A number that nobody can guess.
pub(super) fn new_key() -> Option<u64> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(u64::from_be_bytes(bytes))
}

// === impl Link ===

impl Link {
    /// Nothing is asked any more, also over what rests on this connection.
    fn end_path(&mut self) {
        if let Some(path) = self.path.take() {
            path.end();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end_path();
    }
}

// === impl Links ===

impl Links {
    /// Takes a number for a connection with a peer.
    pub(super) fn begin(&mut self, number: u64, with: With) {
        let link = Link {
            with,
            shut: None,
            unready_from: None,
            path: None,
            asker: None,
            ended: CancellationToken::new(),
            unwanted: false,
        };
        self.open.insert(number, link);
    }

    /// A number that no connection of this process has had, in no life of its actor.
    pub(super) fn next(&self) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        LAST.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn get(&self, number: u64) -> Option<&Link> {
        self.open.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Link> {
        self.open.get_mut(&number)
    }

    /// It came from there, and cannot carry asks yet.
    pub(super) fn came(&mut self, number: u64, from: SocketAddr) {
        if let Some(link) = self.open.get_mut(&number) {
            link.unready_from = Some(from);
        }
    }

    /// Counts one that is about to end whose peer was welcomed for its first words, and then said
    /// nothing that a node says.
    pub(super) fn count_stranger(&self, number: u64, table: &Table, counters: &Counters) {
        if let Some(link) = self.open.get(&number)
            && let Some(from) = link.unready_from
            && table.is_stranger(&link.with.peer)
        {
            let reason = "it was welcomed and did not become a member";
            counters.turned_away(from, "no member", &reason);
        }
    }

    /// The ends of a peer's other connections: the session below elects between namesakes, so the
    /// new one begins when the old ones are over.
    pub(super) fn others(&self, number: u64, peer: &str) -> Vec<CancellationToken> {
        let others = self.open.iter();
        let others = others.filter(|(other, link)| **other != number && link.with.peer == peer);
        others.map(|(_, link)| link.ended.clone()).collect()
    }

    /// Closes a connection, or sees to it that it never begins.
    pub(super) fn kill(&mut self, number: u64) {
        if let Some(link) = self.open.get_mut(&number) {
            link.end_path();
            link.asker = None;
            link.unwanted = true;
            match &link.shut {
                Some(shut) => shut.shut(),
                None => self.end(number),
            }
        }
    }

    /// It is over.
    pub(super) fn end(&mut self, number: u64) {
        if let Some(link) = self.open.remove(&number) {
            if let Some(shut) = &link.shut {
                shut.shut();
            }
            link.ended.cancel();
        }
    }

    pub(super) fn kill_all(&mut self) {
        let numbers: Vec<u64> = self.open.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.kill(number));
    }
}

/// `link-7`.
pub(super) fn label(number: u64) -> String {
    format!("link-{number}")
}

/// The number in a label of ours.
pub(super) fn number(label: &str) -> Option<u64> {
    label.strip_prefix("link-")?.parse().ok()
}
