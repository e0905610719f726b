//! Two members that do a cluster's work, calls and revocations, while strangers attack the port of either.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use super::eventually;
use super::node::Node;
use super::platform::Subscribed;
use super::stranger::{self, Stranger};
use super::upstream::Upstream;
use crate::cluster::{CONTROL, members, options};
use crate::cluster_tls::{founder, joining, metric, token};

/// Resident memory that all strangers together may take, also for a moment, KiB. An allocator keeps some.
pub const TAKEN_KIB: u64 = 16 * 1024;
/// Roles of the second one.
pub const GATEWAY: &str = "gateway,traffic-manager";
/// How long a call may take, whoever attacks. Two busy processors have much to do.
const PATIENCE: Duration = Duration::from_secs(3);

/// The two: a control plane, and a gateway with a traffic manager.
pub struct Pair {
    pub control: Node,
    pub gateway: Node,
    /// Whose certificate strangers show; none in the clear.
    pub stolen: Option<PathBuf>,
    work: Work,
}

/// An API that is called, and who calls it.
pub struct Work {
    upstream: Upstream,
    caller: Subscribed,
}

/// One of the two, whose port is attacked.
#[derive(Clone, Copy)]
pub struct Attacked<'p> {
    pub pair: &'p Pair,
    pub node: &'p Node,
}

// === impl Work ===

impl Work {
    /// Has an API deployed and called once, and one revocation done.
    pub async fn begin(control: &Node, gateway: &Node) -> Self {
        let upstream = Upstream::start().await;
        let admin = control.admin_token().await;
        let api = control.published(&admin, "Shop", "/shop", &upstream.url);
        let api = api.await;
        let caller = control.subscribed(&admin, &api, "one", "JWT").await;
        let work = Self { upstream, caller };
        work.goes_on(control, gateway).await;
        work
    }

    /// Calls are served, and what is revoked is refused at once.
    pub async fn goes_on(&self, control: &Node, gateway: &Node) {
        let (key, secret) = (&self.caller.key, &self.caller.secret);
        let served = self.upstream.count();
        for _ in 0..5 {
            assert_eq!(call(gateway, &self.caller.access).await, 200);
        }
        let access = control.client_token(key, secret).await;
        assert_eq!(call(gateway, &access).await, 200);
        let revoke = control.post("/oauth2/revoke").basic(key, secret);
        let revoke = revoke.form(&[("token", &access)]).send();
        let revoked = tokio::time::timeout(PATIENCE, revoke).await;
        let revoked = revoked.expect("an answer in time").expect(200);
        assert_eq!(revoked.header("headgate-applied"), "2/2");
        assert_eq!(call(gateway, &access).await, 401);
        assert!(self.upstream.count() >= served + 6);
    }

    /// Does `attack` at least once, and until the work was done once meanwhile; gives how often. The work goes on for as long.
    pub async fn goes_on_during(
        &self,
        (control, gateway): (&Node, &Node),
        attack: impl AsyncFn(),
    ) -> u64 {
        let (rounds, done, over) = (Cell::new(0), Cell::new(0), Cell::new(false));
        let attacked = async {
            while done.get() == 0 || rounds.get() == 0 {
                attack().await;
                rounds.set(rounds.get() + 1);
            }
            over.set(true);
        };
        let worked = async {
            while !over.get() {
                self.goes_on(control, gateway).await;
                done.set(done.get() + 1);
                // The attack is to have the processors too.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::join!(attacked, worked);
        rounds.get()
    }
}

async fn call(gateway: &Node, access: &str) -> u16 {
    let call = gateway.api("GET", "/shop/1.0.0/items").bearer(access);
    let answer = tokio::time::timeout(PATIENCE, call.send()).await;
    answer.expect("an answer in time").status.into()
}

// === impl Pair ===

impl Pair {
    pub async fn in_the_clear() -> Self {
        let control = Node::start_with(options("cp1", CONTROL, "")).await;
        let seed = control.cluster_address();
        let gateway = Node::start_with(options("gw1", GATEWAY, &seed)).await;
        Self::of(control, gateway, None).await
    }

    pub async fn over_tls() -> Self {
        let control = founder("cp1").await;
        let join = joining("gw1", GATEWAY, &token(&control));
        let gateway = Node::start_with(join).await;
        let stolen = Some(gateway.dir.clone());
        Self::of(control, gateway, stolen).await
    }

    async fn of(control: Node, gateway: Node, stolen: Option<PathBuf>) -> Self {
        let work = Work::begin(&control, &gateway).await;
        Self {
            control,
            gateway,
            stolen,
            work,
        }
    }

    /// The control plane's port.
    pub const fn at_control(&self) -> Attacked<'_> {
        let node = &self.control;
        Attacked { pair: self, node }
    }

    /// The gateway's.
    pub const fn at_gateway(&self) -> Attacked<'_> {
        let node = &self.gateway;
        Attacked { pair: self, node }
    }
}

