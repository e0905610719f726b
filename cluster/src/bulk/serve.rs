//! The answering end: one ask after another, so that what the asker does not take holds up its own
//! next one and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::BulkHello;
use super::frame::{Frame, STALLED};
use crate::ask::AskError;
use crate::cluster::Cluster;
use crate::codec::head;
use crate::path::Path;
use crate::router::fault;
use crate::task::spawn_named;
use crate::transport::AnyStream;

/// The longest that an ask may take, whatever its asker says.
const LONGEST: Duration = Duration::from_secs(60);
/// How long a node that is seen from its own end is waited for at this one.
const SEEN: Duration = Duration::from_secs(1);

/// What answers a node that is connected.
pub(crate) struct Carrier {
    cluster: Cluster,
    asker: Arc<Path>,
    /// A frame of which nothing comes for so long ends the connection.
    pub(super) stalled: Duration,
}

// === impl Carrier ===

impl Carrier {
    /// For whoever says this, if it is connected as the same in the same life, and its asks there
    /// bear what it says.
    pub(crate) async fn find(cluster: &Cluster, hello: &BulkHello) -> Result<Self, &'static str> {
        let mut changed = cluster.changed();
        let seen = async {
            loop {
                let way = cluster.0.askers.find(hello.bears);
                if let Some(asker) = way.filter(|way| way.takes_bulk_of(&hello.member)) {
                    return asker;
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let asker = tokio::time::timeout(SEEN, seen).await;
        let asker = asker.map_err(|_| "there is no other connection with this node")?;
        let cluster = cluster.clone();
        Ok(Self {
            cluster,
            asker,
            stalled: STALLED,
        })
    }

    /// Answers until the connection ends, or the other one does, or the asker has opened another of
    /// this kind.
    pub(crate) fn carry(self, stream: AnyStream) {
        let over = self.asker.begins_to_carry();
        spawn_named("bulk answers", async move {
            tokio::select! {
                () = over.cancelled() => {}
                Err(error) = self.answers(stream) => self.tell(&error),
            }
        });
    }

    /// An end between two asks is how it ends; all else is no way to speak.
    fn tell(&self, error: &std::io::Error) {
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            tracing::debug!(%error, "a connection for what is large has ended");
        } else {
            let reason = format!("what is large: {error}");
            self.cluster.0.counters.ask_refused(&reason);
        }
    }

    async fn answers(&self, mut stream: AnyStream) -> std::io::Result<()> {
        loop {
            let ask = Frame::read_within(self.stalled, &mut stream, || ()).await?;
            let answer = Frame {
                number: ask.number,
                within_ms: 0,
                bytes: self.answer(ask.bytes, ask.within_ms).await,
            };
            answer.write(&mut stream, || ()).await?;
        }
    }

    async fn answer(&self, bytes: Vec<u8>, within_ms: u32) -> Vec<u8> {
        let inner = &*self.cluster.0;
        let kind = head(&bytes).map(|(kind, _, _)| kind);
        let Some(handler) = kind.and_then(|kind| inner.served.find(kind)) else {
            let unknown = "no kind that this version serves over this connection";
            inner.counters.ask_not_understood("unknown", &unknown);
            return fault(AskError::Unsupported);
        };
        let within = Duration::from_millis(within_ms.into()).min(LONGEST);
        let protocol = self.asker.protocol();
        inner.counters.served_in.add(protocol);
        handler(bytes, within, protocol).await
    }
}
