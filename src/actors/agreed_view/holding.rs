//! Holds the view register for its founder while that decides alone (W3): says again and again that it is there, wherever
//! that is decided, and lets its voter fence no T beyond what is written down there. Whoever takes its place begins above
//! that T, so nobody grants twice what one of them, paused, cut off or back from long ago, had granted.

use std::time::Duration;

use cluster::{Actor, Address, AskError, BoxError, Child, Clock, RegisterState, System, child};
use domain::view::{Founding, LetGo, Others, renewal_ms};
use storage::carbon::hold;
use storage::{Database, StoreError};

use super::founding::FounderArguments;
use super::message::{HeldOn, HoldOn};
use crate::ticker::{Ticker, ticker};

/// It is looked whether something is due so often.
const TICK: Duration = Duration::from_millis(50);
/// It asks again after so long where it was told nothing.
const AGAIN: Duration = Duration::from_millis(500);
/// It goes by what it was told in an earlier life where nobody says anything for so long.
const PATIENCE: Duration = Duration::from_secs(3);
/// Whoever is told nothing for so long says so.
const SILENCE: Duration = Duration::from_secs(10);

/// What holds the register for its founder, or says that others vote where its node leads those: to be started after it.
#[must_use]
pub fn holder(system: &System, arguments: FounderArguments) -> Child {
    let started = (system.clock.clone(), arguments);
    let (_, child) = child::<HolderActor>(system, "agreed-view/holder", started);
    child
}

/// Time passed.
struct Tick;

/// The actor.
struct HolderActor {
    clock: Clock,
    arguments: FounderArguments,
    /// What an earlier life was told, until this one is told something.
    earlier_ms: Option<i64>,
    /// What a later life would go by.
    kept_ms: Option<i64>,
    /// When it asks next, when it asked last, and since when it was told nothing.
    due: Duration,
    asked: Duration,
    unheard: Option<Duration>,
    /// What it said of that: that nobody answers, that it stands still.
    has_warned: bool,
    stands: bool,
    _ticker: Ticker,
}

// === impl Actor ===

impl Actor for HolderActor {
    type Message = Tick;
    type Arguments = (Clock, FounderArguments);
    const KIND: &'static str = "agreed_view.holder";

    async fn start(
        (clock, arguments): (Clock, FounderArguments),
        me: Address<Tick>,
    ) -> Result<Self, BoxError> {
        let mut read = arguments.carbon.read().await?;
        let earlier_ms = hold::find(&mut read).await?;
        drop(read);
        Ok(Self {
            due: clock.monotonic(),
            asked: Duration::ZERO,
            clock,
            arguments,
            earlier_ms,
            kept_ms: earlier_ms,
            unheard: None,
            has_warned: false,
            stands: false,
            _ticker: ticker("view register hold", TICK, me, || Tick),
        })
    }

    async fn handle(&mut self, _: Tick) -> Result<(), BoxError> {
        let FounderArguments {
            register, cover, ..
        } = &self.arguments;
        let known = register.known();
        let sets = &known.voters.sets;
        if known.state != RegisterState::Running || sets.is_empty() {
            return Ok(());
        }
        let is_alone = self.is_alone();
        if !is_alone {
            // It is written down that others vote, before they do.
            cover.set(i64::MAX);
        }
        let now = self.clock.monotonic();
        // T is ahead of what it said: whoever calls is not to wait for its turn, nor whoever takes its place to guess.
        let is_ahead = cover.is_short() || cover.is_untold();
        let is_ahead = is_alone && cover.reach_ms() > i64::MIN && is_ahead;
        let is_due = now >= self.due || is_ahead && now >= self.asked + AGAIN;
        if is_due && (is_alone || known.leads) {
            let others = self.others(is_alone);
            self.ask(others, is_alone).await;
        }
        Ok(())
    }

    async fn stop(&mut self) {
        self.leave().await;
    }
}

// === impl HolderActor ===

