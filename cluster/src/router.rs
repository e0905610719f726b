//! The one actor of a node that others can reach: it takes an ask as bytes, finds who serves that
//! kind, and answers with bytes. Unnamed, so that no remote one can take its name's registration.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ractor::message::{BoxedDowncastErr, SerializedMessage};
use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::answering::Answering;
use crate::ask::AskError;
use crate::cluster::{Cluster, Inner};
use crate::codec::{CodecError, head};
use crate::counters::Counters;
use crate::door::{Door, Request};
use crate::kinds::name;
use crate::path::Path;
use crate::protocol::{read, read_reply, write_reply};
use crate::task::spawn_named;

/// The group that routers join, by which the session below tells them to its peer.
pub(crate) const GROUP: &str = "headgate.routers";
/// The kind of probes, which are answered however many asks are served.
pub(crate) const PROBE: u16 = 65_010;
/// Asks of others served at a time; more are told so at once (M2).
const SERVED_AT_ONCE: usize = 4_096;
/// Asks of nobody that are answered in a second.
const NOBODYS_IN_A_SECOND: u32 = 500;
/// How long an ask may take whose asker did not say.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a router understands: opaque bytes, so that nothing can fail while it is decoded.
pub(crate) struct Routed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) reply: RpcReplyPort<Vec<u8>>,
    /// What the asker's node and this one have agreed on for the connection.
    pub(crate) bears: Option<u64>,
}

pub(crate) type Serving = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(Vec<u8>, Duration, u16) -> Serving + Send + Sync>;

/// Who serves what on this node.
#[derive(Default)]
pub(crate) struct Served(RwLock<BTreeMap<u16, Handler>>);

pub(crate) struct Router {
    pub(crate) cluster: Cluster,
    pub(crate) places: Arc<Semaphore>,
}

// === impl Routed ===

impl ractor::Message for Routed {
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

    fn deserialize(message: SerializedMessage) -> Result<Self, BoxedDowncastErr> {
        match message {
            SerializedMessage::Call {
                args,
                reply,
                metadata,
                ..
            } => Ok(Self {
                bytes: args,
                reply,
                bears: metadata.and_then(|bears| Some(u64::from_be_bytes(bears.try_into().ok()?))),
            }),
            SerializedMessage::Cast { .. } | SerializedMessage::CallReply(..) => {
                Err(BoxedDowncastErr)
            }
        }
    }
}

// === impl Served ===

impl Served {
    /// Has `door` answer whatever others ask of this kind, unless `instead` has an answer of its own.
    pub(crate) fn add_unless<R: Request>(
        &self,
        door: Door<R>,
        instead: impl Fn(&R) -> Option<R::Reply> + Send + Sync + 'static,
        counters: &Arc<Counters>,
    ) {
        let (door, instead, counters) = (Arc::new(door), Arc::new(instead), Arc::clone(counters));
        let handler: Handler = Arc::new(move |bytes, deadline, protocol| {
            let (door, instead) = (Arc::clone(&door), Arc::clone(&instead));
            let counters = Arc::clone(&counters);
            Box::pin(async move {
                match understood::<R>((&bytes, protocol), &counters) {
                    Ok(request) => {
                        let asked = (request, bytes.as_slice());
                        answer(&door, instead.as_ref(), asked, deadline).await
                    }
                    Err(error) => fault(error),
                }
            })
        });
        let mut handlers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        handlers.insert(R::KIND, handler);
    }

    pub(crate) fn find(&self, kind: u16) -> Option<Handler> {
        let handlers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        handlers.get(&kind).cloned()
    }
}

/// What is asked, counted as served or as not understood.
fn understood<R: Request>(
    (bytes, protocol): (&[u8], u16),
    counters: &Counters,
) -> Result<R, AskError> {
    let request = read::<R>(bytes, protocol).map_err(|error| {
        counters.ask_not_understood(name::<R>(), &error);
        AskError::Unsupported
    })?;
    // Probes are counted where they are sent.
    if R::KIND != PROBE {
        Counters::add(&counters.served);
        counters.kinds.count(name::<R>(), |kind| &kind.served);
    }
    Ok(request)
}

