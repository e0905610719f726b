//! What all shards of a member share: which life it is in, its T, and how far T is noted on its own disk and fenced by
//! the voters (L3, L10).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use cluster::{Address, Clock};
use domain::view::{Epoch, Fences, Life, NodeTime, Now, RightClock, Waits};

use super::counted;
use super::keeper::Due;
use super::reporter::ReporterMessage;
use crate::agreed_view::LIVES;

/// A clock that is further from the others' is told of.
const APART_MS: i64 = 2_000;
/// A disk that owes a note of T for so long hangs.
const STALLED_MS: i64 = 1_000;

/// The node-wide state.
#[derive(Debug)]
pub(in crate::traffic_manager) struct Site {
    node: String,
    incarnation: u64,
    failures: AtomicU64,
    clock: Clock,
    /// By how much this life sets its clock right, and the same as it is read with each step.
    right: Mutex<RightClock>,
    right_ms: AtomicI64,
    inner: Mutex<Inner>,
    /// The highest T in which grants wait for a fence.
    wanted_ms: AtomicI64,
    /// The highest epoch that anybody refused this node for.
    refused: Mutex<Option<Epoch>>,
    /// Whom shards wait for.
    waits: Mutex<Waits>,
    /// Members that do not understand what is said to them, each told in the log once.
    deaf: Mutex<BTreeSet<Life>>,
    reporter: OnceLock<Address<ReporterMessage>>,
    keeper: OnceLock<Address<Due>>,
    poked: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    /// None before the disk has said where an earlier life was.
    time: Option<NodeTime>,
    fences: Fences,
    fenced: Fed,
    /// The view that is to be on disk as the first one.
    beginning: Option<Epoch>,
}

/// How far shards may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fed {
    /// The T that is noted on disk.
    pub(super) noted_ms: i64,
    /// The T that a majority has fenced, and for which view.
    pub(super) fenced: (Epoch, i64),
    /// The view that the disk took part in first.
    pub(super) begun: Option<Epoch>,
}

// === impl Site ===

impl Site {
    pub(super) fn new(node: &str, incarnation: u64, clock: Clock) -> Self {
        Self {
            node: node.to_owned(),
            incarnation,
            failures: AtomicU64::new(0),
            clock,
            right: Mutex::default(),
            right_ms: AtomicI64::new(0),
            inner: Mutex::new(Inner {
                time: None,
                fences: Fences::default(),
                fenced: Fed::default(),
                beginning: None,
            }),
            wanted_ms: AtomicI64::new(i64::MIN),
            refused: Mutex::default(),
            waits: Mutex::default(),
            deaf: Mutex::default(),
            reporter: OnceLock::new(),
            keeper: OnceLock::new(),
            poked: AtomicBool::new(false),
        }
    }

    /// This node in the life that its shards are in.
    pub(in crate::traffic_manager) fn life(&self) -> Life {
        Life::new(self.node.clone(), self.incarnation_now())
    }

    /// Whether this is the life that its shards are in.
    pub(super) fn is_life(&self, life: &Life) -> bool {
        life.incarnation == self.incarnation_now()
    }

    /// What tells the lives that its shards are in apart.
    pub(super) fn incarnation_now(&self) -> u64 {
        let failures = self.failures.load(Ordering::SeqCst);
        let lives = self.incarnation.saturating_mul(LIVES);
        lives.saturating_add(failures)
    }

    /// A step has failed: all shards begin another life.
    pub(super) fn fail(&self) {
        self.failures.fetch_add(1, Ordering::SeqCst);
    }

    /// The disk has said where an earlier life was, has this note, and took part in this view first.
    pub(super) fn begin(&self, time: NodeTime, begun: Option<Epoch>) {
        let mut inner = self.inner();
        inner.fenced.begun = begun;
        inner.fenced.noted_ms = time.noted_ms();
        inner.time = Some(time);
    }

