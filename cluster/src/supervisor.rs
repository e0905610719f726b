//! The supervision tree. A child that fails, panics or is killed is started again with the same
//! arguments and behind the same [`Address`]; neighbours are untouched. Restarts are bounded in
//! rate, never in number: a node in the night must come back by itself.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ractor::{ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::actor::{Actor, BoxError, Instrumented};
use crate::address::Address;
use crate::registry::{Stats, System};

/// How often a child may be started again.
#[derive(Debug, Clone, Copy)]
pub struct RestartRule {
    /// Restarts that happen at once within `per`.
    pub burst: usize,
    /// The span that `burst` counts over.
    pub per: Duration,
    /// The wait before each restart beyond the burst, and after a failed start.
    pub pause: Duration,
}

type Spawned = Pin<Box<dyn Future<Output = Result<ActorCell, BoxError>> + Send>>;

/// How to start one child, again and again.
#[derive(Clone)]
pub struct Child {
    stats: Arc<Stats>,
    spawn: Arc<dyn Fn(ActorCell) -> Spawned + Send + Sync>,
    present: Arc<Present>,
}

/// The incarnation that runs, or that ran last.
#[derive(Default)]
struct Present(Mutex<Option<ActorCell>>);

/// How long the next incarnation waits for the end of the last one.
const LAST_END: Duration = Duration::from_secs(10);

/// The running tree.
#[derive(Debug)]
pub struct Root {
    cell: ActorCell,
}

struct Supervisor {
    system: System,
    children: Vec<Child>,
    rule: RestartRule,
    /// Whether a child that does not start fails the supervisor's own start: only the first time,
    /// when somebody waits for it. Later it is tried again like any other.
    strict: bool,
}

#[derive(Default)]
struct Running {
    cells: Vec<Option<ActorCell>>,
    restarts: Vec<VecDeque<Duration>>,
}

enum Order {
    Restart(usize),
}

impl ractor::Message for Order {}

// === impl RestartRule ===

impl Default for RestartRule {
    fn default() -> Self {
        Self {
            burst: 5,
            per: Duration::from_secs(10),
            pause: Duration::from_secs(1),
        }
    }
}

/// Describes a child actor and the address it will have.
pub fn child<A: Actor>(
    system: &System,
    name: &str,
    arguments: A::Arguments,
) -> (Address<A::Message>, Child) {
    let stats = system.registry.register(name, A::KIND);
    let address = Address::new(Arc::clone(&stats));
    let clock = system.clock.clone();
    let (held, counted) = (address.clone(), Arc::clone(&stats));
    let spawn = move |supervisor: ActorCell| -> Spawned {
        let wrapper = Instrumented::<A>::new(Arc::clone(&counted), clock.clone());
        let start = (arguments.clone(), held.clone());
        Box::pin(async move {
            let (actor, _) =
                ractor::ActorRuntime::spawn_linked(None, wrapper, start, supervisor).await?;
            Ok(actor.get_cell())
        })
    };
    let asked = address.clone();
    (system.registry).register_look(name, Arc::new(move || asked.show()));
    let child = Child::new(system, stats, Arc::new(spawn));
    (address, child)
}

/// Describes `size` equal children, named `name/0` and so on.
pub fn pool<A: Actor>(
    system: &System,
    name: &str,
    size: usize,
    arguments: &A::Arguments,
) -> (Vec<Address<A::Message>>, Vec<Child>) {
    (0..size)
        .map(|index| child::<A>(system, &format!("{name}/{index}"), arguments.clone()))
        .unzip()
}

/// Describes a supervisor with children of its own.
#[must_use]
pub fn branch(system: &System, name: &str, children: Vec<Child>) -> Child {
    let stats = system.registry.register(name, "supervisor");
    let (node, system) = (system, system.clone());
    let started = Arc::new(AtomicBool::new(false));
    let spawn = move |supervisor: ActorCell| -> Spawned {
        let (system, children) = (system.clone(), children.clone());
        let started = Arc::clone(&started);
        Box::pin(async move {
            let handler = Supervisor {
                system,
                children,
                rule: RestartRule::default(),
                strict: !started.load(Ordering::Relaxed),
            };
            let (actor, _) =
                ractor::ActorRuntime::spawn_linked(None, handler, (), supervisor).await?;
            started.store(true, Ordering::Relaxed);
            Ok(actor.get_cell())
        })
    };
    Child::new(node, stats, Arc::new(spawn))
}

/// Starts the tree: children in the order given, each ready before the next.
///
/// # Errors
/// The first child that cannot start.
pub async fn start_root(system: &System, children: Vec<Child>) -> Result<Root, BoxError> {
    let handler = Supervisor {
        system: system.clone(),
        children,
        rule: RestartRule::default(),
        strict: true,
    };
    let (actor, _) = ractor::ActorRuntime::spawn(None, handler, ()).await?;
    Ok(Root {
        cell: actor.get_cell(),
    })
}

