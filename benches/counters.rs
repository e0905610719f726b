//! What counting on several nodes costs: the machines that three traffic managers run for all shards, in one process,
//! with everything that they say to each other encoded and read back. Voters fence and disks write at once, so what
//! remains is the work of owners and standbys. Three numbers:
//!
//! - an owner and its standby together use less than 1,000 ns of CPU time a unit in leases of 100 units, each asked
//!   for apart: 1,000,000 units/s a core;
//! - 1,000,000 live keys over three traffic managers, each of an application and a user and used through one gateway,
//!   take less than 300 bytes each: what the process grows by, the copies of owner and standby together, in windows of a
//!   minute and of a day;
//! - when one of three dies, the others have all of 100,000 live keys twice again within a second of CPU time, most of
//!   which two nodes would share.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod measure;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod node;

use std::collections::{BTreeMap, VecDeque};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use cluster::{Clock, decode, encode, rank};
use domain::ledger::{
    Ask, CellKey, Effect, Holder, Input, Ledger, Policies, Quota, Recovery, Reply,
};
use domain::policy::TimeUnit;
use domain::view::{Deed, Entry, Epoch, Event, Life, Phase, Place, Role, Seat, View};
use domain::window::{WindowId, WindowSpec};
use measure::verdict;

/// As in a cluster.
const SHARDS: u16 = 256;
const KEYS_OF_A_SHARD: usize = 1_000_000_usize.div_ceil(SHARDS as usize);
/// Stable ids are of this form.
const MEMBERS: [&str; 3] = [
    "0192f0c1-0000-7000-8000-000000000001",
    "0192f0c1-0000-7000-8000-000000000002",
    "0192f0c1-0000-7000-8000-000000000003",
];
const GATEWAYS: [&str; 3] = [
    "0192f0c1-0000-7000-8000-00000000000a",
    "0192f0c1-0000-7000-8000-00000000000b",
    "0192f0c1-0000-7000-8000-00000000000c",
];
const POLICIES: [&str; 4] = ["Bronze", "Silver", "Gold", "Platinum"];
const MINUTE: WindowSpec = WindowSpec::new(TimeUnit::Min, 1);
const DAY: WindowSpec = WindowSpec::new(TimeUnit::Day, 1);
/// The beginning of a minute.
const T: i64 = 1_700_000_040_000;
/// What voters have fenced and disks have noted.
const FAR_MS: i64 = T + 3_600_000;
/// Words travel as this kind of message.
const KIND: u16 = 0x7f03;

/// Units of a lease, and the limit whose leases are that large.
const LEASE: u64 = 100;
const LIMIT: u64 = LEASE * 200;
const LEASES_OF_A_KEY: usize = 25;
const UNIT_NS: f64 = 1_000.0;

const KEYS: usize = 1_000_000;
const KEY_BYTES: f64 = 300.0;

const MOVED_KEYS: usize = 100_000;
const MOVE_MS: f64 = 1_000.0;

/// Makes this executable measure memory alone, of windows of a minute or a day: what was freed before would hide some.
const WORD: &str = "memory";
const WINDOWS: [(&str, WindowSpec); 2] = [("minute", MINUTE), ("day", DAY)];