// === impl Attacked ===

impl Attacked<'_> {
    pub fn address(&self) -> String {
        self.node.cluster_address()
    }

    /// One that gets as far as a member's first words.
    pub async fn greeted(&self) -> Stranger {
        match &self.pair.stolen {
            None => Stranger::plain(&self.address()).await,
            Some(node) => Stranger::over_tls(&self.address(), node, Some(node))
                .await
                .expect("TLS"),
        }
    }

    async fn turned_away(&self) -> u64 {
        metric(self.node, "headgate_cluster_turned_away_total").await
    }

    /// What is promised of the node, whatever strangers `attack`: the work goes on meanwhile, little memory is taken also for a
    /// moment, members do not notice, and of each attack at least `strangers` are counted.
    pub async fn withstands(&self, strangers: u64, attack: impl AsyncFn()) {
        self.is_bounded(strangers, attack).await;
        for node in [&self.pair.control, &self.pair.gateway] {
            let members = members(node).await;
            assert!(
                members.len() == 2 && members.iter().all(|(_, health)| health == "up"),
                "{members:?}"
            );
            let log = node.log();
            // Two busy processors may make one look silent for a moment, and no more.
            assert!(!log.contains("Down"), "{log}");
        }
    }

    /// The same of attacks by members.
    pub async fn is_bounded(&self, strangers: u64, attack: impl AsyncFn()) {
        let Pair {
            control,
            gateway,
            work,
            ..
        } = self.pair;
        let counted = self.turned_away().await;
        let peak = Peak::of(self.node);
        let rounds = work.goes_on_during((control, gateway), attack).await;
        // What has ended there is counted there; closing is the last of it.
        eventually(10, "all are counted", || async {
            (self.turned_away().await >= counted + strangers * rounds).then_some(())
        })
        .await;
        peak.is_within(TAKEN_KIB);
    }

    /// What came at the port is told once a minute for each reason, not for each.
    pub fn tells_once(&self) {
        let told = stranger::told(self.node);
        let is_in_short = told.values().all(|count| (1..=3).contains(count));
        assert!(is_in_short && !told.is_empty(), "{told:?}");
    }
}

/// The most memory that a node has had since.
pub struct Peak<'n> {
    node: &'n Node,
    /// What it had then, KiB.
    began: u64,
}

// === impl Peak ===

impl<'n> Peak<'n> {
    /// From now on.
    pub fn of(node: &'n Node) -> Self {
        // The system forgets the peak of before (proc(5)).
        let path = format!("/proc/{}/clear_refs", node.pid());
        std::fs::write(path, "5").expect("its peak is forgotten");
        let began = peak_kib(node);
        Self { node, began }
    }

    /// More than then, KiB.
    pub fn more(&self) -> u64 {
        peak_kib(self.node).saturating_sub(self.began)
    }

    pub fn is_within(&self, kib: u64) {
        let more = self.more();
        assert!(more < kib, "{more} KiB more at the most");
    }
}

fn peak_kib(node: &Node) -> u64 {
    let path = format!("/proc/{}/status", node.pid());
    let status = std::fs::read_to_string(path).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.expect("its peak").trim().trim_end_matches(" kB");
    kib.parse().expect("a number")
}
