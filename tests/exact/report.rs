//! What runs of one fault showed, and what of it breaks a promise.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::cluster::Cluster;
use super::disturbed::Before;
use super::keys::{Key, Keys};
use super::load::Told;
use super::random::Random;

/// Runs of each fault where nobody says how many.
const RUNS: u64 = 1;
/// A call is held for an owner for 3 s at most (L8); what a busy machine may add is as long again.
const HELD: Duration = Duration::from_secs(6);
/// Limits up to this one are given out to the last unit.
const SMALL: u64 = 10;

/// Runs of one fault.
pub struct Report {
    fault: &'static str,
    seed: u64,
    runs: u64,
    /// Keys that let more through than their limit.
    over: u64,
    /// What was given out of each limit, in thousandths.
    given: Vec<u64>,
    longest: Duration,
    failed: u64,
    /// Runs in which calls failed while a busy machine was a fault of its own.
    disturbed: u64,
    broken: Vec<String>,
}

/// One of them.
pub struct Run {
    pub number: u64,
    pub seed: u64,
    pub random: Random,
    /// What its API is called.
    pub name: String,
    /// Where the nodes were before it.
    pub before: Option<Before>,
    /// The nodes that its fault is done to.
    pub done_to: Vec<String>,
}

/// What a run has to give out at least, beside never more than the limit.
#[derive(Clone, Copy)]
pub enum Least {
    /// All of a small limit, and 99 % of any other.
    Nearly,
    /// That, but for so many thousandths, and at least so many units, that somebody held who is gone.
    But { thousandths: u64, units: u64 },
    /// Nothing.
    Nothing,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

impl Report {
    pub fn new(fault: &'static str) -> Self {
        #[allow(clippy::disallowed_methods, reason = "any seed will do")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let drawn = Random::new(u64::from(now.expect("a time").subsec_nanos())).next() % 1_000_000;
        Self {
            fault,
            seed: number("HEADGATE_EXACT_SEED").unwrap_or(drawn),
            runs: 0,
            over: 0,
            given: Vec::new(),
            longest: Duration::ZERO,
            failed: 0,
            disturbed: 0,
            broken: Vec::new(),
        }
    }

    /// The runs that are to be made; each has a seed of its own.
    pub fn runs(&self) -> impl Iterator<Item = Run> + use<> {
        let (first, fault) = (self.seed, self.fault.replace(' ', "-"));
        (0..number("HEADGATE_EXACT_RUNS").unwrap_or(RUNS)).map(move |number| {
            let seed = first + number;
            eprintln!("{fault}: run {number}, seed {seed}");
            Run {
                number,
                seed,
                random: Random::new(seed),
                name: format!("{}-{number}", fault.replace('\'', "")),
                before: None,
                done_to: Vec::new(),
            }
        })
    }

    /// Takes what arrived of a run's keys, and what their callers were told.
    pub fn judge(&mut self, cluster: &Cluster, run: &Run, keys: &Keys, told: &Told, least: Least) {
        let since = run.before.as_ref().expect("a run has keys");
        let done_to: Vec<&str> = run.done_to.iter().map(String::as_str).collect();
        // Two faults at once where others are disturbed: then a limit is kept, and nothing else is promised.
        let others = cluster.disturbed(since, &done_to);
        let mut lacking = self.counts(cluster, run, keys, least);
        self.runs = self.runs.max(run.number + 1);
        self.hear(run, told);
        if told.failed() > 0 {
            lacking.push(format!("calls failed for lack of an owner: {told:?}"));
        }
        if !lacking.is_empty() && !others.is_empty() {
            self.disturbed += 1;
            eprintln!("{}: disturbed ({others:?}): {lacking:?}", run.name);
            return;
        }
        for what in lacking {
            self.breaks(run, what);
        }
    }

    /// Takes what callers were told while there may be no owner.
    pub fn hear(&mut self, run: &Run, told: &Told) {
        self.longest = self.longest.max(told.longest);
        self.failed += told.failed();
        if told.longest > HELD {
            self.breaks(run, format!("a call was held for too long: {told:?}"));
        }
        if told.without_retry > 0 {
            self.breaks(run, format!("503 without Retry-After: {told:?}"));
        }
        if told.failed() > told.of(503) {
            self.breaks(
                run,
                format!("neither passed, nor refused, nor put off: {told:?}"),
            );
        }
    }

    /// What arrived; gives what was not given out.
    fn counts(&mut self, cluster: &Cluster, run: &Run, keys: &Keys, least: Least) -> Vec<String> {
        let mut lacking = Vec::new();
        for key in &keys.keys {
            let arrived = cluster.arrived(&key.arriving);
            self.given.push(arrived * 1_000 / key.limit);
            let what = || {
                let Key {
                    path,
                    limit,
                    shard,
                    window,
                    ..
                } = key;
                format!("{arrived} arrived of {limit} ({window:?}, {path}, shard {shard})")
            };
            if arrived > key.most() {
                self.over += 1;
                self.breaks(run, format!("over the limit: {}", what()));
            }
            if arrived < least.of(key.limit) {
                lacking.push(format!("too little: {}", what()));
            }
        }
        lacking
    }

    /// What a test found broken by itself.
    pub fn breaks(&mut self, run: &Run, what: String) {
        let (fault, number, seed) = (self.fault, run.number, run.seed);
        let broken = format!("{fault}, run {number}, seed {seed}: {what}");
        eprintln!("{broken}");
        self.broken.push(broken);
    }

    /// Adds its row to the table, and ends the test where a promise was broken.
    pub fn finish(self) {
        let least = self.given.iter().min().copied().unwrap_or_default();
        let sum: u64 = self.given.iter().sum();
        let mean = sum / u64::try_from(self.given.len().max(1)).expect("a number");
        let row = format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            self.fault,
            self.runs,
            self.over,
            least,
            mean,
            self.longest.as_millis(),
            self.failed,
            self.disturbed
        );
        if let Some(path) = std::env::var_os("HEADGATE_EXACT_TABLE") {
            let file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            file.expect("a table")
                .write_all(row.as_bytes())
                .expect("a row");
        }
        assert!(self.broken.is_empty(), "{}", self.broken.join("\n"));
    }
}

impl Run {
    /// From now on something is done to this node.
    pub fn harms(&mut self, name: &str) {
        self.done_to.push(name.to_owned());
    }
}

impl Least {
    fn of(self, limit: u64) -> u64 {
        let nearly = match limit {
            ..=SMALL => limit,
            _ => (limit * 99).div_ceil(100),
        };
        match self {
            Self::Nearly => nearly,
            Self::But { thousandths, units } => {
                nearly.saturating_sub((limit * thousandths).div_ceil(1_000).max(units))
            }
            Self::Nothing => 0,
        }
    }
}
