//! How the owner decides about one cell: grants, recall rounds, refusals, reopening (PROTOCOLS L7, L9).
//! `owner` finds the cell and decides when the messages made here may be released.

use std::collections::BTreeMap;

use super::answers::Answers;
use super::cell::{Absorbed, Cell, Held};
use super::message::{Ask, CellKey, Holder, Outcome, Recall, Reopen, Reply, Stamp};
use super::round::{Round, RoundsPane};

/// A gateway that is told to retry waits so long (L9).
pub(super) const RETRY_MS: u32 = 200;

/// A message for a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Reply(Reply),
    Recall(Recall),
    Reopen(Reopen),
}

/// What one step of the owner is about, and what it brings about.
#[derive(Debug)]
pub(super) struct Step {
    /// T, read after the input arrived (L7).
    pub(super) now_ms: i64,
    /// The steady time then (L10).
    pub(super) steady_ms: i64,
    /// By which leases end then.
    pub(super) leases_by_ms: i64,
    /// The stamp of every change this step makes.
    pub(super) stamp: Stamp,
    pub(super) messages: Vec<Message>,
    /// How long gateways take to answer.
    pub(super) answers: Answers,
    /// Units that it grants.
    pub(super) granted: u64,
    /// An administrator gave units back: the disk has to say less.
    pub(super) gave_back: bool,
}

// === impl Cell ===

impl Cell {
    /// Takes in what an ask says and decides what it wants.
    pub(super) fn ask(&mut self, key: &CellKey, ask: Ask, step: &mut Step) {
        let node = ask.holder.node.clone();
        let before = self
            .holders
            .get(&node)
            .map(|held| (held.count.clone(), held.silent));
        match self.absorb(&ask, step.stamp.epoch) {
            Absorbed::Stale => return self.is_stale(&ask, step),
            Absorbed::Current => {}
            // The disk has to say less, before the reset is said to be done.
            Absorbed::GaveBack => {
                step.gave_back = true;
                self.took(&node, step);
            }
            Absorbed::GaveBackLate => step.gave_back = true,
        }
        if before.is_none() {
            self.meets(key, &ask, step);
        }
        step.answers.heard(&node);
        let after = self.holders.get(&node).map(|held| held.count.clone());
        let is_late_news = self.hear_late(&ask, step.steady_ms);
        let has_left = self.has_left(&ask, step.stamp.epoch);
        if is_late_news || has_left || before.as_ref().map(|(count, _)| count) != after.as_ref() {
            self.stamp = step.stamp;
        }
        if ask.emptied && ask.window == Some(self.window.id) {
            self.answered(&ask, step);
        }
        self.serve(key, step);
        let spoke_again = before.is_some_and(|(_, silent)| silent);
        if spoke_again {
            step.answers.spoke(&node);
        }
        if spoke_again && !self.outstanding(None).is_empty() {
            // What counted as spent may come back after all: those who were told no get another round.
            self.reopen(key, step);
        }
        if ask.want > 0 {
            self.decide(key, ask, step);
        }
        self.end_round_if_heard(key, step);
        self.reopen_if_free(key, step);
    }

    /// It was overtaken by what its gateway says by a later lease, as on its way to a recall of a reset. That one's wishes
    /// wait for the answer to this.
    fn is_stale(&self, ask: &Ask, step: &mut Step) {
        if ask.want > 0 {
            let retry = Outcome::Retry { after_ms: RETRY_MS };
            step.messages.push(Message::bare(ask, self.stamp, retry));
        }
    }

    /// The window's limit changed under way (L9).
    pub(super) fn set_limit(&mut self, key: &CellKey, limit: u64, step: &mut Step) {
        self.quota.limit = limit;
        self.stamp = step.stamp;
        let (used_here, span_ms) = (self.used_here(), self.quota.window.span_ms());
        if let Some(earlier) = self.earlier.as_mut() {
            earlier.fits(limit, used_here, step.steady_ms, span_ms);
        }
        self.serve(key, step);
        self.reopen_if_free(key, step);
        // Nor does a reset that waits keep it from that: what it does not recall is recalled after it.
        self.recall_above_limit(key, step);
    }