impl HolderActor {
    /// Whether nobody else votes. Who founds nothing holds nothing: where it decides, alone or not, others do for a founder.
    fn is_alone(&self) -> bool {
        if !self.arguments.counts {
            return false;
        }
        let known = self.arguments.register.known();
        let mut voters = known.voters.sets.iter().flatten();
        voters.all(|voter| *voter == self.arguments.nodes.me().node)
    }

    /// Who takes part beside it now.
    fn others(&self, is_alone: bool) -> Others {
        let view = self.arguments.agreed.view();
        let me = &self.arguments.nodes.me().node;
        match is_alone {
            false => Others::Vote,
            true if view.members.iter().any(|life| life.node != *me) => Others::Own,
            true => Others::None,
        }
    }

    async fn ask(&mut self, others: Others, is_alone: bool) {
        let asked = self.asked(others);
        if asked.generation == 0 {
            // It is founded, and not known yet with what.
            return;
        }
        let (began, ahead_ms) = (self.clock.monotonic(), self.arguments.cover.ahead_ms());
        self.asked = began;
        let answer = self.arguments.claims.hold(asked).await;
        self.due = began + millis(renewal_ms(hold_ms(self.arguments.hold)));
        let reach_ms = match answer {
            Ok(HeldOn::Free) => i64::MAX,
            Ok(HeldOn::Until { reach_ms }) => reach_ms,
            Ok(HeldOn::Lost { name }) => {
                self.stand_still(&name, is_alone);
                i64::MIN
            }
            Ok(HeldOn::Unavailable) => {
                return self.goes_on(began, "its database does not answer");
            }
            Err(error) => {
                return self.goes_on(began, &error.to_string());
            }
        };
        if std::mem::take(&mut self.has_warned) {
            tracing::info!("the control plane knows again that this node decides on views");
        }
        if reach_ms > i64::MIN && std::mem::take(&mut self.stands) {
            tracing::info!("this node holds the view register again and counts on");
        }
        (self.unheard, self.earlier_ms) = (None, None);
        if is_alone {
            // As far as it likes is so however far ahead it is.
            let is_bounded = reach_ms < i64::MAX;
            let ahead_ms = if is_bounded { ahead_ms } else { i64::MAX };
            self.may_go_to(reach_ms, ahead_ms).await;
        }
    }

    fn asked(&self, others: Others) -> HoldOn {
        let FounderArguments {
            nodes,
            name,
            agreed,
            cover,
            hold,
            ..
        } = &self.arguments;
        let view = agreed.view();
        if let Some(t0_ms) = view.t0_ms {
            // T is there already, whatever this node's clock shows.
            cover.has_used(t0_ms, self.clock.now_ms());
        }
        let hold_ms = hold_ms(*hold);
        HoldOn {
            node: nodes.me().node.clone(),
            name: name.clone(),
            life: nodes.me().incarnation,
            generation: Founding::generation_of_view(&view),
            others,
            reach_ms: cover.wanted_ms(self.clock.now_ms(), hold_ms),
            hold_ms,
            leaves_from_ms: None,
        }
    }

    /// Nothing is fenced here any more: whoever takes this node's place, without its disk, need not wait for it, and no
    /// later life of it goes by what this one was told.
    async fn leave(&mut self) {
        if !self.arguments.counts {
            return;
        }
        let Some(LetGo {
            told_ms,
            used_ms: reach_ms,
        }) = self.arguments.cover.let_go()
        else {
            return;
        };
        if !self.is_alone() || !self.arguments.is_asked_here {
            return;
        }
        if let Err(error) = save(&self.arguments.carbon, reach_ms).await {
            tracing::debug!(%error, "it is not kept that this node holds the view register no more");
            return;
        }
        let mut asked = self.asked(Others::None);
        (asked.reach_ms, asked.leaves_from_ms) = (reach_ms, Some(told_ms));
        let error = match self.arguments.claims.hold(asked).await {
            // It may be written down all the same.
            Ok(HeldOn::Unavailable) => AskError::Timeout,
            Ok(_) => return,
            Err(error) => error,
        };
        tracing::info!(%error, "whoever takes this node's place has to wait for it, for nobody could be told that it stops");
        // Where nobody heard of it, it goes on by what it was told. Whether somebody did may be unknown.
        if matches!(error, AskError::Unavailable)
            && let Err(error) = save(&self.arguments.carbon, told_ms).await
        {
            tracing::debug!(%error, "it is not kept how far this node may go");
        }
    }