async fn answer<R: Request>(
    door: &Door<R>,
    instead: &(impl Fn(&R) -> Option<R::Reply> + Sync),
    (request, bytes): (R, &[u8]),
    deadline: Duration,
) -> Vec<u8> {
    let answered = match instead(&request) {
        Some(reply) => Ok(reply),
        None => door.ask(request, deadline).await,
    };
    match answered {
        Ok(reply) => match write_reply::<R>(bytes, &reply) {
            Ok(bytes) => good(bytes),
            Err(error) => {
                tracing::error!(%error, kind = R::KIND, "an answer cannot be sent to another node");
                fault(AskError::Unsupported)
            }
        },
        Err(error) => fault(error),
    }
}

fn good(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(0);
    bytes
}

/// An answer that is none: one byte that says why.
pub(crate) fn fault(error: AskError) -> Vec<u8> {
    vec![match error {
        AskError::Unavailable => 1,
        AskError::Overloaded => 2,
        AskError::Dropped => 3,
        AskError::Timeout => 4,
        AskError::Unsupported => 5,
    }]
}

/// Reads what a router answered.
pub(crate) fn read_answer<R: Request>(mut bytes: Vec<u8>) -> Result<R::Reply, AskError> {
    match bytes.pop() {
        Some(0) => read_reply::<R>(&bytes).map_err(|_: CodecError| AskError::Unsupported),
        Some(1) => Err(AskError::Unavailable),
        Some(2) => Err(AskError::Overloaded),
        Some(3) => Err(AskError::Dropped),
        Some(4) => Err(AskError::Timeout),
        _ => Err(AskError::Unsupported),
    }
}

// === impl Router ===

impl Router {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            places: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
        }
    }
}

/// Asks that bear what no connection was told to: each is answered that it is to ask again, for a
/// connection may be ready at its end and not here yet; and a flood of them is not answered at all, for
/// nobody knows who would take that.
pub(crate) struct Nobodys {
    since: Instant,
    answered: u32,
}

// === impl Nobodys ===

impl Nobodys {
    fn may_answer(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            self.since = Instant::now();
            self.answered = 0;
        }
        self.answered += 1;
        self.answered <= NOBODYS_IN_A_SECOND
    }
}

impl ractor::Actor for Router {
    type Msg = Routed;
    type State = Nobodys;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Routed>,
        (): (),
    ) -> Result<Nobodys, ActorProcessingErr> {
        ractor::pg::join(GROUP.to_owned(), vec![myself.get_cell()]);
        Ok(Nobodys {
            since: Instant::now(),
            answered: 0,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Routed>,
        routed: Routed,
        nobodys: &mut Nobodys,
    ) -> Result<(), ActorProcessingErr> {
        let Inner {
            askers, counters, ..
        } = &*self.cluster.0;
        match routed.bears.and_then(|bears| askers.find(bears)) {
            Some(asker) => self.serve(asker, routed),
            None => {
                counters.ask_refused("no connection is known to send it");
                if nobodys.may_answer() {
                    let _ = routed.reply.send(fault(AskError::Unavailable));
                }
            }
        }
        Ok(())
    }
}

impl Router {
    /// Has an ask answered beside this actor: one slow answer holds up no other.
    fn serve(&self, asker: Arc<Path>, Routed { bytes, reply, .. }: Routed) {
        let Inner {
            served, counters, ..
        } = &*self.cluster.0;
        let kind = head(&bytes).map(|(kind, _, _)| kind);
        let deadline = reply.get_timeout().unwrap_or(DEADLINE).min(DEADLINE * 12);
        let handler = kind.and_then(|kind| served.find(kind));
        let protocol = asker.protocol();
        let answering = Answering { asker, reply };
        let Some(handler) = handler else {
            let unknown = match kind {
                Some(kind) => format!("this version knows no kind {kind}"),
                None => "it is no message".to_owned(),
            };
            counters.ask_not_understood("unknown", &unknown);
            return answering.refuse(AskError::Unsupported);
        };
        if kind == Some(PROBE) {
            if answering.is_beyond_all() {
                return counters.ask_refused("its node takes no answers");
            }
            counters.served_in.add(protocol);
            spawn_named("remote probe", async move {
                answering.send_sign_of_life(handler(bytes, deadline, protocol).await);
            });
            return;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let place = place.and_then(|place| {
            let own = answering.asker.begin_to_answer(bytes.len())?;
            Some((place, own))
        });
        let Some(place) = place.filter(|_| answering.has_room()) else {
            counters.ask_refused("its node asks more than it takes answers, or too much at a time");
            return answering.refuse(AskError::Overloaded);
        };
        counters.served_in.add(protocol);
        spawn_named("remote ask", async move {
            let _place = place;
            answering.send(handler(bytes, deadline, protocol).await);
        });
    }
}
