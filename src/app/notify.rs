//! What the service manager is told of the node (sd_notify), where it asked to be by `NOTIFY_SOCKET`. Nobody waits for it,
//! and what cannot be told is told to the log.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use std::sync::{Mutex, MutexGuard, PoisonError};
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
    /// Held while it is told of, so that what is told last is so.
    known: Mutex<Known>,
}

/// What there is to tell.
#[derive(Debug, Default)]
struct Known {
    /// The service manager was told that the node is up: before that nothing is said of it.
    is_up: bool,
    /// What the node lacks to be ready; none once it was.
    lacks: Option<String>,
    /// Why its configuration was not read anew the last time; none where it was.
    fault: Option<String>,
}

// === impl Known ===

impl Known {
    /// Both, in words and on one line: what follows a line's end is another word to the service manager.
    fn status(&self) -> String {
        let mut status = match &self.lacks {
            None => "running".to_owned(),
            Some(lacks) => format!("not ready: {lacks}"),
        };
        if let Some(fault) = &self.fault {
            status.push_str("; the configuration was not read anew: ");
            status.push_str(fault);
        }
        status.replace(['\r', '\n'], " ")
    }
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
        let known = Mutex::default();
        Self { way, known }
    }

    /// Says that the node is up once it is ready, or after `PATIENCE` that it is not, and then what it lacks whenever that
    /// is something else. Ends when there is no more to say.
    pub(crate) async fn up(&self, standing: Standing) {
        self.up_within(PATIENCE, standing).await;
    }

    async fn up_within(&self, patience: Duration, mut standing: Standing) {
        let longest = (patience + SLACK).as_micros();
        self.tell(&format!("EXTEND_TIMEOUT_USEC={longest}"));
        let ready = tokio::time::timeout(patience, standing.wait_for(Option::is_none)).await;
        match ready.map(|ready| ready.is_ok()) {
            Ok(true) => {}
            // It goes before it was ready.
            Ok(false) => return,
            Err(_) => {
                let lacks = standing.borrow().clone().unwrap_or_default();
                let after_s = patience.as_secs();
                tracing::warn!(
                    lacks,
                    after_s,
                    "node is not ready yet, the service manager is told that it is up"
                );
            }
        }
        loop {
            let lacks = standing.borrow_and_update().clone();
            let is_ready = lacks.is_none();
            self.stands(lacks);
            if is_ready || standing.changed().await.is_err() {
                return;
            }
        }
    }

    /// It is up, and lacks this to be ready.
    fn stands(&self, lacks: Option<String>) {
        let mut known = self.known();
        let is_news = !known.is_up || known.lacks != lacks;
        known.lacks = lacks;
        if is_news {
            self.status(&known);
        }
        // Once: said while the configuration is read, it would end that.
        if !known.is_up {
            known.is_up = true;
            self.tell("READY=1");
        }
    }

    /// It has read its configuration anew, with this fault.
    pub(crate) fn reloaded(&self, fault: Option<&str>) {
        let mut known = self.known();
        known.fault = fault.map(str::to_owned);
        // Before it is up nothing was said of it, and this would say that it is.
        if known.is_up {
            self.status(&known);
            self.tell("READY=1");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In words, for whoever looks.
    fn status(&self, known: &Known) {
        self.tell(&format!("STATUS={}", known.status()));
    }

    /// It reads its configuration anew.
    pub(crate) fn reloading(&self) {
        if !self.known().is_up {
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
            notify.stands(None);
            notify.reloading();
            let heard = || {
                let mut words = [0; 256];
                let length = listens.recv(&mut words).unwrap();
                String::from_utf8_lossy(&words[..length]).into_owned()
            };
            assert_eq!(heard(), "STATUS=running");
            assert_eq!(heard(), "READY=1");
            assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        }
    }

    #[test]
    fn nobody_who_listens_is_no_failure() {
        let notify = Notify::by(Some(open(b"/nowhere/at/all").unwrap()));
        notify.stopping();
        Notify::by(None).stands(None);
    }

    /// What is heard at a path, and the way there.
    fn heard_at(dir: &std::path::Path) -> (tokio::net::UnixDatagram, Notify) {
        let path = dir.join("notify");
        let listens = tokio::net::UnixDatagram::bind(&path).unwrap();
        let way = open(path.as_os_str().as_bytes()).unwrap();
        (listens, Notify::by(Some(way)))
    }

    async fn hears(listens: &tokio::net::UnixDatagram) -> String {
        let mut words = [0; 256];
        let soon = Duration::from_secs(5);
        let length = tokio::time::timeout(soon, listens.recv(&mut words)).await;
        let length = length.unwrap().unwrap();
        String::from_utf8_lossy(&words[..length]).into_owned()
    }

    #[tokio::test]
    async fn what_a_node_lacks_and_the_fault_of_its_configuration_are_told_as_long_as_they_are_so()
    {
        let dir = tempfile::tempdir().unwrap();
        let (listens, notify) = heard_at(dir.path());
        let (says, standing) = watch::channel(Some("cluster: nobody".to_owned()));
        let told = async {
            assert!(hears(&listens).await.starts_with("EXTEND_TIMEOUT_USEC="));
            // Nothing was told of it yet, and it is not forgotten.
            notify.reloaded(Some("a fault\nof two lines"));
            let fault = "; the configuration was not read anew: a fault of two lines";
            let lacks = format!("STATUS=not ready: cluster: nobody{fault}");
            assert_eq!(hears(&listens).await, lacks);
            assert_eq!(hears(&listens).await, "READY=1");
            notify.reloaded(None);
            assert_eq!(hears(&listens).await, "STATUS=not ready: cluster: nobody");
            assert_eq!(hears(&listens).await, "READY=1");
            says.send(Some("change log: behind".to_owned())).unwrap();
            let other = "STATUS=not ready: change log: behind";
            assert_eq!(hears(&listens).await, other);
            notify.reloaded(Some("another"));
            let fault = "; the configuration was not read anew: another";
            assert_eq!(hears(&listens).await, format!("{other}{fault}"));
            assert_eq!(hears(&listens).await, "READY=1");
            // Neither the same once more, nor that it is up: that would end a reload that goes on.
            says.send(Some("change log: behind".to_owned())).unwrap();
            tokio::task::yield_now().await;
            says.send(None).unwrap();
            let running = format!("STATUS=running{fault}");
            assert_eq!(hears(&listens).await, running);
        };
        let up = notify.up_within(Duration::from_millis(50), standing);
        tokio::join!(told, up);
        notify.reloaded(None);
        assert_eq!(hears(&listens).await, "STATUS=running");
        assert_eq!(hears(&listens).await, "READY=1");
    }
}
