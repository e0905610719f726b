//! The cluster as the rest of a node sees it: who is there, and how to ask them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::about::About;
use crate::ask::AskError;
use crate::askers::Askers;
use crate::codec::encode;
use crate::counters::Counters;
use crate::door::{Door, Request};
use crate::kinds::name;
use crate::member::Member;
use crate::members::{Health, Kept, MemberState};
use crate::path::Path;
use crate::protocol::shaped;
use crate::router::{Served, read_answer};
use crate::task::spawn_named;
use crate::transport::Port;
use crate::view::View;

/// A node's place among others; cheap to clone.
#[derive(Clone)]
pub struct Cluster(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) me: Member,
    pub(crate) view: ArcSwap<View>,
    pub(crate) served: Arc<Served>,
    pub(crate) askers: Arc<Askers>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) port: Arc<Port>,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) about: OnceLock<About>,
    /// Why more members refuse this node than have it.
    pub(crate) rivalled: ArcSwapOption<String>,
    /// What the node's actor goes on from when it is started anew.
    pub(crate) kept: ArcSwap<Kept>,
    turn: AtomicUsize,
    began: Instant,
}

// === impl Cluster ===

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({})", self.0.me.name)
    }
}

impl Cluster {
    /// A node that knows of no other: until [`crate::node`] runs, or for good.
    #[must_use]
    pub fn new(me: Member) -> Self {
        Self(Arc::new(Inner {
            me,
            view: ArcSwap::default(),
            served: Arc::default(),
            askers: Arc::default(),
            counters: Arc::default(),
            port: Arc::default(),
            changed: watch::Sender::new(0),
            about: OnceLock::new(),
            rivalled: ArcSwapOption::default(),
            kept: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            began: Instant::now(),
        }))
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> &Member {
        &self.0.me
    }

    /// How long this node has been up.
    #[must_use]
    pub fn up_for(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// Why members refuse this node while others have it, where they do: of two that cannot both be members an operator has
    /// to end one (W1, W6).
    #[must_use]
    pub fn rivalled(&self) -> Option<String> {
        let rivalled = self.0.rivalled.load();
        rivalled.as_deref().cloned()
    }

    /// What happened at the edge.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Why no other node can come in at this one's port; nothing while they can.
    #[must_use]
    pub fn port_problem(&self) -> Option<String> {
        self.0.port.problem()
    }

    /// All others that this node knows.
    #[must_use]
    pub fn members(&self) -> Vec<MemberState> {
        let view = self.0.view.load();
        view.seen.iter().map(|seen| seen.state.clone()).collect()
    }

    /// What operators call the node of this id, where this one knows it and no other has had the name: one whose disk was
    /// lost comes back under its name, with another id.
    #[must_use]
    pub fn name_of(&self, id: &str) -> Option<String> {
        let view = self.0.view.load();
        let others = view.seen.iter().map(|seen| &seen.state.member);
        let all = || std::iter::once(&self.0.me).chain(others.clone());
        let found = all().find(|member| member.id == id)?;
        let namesakes = all().filter(|member| member.name == found.name).count();
        (namesakes == 1).then(|| found.name.clone())
    }

    /// Rises whenever a member comes, goes, or changes its health.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Has `door` answer what other nodes ask of its kind.
    pub fn serve<R: Request>(&self, door: Door<R>) {
        self.serve_unless(door, |_| None);
    }

    /// Asks one member, whatever this node thinks of its health.
    ///
    /// # Errors
    /// See [`AskError`]; [`AskError::Unavailable`] at once when there is no connection.
    pub async fn ask<R: Request>(
        &self,
        id: &str,
        request: &R,
        deadline: Duration,
    ) -> Result<R::Reply, AskError> {
        let path = self.0.view.load().way_to(id).ok_or(AskError::Unavailable)?;
        ask_on::<R>(&path, Parcel::of(request)?, deadline).await
    }

    /// Asks all other nodes that this one knows, side by side and whatever it thinks of their health; gives what came of
    /// each within `deadline`.
    pub async fn ask_members<R: Request>(
        &self,
        request: &R,
        deadline: Duration,
    ) -> Vec<(MemberState, Result<R::Reply, AskError>)> {
        let (seen, parcel) = (self.0.view.load().seen.clone(), Parcel::of(request));
        let mut asking = JoinSet::new();
        for (at, one) in seen.iter().enumerate() {
            if let (Some(path), Ok(parcel)) = (one.path.clone(), parcel.clone()) {
                asking.spawn(async move { (at, ask_on::<R>(&path, parcel, deadline).await) });
            }
        }
        let unasked = |state| (state, Err(AskError::Unavailable));
        let mut all: Vec<_> = seen.into_iter().map(|one| unasked(one.state)).collect();
        while let Some(answer) = asking.join_next().await {
            if let Ok((at, answer)) = answer
                && let Some((_, told)) = all.get_mut(at)
            {
                *told = answer;
            }
        }
        all
    }

    /// Like [`Cluster::serve`], unless `instead` has an answer of its own.
    pub fn serve_unless<R: Request>(
        &self,
        door: Door<R>,
        instead: impl Fn(&R) -> Option<R::Reply> + Send + Sync + 'static,
    ) {
        self.0.served.add_unless(door, instead, &self.0.counters);
    }

    /// Tells everybody with a role, and waits for no answer.
    pub fn tell_all<R: Request>(&self, role: &str, request: &R, deadline: Duration) {
        let ways = self.ways(role);
        if ways.is_empty() {
            return;
        }
        match Parcel::of(request) {
            Ok(parcel) => {
                for way in ways {
                    let parcel = parcel.clone();
                    spawn_named("cluster tell", async move {
                        if let Err(error) = ask_on::<R>(&way, parcel, deadline).await {
                            tracing::debug!(kind = R::KIND, %error, "a member was not told");
                        }
                    });
                }
            }
            Err(error) => tracing::error!(kind = R::KIND, %error, "nobody can be told"),
        }
    }

    /// Asks everybody with a role, once each, and gives the first answer; the others are told all the
    /// same.
    ///
    /// # Errors
    /// [`AskError::Unavailable`] when there is nobody; else what the last of them came to.
    pub async fn ask_all<R: Request>(
        &self,
        role: &str,
        request: &R,
        deadline: Duration,
    ) -> Result<R::Reply, AskError> {
        let parcel = Parcel::of(request)?;
        let (sender, mut answers) = mpsc::unbounded_channel();
        for way in self.ways(role) {
            let (parcel, sender) = (parcel.clone(), sender.clone());
            // Not ended by the first answer: whoever is slow shall hear it as well.
            spawn_named("cluster ask", async move {
                let _ = sender.send(ask_on::<R>(&way, parcel, deadline).await);
            });
        }
        drop(sender);
        let mut failed = AskError::Unavailable;
        while let Some(answer) = answers.recv().await {
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The ids of those with a role that can be asked now and stay; this node among them where it
    /// has it.
    #[must_use]
    pub fn with_role(&self, role: &str) -> Vec<String> {
        let view = self.0.view.load();
        let others = view.seen.iter().filter(|seen| {
            let state = &seen.state;
            let stays = state.health == Health::Up && !state.leaving;
            stays && seen.path.is_some() && state.member.has_role(role)
        });
        let others = others.map(|seen| seen.state.member.id.clone());
        let me = self.0.me.has_role(role).then(|| self.0.me.id.clone());
        others.chain(me).collect()
    }

    /// Whether a node can be asked and is heard, as far as this one knows.
    #[must_use]
    pub fn reaches(&self, id: &str) -> bool {
        let view = self.0.view.load();
        let mut seen = view.seen.iter();
        let found = seen.find(|seen| seen.state.member.id == id);
        found.is_some_and(|seen| seen.state.health == Health::Up && seen.path.is_some())
    }

    /// The ways to those with a role, the best first, equals in turn.
    pub(crate) fn ways(&self, role: &str) -> Vec<Arc<Path>> {
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        self.0.view.load().ways(role, turn)
    }

    /// Asks under way to others, bytes of them, and bytes of answers that others have not taken yet.
    #[must_use]
    pub fn under_way(&self) -> (usize, usize, usize) {
        let view = self.0.view.load();
        let paths = view.seen.iter().filter_map(|seen| seen.path.as_ref());
        paths.fold((0, 0, 0), |sum, path| {
            let one = path.under_way();
            (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2)
        })
    }
}

/// An ask as it travels.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    bytes: Vec<u8>,
    is_bulk: bool,
}

// === impl Parcel ===

impl Parcel {
    pub(crate) fn of<R: Request>(request: &R) -> Result<Self, AskError> {
        let bytes = encode(R::KIND, R::VERSION, request).map_err(|_| AskError::Unsupported)?;
        let is_bulk = request.is_bulk();
        Ok(Self { bytes, is_bulk })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Sends an encoded ask in the shape that the peer knows, counts it by its kind, and reads what comes
/// back.
pub(crate) async fn ask_on<R: Request>(
    path: &Path,
    Parcel { bytes, is_bulk }: Parcel,
    deadline: Duration,
) -> Result<R::Reply, AskError> {
    let counted = path.counters().kinds.begin(name::<R>());
    let answer = match shaped::<R>(bytes, path.protocol()) {
        Ok(bytes) if is_bulk => path.ask_in_bulk(bytes, deadline).await,
        Ok(bytes) => path.ask(bytes, deadline).await,
        Err(error) => Err(error),
    };
    let answer = answer.and_then(read_answer::<R>);
    counted.ended(&answer);
    answer
}
