//! What the service manager is told of the node (sd_notify), where it asked to be by `NOTIFY_SOCKET`. Nobody waits for it,
//! and what cannot be told is told to the log.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// So long a node that listens may take to be ready before the service manager hears that it is up all the same: one that
/// waits for others is not to be ended for it, and who started it is not to wait for ever.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the service manager is to wait beyond that.
const SLACK: Duration = Duration::from_secs(15);

/// What a node lacks to be ready for the first time; none from then on.
pub(crate) type Standing = watch::Receiver<Option<String>>;

/// The way to the service manager.
pub(crate) struct Notify {
    way: Option<(UnixDatagram, SocketAddr)>,
    /// It was told that the node is up.
    is_up: AtomicBool,
}

// === impl Notify ===

impl Notify {
    /// By what the environment says.
    pub(crate) fn by_environment() -> Self {
        let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self::by(None);
        };
        match open(place.as_bytes()) {
            Ok(way) => Self::by(Some(way)),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "the service manager cannot be told of this node");
                Self::by(None)
            }
        }
    }

    fn by(way: Option<(UnixDatagram, SocketAddr)>) -> Self {
        let is_up = AtomicBool::new(false);
        Self { way, is_up }
    }

    /// Says that the node is up once it is ready, or after `PATIENCE` that it is not, and why. Ends when there is no more to say.
    pub(crate) async fn up(&self, mut standing: Standing) {
        let longest = (PATIENCE + SLACK).as_micros();
        self.tell(&format!("EXTEND_TIMEOUT_USEC={longest}"));
        let ready = tokio::time::timeout(PATIENCE, standing.wait_for(Option::is_none)).await;
        match ready.map(|ready| ready.is_ok()) {
            Ok(true) => {}
            // It goes before it was ready.
            Ok(false) => return,
            Err(_) => {
                let lacks = standing.borrow().clone().unwrap_or_default();
                let after_s = PATIENCE.as_secs();
                tracing::warn!(
                    lacks,
                    after_s,
                    "node is not ready yet, the service manager is told that it is up"
                );
                self.status(&format!("not ready: {lacks}"));
                self.ready();
                if standing.wait_for(Option::is_none).await.is_err() {
                    return;
                }
            }
        }
        self.status("running");
        self.ready();
    }

    /// It is up.
    fn ready(&self) {
        self.is_up.store(true, Ordering::Relaxed);
        self.tell("READY=1");
    }

    /// It has read its configuration anew, with this fault.
    pub(crate) fn reloaded(&self, fault: Option<&str>) {
        // Before it is up nothing was said of it, and this would say that it is.
        if self.is_up.load(Ordering::Relaxed) {
            self.status(fault.unwrap_or("running"));
            self.ready();
        }
    }

    /// In words, for whoever looks.
    fn status(&self, words: &str) {
        self.tell(&format!("STATUS={words}"));
    }

    /// It reads its configuration anew.
    pub(crate) fn reloading(&self) {
        if !self.is_up.load(Ordering::Relaxed) {
            return;
        }
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It goes.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, words: &str) {
        let Some((socket, place)) = &self.way else {
            return;
        };
        if let Err(error) = socket.send_to_addr(words.as_bytes(), place) {
            tracing::warn!(%error, "the service manager could not be told of this node");
        }
    }
}

fn open(place: &[u8]) -> anyhow::Result<(UnixDatagram, SocketAddr)> {
    let address = match place {
        // A name without a place in the file system.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address.context("NOTIFY_SOCKET is no address")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_hears_each_word_at_a_path_and_at_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("headgate-test-{}", std::process::id());
        let at_path = UnixDatagram::bind(&path).unwrap();
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        let at_name = UnixDatagram::bind_addr(&abstract_name).unwrap();
        let places = [
            path.as_os_str().as_bytes().to_vec(),
            format!("@{name}").into_bytes(),
        ];
        for (listens, place) in [at_path, at_name].into_iter().zip(places) {
            let soon = Some(std::time::Duration::from_secs(2));
            listens.set_read_timeout(soon).unwrap();
            let notify = Notify::by(Some(open(&place).unwrap()));
            notify.reloading();
            notify.reloaded(None);
            notify.ready();
            notify.reloading();
            let heard = || {
                let mut words = [0; 256];
                let length = listens.recv(&mut words).unwrap();
                String::from_utf8_lossy(&words[..length]).into_owned()
            };
            assert_eq!(heard(), "READY=1");
            assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        }
    }

    #[test]
    fn nobody_who_listens_is_no_failure() {
        let notify = Notify::by(Some(open(b"/nowhere/at/all").unwrap()));
        notify.stopping();
        Notify::by(None).ready();
    }
}
