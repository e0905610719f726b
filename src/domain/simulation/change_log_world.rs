//! Writers, a database, and followers: the real `Follower` and `answer`, with everything between them going
//! wrong. After the storm comes a calm in which everybody has to reach the head.

use std::collections::{BTreeMap, VecDeque};

use super::Planted;
use super::change_log_database::{Change, Database, Rows};
use super::change_log_source::{Piece, Sending};
use super::change_log_truth::Truth;
use super::kernel::{Network, Queue, Rng};
use super::plight::Plight;
use crate::change_log::{Effect, Follower as Machine, Input, Position};

/// A calm of so long suffices for every pause that a follower makes.
const CALM_MS: i64 = 15_000;

/// What a run is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) followers: usize,
    pub(super) writers: usize,
    pub(super) storm_ms: i64,
    /// Milliseconds between the transactions of one writer.
    pub(super) pace_ms: i64,
    /// Rows, and so chunks of a snapshot.
    pub(super) rows: usize,
    /// Entries in one answer.
    pub(super) most: u64,
    pub(super) network: Network,
    /// What a write to a follower's disk takes at most.
    pub(super) disk_ms: i64,
    /// Chances in a thousand: each transaction's, and of the rest each second's.
    pub(super) rollbacks: u64,
    pub(super) crashes: u64,
    pub(super) backups: u64,
    pub(super) restores: u64,
    pub(super) prunes: u64,
    pub(super) pauses: u64,
    pub(super) cuts: u64,
    pub(super) planted: Option<Planted>,
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    Begin {
        writer: usize,
    },
    /// The writer comes to its last statement.
    Last {
        writer: usize,
        restores: u64,
    },
    Commit {
        writer: usize,
        restores: u64,
        n: u64,
    },
    Pull {
        follower: usize,
        after: Position,
    },
    ToFollower {
        follower: usize,
        input: Input<Change>,
    },
    PullSnapshot {
        follower: usize,
        transfer: u64,
    },
    Chunk {
        follower: usize,
        transfer: u64,
        index: u32,
        piece: Piece,
    },
    ChunksHere {
        follower: usize,
        transfer: u64,
        next: u32,
    },
    /// The disk has what was given to it.
    Written {
        follower: usize,
        life: u64,
    },
    Restart {
        follower: usize,
    },
    FollowerTick {
        follower: usize,
    },
    SourceTick,
    Second,
}

/// One that follows, and its disk.
#[derive(Debug)]
pub(super) struct Follower {
    /// None while it is down.
    pub(super) machine: Option<Machine>,
    pub(super) life: u64,
    pub(super) rows: Rows,
    /// Where the rows stand.
    pub(super) seen: Position,
    /// Chunks of the transfer under way.
    pub(super) aside: Vec<Piece>,
    pub(super) disk: (Position, Rows),
    /// On its way to the disk, and what waits for that.
    pub(super) writing: Option<(Position, Rows)>,
    pub(super) queued: VecDeque<(Position, Rows)>,
    pub(super) plight: Plight,
    /// What a planted bug has to remember.
    pub(super) was_at: Position,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) queue: Queue<Event>,
    pub(super) now_ms: i64,
    pub(super) network: Network,
    pub(super) database: Database,
    numbers: u64,
    uuids: u64,
    pub(super) followers: Vec<Follower>,
    pub(super) sending: BTreeMap<usize, Sending>,
    pub(super) truth: Truth,
}

// === impl Plan ===