fn main() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(WORD) {
        let word = words.next().context("no window")?;
        let window = WINDOWS.iter().find(|(name, _)| *name == word);
        println!("{}", memory(window.context("no such window")?.1)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut bytes = 0.0_f64;
    for (name, _) in WINDOWS {
        let each = memory_of(name)?;
        println!(
            "{KEYS} keys of windows of a {name} over {} traffic managers: {each:.0} bytes each",
            MEMBERS.len()
        );
        bytes = bytes.max(each);
    }
    let moved = view_change()?;
    let unit = leases()?;
    let verdicts = [
        verdict(
            "a live key, on owner and standby",
            bytes,
            KEY_BYTES,
            "bytes",
        ),
        verdict("a view change of 100,000 keys", moved, MOVE_MS, "ms of CPU"),
        verdict("a unit in leases of 100", unit, UNIT_NS, "ns of CPU"),
    ];
    let failed = verdicts.contains(&ExitCode::FAILURE);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Bytes that a process of its own grows by for each key.
fn memory_of(window: &str) -> anyhow::Result<f64> {
    let mut child = Command::new(std::env::current_exe()?);
    let output = child
        .args([WORD, window])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "memory was not measured");
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn memory(window: WindowSpec) -> anyhow::Result<f64> {
    let mut world = World::of(window)?;
    let before = resident()?;
    world.use_keys(KEYS)?;
    Ok((resident()? - before) / KEYS as f64)
}

/// Milliseconds of CPU time from the death of one of three until the other two grant again.
fn view_change() -> anyhow::Result<f64> {
    let mut world = World::of(MINUTE)?;
    world.use_keys(MOVED_KEYS)?;
    let (dead, left) = MEMBERS.split_first().context("no members")?;
    world.members.remove(*dead);
    let clock = Clock::system();
    let (wall, cpu) = (clock.monotonic(), cpu_ms()?);
    let said = world.begin_view(left)?;
    let cpu = cpu_ms()? - cpu;
    println!(
        "a view change of {MOVED_KEYS} keys: {:.0} ms of one thread, {:.1} MB said",
        (clock.monotonic() - wall).as_secs_f64() * 1e3,
        said as f64 / 1e6
    );
    for shard in 0..SHARDS {
        let owner = world.owner(shard)?;
        let of_shard = |number: &usize| shard_of(*number) == shard;
        let expected = (0..MOVED_KEYS).filter(of_shard).count();
        for member in world.members.values() {
            let cells = member.seat(shard)?.ledger().images().len();
            ensure!(cells == expected, "{cells} of {expected} keys of {shard}");
        }
        ensure!(
            world.member(&owner)?.seat(shard)?.grants(),
            "{shard} is not granted"
        );
    }
    Ok(cpu)
}

/// Nanoseconds of CPU time of a unit.
fn leases() -> anyhow::Result<f64> {
    let mut world = World::of(MINUTE)?;
    let keys: Vec<CellKey> = (0..KEYS_OF_A_SHARD).map(key).collect();
    let mut known: BTreeMap<(usize, usize), (WindowId, u64, u64)> = BTreeMap::new();
    let (cpu, mut units) = (cpu_ms()?, 0);
    for round in 0..LEASES_OF_A_KEY {
        let gateway = round % GATEWAYS.len();
        for (number, key) in keys.iter().enumerate() {
            let before = known.get(&(number, gateway)).copied();
            let reply = world.ask(0, ask(gateway, key, before, LEASE))?;
            let had = before.map_or(0, |(_, had, _)| had);
            units += reply.granted - had;
            let window = reply.window.context("no window")?.id;
            let last = (window, reply.granted, reply.stamp.epoch);
            known.insert((number, gateway), last);
        }
    }
    let cpu = cpu_ms()? - cpu;
    let asked = keys.len() * LEASES_OF_A_KEY;
    ensure!(
        units == asked as u64 * LEASE,
        "{units} units of {asked} leases"
    );
    println!(
        "{asked} leases of {LEASE} units: {:.0} ns of CPU each, on owner and standby together",
        cpu * 1e6 / asked as f64
    );
    Ok(cpu * 1e6 / units as f64)
}

/// All traffic managers, and what is agreed on.
struct World {
    members: BTreeMap<String, Member>,
    view: View,
    entries: u64,
    said: usize,
}

/// One of them.
struct Member {
    life: Life,
    seats: Vec<Seat>,
}

// === impl World ===

impl World {
    /// A cluster that grants.
    fn of(window: WindowSpec) -> anyhow::Result<Self> {
        let members = MEMBERS.map(|node| (node.to_owned(), Member::new(node, window)));
        let mut world = Self {
            members: members.into_iter().collect(),
            view: View::default(),
            entries: 0,
            said: 0,
        };
        world.begin_view(&MEMBERS)?;
        Ok(world)
    }

    /// Another view, up to where it grants. Gives how many bytes were said.
    fn begin_view(&mut self, members: &[&str]) -> anyhow::Result<usize> {
        let before = self.said;
        let lives = members.iter().map(|node| Life::new(*node, 1));
        let voters = MEMBERS.map(str::to_owned).to_vec();
        let epoch = self.agree(Entry::Sync {
            members: lives.collect(),
            sources: Vec::new(),
            voters,
        })?;
        let complete = self.follow()?;
        ensure!(
            complete == usize::from(SHARDS),
            "{complete} shards are complete"
        );
        self.agree(Entry::Active {
            of: epoch,
            t0_ms: Some(T),
            lost: Vec::new(),
            found: Vec::new(),
        })?;
        self.follow()?;
        ensure!(self.view.phase == Phase::Active, "the view is not active");
        let nodes: Vec<String> = self.members.keys().cloned().collect();
        for node in nodes {
            for shard in 0..SHARDS {
                let t_ms = FAR_MS;
                self.step(&node, shard, Event::Fenced { epoch, t_ms })?;
            }
        }
        Ok(self.said - before)
    }

    fn agree(&mut self, entry: Entry) -> anyhow::Result<Epoch> {
        self.entries += 1;
        let epoch = Epoch::new(1, self.entries).context("no epoch")?;
        self.view.apply(epoch, entry);
        Ok(epoch)
    }

    /// All go by what is agreed on. Gives how many shards have what they need.
    fn follow(&mut self) -> anyhow::Result<usize> {
        let lives: Vec<Life> = self.members.values().map(|at| at.life.clone()).collect();
        let mut complete = 0;
        for shard in 0..SHARDS {
            // Whoever is first may speak to one that has not heard of the view: it is asked again later.
            let mut places = Vec::new();
            for life in &lives {
                let place = Place::of(&self.view, shard, life, rank);
                let is_owner = matches!(place.role, Role::Owner { .. });
                places.push((is_owner, life, place));
            }
            places.sort_by_key(|(is_owner, ..)| *is_owner);
            for (_, life, place) in places {
                complete += self.step(&life.node, shard, Event::Place(place))?.complete;
            }
        }
        Ok(complete)
    }

    /// So many keys are used for the first time, each through one gateway.
    fn use_keys(&mut self, count: usize) -> anyhow::Result<()> {
        for number in 0..count {
            let ask = ask(number % GATEWAYS.len(), &key(number), None, 1);
            let reply = self.ask(shard_of(number), ask)?;
            ensure!(reply.granted == 1, "{reply:?}");
        }
        Ok(())
    }

    /// Asks the owner of a shard, and waits for its answer.
    fn ask(&mut self, shard: u16, ask: Ask) -> anyhow::Result<Reply> {
        let owner = self.owner(shard)?;
        let said = self.step(&owner, shard, Event::Ledger(Input::Ask(ask)))?;
        said.reply.context("no answer")
    }

    fn owner(&self, shard: u16) -> anyhow::Result<String> {
        let members = self.view.members.iter();
        let owner = members.max_by_key(|life| rank(shard, &life.node));
        Ok(owner.context("no members")?.node.clone())
    }

    fn member(&self, node: &str) -> anyhow::Result<&Member> {
        self.members.get(node).context("no such member")
    }

    /// One step at a member, and all that follows from it anywhere.
    fn step(&mut self, node: &str, shard: u16, event: Event) -> anyhow::Result<Said> {
        let mut said = Said::default();
        let mut open = VecDeque::from([(node.to_owned(), event)]);
        while let Some((node, event)) = open.pop_front() {
            let Some(member) = self.members.get_mut(&node) else {
                continue;
            };
            let from = member.life.clone();
            let seat = member.seats.get_mut(usize::from(shard));
            for deed in seat.context("no such shard")?.step(event, T) {
                match deed {
                    Deed::Say { to, words } => {
                        let bytes = encode(KIND, 1, &words)?;
                        self.said += bytes.len();
                        let words = decode(KIND, 1, &bytes)?;
                        let from = from.clone();
                        open.push_back((to.node, Event::Heard { from, words }));
                    }
                    Deed::Ledger(Effect::Persist { stamp, .. }) => {
                        let marked = Event::Ledger(Input::Marked { stamp });
                        open.push_back((node.clone(), marked));
                    }
                    Deed::Ledger(Effect::Reply(reply)) => said.reply = Some(reply),
                    Deed::Begin { epoch } => open.push_back((node.clone(), Event::Begun { epoch })),
                    Deed::Complete { .. } => said.complete += 1,
                    _ => {}
                }
            }
        }
        Ok(said)
    }
}

/// What came of a step.
#[derive(Default)]
struct Said {
    reply: Option<Reply>,
    complete: usize,
}

// === impl Member ===

impl Member {
    fn new(node: &str, window: WindowSpec) -> Self {
        let mut policies = Policies::new(1);
        for policy in POLICIES {
            let quota = Quota {
                limit: LIMIT,
                window,
            };
            policies.set("carbon.super", &format!("application:{policy}"), quota);
        }
        let policies = Arc::new(policies);
        let life = Life::new(node, 1);
        let seat = |_| {
            let ledger = Ledger::new(
                KEYS_OF_A_SHARD,
                Recovery::founding(0),
                Arc::clone(&policies),
            );
            let mut seat = Seat::new(life.clone(), ledger, Arc::clone(&policies));
            seat.step(Event::Noted { t_ms: FAR_MS }, T);
            seat
        };
        let seats = (0..SHARDS).map(seat).collect();
        Self { life, seats }
    }

    fn seat(&self, shard: u16) -> anyhow::Result<&Seat> {
        self.seats.get(usize::from(shard)).context("no such shard")
    }
}

fn shard_of(number: usize) -> u16 {
    u16::try_from(number % usize::from(SHARDS)).unwrap_or(0)
}

/// An application and a user.
fn key(number: usize) -> CellKey {
    let policy = POLICIES.get(number / 7 % POLICIES.len());
    let policy = policy.copied().unwrap_or_default();
    CellKey::new(
        "carbon.super",
        format!("application:{policy}"),
        format!(
            "0192f0c1-{:04x}-7000-8000-{number:012x}:user{number}",
            number % 65_521
        ),
    )
}

fn ask(gateway: usize, key: &CellKey, known: Option<(WindowId, u64, u64)>, want: u64) -> Ask {
    let node = GATEWAYS.get(gateway).copied().unwrap_or_default();
    Ask {
        holder: Holder::new(node, 1, 1),
        cell: key.clone(),
        policies: 1,
        epoch: known.map_or(0, |(_, _, epoch)| epoch),
        asked_at_ms: T,
        window: known.map(|(window, ..)| window),
        have: known.map_or(0, |(_, have, _)| have),
        returned: 0,
        want,
        emptied: true,
        due: 0,
    }
}

fn resident() -> anyhow::Result<f64> {
    Ok(node::resident(std::process::id())? as f64)
}

fn cpu_ms() -> anyhow::Result<f64> {
    Ok(node::cpu_ns(std::process::id())? as f64 / 1e6)
}
