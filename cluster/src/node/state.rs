//! The node's actor: asks the table what to do, and does it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ractor::ActorRef;
use ractor_cluster::NodeServerMessage;

use super::below::Below;
use super::links::{Links, With, label, new_key, number};
use super::probe::Probe;
use super::rivalled::Rivalled;
use super::undialed::Undialed;
use super::{NodeMessage, NodeSettings, Notice};
use crate::actor::{Actor, BoxError};
use crate::address::Address;
use crate::cluster::{Cluster, Inner};
use crate::codec::encode;
use crate::counters::Counters;
use crate::door::Door;
use crate::hello::{Hello, Refusal};
use crate::members::{Effect, Gossip, MemberState, Table};
use crate::path::Path;
use crate::registry::System;
use crate::router::{GROUP, Routed, Router, read_answer};
use crate::self_report::SelfReport;
use crate::task::spawn_named;
use crate::ticker::Ticker;
use crate::transport::{AnyStream, DialError, LinkStream, dial};
use crate::view::{Seen, View};

/// How often the table is asked.
const TICK: Duration = Duration::from_millis(100);
/// How long a new session waits for the end of its peer's last one.
const LAST_END: Duration = Duration::from_secs(1);

/// The actor.
pub(crate) struct Node {
    me: Address<NodeMessage>,
    system: System,
    cluster: Cluster,
    settings: NodeSettings,
    table: Table,
    links: Links,
    gossip: Arc<ArcSwap<Gossip>>,
    undialed: Undialed,
    rivalled: Rivalled,
    below: Below,
    rolls: u64,
    known: BTreeSet<String>,
    _ticker: Ticker,
}

// === impl Node ===

impl Actor for Node {
    type Message = NodeMessage;
    type Arguments = (System, Cluster, NodeSettings);
    const KIND: &'static str = "cluster.node";

    async fn start(
        (system, cluster, settings): Self::Arguments,
        me: Address<NodeMessage>,
    ) -> Result<Self, BoxError> {
        let router = Router::new(cluster.clone());
        let (router, _) = ractor::ActorRuntime::spawn(None, router, ()).await?;
        let (name, member) = (&settings.cluster, cluster.me().clone());
        let (seeds, timing) = (&settings.seeds, settings.timing);
        let table = Table::new(member, settings.protocol, name, seeds, timing);
        let table = table.going_on(&cluster.0.kept.load());
        let gossip = Arc::new(ArcSwap::from_pointee(table.gossip()));
        let seen = Arc::clone(&gossip);
        cluster.serve(Door::<Probe>::answering(move |_| {
            seen.load().as_ref().clone()
        }));
        let below = Below::start(router.get_cell(), &cluster, &settings, &me).await?;
        let mut node = Self {
            _ticker: Ticker::start(me.clone(), TICK, || NodeMessage::Tick),
            me,
            system,
            cluster,
            settings,
            table,
            links: Links::default(),
            gossip,
            undialed: Undialed::default(),
            rivalled: Rivalled::default(),
            below,
            rolls: 0,
            known: BTreeSet::new(),
        };
        node.publish();
        Ok(node)
    }

    async fn handle(&mut self, message: NodeMessage) -> Result<(), BoxError> {
        let now = self.now();
        match message {
            NodeMessage::Tick => {
                let random = self.roll();
                let effects = self.table.tick(now, || random);
                self.act(effects);
                let rivalled = self.rivalled.shown(now, self.table.connected());
                self.cluster.0.rivalled.store(rivalled.map(Arc::new));
            }
            NodeMessage::Judge { hello, answer } => {
                let _ = answer.send(self.judged(now, &hello));
            }
            NodeMessage::Arrived(arrival) => {
                self.links.came(arrival.link, arrival.from);
                self.adopt(arrival.link, arrival.stream, true);
            }
            NodeMessage::Left(link) => self.ended(link),
            NodeMessage::Dialed {
                address,
                key,
                result,
            } => self.dialed(&address, key, result),
            NodeMessage::Ready { label, session } => {
                if let Some(link) = number(&label) {
                    self.ready(link, session);
                }
            }
            NodeMessage::Ended { label } => {
                if let Some(link) = number(&label) {
                    self.ended(link);
                }
            }
            NodeMessage::Answered { link, gossip } => match gossip {
                Ok(gossip) => {
                    let effects = self.table.heard(now, link, &gossip);
                    self.act(effects);
                }
                Err(error) => {
                    Counters::add(&self.cluster.0.counters.probes_unanswered);
                    tracing::debug!(link, %error, "probe was not answered");
                }
            },
            NodeMessage::Leave(told) => self.leave(told),
        }
        Ok(())
    }

    async fn stop(&mut self) {
        self.links.kill_all();
    }

    fn shows(&self) -> SelfReport {
        let members = self.cluster.members();
        let health = |state: &MemberState| {
            let health = format!("{:?}", state.health).to_lowercase();
            format!("{} ({health})", state.member.name)
        };
        SelfReport::default()
            .with("cluster", self.table.kept().cluster)
            .with("members connected", self.table.connected())
            .linked_all(members.iter().map(health))
    }
}

