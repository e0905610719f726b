//! What a service manager hears of a node (`Type=notify`): that it is up, reads its configuration anew and goes, each when
//! it is so. Of one that is not ready for long `service_manager` tells.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::support::node::{Node, Options};

/// The manager's end.
struct Manager(UnixDatagram);

impl Manager {
    /// One that a node in this directory is told of.
    fn of(dir: &Path) -> (Self, Options) {
        let place = dir.join("notify");
        let socket = UnixDatagram::bind(&place).expect("a socket");
        let place = place.to_str().expect("text").to_owned();
        let options = Options {
            dir: Some(dir.to_owned()),
            environment: vec![("NOTIFY_SOCKET".to_owned(), place)],
            ..Options::default()
        };
        (Self(socket), options)
    }

    /// What it is told next.
    async fn hears(&self) -> String {
        let mut words = [0; 1_024];
        let told = timeout(Duration::from_secs(40), self.0.recv(&mut words)).await;
        let length = told.expect("it is told").expect("a datagram");
        String::from_utf8_lossy(&words[..length]).into_owned()
    }

    /// A reload from its first word to its last; gives what it came to.
    async fn hears_of_a_reload(&self) -> String {
        let began = self.hears().await;
        let since = began.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        let since = since.and_then(|since| since.parse::<u64>().ok());
        assert!(since.is_some_and(|since| since > 0), "{began}");
        let status = self.hears().await;
        let status = status.strip_prefix("STATUS=").expect("a status").to_owned();
        assert_eq!(self.hears().await, "READY=1");
        status
    }

    /// Nothing waits that it was told.
    fn has_heard_all(&self) {
        let mut words = [0; 1_024];
        let told = self.0.try_recv(&mut words);
        assert!(told.is_err(), "{}", String::from_utf8_lossy(&words));
    }
}

#[tokio::test]
async fn a_service_manager_hears_that_a_node_is_up_reads_its_configuration_anew_and_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (manager, options) = Manager::of(dir.path());
    let first = async {
        let waits = manager.hears().await;
        assert!(waits.starts_with("EXTEND_TIMEOUT_USEC="), "{waits}");
        assert_eq!(manager.hears().await, "STATUS=running");
        let told = manager.hears().await;
        // At that moment, and not when the node is looked for the next time.
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        (told, log)
    };
    let (mut node, (told, log)) = tokio::join!(Node::start_with(options), first);
    assert_eq!(told, "READY=1");
    assert!(log.contains("node is listening"), "{log}");
    manager.has_heard_all();
    node.signal("-HUP");
    assert_eq!(manager.hears_of_a_reload().await, "running");
    let file = dir.path().join("headgate.toml");
    let good = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, good + "body_limit = \"much\"\n").expect("written");
    node.signal("-HUP");
    let refused = manager.hears_of_a_reload().await;
    assert!(refused.contains("gateway.body_limit"), "{refused}");
    manager.has_heard_all();
    let (code, told) = tokio::join!(node.terminate(), manager.hears());
    assert_eq!((code, told.as_str()), (Some(0), "STOPPING=1"));
    manager.has_heard_all();
}

#[tokio::test]
async fn a_service_manager_hears_nothing_of_a_node_that_cannot_listen() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dir = tempfile::tempdir().expect("a directory");
    let (manager, mut options) = Manager::of(dir.path());
    let setting = "HEADGATE__LISTEN__MANAGEMENT".to_owned();
    let address = taken.local_addr().expect("an address").to_string();
    options.environment.push((setting, address));
    assert_eq!(Node::ends(&options).await.code(), Some(1));
    manager.has_heard_all();
}