impl Plan {
    /// Everything goes wrong, not too often.
    pub(super) fn stormy() -> Self {
        Self {
            followers: 3,
            writers: 3,
            storm_ms: 40_000,
            pace_ms: 300,
            rows: 24,
            most: 5,
            network: Network::BAD,
            disk_ms: 200,
            rollbacks: 100,
            crashes: 60,
            backups: 150,
            restores: 50,
            prunes: 100,
            pauses: 60,
            cuts: 80,
            planted: None,
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let followers = (0..plan.followers)
            .map(|_| Follower {
                machine: Some(machine(Position::default(), 0, &plan)),
                life: 0,
                rows: Rows::new(),
                seen: Position::default(),
                aside: Vec::new(),
                disk: (Position::default(), Rows::new()),
                writing: None,
                queued: VecDeque::new(),
                plight: Plight::new(rng.between(900, 1_100)),
                was_at: Position::default(),
            })
            .collect();
        let mut world = Self {
            network: plan.network,
            plan,
            rng,
            queue: Queue::new(),
            now_ms: 0,
            database: Database::new(),
            numbers: 0,
            uuids: 0,
            followers,
            sending: BTreeMap::new(),
            truth: Truth::default(),
        };
        for writer in 0..world.plan.writers {
            world.queue.at(1, Event::Begin { writer });
        }
        for follower in 0..world.plan.followers {
            world.queue.at(1, Event::FollowerTick { follower });
        }
        world.queue.at(10, Event::SourceTick);
        world.queue.at(1_000, Event::Second);
        world
    }

    /// Runs through storm and calm; the truth then knows what was wrong, and a digest of all that happened.
    pub(super) fn run(mut self) -> Truth {
        while let Some((time_ms, event)) = self.queue.pop()
            && time_ms <= self.plan.storm_ms + CALM_MS
        {
            self.now_ms = time_ms;
            self.truth.happened(self.now_ms, &event);
            self.event(event);
        }
        for (index, follower) in self.followers.iter().enumerate() {
            let at = follower.machine.as_ref().map(Machine::applied);
            self.truth.at_rest(
                index,
                follower.machine.as_ref().is_some_and(Machine::is_caught_up),
                at.unwrap_or(&Position::default()),
                &follower.rows,
                &self.database.stored,
            );
        }
        self.truth
    }

    pub(super) fn is_calm(&self) -> bool {
        self.now_ms >= self.plan.storm_ms
    }

    fn event(&mut self, event: Event) {
        let Some(event) = self.let_through(event) else {
            return;
        };
        match event {
            Event::Begin { writer } => self.begin(writer),
            Event::Last { writer, restores } => self.last(writer, restores),
            Event::Commit {
                writer,
                restores,
                n,
            } => self.commit(writer, restores, n),
            Event::Pull { follower, after } => self.pulled(follower, &after),
            Event::ToFollower { follower, input } => self.follower(follower, input),
            Event::PullSnapshot { follower, transfer } => self.send_snapshot(follower, transfer),
            Event::Chunk {
                follower,
                transfer,
                index,
                piece,
            } => self.chunk(follower, transfer, index, &piece),
            Event::ChunksHere {
                follower,
                transfer,
                next,
            } => self.chunks_here(follower, transfer, next),
            Event::Written { follower, life } => self.written(follower, life),
            Event::Restart { follower } => self.restart(follower),
            Event::FollowerTick { follower } => {
                self.follower(follower, Input::Tick);
                self.queue
                    .at(self.now_ms + 100, Event::FollowerTick { follower });
            }
            Event::SourceTick => self.source_tick(),
            Event::Second => self.second(),
        }
    }

    // --- writers ---

    fn begin(&mut self, writer: usize) {
        if self.is_calm() {
            return;
        }
        let restores = self.database.restores;
        let last_ms = self.now_ms + self.rng.between(1, 30);
        if self.plan.planted == Some(Planted::NumberBeforeCommit) {
            self.numbers = self.numbers.max(self.database.stored.head.n) + 1;
            let n = self.numbers;
            let commit = Event::Commit {
                writer,
                restores,
                n,
            };
            self.queue.at(last_ms, commit);
        } else {
            self.queue.at(last_ms, Event::Last { writer, restores });
        }
        let next_ms = self.now_ms + self.rng.between(1, self.plan.pace_ms * 2);
        self.queue
            .at(next_ms.max(last_ms + 31), Event::Begin { writer });
    }

    fn last(&mut self, writer: usize, restores: u64) {
        if restores == self.database.restores && self.database.lock(writer) {
            self.locked(writer);
        }
    }

    /// The writer holds the head's row; its number is the next one, and nobody else gets one before it is done (C1).
    fn locked(&mut self, writer: usize) {
        let commit = Event::Commit {
            writer,
            restores: self.database.restores,
            n: self.database.stored.head.n + 1,
        };
        let at = self.now_ms + self.rng.between(1, 20);
        self.queue.at(at, commit);
    }

    fn commit(&mut self, writer: usize, restores: u64, n: u64) {
        if restores != self.database.restores {
            return;
        }
        if !self.rng.chance(self.plan.rollbacks) {
            self.uuids += 1;
            let change = Change {
                n,
                uuid: format!("{writer}.{}", self.uuids),
                row: u8::try_from(self.rng.index(self.plan.rows)).unwrap(),
                removes: self.rng.chance(200),
            };
            let before = self.database.stored.head.clone();
            self.database.commit(change.clone());
            self.truth
                .committed(&change, before, &self.database.stored.rows);
            for follower in 0..self.plan.followers {
                self.tell(follower, Input::HeadHint { n });
            }
        }
        if self.plan.planted != Some(Planted::NumberBeforeCommit)
            && let Some(next) = self.database.unlock()
        {
            self.locked(next);
        }
    }

    // --- followers ---

    fn clock_ms(&self, follower: usize) -> i64 {
        self.followers[follower].plight.clock_ms(self.now_ms)
    }

    fn follower(&mut self, follower: usize, input: Input<Change>) {
        let now_ms = self.clock_ms(follower);
        let at = &mut self.followers[follower];
        let Some(machine) = &mut at.machine else {
            return;
        };
        for effect in machine.step(input, now_ms) {
            self.effect(follower, effect);
        }
        let at = &self.followers[follower];
        if let Some(machine) = &at.machine {
            self.truth.sees(follower, machine.applied(), &at.rows);
        }
    }

    fn effect(&mut self, follower: usize, effect: Effect<Change>) {
        let at = &mut self.followers[follower];
        match effect {
            Effect::Pull { after } => self.send(Event::Pull { follower, after }),
            Effect::Apply(change) => {
                self.truth.applies(follower, &at.seen, &change);
                at.seen = Position::of(&change);
                change.apply(&mut at.rows);
            }
            Effect::Persist { at: position } => {
                at.queued.push_back((position, at.rows.clone()));
                self.write(follower);
            }
            Effect::Acknowledge { n } => {
                let applied = at.machine.as_ref().unwrap().applied();
                self.truth.acknowledged(follower, n, applied, &at.disk.0);
            }
            Effect::Resync { .. } | Effect::StoreChunk { .. } => {}
            Effect::PullSnapshot { transfer } => {
                at.aside.clear();
                self.send(Event::PullSnapshot { follower, transfer });
            }
            Effect::InstallSnapshot { at: position } => {
                at.seen = position;
                at.rows = Rows::new();
                for piece in at.aside.drain(..) {
                    at.rows.extend(piece.rows);
                    for change in &piece.entries {
                        change.apply(&mut at.rows);
                    }
                }
                self.truth.seen.once("installed");
            }
        }
    }

    fn chunk(&mut self, follower: usize, transfer: u64, index: u32, piece: &Piece) {
        let now_ms = self.clock_ms(follower);
        let at = &mut self.followers[follower];
        let Some(machine) = &mut at.machine else {
            return;
        };
        for effect in machine.step(Input::SnapshotChunk { transfer, index }, now_ms) {
            if matches!(effect, Effect::StoreChunk { .. }) {
                self.followers[follower].aside.push(piece.clone());
            } else {
                self.effect(follower, effect);
            }
        }
        let next = u32::try_from(self.followers[follower].aside.len()).unwrap();
        self.send(Event::ChunksHere {
            follower,
            transfer,
            next,
        });
    }

    /// One write at a time, of all that is queued when it starts.
    fn write(&mut self, follower: usize) {
        let at = &mut self.followers[follower];
        if at.writing.is_none()
            && let Some(last) = at.queued.pop_back()
        {
            at.queued.clear();
            at.writing = Some(last);
            let life = at.life;
            let done_ms = self.now_ms + self.rng.between(1, self.plan.disk_ms);
            self.queue.at(done_ms, Event::Written { follower, life });
        }
    }

    fn written(&mut self, follower: usize, life: u64) {
        let at = &mut self.followers[follower];
        if at.life == life
            && let Some(written) = at.writing.take()
        {
            let position = written.0.clone();
            at.disk = written;
            self.follower(follower, Input::Persisted { at: position });
            self.write(follower);
        }
    }

    // --- messages ---

    pub(super) fn tell(&mut self, follower: usize, input: Input<Change>) {
        self.send(Event::ToFollower { follower, input });
    }

    pub(super) fn send(&mut self, message: Event) {
        for at in self.network.deliveries(self.now_ms, &mut self.rng) {
            self.queue.at(at, message.clone());
        }
    }
}

pub(super) fn machine(persisted: Position, life: u64, plan: &Plan) -> Machine {
    let transfers = if plan.planted == Some(Planted::TransfersStartAnew) {
        0
    } else {
        life << 32
    };
    let mut machine = Machine::resume(persisted, transfers);
    machine.planted = plan.planted;
    machine
}
