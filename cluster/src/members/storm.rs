//! Everything that may happen to nodes and their links, in any order: what must hold all the time, and
//! what must hold again when it is over.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _};

use super::world::{World, member};
use super::*;

const NODES: usize = 5;
const ROUNDS: usize = 30;
/// How long a life may be told of as up after it ended, milliseconds: a suspicion, a probe, some ticks.
const GHOST_MS: u64 = 3_500;

/// Nodes by what they are called, whatever life they are in.
struct Storm {
    world: World,
    /// Which of the world's nodes lives under each name now.
    lives: Vec<usize>,
    incarnations: Vec<u64>,
    /// When each of the world's nodes ended.
    ended: Vec<Option<u64>>,
    /// When each went on last after it stood still: it forgives the others that time (W2).
    resumed: Vec<u64>,
    random: u64,
    digest: u64,
}

// === impl Storm ===

impl Storm {
    fn new(seed: u64) -> Self {
        Self {
            world: World::new(NODES, seed),
            lives: (0..NODES).collect(),
            incarnations: vec![1; NODES],
            ended: vec![None; NODES],
            resumed: vec![0; NODES],
            random: seed ^ 0x5eed,
            digest: 0,
        }
    }

    fn roll(&mut self, below: usize) -> usize {
        self.random = mixed(self.random, 1);
        usize::try_from(self.random % u64::try_from(below).unwrap()).unwrap()
    }

    /// One thing happens.
    fn happen(&mut self) {
        let (name, other) = (self.roll(NODES), self.roll(NODES));
        let (at, peer) = (self.lives[name], self.lives[other]);
        match self.roll(8) {
            0 if self.world.nodes[at].running => self.end(at),
            1 | 2 if !self.world.nodes[at].running => self.begin(name),
            3 => self.world.nodes[at].paused = true,
            4 | 5 => self.resume(at),
            6 if at != peer => {
                self.world.cuts.insert((at, peer));
            }
            _ => self.world.cuts.clear(),
        }
    }

    fn resume(&mut self, at: usize) {
        if std::mem::take(&mut self.world.nodes[at].paused) {
            self.resumed[at] = self.world.now;
        }
    }

    fn end(&mut self, at: usize) {
        self.world.kill(at);
        self.ended[at] = Some(self.world.now);
    }

    /// The next life of a node that was killed, with everybody's address as it has kept them.
    fn begin(&mut self, name: usize) {
        self.incarnations[name] += 1;
        let incarnation = self.incarnations[name];
        let life = 1_000 + incarnation * 100 + u64::try_from(name).unwrap();
        let seeds: Vec<String> = (0..NODES).map(|index| format!("host{index}:1")).collect();
        self.lives[name] = self.world.add(member(name, incarnation, life), "c", &seeds);
        self.ended.push(None);
        self.resumed.push(0);
    }

    /// Whoever is named as up by one that runs is in that life, or was until a moment ago.
    fn no_ghost(&self, seed: u64) {
        let running = self.lives.iter().filter(|at| {
            let node = &self.world.nodes[**at];
            node.running && !node.paused
        });
        for at in running {
            for state in self.world.nodes[*at].table.states() {
                let is_up = state.health == Health::Up;
                let life = self
                    .world
                    .nodes
                    .iter()
                    .position(|node| node.life == state.member.life)
                    .unwrap();
                let since = |ended: &u64| (*ended).max(self.resumed[*at]);
                let ended =
                    self.ended[life].filter(|ended| since(ended) + GHOST_MS < self.world.now);
                assert!(
                    !is_up || ended.is_none(),
                    "seed {seed}: {} names a life of {} that is over",
                    self.world.nodes[*at].table.me.name,
                    state.member.name
                );
            }
        }
    }

    fn calm(&mut self) {
        self.world.cuts.clear();
        for name in 0..NODES {
            let at = self.lives[name];
            self.world.nodes[at].paused = false;
            if !self.world.nodes[at].running {
                self.begin(name);
            }
        }
    }

    /// What all of it comes to.
    fn add(&mut self) {
        let told: String = self
            .world
            .turns
            .iter()
            .map(|(at, turn)| format!("{at} {turn:?};"))
            .collect();
        let mut hasher = foldhash::fast::FixedState::with_seed(self.digest).build_hasher();
        hasher.write(told.as_bytes());
        hasher.write_u64(self.world.now ^ self.world.order ^ self.world.random);
        self.digest = hasher.finish();
    }
}

fn mixed(one: u64, other: u64) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(other).build_hasher();
    hasher.write_u64(one);
    hasher.finish()
}

/// What `cargo xtask sim` asks for, or so many as usual.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let asked = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let from = asked("HEADGATE_SIM_FROM").unwrap_or(0);
    from..from.saturating_add(asked("HEADGATE_SIM_SEEDS").unwrap_or(usual).max(1))
}

fn run(seed: u64) -> u64 {
    let again = format!("cargo xtask sim --world members --from {seed} --seeds 1");
    let mut storm = Storm::new(seed);
    storm.world.run(8_000);
    for _ in 0..ROUNDS {
        storm.happen();
        let ms = 100 + u64::try_from(storm.roll(4_000)).unwrap();
        storm.world.run(ms);
        storm.no_ghost(seed);
    }
    storm.calm();
    storm.world.run(40_000);
    let meets = storm.world.is_full_mesh();
    assert!(meets, "seed {seed}: no full mesh; again with: {again}");
    storm.add();
    storm.world.turns.clear();
    storm.world.run(60_000);
    let quiet = storm.world.turns.is_empty();
    assert!(quiet, "seed {seed}: no quiet; again with: {again}");
    storm.digest
}

#[test]
fn whatever_happened_all_meet_again_and_no_ghost_is_believed() {
    let seeds = seeds(20);
    let digest = seeds.clone().fold(0, |all, seed| mixed(run(seed), all));
    println!("members: seeds {seeds:?} hold, digest {digest:016x}");
}

#[test]
fn a_seed_of_a_storm_replays_bit_for_bit() {
    let all: BTreeSet<u64> = [run(3), run(3), run(4)].into();
    assert_eq!(all.len(), 2);
}