impl Node {
    fn now(&self) -> u64 {
        u64::try_from(self.system.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    /// Numbers that spread nodes which do the same at the same time.
    fn roll(&mut self) -> u64 {
        use std::hash::BuildHasher as _;
        self.rolls += 1;
        let life = self.cluster.me().life;
        foldhash::fast::FixedState::with_seed(life).hash_one(self.rolls)
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Dial(address) => self.dial(address),
                Effect::Probe(link) => self.probe(link),
                Effect::Kill(link) => self.kill(link),
                Effect::Joined(cluster) => {
                    tracing::info!(cluster, "joined the cluster");
                    (self.settings.told)(Notice::Joined(cluster));
                }
                Effect::Leaves(member) => tracing::info!(member, "member is about to leave"),
                Effect::Tell(turn) => {
                    self.cluster.0.counters.transitions.add(turn.to);
                    turn.tell();
                }
            }
        }
        self.publish();
    }

    /// Shows the others to the rest of the node, and this node's view to the others.
    fn publish(&mut self) {
        let seen = self.table.states().into_iter().map(|state| {
            let link = self.table.link_of(&state.member.id);
            let path = link.and_then(|link| self.links.get(link)?.path.clone());
            Seen { state, path }
        });
        let seen: Vec<Seen> = seen.collect();
        let before = self.cluster.0.view.load();
        let same = before.seen.len() == seen.len()
            && before.seen.iter().zip(&seen).all(|(one, other)| {
                one.state == other.state && one.path.is_some() == other.path.is_some()
            });
        let kept = self.table.kept();
        if **self.cluster.0.kept.load() != kept {
            self.cluster.0.kept.store(Arc::new(kept));
        }
        let gossip = self.table.gossip();
        if **self.gossip.load() != gossip {
            self.gossip.store(Arc::new(gossip));
        }
        let up = seen.iter().filter(|seen| seen.path.is_some());
        let up: BTreeSet<String> = up.map(|seen| seen.state.member.address.clone()).collect();
        // What is kept of a crowd that has gone is where to look for it.
        if !up.is_subset(&self.known) {
            self.known.clone_from(&up);
            (self.settings.told)(Notice::Known(up));
        }
        if !same {
            self.cluster.0.view.store(Arc::new(View { seen }));
            self.cluster.0.changed.send_modify(|count| *count += 1);
        }
    }

    /// Whether whoever says this may come in: the number of its connection, and what it is told.
    fn judged(&mut self, now: u64, hello: &Hello) -> Result<(u64, Hello), Refusal> {
        // Without randomness nobody can be told apart.
        let key = new_key().ok_or(Refusal::Forming)?;
        let link = self.links.next();
        let effects = self.table.offered(now, link, hello)?;
        self.links.begin(link, self.with(hello, key));
        self.act(effects);
        Ok((link, self.table.hello(key)))
    }

    /// What was agreed on with whoever said this and was told this key.
    fn with(&self, hello: &Hello, key: u64) -> With {
        let protocol = self.table.protocol_with(hello);
        With::agreed(protocol, key, hello)
    }

    fn dial(&mut self, address: String) {
        let (me, security) = (self.me.clone(), self.settings.security.clone());
        let key = new_key();
        let hello = self.table.hello(key.unwrap_or_default());
        spawn_named("cluster dial", async move {
            let result = match key {
                Some(_) => dial(&address, &security, &hello).await.map(Box::new),
                None => Err(DialError::Random),
            };
            let key = hello.key;
            let _ = me.tell(NodeMessage::Dialed {
                address,
                key,
                result,
            });
        });
    }

    fn dialed(
        &mut self,
        address: &str,
        key: u64,
        result: Result<Box<crate::transport::Dialed>, DialError>,
    ) {
        let (now, random) = (self.now(), self.roll());
        // What the member says of this node; what this node finds of the member ends nobody.
        let mut theirs = false;
        let refusal = match result {
            Ok(dialed) => {
                let link = self.links.next();
                match self.table.welcomed(now, link, address, &dialed.hello) {
                    Ok(effects) => {
                        self.links.begin(link, self.with(&dialed.hello, key));
                        self.undialed.answered(address);
                        self.rivalled.welcomed(address);
                        self.act(effects);
                        return self.adopt(link, dialed.stream, false);
                    }
                    Err(refusal) => {
                        theirs = dialed.hello.member.id == self.cluster.me().id;
                        Some(refusal)
                    }
                }
            }
            Err(DialError::Refused(refusal)) => {
                theirs = true;
                Some(refusal)
            }
            Err(error) => {
                if error.is_about_certificates() {
                    let counters = &self.cluster.0.counters;
                    counters.certificate_dialed(address, &error);
                } else {
                    self.undialed.failed(address, &error, now);
                }
                None
            }
        };
        if refusal == Some(Refusal::Itself) {
            self.table.is_own(address);
        }
        self.table.not_dialed(now, address, random);
        match refusal {
            Some(refusal) if refusal.is_final() => {
                self.undialed.refused(address, &refusal, now);
                self.refused(address, refusal, theirs);
            }
            Some(Refusal::Challenged) => self.undialed.waits(address, &Refusal::Challenged, now),
            Some(refusal) => {
                self.undialed.answered(address);
                if refusal == Refusal::Connected {
                    self.rivalled.welcomed(address);
                }
            }
            None => {}
        }
    }

