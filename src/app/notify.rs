//! What the service manager is told of the node (sd_notify), where it asked to be by `NOTIFY_SOCKET`. Nobody waits for it,
//! and what cannot be told is told to the log.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// The way to the service manager.
pub(crate) struct Notify(Option<(UnixDatagram, SocketAddr)>);

// === impl Notify ===

impl Notify {
    /// By what the environment says.
    pub(crate) fn by_environment() -> Self {
        let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self(None);
        };
        match open(place.as_bytes()) {
            Ok(way) => Self(Some(way)),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "the service manager cannot be told of this node");
                Self(None)
            }
        }
    }

    /// It listens, or has read its configuration anew.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// In words, for whoever looks.
    pub(crate) fn status(&self, words: &str) {
        self.tell(&format!("STATUS={words}"));
    }

    /// It reads its configuration anew.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It goes.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, words: &str) {
        let Some((socket, place)) = &self.0 else {
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
            let notify = Notify(Some(open(&place).unwrap()));
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
        let notify = Notify(Some(open(b"/nowhere/at/all").unwrap()));
        notify.stopping();
        Notify(None).ready();
    }
}
