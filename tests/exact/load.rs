//! Calls of a run's keys through all gateways at a time, spread over a while.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::{Cluster, GATEWAYS};
use super::keys::{Key, Keys};
use super::random::Random;
use crate::support::eventually;
use crate::support::http::{Answer, Client};

/// Callers of one key at one gateway.
const CALLERS: u64 = 2;

/// Calls that are under way.
pub struct Load {
    callers: JoinSet<Told>,
    pub span: Duration,
}

/// What callers were told.
#[derive(Default, Debug)]
pub struct Told {
    pub statuses: BTreeMap<u16, u64>,
    /// Refused with 503 without saying when to come again.
    pub without_retry: u64,
    /// No answer from any gateway.
    pub unanswered: u64,
    /// The longest that any call took.
    pub longest: Duration,
    /// What the first that was neither passed nor throttled was told.
    pub failure: Option<String>,
}

/// Where gateways are reached; whoever is not answered by one calls the next, as a balancer does.
#[derive(Clone)]
struct Ways {
    client: Client,
    gateways: Vec<String>,
    access: String,
}

struct Caller {
    ways: Ways,
    gateway: usize,
    path: String,
    /// When each call begins.
    moments: Vec<Instant>,
}

impl Cluster {
    /// Begins to call each key as often as `calls` says, spread over `span`.
    pub fn offer(
        &self,
        keys: &Keys,
        random: &mut Random,
        span: Duration,
        calls: impl Fn(&Key) -> u64,
    ) -> Load {
        let ways = self.ways(keys);
        let (began, mut callers) = (Instant::now(), JoinSet::new());
        for key in &keys.keys {
            let places = u64::try_from(ways.gateways.len()).expect("a number") * CALLERS;
            let first = random.below(places);
            for place in 0..places {
                // Whoever comes first has the remainder.
                let turn = (place + first) % places;
                let count = calls(key) / places + u64::from(turn < calls(key) % places);
                let mut moments: Vec<Instant> = (0..count)
                    .map(|_| began + random.between(Duration::ZERO, span))
                    .collect();
                moments.sort_unstable();
                let caller = Caller {
                    ways: ways.clone(),
                    gateway: usize::try_from(place / CALLERS).expect("a number"),
                    path: key.path.clone(),
                    moments,
                };
                callers.spawn(caller.run());
            }
        }
        Load { callers, span }
    }
}

impl Cluster {
    /// Until somebody counts the first of these keys again, at each gateway.
    pub async fn until_granted(&self, keys: &Keys) {
        let ways = self.ways(keys);
        for gateway in 0..GATEWAYS.len() {
            eventually(60, "calls are counted again", || async {
                let answer = ways.call(gateway, &keys.keys[0].path).await?;
                (answer.status != 503).then_some(())
            })
            .await;
        }
    }

    fn ways(&self, keys: &Keys) -> Ways {
        Ways {
            client: self.control().client_without_connections(),
            gateways: GATEWAYS.map(|name| self.node(name).http.clone()).to_vec(),
            access: keys.access.clone(),
        }
    }
}

impl Load {
    /// Some moment while it lasts, early enough that much comes after it.
    pub async fn moment(&self, random: &mut Random) {
        let moment = random.between(self.span / 20, self.span * 6 / 10);
        tokio::time::sleep(moment).await;
    }

    /// All that was told, when all calls are over.
    pub async fn end(mut self) -> Told {
        let mut all = Told::default();
        while let Some(told) = self.callers.join_next().await {
            all.add(told.expect("a caller"));
        }
        all
    }
}

impl Caller {
    async fn run(self) -> Told {
        let mut told = Told::default();
        for moment in self.moments {
            tokio::time::sleep_until(moment).await;
            let began = Instant::now();
            let answer = self.ways.call(self.gateway, &self.path).await;
            told.longest = told.longest.max(began.elapsed());
            told.hear(answer);
        }
        told
    }
}

impl Ways {
    async fn call(&self, first: usize, path: &str) -> Option<Answer> {
        for turn in 0..self.gateways.len() {
            let gateway = &self.gateways[(first + turn) % self.gateways.len()];
            let call = self.client.call("GET", &format!("{gateway}{path}"));
            if let Ok(answer) = call.bearer(&self.access).try_send().await {
                return Some(answer);
            }
        }
        None
    }
}

// === impl Told ===

impl Told {
    pub fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.without_retry += other.without_retry;
        self.unanswered += other.unanswered;
        self.longest = self.longest.max(other.longest);
        self.failure = self.failure.take().or(other.failure);
    }

    fn hear(&mut self, answer: Option<Answer>) {
        let Some(answer) = answer else {
            self.unanswered += 1;
            return;
        };
        let status = answer.status.as_u16();
        *self.statuses.entry(status).or_default() += 1;
        if status == 503 && answer.header("retry-after").is_empty() {
            self.without_retry += 1;
        }
        if ![200, 429].contains(&status) {
            let failure = || format!("{status}: {}", answer.text());
            self.failure.get_or_insert_with(failure);
        }
    }

    pub fn of(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Calls that were neither passed on nor told that the limit is used up.
    pub fn failed(&self) -> u64 {
        let statuses = self.statuses.iter();
        let others = statuses.filter(|(status, _)| ![200, 429].contains(*status));
        others.map(|(_, count)| count).sum::<u64>() + self.unanswered
    }
}
