//! The streams of a streams world: entered, looked at after changes, judged anew, cut.

use std::sync::Arc;

use super::Planted;
use super::stream_gateway::Stream;
use super::stream_log::{Token, Verdict};
use super::stream_world::{At, PAUSE_MS, Waiter, World};
use crate::open_call::{AGAIN_MS, Judged, Next, Patience};
use crate::validation_cache::Entry;

// === impl World ===

impl World {
    pub(super) fn register(
        &mut self,
        gateway: usize,
        token: Token,
        entry: Arc<Entry<Verdict>>,
        applied: u64,
    ) {
        self.numbers += 1;
        self.truth.seen.once("opened");
        let stream = Stream {
            token,
            entry,
            patience: Patience::default(),
            judging: None,
            again: false,
        };
        let at = &mut self.gateways[gateway];
        at.streams.insert(self.numbers, stream);
        // A round may have gone by between its judgement and this.
        if at.applied != applied && self.plan.planted != Some(Planted::LateCallsAreNotLookedAt) {
            self.soon(gateway, (0, PAUSE_MS), At::Round);
        }
    }

    pub(super) fn round(&mut self, gateway: usize) {
        let now_ms = self.clock_ms(gateway);
        let at = &mut self.gateways[gateway];
        let asks = self.plan.planted == Some(Planted::CertainEndsAreAsked);
        let (mut touched, mut over) = (Vec::new(), Vec::new());
        for (number, stream) in &mut at.streams {
            stream.again = true;
            let certain = || self.log.bad(stream.token, at.applied).certain.is_some();
            match stream.judging {
                None if stream.is_touched(now_ms) => touched.push(*number),
                // Whoever waits for an answer about it need not wait for that.
                Some(judgement) if !asks && certain() => over.push((*number, judgement)),
                _ => {}
            }
        }
        for stream in touched {
            self.judge(gateway, stream);
        }
        for judgement in over {
            self.judged(gateway, judgement, Judged::Ended(()), None);
        }
    }

    pub(super) fn judge(&mut self, gateway: usize, number: u64) {
        self.numbers += 1;
        let (judgement, now_ms) = (self.numbers, self.clock_ms(gateway));
        let at = &mut self.gateways[gateway];
        let Some(stream) = at.streams.get_mut(&number) else {
            return;
        };
        stream.again = false;
        stream.judging = Some(judgement);
        let left_ms = stream.patience.begin(now_ms);
        let token = stream.token;
        let is_certain = self.log.bad(token, at.applied).certain.is_some();
        if is_certain && self.plan.planted != Some(Planted::CertainEndsAreAsked) {
            return self.judged(gateway, (number, judgement), Judged::Ended(()), None);
        }
        self.soon(
            gateway,
            (left_ms, left_ms),
            At::JudgedLate(number, judgement),
        );
        self.look_up(gateway, token, Waiter::Stream(number, judgement));
    }

    pub(super) fn judged(
        &mut self,
        gateway: usize,
        (number, judgement): (u64, u64),
        judged: Judged<()>,
        entry: Option<Arc<Entry<Verdict>>>,
    ) {
        let now_ms = self.clock_ms(gateway);
        let at = &mut self.gateways[gateway];
        let Some(stream) = at.streams.get_mut(&number) else {
            return;
        };
        if stream.judging != Some(judgement) {
            return;
        }
        let goes_on = self.plan.planted == Some(Planted::UnsureGoesOnCutOff);
        let next = match stream.patience.step(judged, now_ms) {
            Next::Cut(()) if goes_on && judged == Judged::Unsure(()) && at.lease.is_cut_off() => {
                Next::Again
            }
            next => next,
        };
        match next {
            Next::Cut(()) => {
                self.truth
                    .seen
                    .times("ended", u64::from(matches!(judged, Judged::Ended(()))));
                self.truth
                    .seen
                    .times("unsure", u64::from(matches!(judged, Judged::Unsure(()))));
                at.streams.remove(&number);
            }
            Next::Again => {
                // A late word of this judgement counts no more.
                stream.judging = Some(0);
                self.soon(gateway, (AGAIN_MS, AGAIN_MS), At::Judge(number));
            }
            Next::GoesOn => {
                self.truth.seen.once("stood");
                stream.entry = entry.unwrap_or_else(|| Arc::clone(&stream.entry));
                stream.judging = None;
                if stream.again && stream.is_touched(now_ms) {
                    self.judge(gateway, number);
                }
            }
        }
    }
}
