//! What a service manager hears of a node (sd_notify): whoever waits for it has a node that is ready.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::cluster::{CONTROL, options, set};
use crate::support::eventually;
use crate::support::node::{Node, Options};

/// Hears what nodes say of themselves.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        Self(socket)
    }

    /// What has come so far.
    fn heard(&self) -> Vec<String> {
        let mut heard = Vec::new();
        let mut words = [0; 4096];
        loop {
            match self.0.recv(&mut words) {
                Ok(length) => heard.push(String::from_utf8_lossy(&words[..length]).into_owned()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return heard,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn the_service_manager_hears_that_a_node_is_up_when_it_is_ready_and_not_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().join("notify");
    let manager = Manager::at(&place);
    let told = |mut options: Options| {
        set(
            &mut options,
            "NOTIFY_SOCKET",
            place.to_str().expect("a path"),
        );
        Options {
            unready: true,
            ..options
        }
    };
    // Of a cluster that is away: it listens, and cannot serve a call.
    let mut control = Node::start_with(options("cp1", CONTROL, "")).await;
    let address = control.cluster_address();
    assert_eq!(control.terminate().await, Some(0));
    let gateway = Node::start_with(told(options("gw1", "gateway", &address))).await;
    eventually(10, "it says that it is not ready", || async {
        let ready = gateway.get("/readyz").try_send().await.ok()?;
        (ready.status == 503).then_some(())
    })
    .await;
    // Reading its configuration anew does not make it ready either.
    gateway.signal("-HUP");
    eventually(10, "it has read its configuration", || async {
        let log = gateway.log();
        log.contains("the configuration was read anew")
            .then_some(())
    })
    .await;
    let heard = manager.heard();
    let early = heard
        .iter()
        .find(|said| said.contains("READY=1") || said.contains("RELOADING=1"));
    assert_eq!(early, None, "{heard:?}");
    let waits = heard
        .iter()
        .any(|said| said.starts_with("EXTEND_TIMEOUT_USEC="));
    assert!(waits, "it is not ended for it: {heard:?}");
    let mut back = options("cp1", CONTROL, "");
    set(&mut back, "HEADGATE__CLUSTER__LISTEN", &address);
    let control = control.crash_and_restart(back).await;
    let traffic = Node::start_with(options("tm1", "traffic-manager", &address)).await;
    eventually(30, "the service manager hears of it", || async {
        let heard = manager.heard();
        heard.iter().any(|said| said == "READY=1").then_some(())
    })
    .await;
    gateway.get("/readyz").send().await.expect(200);
    drop((control, traffic));
}