// === impl Child ===

impl std::fmt::Debug for Child {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Child({})", self.stats.name)
    }
}

impl Child {
    fn new(
        system: &System,
        stats: Arc<Stats>,
        spawn: Arc<dyn Fn(ActorCell) -> Spawned + Send + Sync>,
    ) -> Self {
        let present = Arc::new(Present::default());
        let kill = {
            let present = Arc::clone(&present);
            move || present.get().iter().for_each(ActorCell::kill)
        };
        system.registry.register_kill(&stats.name, Arc::new(kill));
        Self {
            stats,
            spawn,
            present,
        }
    }

    /// Starts the next incarnation. The last one has ended by then, even when the supervisor
    /// between them was killed: state never has two owners.
    async fn start(&self, supervisor: ActorCell) -> Result<ActorCell, BoxError> {
        if let Some(last) = self.present.get() {
            last.wait(Some(LAST_END))
                .await
                .map_err(|_| "its last incarnation has not ended yet")?;
        }
        let cell = (self.spawn)(supervisor).await?;
        self.present.set(cell.clone());
        Ok(cell)
    }
}

// === impl Present ===

impl Present {
    fn get(&self) -> Option<ActorCell> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, cell: ActorCell) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cell);
    }
}

// === impl Root ===

impl Root {
    /// Stops the tree, last child first, each with time to finish; kills what has not ended by
    /// the deadline.
    pub async fn stop(self, deadline: Duration) {
        if self.cell.stop_and_wait(None, Some(deadline)).await.is_err() {
            tracing::warn!("the actors did not stop in time, killing them");
            self.cell.kill();
        }
    }
}

// === impl Supervisor ===

impl ractor::Actor for Supervisor {
    type Msg = Order;
    type State = Running;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Order>,
        (): (),
    ) -> Result<Running, ActorProcessingErr> {
        let mut running = Running::default();
        for (index, child) in self.children.iter().enumerate() {
            let cell = match child.start(myself.get_cell()).await {
                Ok(cell) => Some(cell),
                Err(error) if self.strict => {
                    tracing::error!(actor = %child.stats.name, %error, "actor did not start");
                    return Err(error);
                }
                Err(error) => {
                    self.try_again(&myself, child, index, &error);
                    None
                }
            };
            running.cells.push(cell);
            running.restarts.push(VecDeque::new());
        }
        Ok(running)
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        Order::Restart(index): Order,
        running: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        let (Some(child), Some(slot)) = (self.children.get(index), running.cells.get_mut(index))
        else {
            return Ok(());
        };
        match child.start(myself.get_cell()).await {
            Ok(cell) => {
                child.stats.restarts.fetch_add(1, Ordering::Relaxed);
                *slot = Some(cell);
                tracing::warn!(actor = %child.stats.name, "actor restarted");
            }
            Err(error) => self.try_again(&myself, child, index, &error),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Order>,
        event: SupervisionEvent,
        running: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        let (who, why) = match event {
            SupervisionEvent::ActorTerminated(who, _, why) => {
                (who, why.unwrap_or_else(|| "stopped".to_owned()))
            }
            SupervisionEvent::ActorFailed(who, error) => (who, error.to_string()),
            _ => return Ok(()),
        };
        let ended = running.cells.iter().position(|cell| {
            cell.as_ref()
                .is_some_and(|cell| cell.get_id() == who.get_id())
        });
        if let Some(index) = ended {
            self.restart_later(&myself, running, index, why);
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Order>,
        running: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        for cell in running.cells.drain(..).rev().flatten() {
            let _ = cell
                .stop_and_wait(None, Some(Duration::from_secs(10)))
                .await;
        }
        Ok(())
    }
}

impl Supervisor {
    fn try_again(&self, myself: &ActorRef<Order>, child: &Child, index: usize, error: &BoxError) {
        child.stats.failed(error.to_string());
        tracing::error!(actor = %child.stats.name, %error, "actor did not start, trying again");
        myself.send_after(self.rule.pause, move || Order::Restart(index));
    }

    fn restart_later(
        &self,
        myself: &ActorRef<Order>,
        running: &mut Running,
        index: usize,
        why: String,
    ) {
        let (Some(child), Some(slot), Some(recent)) = (
            self.children.get(index),
            running.cells.get_mut(index),
            running.restarts.get_mut(index),
        ) else {
            return;
        };
        *slot = None;
        tracing::error!(actor = %child.stats.name, %why, "actor ended, its supervisor starts it again");
        child.stats.failed(why);
        let now = self.system.clock.monotonic();
        recent.retain(|at| now.saturating_sub(*at) < self.rule.per);
        let pause = if recent.len() < self.rule.burst {
            Duration::ZERO
        } else {
            self.rule.pause
        };
        recent.push_back(now + pause);
        myself.send_after(pause, move || Order::Restart(index));
    }
}
