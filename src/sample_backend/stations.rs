//! The weather service's state: stations and what they measured, bounded, with the rules of both.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// The most stations.
const STATIONS: usize = 1_000;
/// The most readings kept of a station; older ones go.
const READINGS: usize = 1_000;
const NAME: usize = 100;

/// What is known of a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StationFacts {
    pub(crate) name: String,
    pub(crate) region: String,
    #[serde(default)]
    pub(crate) elevation: i64,
}

/// A station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Station {
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) facts: StationFacts,
}

/// What a station sends in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measured {
    pub(crate) temperature: f64,
    #[serde(default)]
    pub(crate) wind: f64,
}

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Reading {
    pub(crate) at: i64,
    #[serde(flatten)]
    pub(crate) measured: Measured,
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no station {0}")]
    NoStation(u64),
    #[error("station {0} has sent no reading")]
    NoReading(u64),
    #[error("{0}")]
    Wrong(&'static str),
    #[error("a station is called {0:?} already")]
    Taken(String),
    #[error("there are {STATIONS} stations, take one down first")]
    Full,
}

/// All stations.
#[derive(Debug)]
pub(crate) struct Stations {
    next: u64,
    stations: BTreeMap<u64, (Station, VecDeque<Reading>)>,
}

// === impl Stations ===

impl Stations {
    /// Four stations with a reading each, taken at `now_ms`.
    pub(crate) fn seeded(now_ms: i64) -> Self {
        let mut all = Self {
            next: 1,
            stations: BTreeMap::new(),
        };
        for (name, region, elevation, temperature) in [
            ("Harbour", "coast", 4, 14.5),
            ("Lighthouse", "coast", 38, 13.0),
            ("Orchard", "valley", 210, 17.5),
            ("Summit", "mountains", 1_870, 3.5),
        ] {
            let facts = StationFacts {
                name: name.to_owned(),
                region: region.to_owned(),
                elevation,
            };
            if let Ok(station) = all.add(facts) {
                let wind = 2.5;
                let _ = all.measure(station.id, Measured { temperature, wind }, now_ms);
            }
        }
        all
    }

    /// The first `limit` stations, of one region or of all.
    pub(crate) fn list(&self, region: Option<&str>, limit: usize) -> Vec<Station> {
        let all = self.stations.values().map(|(station, _)| station);
        let wanted =
            all.filter(|station| region.is_none_or(|region| station.facts.region == region));
        wanted.take(limit).cloned().collect()
    }

    pub(crate) fn find(&self, id: u64) -> Result<&Station, Refusal> {
        let found = self.stations.get(&id).ok_or(Refusal::NoStation(id))?;
        Ok(&found.0)
    }

    pub(crate) fn add(&mut self, facts: StationFacts) -> Result<Station, Refusal> {
        self.check(None, &facts)?;
        if self.stations.len() >= STATIONS {
            return Err(Refusal::Full);
        }
        let id = self.next;
        self.next += 1;
        let station = Station { id, facts };
        self.stations.insert(id, (station.clone(), VecDeque::new()));
        Ok(station)
    }

    pub(crate) fn change(&mut self, id: u64, facts: StationFacts) -> Result<Station, Refusal> {
        self.find(id)?;
        self.check(Some(id), &facts)?;
        let (station, _) = self.stations.get_mut(&id).ok_or(Refusal::NoStation(id))?;
        station.facts = facts;
        Ok(station.clone())
    }

    pub(crate) fn remove(&mut self, id: u64) -> Result<(), Refusal> {
        let removed = self.stations.remove(&id);
        removed.map(drop).ok_or(Refusal::NoStation(id))
    }

    /// The newest `limit` readings, the newest first.
    pub(crate) fn readings(&self, id: u64, limit: usize) -> Result<Vec<Reading>, Refusal> {
        let (_, readings) = self.stations.get(&id).ok_or(Refusal::NoStation(id))?;
        Ok(readings.iter().rev().take(limit).copied().collect())
    }

    pub(crate) fn latest(&self, id: u64) -> Result<Reading, Refusal> {
        let newest = self.readings(id, 1)?;
        newest.first().copied().ok_or(Refusal::NoReading(id))
    }

    pub(crate) fn measure(
        &mut self,
        id: u64,
        measured: Measured,
        now_ms: i64,
    ) -> Result<Reading, Refusal> {
        if !measured.temperature.is_finite() || measured.temperature < -273.15 {
            return Err(Refusal::Wrong("temperature: must be above -273.15"));
        }
        if !measured.wind.is_finite() || measured.wind < 0.0 {
            return Err(Refusal::Wrong("wind: must be 0 or more"));
        }
        let (_, readings) = self.stations.get_mut(&id).ok_or(Refusal::NoStation(id))?;
        if readings.len() >= READINGS {
            readings.pop_front();
        }
        let reading = Reading {
            at: now_ms,
            measured,
        };
        readings.push_back(reading);
        Ok(reading)
    }

    fn check(&self, own: Option<u64>, facts: &StationFacts) -> Result<(), Refusal> {
        let good = |text: &str| !text.trim().is_empty() && text.chars().count() <= NAME;
        if !good(&facts.name) {
            return Err(Refusal::Wrong("name: must be 1 to 100 characters"));
        }
        if !good(&facts.region) {
            return Err(Refusal::Wrong("region: must be 1 to 100 characters"));
        }
        let mut others = self.stations.values().map(|(station, _)| station);
        if others.any(|other| Some(other.id) != own && other.facts.name == facts.name) {
            return Err(Refusal::Taken(facts.name.clone()));
        }
        Ok(())
    }
}
