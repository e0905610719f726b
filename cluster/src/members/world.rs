//! Many tables in one simulated network: seeded, so that a run can be repeated bit for bit.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _};

use super::trouble::{Planted, Trouble};
use super::*;
use crate::hello::{Hello, Refusal};
use crate::protocol::PROTOCOL;

/// Milliseconds between two ticks of a node.
const TICK: u64 = 100;
/// How long a node may take to end, milliseconds: it hands over what it has.
const ENDING: u64 = 6_000;

#[derive(Clone)]
pub(super) enum Event {
    Tick(usize),
    Arrive {
        from: usize,
        to: usize,
        address: String,
        link: u64,
        hello: Box<Hello>,
    },
    /// A copy of a dial, by a connection that its dialer knows nothing of.
    Ghost(usize, u64, Box<Hello>),
    Answer {
        at: usize,
        by: usize,
        address: String,
        link: u64,
        answer: Box<Result<Hello, Refusal>>,
    },
    Ready {
        at: usize,
        link: u64,
    },
    Lost {
        at: usize,
        link: u64,
    },
    Probed {
        from: usize,
        to: usize,
        link: u64,
    },
    Heard {
        at: usize,
        link: u64,
        gossip: Box<Gossip>,
    },
}

pub(super) struct Node {
    pub(super) table: Table,
    pub(super) life: u64,
    pub(super) running: bool,
    pub(super) paused: bool,
    pub(super) refused: Vec<Refusal>,
    /// When it is gone that has been refused for good.
    pub(super) ends_at: Option<u64>,
    /// When it ended.
    pub(super) ended: Option<u64>,
    /// What its clock said when the world began, and how fast it runs, in thousandths.
    pub(super) offset: u64,
    pub(super) pace: u64,
}

/// The network: what is on its way, by time.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) random: u64,
    pub(super) order: u64,
    pub(super) links: u64,
    pub(super) events: BTreeMap<(u64, u64), (Option<u64>, Event)>,
    pub(super) nodes: Vec<Node>,
    pub(super) cuts: BTreeSet<(usize, usize)>,
    /// Ends of connections: by link, the node and the peer.
    pub(super) open: BTreeMap<u64, (usize, usize)>,
    pub(super) turns: Vec<(usize, Turn)>,
    pub(super) trouble: Trouble,
    pub(super) timing: Timing,
    /// Whether a node ends that a member refuses for good, as it does.
    pub(super) ends_refused: bool,
    pub(super) planted: Option<Planted>,
    /// When each end of a connection last heard an answer, and how many probes it has sent.
    pub(super) heard: BTreeMap<(usize, u64), u64>,
    pub(super) probes: BTreeMap<(usize, u64), u64>,
    pub(super) broken: Vec<String>,
}

pub(super) fn member(index: usize, incarnation: u64, life: u64) -> Member {
    Member {
        id: format!("id{index:02}"),
        incarnation,
        life,
        name: format!("n{index}"),
        address: format!("host{index}:1"),
        roles: Vec::new(),
        facts: Vec::new(),
    }
}

impl World {
    /// Node 0 has founded the cluster; the others know it as their seed.
    pub(super) fn new(nodes: usize, seed: u64) -> Self {
        Self::planted(nodes, seed, Timing::default(), None)
    }

    pub(super) fn planted(
        nodes: usize,
        seed: u64,
        timing: Timing,
        planted: Option<Planted>,
    ) -> Self {
        let mut world = Self {
            now: 1_000,
            random: seed,
            order: 0,
            links: 0,
            events: BTreeMap::new(),
            nodes: Vec::new(),
            cuts: BTreeSet::new(),
            open: BTreeMap::new(),
            turns: Vec::new(),
            trouble: Trouble::default(),
            timing,
            ends_refused: false,
            planted,
            heard: BTreeMap::new(),
            probes: BTreeMap::new(),
            broken: Vec::new(),
        };
        for index in 0..nodes {
            let seeds = if index == 0 {
                vec![]
            } else {
                vec!["host0:1".to_owned()]
            };
            let cluster = if index == 0 { "c" } else { "" };
            world.add(member(index, 1, index as u64), cluster, &seeds);
        }
        world
    }

    pub(super) fn add(&mut self, member: Member, cluster: &str, seeds: &[String]) -> usize {
        let life = member.life;
        let mut table = Table::new(member, PROTOCOL, cluster, seeds, self.timing);
        table.trusts_any_life = self.planted == Some(Planted::TrustsEarlierLife);
        let running = true;
        self.nodes.push(Node {
            table,
            life,
            running,
            paused: false,
            refused: Vec::new(),
            ends_at: None,
            ended: None,
            offset: 0,
            pace: 1_000,
        });
        let at = self.nodes.len() - 1;
        self.after(1, Event::Tick(at));
        at
    }

