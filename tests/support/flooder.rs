//! A member that is one in every respect, and asks without end: a node of this build in the test's own
//! process, whose asks go around the bounds that it would keep itself.

use std::sync::Arc;
use std::time::Duration;

use cluster::{
    Clock, Cluster, Member, NodeSettings, PROTOCOL_BEFORE, Root, Security, System, Timing,
};
use ractor::message::{BoxedDowncastErr, SerializedMessage};
use ractor::{ActorRef, RpcReplyPort};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, MutexGuard, oneshot};

use super::eventually;

/// Its id: greater than any, so that it is the one who dials.
pub const FLOODER: &str = "zz-flooder";
/// The group that routers of nodes join.
const ROUTERS: &str = "headgate.routers";

/// Groups are those of a process: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// An ask as it lies on the wire.
struct Raw {
    bytes: Vec<u8>,
    bears: Option<u64>,
    reply: RpcReplyPort<Vec<u8>>,
}

impl ractor::Message for Raw {
    fn serializable() -> bool {
        true
    }

    fn serialize(self) -> Result<SerializedMessage, BoxedDowncastErr> {
        Ok(SerializedMessage::Call {
            variant: String::new(),
            args: self.bytes,
            reply: self.reply,
            metadata: self.bears.map(|bears| bears.to_be_bytes().to_vec()),
        })
    }

    fn deserialize(_: SerializedMessage) -> Result<Self, BoxedDowncastErr> {
        Err(BoxedDowncastErr)
    }
}

pub struct Flooder {
    pub member: Member,
    /// Of the node by which it came in.
    pub seed: Asker,
    /// None once it has ended.
    root: Option<Root>,
    _turn: MutexGuard<'static, ()>,
}

/// Where one node takes asks.
pub struct Asker(ActorRef<Raw>);

impl Flooder {
    /// Joins the cluster of the node at `seed`; it is dialed at `advertised`, behind which `listener` is.
    pub async fn join(seed: &str, advertised: &str, listener: TcpListener) -> Self {
        let security = Security::Plain { anywhere: false };
        Self::join_by(security, seed, advertised, listener).await
    }

    /// The same, speaking so.
    pub async fn join_by(
        security: Security,
        seed: &str,
        advertised: &str,
        listener: TcpListener,
    ) -> Self {
        // Where it is dropped its actors need another thread to end on.
        let flavor = Handle::current().runtime_flavor();
        assert_eq!(flavor, RuntimeFlavor::MultiThread);
        let turn = TURN.lock().await;
        // Numbers of nodes begin anew: a router of the last one could be taken for one of this.
        until_gone().await;
        let system = System::new(Clock::system(), false);
        let member = Member {
            id: FLOODER.to_owned(),
            incarnation: 1,
            life: 77,
            name: "flooder".to_owned(),
            address: advertised.to_owned(),
            roles: Vec::new(),
            facts: Vec::new(),
        };
        let cluster = Cluster::new(member.clone());
        let settings = NodeSettings {
            listener: Arc::new(listener),
            cluster: String::new(),
            seeds: vec![seed.to_owned()],
            security,
            timing: Timing::default(),
            protocol: PROTOCOL_BEFORE,
            told: Arc::new(|_| {}),
        };
        let (_, node) = cluster::node(&system, &cluster, settings);
        let root = cluster::start_root(&system, vec![node]).await;
        // The seed's comes first: whoever else there is, it has heard of from there.
        let router = eventually(20, "the flooder is a member", || async {
            let mut all = ractor::pg::get_members(&ROUTERS.to_owned()).into_iter();
            all.find(|cell| !cell.get_id().is_local())
        });
        Self {
            member,
            seed: Asker(router.await.into()),
            root: Some(root.expect("it runs")),
            _turn: turn,
        }
    }

    /// Of the one other member that there is, or will be.
    pub async fn other(&self) -> Asker {
        let seed = self.seed.0.get_id().node();
        let router = eventually(20, "the flooder knows another member", || async {
            let mut all = ractor::pg::get_members(&ROUTERS.to_owned()).into_iter();
            all.find(|cell| !cell.get_id().is_local() && cell.get_id().node() != seed)
        });
        Asker(router.await.into())
    }

    /// Nothing of it is left in a group for the next one to meet.
    pub async fn ends(mut self) {
        if let Some(root) = self.root.take() {
            gone(root).await;
        }
    }
}

impl Drop for Flooder {
    /// A test that has failed does not come to its end, and leaves nothing to the next one either.
    fn drop(&mut self) {
        let (Some(root), Ok(runtime)) = (self.root.take(), Handle::try_current()) else {
            return;
        };
        std::thread::scope(|scope| {
            let gone = scope.spawn(|| runtime.block_on(gone(root)));
            // Whoever panics already says why.
            drop(gone.join());
        });
    }
}

async fn gone(root: Root) {
    root.stop(Duration::from_secs(5)).await;
    until_gone().await;
}

async fn until_gone() {
    eventually(20, "the flooder has gone", || async {
        let left = ractor::pg::get_members(&ROUTERS.to_owned());
        left.is_empty().then_some(())
    })
    .await;
}

impl Asker {
    /// Asks and waits for the answer; none when that does not come.
    pub async fn ask(&self, bytes: &[u8], bears: Option<u64>) -> Option<Vec<u8>> {
        let answer = self.say(bytes, bears)?;
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        answer.ok()?.ok()
    }

    /// Asks, whoever cares for the answer; none once there is no connection.
    pub fn say(&self, bytes: &[u8], bears: Option<u64>) -> Option<oneshot::Receiver<Vec<u8>>> {
        let (answer, answered) = oneshot::channel();
        let reply = RpcReplyPort::from((answer, Duration::from_secs(5)));
        let bytes = bytes.to_vec();
        let raw = Raw {
            bytes,
            bears,
            reply,
        };
        self.0.cast(raw).ok()?;
        Some(answered)
    }
}
