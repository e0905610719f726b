//! What goes wrong on the simulated network's way: messages that are lost, come twice or late, clocks that run at paces of
//! their own, and bugs put in on purpose.

use crate::hello::{Hello, Refusal};

use super::table::Table;
use super::world::{Event, World};

/// A dial of which nothing is heard is given up after so long, milliseconds.
const GIVEN_UP_MS: u64 = 3_000;
/// A connection that nobody is at the other end of stands so long at most, milliseconds.
const GHOST_MS: u64 = 2_000;
/// Of two lives of one id the first answers still, if it did so long ago at most, milliseconds: less than it has to
/// answer for itself (W1), by clocks of any pace here.
const ANSWERED_MS: u64 = 900;

/// A bug put in on purpose; each breaks one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    /// A node that was started again takes the incarnation that it had (W1).
    ReuseIncarnation,
    /// A later life is let in while the earlier one answers (W1).
    AcceptsUnprobed,
    /// Whoever answers is believed to be who it says, by whichever connection (W1).
    TrustsEarlierLife,
    /// Whoever does not answer one probe is gone (W2).
    OneMissIsTheEnd,
}

/// How messages travel; chances in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trouble {
    pub(super) lost: u64,
    pub(super) repeated: u64,
    /// Chance of a long delay, and how long at most.
    pub(super) slow: u64,
    pub(super) slow_ms: u64,
    /// Of each connection's probes one in ten is lost, and never two in a row.
    pub(super) misses: bool,
}

// === impl World ===

impl World {
    pub(super) fn chance(&mut self, thousandths: u64) -> bool {
        // Who asks for nothing rolls nothing.
        thousandths > 0 && self.roll() % 1_000 < thousandths
    }

    fn some_delay(&mut self) -> u64 {
        match self.chance(self.trouble.slow) {
            true => 1 + self.roll() % self.trouble.slow_ms,
            false => self.delay(),
        }
    }

    /// Goes over a connection: not at all, once or twice.
    pub(super) fn send(&mut self, message: Event) {
        if self.chance(self.trouble.repeated) {
            let delay = self.some_delay();
            self.after(delay, message.clone());
        }
        if !self.chance(self.trouble.lost) {
            let delay = self.some_delay();
            self.after(delay, message);
        }
    }

    /// Whether this probe is the one in ten.
    pub(super) fn is_missed(&mut self, at: usize, link: u64) -> bool {
        let sent = self.probes.entry((at, link)).or_default();
        *sent += 1;
        self.trouble.misses && *sent % 10 == 5
    }

    /// A dial on its way: it may come to nothing, and a copy of it may find the door as well.
    pub(super) fn dial(&mut self, at: usize, to: usize, address: String) {
        self.links += 1;
        let (link, hello) = (self.links, Box::new(self.nodes[at].table.hello(1)));
        if self.chance(self.trouble.repeated) {
            self.links += 1;
            let (ghost, hello) = (self.links, hello.clone());
            let delay = self.some_delay();
            self.after(delay, Event::Ghost(to, ghost, hello));
        }
        if self.chance(self.trouble.lost) {
            return self.gives_up(at, to, address, link);
        }
        let delay = self.some_delay();
        let arrives = Event::Arrive {
            from: at,
            to,
            address,
            link,
            hello,
        };
        self.after(delay, arrives);
    }

    pub(super) fn gives_up(&mut self, at: usize, by: usize, address: String, link: u64) {
        let answer = Box::new(Err(Refusal::Connected));
        let gives_up = Event::Answer {
            at,
            by,
            address,
            link,
            answer,
        };
        self.after(GIVEN_UP_MS, gives_up);
    }

    /// A copy of a dial: whoever is behind it knows nothing of that connection, which ends some time.
    pub(super) fn ghost(&mut self, at: usize, link: u64, hello: &Hello) {
        let offered = self.judged(hello, at, |table, now| table.offered(now, link, hello));
        if let Ok(effects) = offered {
            self.act(at, effects);
            let ends = 1 + self.roll() % GHOST_MS;
            self.after(ends, Event::Lost { at, link });
        }
    }

    /// A node judges who says this: an earlier life that answers keeps its place (W1).
    pub(super) fn judged<T>(
        &mut self,
        hello: &Hello,
        at: usize,
        judge: impl FnOnce(&mut Table, u64) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let (clock, earlier) = (self.clock(at), self.earlier(hello, at));
        if self.planted == Some(Planted::AcceptsUnprobed)
            && let Some((link, _)) = earlier
        {
            let random = self.roll();
            let effects = self.nodes[at].table.lost(clock, link, random);
            self.act(at, effects);
        }
        let judged = judge(&mut self.nodes[at].table, clock);
        if judged.is_ok() && earlier.is_some_and(|(_, answers)| answers) {
            let (me, name) = (&self.nodes[at].table.me.name, &hello.member.name);
            self.broken.push(format!(
                "W1: {me} lets in another life of {name} while the first one answers"
            ));
        }
        judged
    }

    /// The connection with another life of who says this, and whether that has answered just now.
    fn earlier(&self, hello: &Hello, at: usize) -> Option<(u64, bool)> {
        let peer = self.nodes[at].table.peers.get(&hello.member.id)?;
        let other = peer.member.life != hello.member.life;
        let link = peer.link.as_ref().filter(|_| other)?.id;
        let heard = self.heard.get(&(at, link));
        let answers = heard.is_some_and(|heard| heard + ANSWERED_MS > self.now);
        Some((link, answers))
    }
}
