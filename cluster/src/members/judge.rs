//! Who may come in (W1, W6, M1): pure.

use crate::hello::{Hello, Refusal};

use super::table::Table;

impl Table {
    /// Whether whoever says this hello may be connected to at `now_ms`, leaving aside connections
    /// that there are already.
    pub(super) fn judge(&mut self, hello: &Hello, now_ms: u64) -> Result<(), Refusal> {
        let ((lowest, highest), theirs) = (self.versions, hello.versions);
        if theirs.0 > highest || theirs.1 < lowest {
            return Err(Refusal::Version {
                lowest,
                highest,
                refused: Some(theirs),
            });
        }
        if self.is_other_cluster(&hello.cluster) {
            return Err(Refusal::Cluster(hello.cluster.clone()));
        }
        if self.cluster.is_empty() && hello.cluster.is_empty() {
            return Err(Refusal::Forming);
        }
        let (me, them) = (&self.me, &hello.member);
        if them.id == me.id {
            // A copy that nobody has let in yet says nothing to the one that runs: it is about to be told.
            let standing = &self.standing;
            let is_somebody = standing.has_met() || standing.is_settled(now_ms);
            return Err(match (them.life == me.life, them.incarnation) {
                (true, _) => Refusal::Itself,
                _ if !is_somebody => Refusal::Challenged,
                (false, theirs) if theirs < me.incarnation => Refusal::Superseded(me.incarnation),
                (false, _) => Refusal::Running,
            });
        }
        self.judge_rivals(hello, now_ms)?;
        self.judge_incarnation(hello, now_ms)
    }

    fn is_other_cluster(&self, cluster: &str) -> bool {
        !cluster.is_empty() && !self.cluster.is_empty() && cluster != self.cluster
    }

    /// Of two of one id the later one lives, once the earlier one is silent.
    fn judge_incarnation(&mut self, hello: &Hello, now_ms: u64) -> Result<(), Refusal> {
        let Some(peer) = self.peers.get_mut(&hello.member.id) else {
            return Ok(());
        };
        let (known, theirs) = (&peer.member, &hello.member);
        if theirs.incarnation < known.incarnation {
            return Err(Refusal::Superseded(known.incarnation));
        }
        if theirs.life == known.life || peer.link.is_none() {
            return Ok(());
        }
        match peer.challenge {
            Some((_, true)) => {
                peer.challenge = None;
                Err(Refusal::Running)
            }
            Some((_, false)) => Err(Refusal::Challenged),
            None => {
                peer.challenge = Some((now_ms, false));
                Err(Refusal::Challenged)
            }
        }
    }
}