    /// A later life may have to go by it, so it is on disk first.
    async fn may_go_to(&mut self, reach_ms: i64, ahead_ms: i64) {
        let FounderArguments { cover, carbon, .. } = &self.arguments;
        // While others voted it went as far as it liked, and none of that is on disk.
        if reach_ms == cover.reach_ms() && self.kept_ms == Some(reach_ms) {
            cover.told(reach_ms, ahead_ms);
            return;
        }
        if reach_ms < cover.reach_ms() {
            cover.told(reach_ms, ahead_ms);
        }
        match save(carbon, reach_ms).await {
            Ok(()) => self.kept_ms = Some(reach_ms),
            // It goes on by what it was told; a later life is told anew, or waits.
            Err(error) => tracing::debug!(%error, "how far this node may go cannot be kept"),
        }
        self.arguments.cover.told(reach_ms, ahead_ms);
    }

    /// Another node has the register: this one grants nothing more.
    fn stand_still(&mut self, name: &str, is_alone: bool) {
        if std::mem::replace(&mut self.stands, true) {
            return;
        }
        if is_alone {
            tracing::error!(
                other = name,
                "another node has founded the view register anew in this one's place: this node counts nothing any more, \
                 and calls with limits are not let through here. If the other one is to go on, stop this one for good, \
                 or start it under another name and with an empty data directory; if this one is to go on, stop the \
                 other one and start this one with an empty data directory"
            );
        } else {
            tracing::error!(
                other = name,
                "the control plane's database knows of a later founding of the view register than that which this node and \
                 others decide on: stop the node that founded it for good, or calls may be counted twice"
            );
        }
    }

    /// Nobody can be told that it is there: it goes on as far as it was told that it may.
    fn goes_on(&mut self, now: Duration, why: &str) {
        self.due = now + AGAIN;
        let since = *self.unheard.get_or_insert(now);
        let silent = self.clock.monotonic().saturating_sub(since);
        let cover = &self.arguments.cover;
        if silent >= PATIENCE
            && let Some(earlier_ms) = self.earlier_ms.take()
        {
            cover.set(earlier_ms.max(cover.reach_ms()));
        }
        let reach_ms = cover.reach_ms();
        // Others that vote with this one bound it, and nobody has to be told.
        let is_bounded = reach_ms < i64::MAX;
        if silent >= SILENCE && is_bounded && !std::mem::replace(&mut self.has_warned, true) {
            let left_s = reach_ms.saturating_sub(self.clock.now_ms()) / 1_000;
            tracing::warn!(
                why,
                left_s,
                "no node of the control plane can be told that this one decides on views: it counts on for so long, and \
                 then stands still, for another one may have taken its place; bring the control plane back by then"
            );
        }
        if silent >= SILENCE && cover.is_short() && !std::mem::replace(&mut self.stands, true) {
            tracing::error!(
                why,
                "this node counts nothing until a node of the control plane and its database answer: for longer than \
                 traffic_manager.hold_s nobody could be told that it is there, and another one may have taken its place"
            );
        }
    }
}

/// For how long it goes on, as it is said.
pub(super) fn hold_ms(hold: Duration) -> i64 {
    i64::try_from(hold.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// Has on disk how far this node may go.
pub(super) async fn save(carbon: &Database, reach_ms: i64) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.hold").await?;
    hold::save(&mut write, reach_ms).await?;
    write.commit().await
}