    /// So many units less count: those of leases that are over first, then of earlier panes, then of holders. What
    /// those hold of it stays theirs, and comes back to nobody: it is free already.
    ///
    /// Of a window that nobody knows of nothing is given back: it is full, whatever was used.
    pub(super) fn refund(&mut self, key: &CellKey, units: u64, step: &mut Step) {
        if self.lost || units == 0 {
            return;
        }
        self.stamp = step.stamp;
        step.gave_back = true;
        let mut rest = units;
        let spent = self.spent.min(rest);
        self.spent = self.spent.saturating_sub(spent);
        rest = rest.saturating_sub(spent);
        if let Some(earlier) = self.earlier.as_mut() {
            rest = rest.saturating_sub(earlier.forgive(rest));
        }
        for held in self.holders.values_mut() {
            let given = held.net().min(rest);
            held.count.forgiven = held.count.forgiven.saturating_add(given);
            rest = rest.saturating_sub(given);
        }
        self.serve(key, step);
        self.reopen_if_free(key, step);
    }

    /// Ends the round that nobody has to answer any more, if there is one.
    pub(super) fn end_round_if_heard(&mut self, key: &CellKey, step: &mut Step) {
        let round = self.round.as_ref();
        if round.is_some_and(|round| round.awaiting.is_empty()) {
            self.end_round(key, step);
        }
    }

    /// A round is over: all answered, or its time passed.
    pub(super) fn end_round(&mut self, key: &CellKey, step: &mut Step) {
        let Some(round) = self.round.take() else {
            return;
        };
        for (node, out_before) in &round.awaiting {
            if let Some(held) = self.holders.get_mut(node) {
                // Silence means spent (L7); it speaks again with its next ask.
                held.silent = true;
                if round.resetting {
                    held.awaited = Some(*out_before);
                }
            }
            step.answers.missed(node);
        }
        if round.resetting {
            self.were_silent(&round);
        }
        self.forgive_ended(round.ended, step);
        for ask in round.waiting {
            self.decide(key, ask, step);
        }
        self.reopen_if_free(key, step);
        if round.resetting {
            self.recall_above_limit(key, step);
        }
    }

    /// Its limit is lower than what is out: what is held unused comes back (L9).
    fn recall_above_limit(&mut self, key: &CellKey, step: &mut Step) {
        let recalls = (self.round.as_ref()).is_some_and(|round| !round.is_of_ended_panes());
        if self.used() > self.quota.limit && !recalls {
            self.start_round(key, Vec::new(), None, step);
        }
    }

    fn answered(&mut self, ask: &Ask, step: &mut Step) {
        let node = ask.holder.node.as_str();
        // To a reset the lease that it recalls says nothing: calls may hold something of it, and put that back.
        let Some(round) = self.round.as_mut().filter(|round| !round.resetting) else {
            return;
        };
        // One with a wish may have been under way before.
        if round.awaiting.remove(node).is_some() && ask.want == 0 {
            self.took(node, step);
        }
    }

    /// It has answered the round's recall.
    fn took(&self, node: &str, step: &mut Step) {
        // Before the recalls have left any word was under way already.
        let round = (self.round.as_ref()).filter(|round| round.until_ms < i64::MAX);
        if let Some(round) = round {
            let took_ms = step.now_ms.saturating_sub(round.since_ms);
            step.answers.took(node, took_ms);
        }
    }

    /// Whether its lease is about to be void: a reset waits for the gateway to go on by another one.
    fn is_recalled_anew(&self, node: &str) -> bool {
        let round = self.round.as_ref().filter(|round| round.resetting);
        round.is_some_and(|round| round.awaiting.contains_key(node))
    }