    /// A refusal for good: the member's, or this node's of it.
    fn refused(&mut self, address: &str, refusal: Refusal, theirs: bool) {
        let now = self.now();
        if !theirs {
            if refusal.is_rivalry() {
                self.table.is_refused(now, address);
            }
        } else if self.table.is_ended_by(&refusal, now) {
            (self.settings.told)(Notice::Refused(refusal));
        } else {
            self.rivalled.refused(address, &refusal, now);
            // What never ends a node is nothing to wait for.
            if refusal.is_rivalry() {
                (self.settings.told)(Notice::Doubted(refusal));
            }
        }
        self.publish();
    }

    /// Hands a connection to the session layer, after the end of the peer's last one.
    fn adopt(&mut self, link: u64, stream: AnyStream, is_server: bool) {
        let peer = match self.links.get(link) {
            Some(known) if !known.unwanted => known.with.peer.clone(),
            _ => return,
        };
        let (stream, shut) = LinkStream::new(label(link), stream);
        let others = self.links.others(link, &peer);
        if let Some(known) = self.links.get_mut(link) {
            known.shut = Some(shut);
        }
        let (server, me) = (self.below.server.clone(), self.me.clone());
        spawn_named("cluster session", async move {
            for other in others {
                let _ = tokio::time::timeout(LAST_END, other.cancelled()).await;
            }
            let stream = Box::new(stream);
            let opened = NodeServerMessage::ConnectionOpenedExternal { stream, is_server };
            if server.cast(opened).is_err() {
                let label = label(link);
                let _ = me.tell(NodeMessage::Ended { label });
            }
        });
    }

    fn ready(&mut self, link: u64, session: u64) {
        let routers = ractor::pg::get_members(&GROUP.to_owned());
        let router = routers.into_iter().find(|cell| {
            let id = cell.get_id();
            !id.is_local() && id.node() == session
        });
        let Some(router) = router else {
            tracing::warn!(link, "a node without a router, disconnecting it");
            return self.kill(link);
        };
        let router: ActorRef<Routed> = router.into();
        let Inner {
            counters, askers, ..
        } = &*self.cluster.0;
        if let Some(known) = self.links.get_mut(link) {
            let path = Path::new(router, Arc::clone(counters), known.with.terms);
            let path = Arc::new(match self.table.member_of(link) {
                Some(peer) => {
                    let both = (self.cluster.me().clone(), peer.clone());
                    path.with_bulk(both, self.settings.security.clone())
                }
                None => path,
            });
            known.asker = Some(askers.admit(known.with.bears, Arc::clone(&path)));
            known.path = Some(path);
            known.unready_from = None;
        }
        let now = self.now();
        for address in self.table.addresses_of(link) {
            self.rivalled.welcomed(&address);
        }
        let effects = self.table.ready(now, link);
        self.act(effects);
    }

    /// Closes a connection. The session below says when it has ended; where there is none, this
    /// does.
    fn kill(&mut self, link: u64) {
        self.links.kill(link);
        let me = self.me.clone();
        spawn_named("cluster kill", async move {
            tokio::time::sleep(LAST_END).await;
            let label = label(link);
            let _ = me.tell(NodeMessage::Ended { label });
        });
    }

    fn ended(&mut self, link: u64) {
        self.links
            .count_stranger(link, &self.table, &self.cluster.0.counters);
        self.links.end(link);
        let (now, random) = (self.now(), self.roll());
        let effects = self.table.lost(now, link, random);
        self.act(effects);
    }

    fn probe(&mut self, link: u64) {
        let Some(path) = self.links.get(link).and_then(|link| link.path.clone()) else {
            return;
        };
        Counters::add(&self.cluster.0.counters.probes);
        let (me, deadline) = (self.me.clone(), self.settings.timing.evict);
        let counters = Arc::clone(&self.cluster.0.counters);
        spawn_named("cluster probe", async move {
            let asked = async {
                let bytes = encode(<Probe as crate::Request>::KIND, 1, &Probe);
                let bytes = bytes.map_err(|_| crate::AskError::Unsupported)?;
                read_answer::<Probe>(path.probe(bytes, deadline).await?)
            };
            let sent = tokio::time::Instant::now();
            let gossip = asked.await.map(Box::new);
            if gossip.is_ok() {
                counters.probe_times.add(sent.elapsed());
            }
            let _ = me.tell(NodeMessage::Answered { link, gossip });
        });
    }

    fn leave(&mut self, told: tokio::sync::oneshot::Sender<()>) {
        self.table.leave();
        self.publish();
        let view = self.cluster.0.view.load();
        if !view.seen.iter().any(|seen| seen.path.is_some()) {
            let _ = told.send(());
            return;
        }
        let heard = self.settings.timing.probe * 2;
        spawn_named("cluster leave", async move {
            tokio::time::sleep(heard).await;
            let _ = told.send(());
        });
    }
}