    /// The node's clock, set right by the voters'.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms().saturating_add(self.right_ms())
    }

    /// By how much it is set right.
    pub(super) fn right_ms(&self) -> i64 {
        self.right_ms.load(Ordering::Relaxed)
    }

    /// A voter's clock shows this, and is set right by so much.
    pub(super) fn hear_clock(&self, voter: &str, clock_ms: i64, right_ms: i64) {
        let apart_ms = clock_ms.saturating_sub(self.clock.now_ms());
        self.right()
            .hear(voter, (apart_ms, right_ms), self.steady_ms());
    }

    /// Sets the clock of this life right, once enough of these voters were heard, and slowly from then on; gives whether it
    /// is.
    pub(super) fn set_right(&self, voters: &[String]) -> bool {
        let mut right = self.right();
        let is_first = right.right_ms().is_none();
        if !right.follow(&self.node, voters, self.steady_ms()) {
            return false;
        }
        let right_ms = right.right_ms().unwrap_or_default();
        self.right_ms.store(right_ms, Ordering::Relaxed);
        if is_first && right_ms.abs() > APART_MS {
            tracing::warn!(
                apart_ms = -right_ms,
                "this node's clock is apart from those of the voters: windows of plans go by theirs; set it right"
            );
        }
        true
    }

    /// T now; the node's clock before it has begun.
    pub(super) fn t_ms(&self) -> i64 {
        self.now().t_ms
    }

    /// T, and the node's clock that neither steps nor slews.
    pub(super) fn now(&self) -> Now {
        let now_ms = self.now_ms();
        // Not the clock that T goes by: that nears others by slewing, and so runs faster than time does.
        let clock_ms = i64::try_from(self.clock.steady().as_millis()).unwrap_or(i64::MAX);
        let time = &mut self.inner().time;
        let t_ms = time.as_mut().map_or(now_ms, |time| time.t_ms(now_ms));
        let runs_ms = time.as_ref().map_or(now_ms, |time| time.running_ms(now_ms));
        Now {
            t_ms,
            clock_ms,
            runs_ms,
        }
    }

    /// How far T lies ahead of the node's clock.
    pub(super) fn ahead_ms(&self) -> i64 {
        let now_ms = self.now_ms();
        let time = &self.inner().time;
        time.as_ref().map_or(0, |time| time.ahead_ms(now_ms))
    }

    /// How far shards may go now.
    pub(super) fn fed(&self) -> Fed {
        self.inner().fenced
    }

    /// Others are at this T.
    pub(super) fn lift(&self, t_ms: i64) {
        let now_ms = self.now_ms();
        if let Some(time) = &mut self.inner().time {
            time.lift(t_ms, now_ms);
        }
    }

    /// The T to write down, if it is time to.
    pub(super) fn due_note(&self) -> Option<i64> {
        let now_ms = self.now_ms();
        self.inner().time.as_mut()?.due_note(now_ms)
    }

    /// Whether that T is on disk now; a node that decides alone goes on by it in any case.
    pub(super) fn noted(&self, t_ms: i64, is_written: bool) {
        let mut inner = self.inner();
        let Inner { time, fenced, .. } = &mut *inner;
        let Some(time) = time else {
            return;
        };
        if is_written {
            time.noted(t_ms);
        } else {
            time.not_noted();
        }
        fenced.noted_ms = time.noted_ms();
    }

    /// The disk takes part in this view for the first time.
    pub(super) fn take_part(&self, epoch: Epoch) {
        let mut inner = self.inner();
        if inner.fenced.begun.is_some() || inner.beginning.is_some() {
            return;
        }
        inner.beginning = Some(epoch);
        drop(inner);
        self.poke_keeper();
    }

    /// There is something for the disk.
    pub(super) fn poke_keeper(&self) {
        if let Some(keeper) = self.keeper.get() {
            // Else its next tick finds it.
            let _ = keeper.tell(Due);
        }
    }

    /// The view that the disk is to know of as its first, while it does not.
    pub(super) fn due_beginning(&self) -> Option<Epoch> {
        let inner = self.inner();
        inner.beginning.filter(|_| inner.fenced.begun.is_none())
    }

    /// The disk knows its first view.
    pub(super) fn has_begun(&self, epoch: Epoch) {
        self.inner().fenced.begun = Some(epoch);
    }

    /// Whom to tell of what is due on disk.
    pub(super) fn kept_by(&self, keeper: Address<Due>) {
        let _ = self.keeper.set(keeper);
    }

    /// Grants wait for a fence of this T.
    pub(super) fn want(&self, t_ms: i64) {
        let before = self.wanted_ms.fetch_max(t_ms, Ordering::SeqCst);
        if before < t_ms {
            self.poke();
        }
    }

    /// The T to have fenced for this view, if it is time to ask the voters.
    pub(super) fn due_fence(&self, epoch: Epoch, voters: &[String]) -> Option<i64> {
        let wanted_ms = self.wanted_ms.load(Ordering::SeqCst);
        if wanted_ms == i64::MIN {
            return None;
        }
        let now_ms = self.steady_ms();
        let fences = &mut self.inner().fences;
        fences.begin(epoch, voters);
        let due = fences.need(wanted_ms, now_ms);
        counted::fence_asked(due.is_some());
        due
    }

    /// A voter has fenced this T. Gives whether shards may go further by it.
    pub(super) fn fenced(&self, voter: &str, epoch: Epoch, t_ms: i64) -> bool {
        let mut inner = self.inner();
        let Inner { fences, fenced, .. } = &mut *inner;
        let goes_on = fences.acked(voter, epoch, t_ms);
        counted::fence_passed(goes_on);
        if let (true, Some(t_ms)) = (goes_on, fences.fenced_ms()) {
            fenced.fenced = (epoch, t_ms);
        }
        goes_on
    }

    /// Somebody knows of this later epoch.
    pub(super) fn refuse(&self, at: Epoch) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_none_or(|known| known < at) {
            *refused = Some(at);
            drop(refused);
            self.poke();
        }
    }

    /// The highest epoch that anybody refused it for.
    pub(super) fn refused(&self) -> Option<Epoch> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of a copy came from this node, or is known to have come there.
    pub(super) fn moves(&self, epoch: Epoch, with: &str) {
        self.waits().moves(epoch, with, self.steady_ms());
    }

    /// A shard waits for this node for longer than it may.
    pub(super) fn stalls(&self, node: String) {
        self.waits().stalls(node, self.steady_ms());
    }

    /// Parts of copies that came here and from here in this view.
    pub(super) fn parts(&self, epoch: Epoch) -> u64 {
        self.waits().parts(epoch)
    }

    /// Whom shards waited for too long since this was asked last; this node itself when its disk owes a note of T, for
    /// shards that go by T do not notice that it stands still.
    pub(super) fn take_stalled(&self) -> BTreeSet<String> {
        let mut taken = self.waits().take_stalled();
        let now_ms = self.now_ms();
        let inner = self.inner();
        if let Some(time) = &inner.time
            && time.waits_ms(now_ms) > STALLED_MS
        {
            taken.insert(self.node.clone());
        }
        taken
    }

    /// Another member does not understand what is said about shards. Gives whether that is news.
    pub(super) fn is_not_understood_by(&self, life: &Life) -> bool {
        let mut deaf = self.deaf.lock().unwrap_or_else(PoisonError::into_inner);
        deaf.insert(life.clone())
    }

    /// Whom to poke.
    pub(super) fn reported_by(&self, reporter: Address<ReporterMessage>) {
        let _ = self.reporter.set(reporter);
    }

    /// There is something to tell voters.
    pub(super) fn poke(&self) {
        if let Some(reporter) = self.reporter.get()
            && !self.poked.swap(true, Ordering::SeqCst)
            && reporter.tell(ReporterMessage::Look).is_err()
        {
            self.poked.store(false, Ordering::SeqCst);
        }
    }

    /// It looks now.
    pub(super) fn looked(&self) {
        self.poked.store(false, Ordering::SeqCst);
    }

    fn steady_ms(&self) -> i64 {
        let now = self.clock.monotonic().as_millis();
        i64::try_from(now).unwrap_or(i64::MAX)
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn right(&self) -> MutexGuard<'_, RightClock> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Fed {
    fn default() -> Self {
        Self {
            noted_ms: i64::MIN,
            fenced: (Epoch::default(), i64::MIN),
            begun: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_slide_go_by_a_clock_that_is_not_set_right_with_t() {
        let site = Site::new("a", 1, Clock::system());
        let (before, steady) = (site.now(), site.clock.steady().as_millis());
        assert!(i64::try_from(steady).unwrap() - before.clock_ms < 60_000);
        site.right_ms.store(3_600_000, Ordering::Relaxed);
        let after = site.now();
        assert!(after.t_ms - before.t_ms >= 3_600_000);
        let passed_ms = after.clock_ms - before.clock_ms;
        assert!((0..60_000).contains(&passed_ms), "{passed_ms}");
    }

    #[test]
    fn who_gives_to_another_shard_does_not_stall() {
        let site = Site::new("a", 1, Clock::system());
        let epoch = Epoch::new(1, 1).unwrap();
        site.moves(epoch, "b");
        for node in ["b", "c"] {
            site.stalls(node.to_owned());
        }
        assert_eq!(site.parts(epoch), 1);
        assert_eq!(site.take_stalled(), BTreeSet::from(["c".to_owned()]));
    }

    #[test]
    fn who_does_not_understand_is_told_of_once_in_each_life() {
        let site = Site::new("a", 1, Clock::system());
        let deaf = |incarnation| site.is_not_understood_by(&Life::new("b", incarnation));
        assert_eq!([deaf(1), deaf(1), deaf(2)], [true, false, true]);
        assert!(site.is_not_understood_by(&Life::new("c", 1)));
    }
}