    /// What a node takes for the time.
    pub(super) fn clock(&self, at: usize) -> u64 {
        let node = &self.nodes[at];
        node.offset + self.now * node.pace / 1_000
    }

    pub(super) fn roll(&mut self) -> u64 {
        let mut hasher = foldhash::fast::FixedState::with_seed(7).build_hasher();
        hasher.write_u64(self.random);
        self.random = hasher.finish();
        self.random
    }

    pub(super) fn after(&mut self, ms: u64, event: Event) {
        self.order += 1;
        let whose = match &event {
            Event::Tick(at) => Some(self.nodes[*at].life),
            _ => None,
        };
        self.events
            .insert((self.now + ms, self.order), (whose, event));
    }

    pub(super) fn delay(&mut self) -> u64 {
        1 + self.roll() % 20
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), (whose, event)) = entry.remove_entry();
            self.now = at;
            self.step(whose, event);
        }
        self.now = end;
    }

    pub(super) fn works(&self, at: usize) -> bool {
        self.nodes[at].running && !self.nodes[at].paused
    }

    fn at_address(&self, address: &str) -> Option<usize> {
        let mine = |node: &Node| node.running && node.table.me.address == address;
        self.nodes.iter().rposition(mine)
    }

    /// Whose event it is.
    fn owner(event: &Event) -> usize {
        match event {
            Event::Tick(at)
            | Event::Ghost(at, ..)
            | Event::Answer { at, .. }
            | Event::Ready { at, .. }
            | Event::Lost { at, .. }
            | Event::Heard { at, .. } => *at,
            Event::Arrive { to, .. } | Event::Probed { to, .. } => *to,
        }
    }

    fn step(&mut self, whose: Option<u64>, event: Event) {
        let owner = Self::owner(&event);
        let now = self.clock(owner);
        if self.nodes[owner].running && self.nodes[owner].paused {
            // What comes to one who stands still waits in its kernel.
            self.order += 1;
            self.events
                .insert((self.now + 50, self.order), (whose, event));
            return;
        }
        match event {
            Event::Tick(at) => self.tick(at, whose),
            Event::Arrive {
                from,
                to,
                address,
                link,
                hello,
            } => self.arrive((from, to), address, link, &hello),
            Event::Ghost(at, link, hello) => {
                if self.works(at) {
                    self.ghost(at, link, &hello);
                }
            }
            Event::Answer {
                at,
                by,
                address,
                link,
                answer,
            } => self.answered((at, by), &address, link, *answer),
            Event::Ready { at, link } => {
                if self.works(at) && self.open.contains_key(&(link * 2 + 1)) {
                    self.heard.insert((at, link), self.now);
                    let effects = self.nodes[at].table.ready(now, link);
                    self.act(at, effects);
                }
            }
            Event::Lost { at, link } => {
                let random = self.roll();
                if self.works(at) {
                    let effects = self.nodes[at].table.lost(now, link, random);
                    self.act(at, effects);
                }
            }
            Event::Probed { from, to, link } => {
                let cut = self.cuts.contains(&(from, to)) || self.cuts.contains(&(to, from));
                if self.works(to) && !cut && self.nodes[to].table.holds(link) {
                    let gossip = Box::new(self.nodes[to].table.gossip());
                    let at = from;
                    self.send(Event::Heard { at, link, gossip });
                }
            }
            Event::Heard { at, link, gossip } => {
                if self.works(at) {
                    self.heard.insert((at, link), self.now);
                    let effects = self.nodes[at].table.heard(now, link, &gossip);
                    self.act(at, effects);
                }
            }
        }
    }

    fn tick(&mut self, at: usize, whose: Option<u64>) {
        if self.nodes[at].ends_at.is_some_and(|end| self.now >= end) && self.nodes[at].running {
            return self.kill(at);
        }
        // Not of a life that is over.
        if !self.nodes[at].running || whose != Some(self.nodes[at].life) {
            return;
        }
        self.after(TICK * 1_000 / self.nodes[at].pace, Event::Tick(at));
        let (now, random) = (self.clock(at), self.roll());
        let effects = self.nodes[at].table.tick(now, || random);
        self.act(at, effects);
    }

    fn arrive(&mut self, (from, to): (usize, usize), address: String, link: u64, hello: &Hello) {
        if !self.works(to) || self.cuts.contains(&(from, to)) {
            return;
        }
        let offered = self.judged(hello, to, |table, now| table.offered(now, link, hello));
        let answer = match offered {
            Ok(effects) => {
                let welcome = self.nodes[to].table.hello(1);
                self.open.insert(link * 2 + 1, (to, from));
                self.act(to, effects);
                Ok(welcome)
            }
            Err(refusal) => Err(refusal),
        };
        let lost = self.chance(self.trouble.lost);
        if lost || self.cuts.contains(&(to, from)) {
            // It never comes, and the dialer gives up.
            return self.gives_up(from, to, address, link);
        }
        let (delay, answer) = (self.delay(), Box::new(answer));
        self.after(
            delay,
            Event::Answer {
                at: from,
                by: to,
                address,
                link,
                answer,
            },
        );
    }

    fn answered(
        &mut self,
        (at, by): (usize, usize),
        address: &str,
        link: u64,
        answer: Result<Hello, Refusal>,
    ) {
        let (now, random) = (self.clock(at), self.roll());
        let theirs = answer.is_err();
        let welcomed = answer.and_then(|hello| {
            self.judged(&hello, at, |table, now| {
                table.welcomed(now, link, address, &hello)
            })
        });
        match welcomed {
            Ok(effects) => {
                self.open.insert(link * 2, (at, by));
                self.act(at, effects);
                let (one, other) = (self.delay() + 5, self.delay() + 5);
                self.after(one, Event::Ready { at, link });
                self.after(other, Event::Ready { at: by, link });
            }
            Err(refusal) => {
                if refusal == Refusal::Itself {
                    self.nodes[at].table.is_own(address);
                }
                self.nodes[at].table.not_dialed(now, address, random);
                self.close(link);
                match theirs {
                    true => self.refused(at, refusal),
                    false if refusal.is_rivalry() => {
                        self.nodes[at].table.is_refused(now, address);
                    }
                    false => {}
                }
            }
        }
    }

    /// A member has refused it: where that ends it, it is gone some time later.
    fn refused(&mut self, at: usize, refusal: Refusal) {
        let now = self.clock(at);
        let is_end = refusal.is_final() && self.nodes[at].table.is_ended_by(&refusal, now);
        self.nodes[at].refused.push(refusal);
        if is_end && self.ends_refused && self.nodes[at].ends_at.is_none() {
            self.nodes[at].ends_at = Some(self.now + self.roll() % ENDING);
        }
    }

    /// Both ends hear of it, unless they cannot.
    fn close(&mut self, link: u64) {
        for end in [link * 2, link * 2 + 1] {
            if let Some((at, peer)) = self.open.remove(&end)
                && !self.cuts.contains(&(peer, at))
            {
                let delay = self.delay();
                self.after(delay, Event::Lost { at, link });
            }
        }
    }

    pub(super) fn act(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Dial(address) => {
                    let to = self.at_address(&address);
                    let Some(to) = to.filter(|to| !self.cuts.contains(&(at, *to))) else {
                        let (now, random) = (self.clock(at), self.roll());
                        self.nodes[at].table.not_dialed(now, &address, random);
                        continue;
                    };
                    self.dial(at, to, address);
                }
                Effect::Probe(link) => {
                    let ends = [self.open.get(&(link * 2)), self.open.get(&(link * 2 + 1))];
                    let to = ends
                        .into_iter()
                        .flatten()
                        .find(|end| end.0 == at)
                        .map(|end| end.1);
                    if let Some(to) = to
                        && !self.is_missed(at, link)
                    {
                        self.send(Event::Probed { from: at, to, link });
                    }
                }
                Effect::Kill(link) => self.close(link),
                Effect::Tell(turn) => self.turns.push((at, turn)),
                Effect::Joined(_) | Effect::Leaves(_) => {}
            }
        }
    }

    /// Ends a node as `kill -9` does: its connections are reset.
    pub(super) fn kill(&mut self, at: usize) {
        self.nodes[at].running = false;
        self.nodes[at].ended = Some(self.now);
        let links: BTreeSet<u64> = self
            .open
            .iter()
            .filter(|(_, end)| end.0 == at || end.1 == at)
            .map(|(key, _)| key / 2)
            .collect();
        links.into_iter().for_each(|link| self.close(link));
    }

    pub(super) fn up(&self, at: usize) -> BTreeSet<String> {
        let states = self.nodes[at].table.states();
        let up = states
            .into_iter()
            .filter(|state| state.health == Health::Up);
        up.map(|state| state.member.id).collect()
    }

    pub(super) fn is_full_mesh(&self) -> bool {
        let running: Vec<usize> = (0..self.nodes.len()).filter(|at| self.works(*at)).collect();
        running.iter().all(|at| {
            let others = running.iter().filter(|other| *other != at);
            let others: BTreeSet<String> = others
                .map(|other| self.nodes[*other].table.me.id.clone())
                .collect();
            self.up(*at) == others
        })
    }
}