    /// The first of those that wait for the round who may be granted something before it ends.
    fn next_served(&mut self) -> Option<Ask> {
        let waiting = self.round.iter().flat_map(|round| &round.waiting);
        let mut nodes = waiting.map(|ask| &ask.holder.node);
        let place = nodes.position(|node| !self.is_recalled_anew(node))?;
        self.round.as_mut().map(|round| round.waiting.remove(place))
    }

    /// Gives those who wait for the round what has come free meanwhile.
    fn serve(&mut self, key: &CellKey, step: &mut Step) {
        while self.free() > 0
            && let Some(ask) = self.next_served()
        {
            self.decide(key, ask, step);
        }
    }

    fn decide(&mut self, key: &CellKey, ask: Ask, step: &mut Step) {
        if self.is_recalled_anew(&ask.holder.node) {
            self.reply(key, &ask, Outcome::Retry { after_ms: RETRY_MS }, step);
            return self.wait(ask);
        }
        let have = if ask.window == Some(self.window.id) {
            ask.have
        } else {
            0
        };
        let granted = self.granted(&ask.holder);
        // Up to what it wants beyond what it has: a repeated ask finds it granted already (L7).
        let need = have.saturating_add(ask.want).saturating_sub(granted);
        let size = need
            // What is used at once is no lease: were it kept back, calls would be let through one in each exchange.
            .min(self.lease_size(granted, step.now_ms).max(ask.due))
            .min(self.free());
        if size > 0 {
            self.grant(&ask.holder, size);
            step.granted = step.granted.saturating_add(size);
            self.stamp = step.stamp;
        }
        if granted.saturating_add(size) > have {
            return self.reply(key, &ask, Outcome::Granted, step);
        }
        // What a reset waits for comes free when its holders go on by other leases, whatever they said of these.
        let resets = (self.round.as_ref())
            .is_some_and(|round| round.resetting && !round.awaiting.is_empty());
        if self.lost || !resets && self.outstanding(Some(&ask.holder.node)).is_empty() {
            // Nothing is free and nobody else holds anything: this no is final (L9).
            self.denied.insert(ask.holder.clone());
            return self.reply(key, &ask, Outcome::Final, step);
        }
        self.reply(key, &ask, Outcome::Retry { after_ms: RETRY_MS }, step);
        let round = self.round.as_ref();
        match round.is_some_and(|round| !round.is_of_ended_panes()) {
            true => self.wait(ask),
            false => self.start_round(key, vec![ask], None, step),
        }
    }

    /// It is decided when the round ends, or as soon as something comes free.
    fn wait(&mut self, ask: Ask) {
        if let Some(round) = self.round.as_mut() {
            round
                .waiting
                .retain(|other| other.holder.node != ask.holder.node);
            round.waiting.push(ask);
        }
    }

    /// The most a lease may get now: max(1, limit / 200), twice that only while the window is young and the gateway
    /// comes back for more, less near the limit, where others may need the rest (L7). A gateway that is killed takes it
    /// with it, and what it still had of the one before.
    fn lease_size(&self, granted: u64, now_ms: i64) -> u64 {
        let chunk = self.quota.chunk();
        let elapsed = now_ms.saturating_sub(self.window.start_ms);
        let young = elapsed.saturating_mul(10) < self.window.length_ms()
            && self.used() < self.quota.limit / 10;
        let most = if young && granted >= chunk {
            (self.quota.limit / 100).max(chunk)
        } else {
            chunk
        };
        let gateways = u64::try_from(self.holders.len()).unwrap_or(u64::MAX).max(1);
        let share = if gateways > 1 {
            self.free() / gateways.saturating_mul(2)
        } else {
            self.free()
        };
        most.min(share.max(1))
    }

