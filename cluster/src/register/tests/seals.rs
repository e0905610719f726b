//! A voter's seals in memory, which can wait and fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::register::{LogPlace, Sealing, Storing};

/// What a voter heard of before it acknowledged it.
pub(crate) struct Seals {
    pub(crate) appended: Mutex<Vec<(LogPlace, String)>>,
    pub(crate) installed: Mutex<Vec<LogPlace>>,
    /// Without places no seal gets to the disk.
    pub(crate) gate: Semaphore,
    /// The same for a value that is installed.
    pub(crate) installing: Semaphore,
    /// Whether a value that is installed cannot be sealed by.
    pub(crate) is_broken: AtomicBool,
    /// Whether it cannot be made known that others vote, and how often that was asked.
    pub(crate) is_unshared: AtomicBool,
    pub(crate) shared: AtomicUsize,
}

impl Default for Seals {
    fn default() -> Self {
        Self {
            appended: Mutex::default(),
            installed: Mutex::default(),
            gate: Semaphore::new(1),
            installing: Semaphore::new(1),
            is_broken: AtomicBool::default(),
            is_unshared: AtomicBool::default(),
            shared: AtomicUsize::default(),
        }
    }
}

impl Sealing for Seals {
    fn appended<'a>(&'a self, entries: &'a [(LogPlace, Vec<u8>)]) -> Storing<'a, ()> {
        Box::pin(async move {
            let _through = self.gate.acquire().await?;
            let word = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            let entries = entries.iter().map(|(at, bytes)| (*at, word(bytes)));
            self.appended.lock().unwrap().extend(entries);
            Ok(())
        })
    }

    fn installed<'a>(&'a self, at: LogPlace, _value: &'a [u8]) -> Storing<'a, ()> {
        self.installed.lock().unwrap().push(at);
        Box::pin(async move {
            let _through = self.installing.acquire().await?;
            match self.is_broken.load(Ordering::SeqCst) {
                true => Err("the seal is lost".into()),
                false => Ok(()),
            }
        })
    }

    fn shared(&self) -> Storing<'_, ()> {
        self.shared.fetch_add(1, Ordering::SeqCst);
        let shared = match self.is_unshared.load(Ordering::SeqCst) {
            true => Err("nobody keeps that".into()),
            false => Ok(()),
        };
        Box::pin(std::future::ready(shared))
    }
}
