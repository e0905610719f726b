//! What a node of some roles says and does when something that it needs is not there, and how it goes.

use crate::cluster::{CONTROL, Trio, options, set};
use crate::readiness::until_fails;
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::http::Call;
use crate::support::node::Node;
use crate::throttling::per_short_window;

#[tokio::test]
async fn a_gateway_without_a_control_plane_is_not_ready_and_without_traffic_manager_on_no_port() {
    let mut trio = Trio::start().await;
    let gateway = &trio.gateway;
    let status = |call: Call| async move { u16::from(call.send().await.status) };
    let ingress = || status(gateway.api("GET", "/_headgate/readyz"));
    assert_eq!(ingress().await, 200);
    trio.traffic.kill();
    until_fails(gateway, "traffic manager").await;
    assert_eq!(ingress().await, 503);
    let again = options("tm1", "traffic-manager", &trio.control.cluster_address());
    let traffic = trio.traffic.crash_and_restart(again).await;
    gateway.until_ready().await;
    assert_eq!(ingress().await, 200);
    // Alone until the change log's head is too old to go by. Known callers are served on meanwhile, so
    // that balancers are not told.
    trio.control.kill();
    until_fails(gateway, "cluster").await;
    assert_eq!(ingress().await, 200);
    let again = options("cp1", CONTROL, "");
    let control = trio.control.crash_and_restart(again).await;
    gateway.until_ready().await;
    assert_eq!(ingress().await, 200);
    drop((traffic, control));
}

#[tokio::test]
async fn a_traffic_manager_alone_on_its_node_that_lost_broker_founds_nothing_anew() {
    let mut trio = Trio::start().await;
    let (_, _, access) = trio.limited("Short", &per_short_window(1_000)).await;
    assert_eq!(trio.call(&access).await, 200);
    assert_eq!(trio.traffic.terminate().await, Some(0));
    let broker = trio.traffic.dir.join("data/broker.db");
    std::fs::remove_file(broker).expect("removed");
    let again = options("tm1", "traffic-manager", &trio.control.cluster_address());
    trio.traffic = trio.traffic.crash_and_restart(again).await;
    trio.gateway.until_ready().await;
    let mut let_through = 0;
    // What the gateway holds of before is its own; nothing is added to it.
    while trio.call(&access).await == 200 {
        let_through += 1;
        assert!(let_through < 100, "the window is granted anew");
    }
    assert_eq!(trio.call(&access).await, 429);
    let log = trio.traffic.log();
    assert_eq!(log.matches("broker.db was lost: plans").count(), 1);
}

#[tokio::test]
async fn a_gateway_alone_on_its_node_tells_of_a_wrong_clock_and_of_lost_usage_and_of_no_plans() {
    let roles = format!("{CONTROL},traffic-manager");
    let control = Node::start_with(options("cp1", &roles, "")).await;
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    let gateway = || {
        let mut with_faults = faults.options(dir.path());
        let joined = options("gw1", "gateway", &control.cluster_address());
        with_faults.environment.extend(joined.environment);
        with_faults
    };
    let mut first = Node::start_with(gateway()).await;
    let token = control.admin_token().await;
    let application = control.application(&token, "one", "Unlimited", "JWT");
    application.await;
    assert_eq!(first.terminate().await, Some(0));
    std::fs::remove_file(dir.path().join("data/broker.db")).expect("removed");
    faults.set_clock(-7_200);
    let log = Node::start_with(gateway()).await.log();
    let clock = "the clock stands before the last change";
    assert!(log.contains(clock), "{log}");
    assert!(log.contains("broker.db was lost: usage"), "{log}");
    assert!(
        !log.contains("broker.db was lost: plans"),
        "none is counted here"
    );
}

#[tokio::test]
async fn a_stop_lets_nobody_in_from_its_beginning_and_waits_for_no_probe_without_end() {
    let slow = |name: &str, roles: &str, seed: &str| {
        let mut options = options(name, roles, seed);
        for (key, value) in [("PROBE", "60000"), ("SUSPECT", "60001"), ("EVICT", "60002")] {
            set(&mut options, &format!("HEADGATE__CLUSTER__{key}_MS"), value);
        }
        options
    };
    let mut control =
        Node::start_with(slow("cp1", &format!("{CONTROL},traffic-manager"), "")).await;
    let seed = control.cluster_address();
    let mut gateway = Node::start_with(slow("gw1", "gateway", &seed)).await;
    let address = gateway.http.replace("http://localhost", "127.0.0.1");
    gateway.signal("-TERM");
    eventually(10, "it says that it stops", || async {
        gateway.log().contains("stopping: ").then_some(())
    })
    .await;
    // It stays for the others to hear that it goes; no new call comes in meanwhile.
    let has_left = eventually(10, "no more connections", || async {
        let has_left = gateway
            .log()
            .contains("the time to hear that this one goes");
        let connected = tokio::net::TcpStream::connect(&address).await;
        connected.is_err().then_some(has_left)
    })
    .await;
    assert!(!has_left);
    eventually(20, "it ends", || {
        let ended = gateway.has_ended();
        async move { ended.then_some(()) }
    })
    .await;
    assert_eq!(control.terminate().await, Some(0));
}

#[tokio::test]
async fn a_traffic_manager_that_no_agreed_view_names_fails_alone_until_one_does() {
    let trio = Trio::start().await;
    // The only voter stands still: nobody can agree on another member.
    trio.traffic.signal("-STOP");
    let mut joining = options("tm2", "traffic-manager", &trio.control.cluster_address());
    joining.unready = true;
    let second = Node::start_with(joining).await;
    until_fails(&second, "agreed view").await;
    let status = second.command(&["status"]).output().expect("the binary");
    assert_eq!(status.status.code(), Some(4));
    trio.traffic.signal("-CONT");
    second.until_ready().await;
    let status = second.command(&["status"]).output().expect("the binary");
    assert_eq!(status.status.code(), Some(0));
}