    /// Recalls from everyone who may hold something, except the only one who waits for it. One of a reset recalls from these,
    /// and what is out in these panes too; any other one leaves them to the reset that waits for them.
    pub(super) fn start_round(
        &mut self,
        key: &CellKey,
        mut waiting: Vec<Ask>,
        reset: Option<(Vec<Holder>, Vec<RoundsPane>)>,
        step: &mut Step,
    ) {
        let resetting = reset.is_some();
        let (of_reset, reset) = reset.unzip();
        let except = match waiting.as_slice() {
            [only] if !resetting => Some(only.holder.node.clone()),
            _ => None,
        };
        let mut from = of_reset.unwrap_or_else(|| self.outstanding(except.as_deref()));
        let out = |node: &String| self.holders.get(node).map_or(0, |held| held.count.out());
        let asked = |holder: &Holder| (holder.node.clone(), out(&holder.node));
        let awaiting: BTreeMap<String, u64> = from.iter().map(asked).collect();
        if let Some(ended) = &reset {
            from.extend(self.holders_of(ended, &awaiting));
        }
        for holder in from {
            let recall = self.recall_from(holder, key, resetting);
            step.messages.push(recall);
        }
        let lasts_ms = step.answers.round_ms(awaiting.keys());
        // They may wait for standby or disk.
        let until_ms = match awaiting.is_empty() {
            true => step.now_ms.saturating_add(lasts_ms),
            false => i64::MAX,
        };
        let before = self.round.take().unwrap_or_default();
        let mut all = before.waiting;
        all.retain(|other| {
            let mut now = waiting.iter();
            now.all(|ask| ask.holder.node != other.holder.node)
        });
        all.append(&mut waiting);
        self.round = Some(Round {
            since_ms: step.now_ms,
            until_ms,
            lasts_ms,
            awaiting,
            waiting: all,
            stamp: self.stamp,
            resetting,
            of_any: false,
            ended: reset.unwrap_or(before.ended),
        });
    }

    pub(super) fn recall_from(&self, holder: Holder, key: &CellKey, anew: bool) -> Message {
        Message::Recall(Recall {
            granted: self.granted(&holder),
            holder,
            cell: key.clone(),
            stamp: self.stamp,
            window: self.window.id,
            anew,
        })
    }

    pub(super) fn reopen_if_free(&mut self, key: &CellKey, step: &mut Step) {
        if self.free() > 0 {
            self.reopen(key, step);
        }
    }

    /// Tells everyone who was told no to ask again (L9).
    pub(super) fn reopen(&mut self, key: &CellKey, step: &mut Step) {
        let mut denied = std::mem::take(&mut self.denied);
        if std::mem::take(&mut self.others_denied) {
            let holder = |(node, held): (&String, &Held)| {
                Holder::new(node.clone(), held.count.incarnation, held.count.lease)
            };
            denied.extend(self.holders.iter().map(holder));
        }
        for holder in denied {
            let reopen = Reopen {
                holder,
                cell: key.clone(),
                stamp: self.stamp,
            };
            step.messages.push(Message::Reopen(reopen));
        }
    }

    fn reply(&self, key: &CellKey, ask: &Ask, outcome: Outcome, step: &mut Step) {
        let reply = Reply {
            holder: ask.holder.clone(),
            cell: key.clone(),
            stamp: self.stamp,
            asked_at_ms: ask.asked_at_ms,
            window: Some(self.window),
            remaining_ms: self.window.remaining_ms(step.leases_by_ms),
            granted: self.granted(&ask.holder),
            limit: self.quota.limit,
            left: self.free(),
            outcome,
        };
        step.messages.push(Message::Reply(reply));
    }
}

// === impl Message ===

impl Message {
    /// A reply that says nothing about any window.
    pub(super) fn bare(ask: &Ask, stamp: Stamp, outcome: Outcome) -> Self {
        Self::Reply(Reply {
            holder: ask.holder.clone(),
            cell: ask.cell.clone(),
            stamp,
            asked_at_ms: ask.asked_at_ms,
            window: None,
            remaining_ms: 0,
            granted: 0,
            limit: 0,
            left: 0,
            outcome,
        })
    }
}
