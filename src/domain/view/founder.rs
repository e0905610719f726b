//! Who may found the view register, and who holds it (PROTOCOLS W3): one row that all nodes of the control plane share. A
//! founder that decides alone holds its register for a while, up to a T, and says again and again that it is there.
//! Whoever has its name and another disk founds anew once nothing was said for all that while, or once an operator says
//! that the founder never runs again. No clock is compared with another: the newcomer counts on its own that what the
//! founder says did not change, and begins above the T up to which the founder may grant.

use super::founding::{Before, Founding, Others};
use super::renewal::{UNSAID_MS, unsaid_ms};

/// Stands for a founder that nobody knows: what was written down of it is lost.
const UNKNOWN: &str = "?";
/// It is waited for so long at least: whoever is there says so several times meanwhile.
const UNHEARD_MS: i64 = 60_000;
/// Those that voted and never said in which T are taken to be so far ahead of the clock of where this is written down, and no
/// further.
const UNTOLD_AHEAD_MS: i64 = 86_400_000;
/// One that stopped in order has so long to be back before another takes its place: it may have been started again.
const BACK_MS: i64 = 15_000;

/// What is written down of the founder, where all nodes see the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Founder {
    /// How often the register was founded, or may have been; 0 before the first time.
    pub generation: u64,
    /// The founder's stable id.
    pub node: String,
    /// Its name, by which whoever replaces it is known.
    pub name: String,
    /// The incarnation that claimed it.
    pub life: u64,
    /// Who founded the generation before.
    pub before: String,
    /// Whether no one disk has all that was counted before.
    pub is_scattered: bool,
    /// Who takes part beside it.
    pub others: Others,
    /// How often it has said that it is there.
    pub renewals: u64,
    /// The latest T in which it may grant, milliseconds; 0 before it has said any.
    pub reach_ms: i64,
    /// The latest T in which those before it may have granted, milliseconds.
    pub after_ms: i64,
    /// For how long it goes on without having said so, milliseconds; 0 where nobody else can be it.
    pub hold_ms: i64,
    /// Whether an operator said that it, or those that voted with it, never run again, or it stopped in order, and nobody
    /// has said otherwise since.
    pub is_given_up: bool,
    /// Whether an operator gave up all who decided with it, and none of them has said otherwise since: then whoever has an
    /// empty register may found it anew.
    pub is_anybodys: bool,
    /// The T in which it said last that it is there, milliseconds.
    pub said_ms: i64,
    /// When it said so, or that it stops, by the clock of where this is written down, milliseconds; 0 before it has.
    pub said_at_ms: i64,
}

/// A node whose register is empty.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// Its stable id.
    pub node: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its incarnation.
    pub life: u64,
    /// The latest generation that its disk counted in; 0 where in none.
    pub counted_in: u64,
    /// The latest generation that it has heard of; 0 where of none.
    pub known: u64,
    /// See [`Founder::hold_ms`].
    pub hold_ms: i64,
    /// What [`Founder::renewals`] has been all the while that the founder may go on.
    pub watched: Option<u64>,
    /// Whether what is written down lies in its own data directory, which no other process has.
    pub has_the_file: bool,
    /// What time it is where this is written down, milliseconds.
    pub moment_ms: i64,
}

/// What comes of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It founds the register.
    Yours {
        /// From where.
        founding: Founding,
        /// No T in which those before granted is later, but for what an operator gave up.
        after_ms: i64,
    },
    /// It may, once the founder has said nothing for so long.
    Held,
    /// It may not.
    Others,
}

/// A node that leads the register.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// Its stable id.
    pub node: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its incarnation.
    pub life: u64,
    /// The generation of its register.
    pub generation: u64,
    /// Who takes part in that.
    pub others: Others,
    /// Its T, milliseconds.
    pub t_ms: i64,
    /// The T up to which it wants to grant, milliseconds.
    pub reach_ms: i64,
    /// See [`Founder::hold_ms`].
    pub hold_ms: i64,
    /// Where it stops in order: the T up to which it was told last that it may grant. It grants nothing beyond `reach_ms`
    /// then, so nobody has to wait for it.
    pub leaves_from_ms: Option<i64>,
    /// What time it is where this is written down, milliseconds.
    pub moment_ms: i64,
}

/// How far a node that leads the register may go by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// As far as it likes: nobody founds anything in its place.
    Free,
    /// To this T, milliseconds.
    Until(i64),
    /// Not at all: another has founded the register anew.
    Lost,
}

/// What comes of an operator's word that a founder never runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It is written down.
    Taken,
    /// It is not about the founder.
    NotFounder,
    /// The founder, or whoever leads those that vote with it, may be there: it is taken from whoever has seen this number unchanged for so long, milliseconds.
    Watch {
        /// See [`Founder::renewals`].
        renewals: u64,
        /// For how long.
        for_ms: i64,
    },
}

// === impl Founder ===

impl Founder {
    /// Whether this node may found the register, when it has an empty one and the founder is gone.
    pub fn may_be(&self, node: &str, name: &str) -> bool {
        let is_same = self.node == node || self.name == name || self.is_anybodys;
        self.generation == 0 || is_same && self.others < Others::Vote
    }

    /// A node whose register is empty claims to found it. What one incarnation is told it is told again: its register was
    /// empty all the time. Another incarnation may have founded before, so it is told a generation of its own. Each is
    /// above all that its disk counted in, whose marks give way to later ones only.
    pub fn claim(&mut self, by: &Claimant<'_>) -> Verdict {
        self.hear_of(by);
        if !self.may_be(by.node, by.name) {
            return Verdict::Others;
        }
        if self.is_held(by) {
            return Verdict::Held;
        }
        // Of those that decided together nobody's own disk has everything.
        let is_another = self.node != by.node || self.is_anybodys;
        if is_another {
            let granted_ms = self.granted_until_ms(by.moment_ms);
            self.after_ms = self.after_ms.max(granted_ms);
        }
        if is_another || self.life != by.life || self.generation == 0 {
            // What the last generation had lost itself, its founder's disk knows nothing of.
            let had_lost = !self.before.is_empty() && self.before != self.node;
            self.is_scattered |= had_lost || self.others == Others::Own;
            self.before = std::mem::replace(&mut self.node, by.node.to_owned());
            if self.before.is_empty() && by.counted_in > 0 {
                // Whatever was written down before is lost, and its disk is not.
                by.node.clone_into(&mut self.before);
            }
            self.generation = self.generation.max(by.counted_in).saturating_add(1);
            self.life = by.life;
        }
        if is_another {
            (self.reach_ms, self.is_given_up, self.is_anybodys) = (0, false, false);
            (self.said_ms, self.said_at_ms) = (0, 0);
            self.renewals += 1;
        }
        by.name.clone_into(&mut self.name);
        self.hold_ms = by.hold_ms;
        Verdict::Yours {
            founding: self.founding(),
            after_ms: self.after_ms,
        }
    }

    /// Others are about to take part; gives whether they may, because it is known now that they do. Once others decide,
    /// whoever asks is one of them.
    pub fn share(&mut self, node: &str, others: Others) -> bool {
        let is_shared = self.others == Others::Vote;
        let is_founder = self.generation > 0 && self.node == node;
        if is_founder {
            self.others = self.others.max(others);
        }
        is_shared || is_founder
    }

    /// Whoever leads the register says that it is there. What was set back is brought up to what it knows: nothing here
    /// is ever below that again.
    pub fn hold(&mut self, by: &Holder<'_>) -> Hold {
        if by.generation < self.generation {
            return Hold::Lost;
        }
        if by.generation > self.generation || self.node == UNKNOWN {
            self.set_up(by);
        }
        // Whoever leads them need not be the founder, whose id and name stay.
        self.is_anybodys &= by.others < Others::Vote && self.node != by.node;
        if self.name.is_empty() && self.node == by.node {
            // Of before API-M 0026, where a word took the name.
            by.name.clone_into(&mut self.name);
        }
        self.others = self.others.max(by.others);
        if self.others == Others::Vote {
            // For an operator's word alone: nobody founds anything in their place before that.
            self.says(by);
            return Hold::Free;
        }
        if self.node != by.node {
            return Hold::Lost;
        }
        if let Some(told_ms) = by.leaves_from_ms {
            self.leave(told_ms, by);
            return Hold::Until(self.reach_ms);
        }
        // Whoever takes its place waits until it may grant nothing more, also by what it was told before.
        let told_ms = self
            .reach_ms
            .saturating_sub(by.reach_ms.saturating_sub(by.hold_ms));
        self.hold_ms = match by.hold_ms {
            0 => 0,
            hold_ms => hold_ms.max(told_ms),
        };
        if by.hold_ms == 0 {
            // It goes as far as it likes: what it was told before says nothing any more.
            (self.reach_ms, self.is_given_up) = (0, false);
            return Hold::Free;
        }
        self.says(by);
        self.reach_ms = self.reach_ms.max(by.reach_ms);
        Hold::Until(self.reach_ms)
    }

    /// An operator says that this node never runs again, nor a majority of those that vote where it is not alone; those
    /// are known by its name too. Whoever says that it is there is not given up, so the word counts once nothing but
    /// `watched` was seen of [`Founder::renewals`] for longer than one that is there is silent.
    pub fn give_up(&mut self, node: &str, watched: Option<u64>) -> Word {
        let others_vote = self.others == Others::Vote;
        let is_named = others_vote && self.name == node && !node.is_empty();
        let is_founder = self.node == node || is_named;
        if self.generation == 0 || !is_founder {
            return Word::NotFounder;
        }
        let is_taken = watched == Some(self.renewals) || self.is_given_up && !others_vote;
        if is_taken {
            self.is_given_up = true;
            if others_vote {
                // Whoever has nothing left may take their place: who of them is lost, and who is not, nobody knows.
                self.others = Others::Own;
                self.is_anybodys = true;
            }
            return Word::Taken;
        }
        Word::Watch {
            renewals: self.renewals,
            for_ms: match self.hold_ms {
                _ if others_vote => UNSAID_MS,
                // One that has nobody to tell says nothing: nothing is seen of it either.
                0 => 0,
                hold_ms => unsaid_ms(hold_ms),
            },
        }
    }

    /// It is there, in this T.
    fn says(&mut self, by: &Holder<'_>) {
        self.is_given_up = false;
        self.renewals += 1;
        (self.said_ms, self.said_at_ms) = (self.said_ms.max(by.t_ms), by.moment_ms);
    }

    /// It stops in order. Said late, while its next life is there already, it changes nothing: that was told more.
    fn leave(&mut self, told_ms: i64, by: &Holder<'_>) {
        if self.reach_ms == told_ms && by.reach_ms <= told_ms {
            self.after_ms = self.after_ms.max(by.reach_ms);
            (self.reach_ms, self.is_given_up) = (0, true);
            self.said_at_ms = by.moment_ms;
            self.renewals += 1;
        }
    }

    /// The latest T in which it may have granted. One that an operator gave up may have gone on until now, where nobody
    /// could be told that it is there, from the T in which it said so last; its fences reach a second beyond that. Of one
    /// that has not said in which T it is, no more is known than how far it was told that it may go. Those that vote are told
    /// nothing, so of them nothing is known where they voted by a version that does not say so.
    fn granted_until_ms(&self, moment_ms: i64) -> i64 {
        let is_bounded = !self.is_anybodys;
        if self.is_anybodys && self.said_at_ms == 0 {
            let ahead_ms = moment_ms.saturating_add(UNTOLD_AHEAD_MS);
            return self.reach_ms.max(ahead_ms);
        }
        if !self.is_given_up || self.said_at_ms == 0 || is_bounded && self.reach_ms == 0 {
            return self.reach_ms;
        }
        let since_ms = moment_ms.saturating_sub(self.said_at_ms).max(0);
        let went_on_ms = since_ms.saturating_add(UNSAID_MS);
        let until_ms = self.said_ms.saturating_add(went_on_ms);
        match is_bounded {
            true => until_ms.min(self.reach_ms),
            // Where several decide they go as far as they like.
            false => until_ms,
        }
    }

    /// Whether the founder may be there still, and be another.
    fn is_held(&self, by: &Claimant<'_>) -> bool {
        let is_another = self.generation > 0 && self.node != by.node;
        let may_run = match self.hold_ms {
            // It says nothing: whoever reaches this from elsewhere cannot know.
            0 => !by.has_the_file,
            _ => by.watched != Some(self.renewals),
        };
        is_another
            && if self.is_given_up {
                self.may_be_back(by)
            } else {
                may_run
            }
    }

    /// Whether it stopped in order a moment ago, and may be there again with its disk in another.
    fn may_be_back(&self, by: &Claimant<'_>) -> bool {
        let since_ms = by.moment_ms.saturating_sub(self.said_at_ms);
        self.reach_ms == 0 && self.said_at_ms > 0 && (0..BACK_MS).contains(&since_ms)
    }

    /// There is a later generation than what is written down: this was set back. Whoever founded that may be there.
    fn hear_of(&mut self, by: &Claimant<'_>) {
        if by.known <= self.generation {
            return;
        }
        let name = match self.name.as_str() {
            "" => by.name.to_owned(),
            // Whoever replaces the founder has its name.
            name => name.to_owned(),
        };
        *self = Self {
            generation: by.known,
            node: UNKNOWN.to_owned(),
            name,
            is_scattered: true,
            others: self.others,
            renewals: self.renewals + 1,
            after_ms: self.after_ms.max(self.reach_ms),
            hold_ms: by.hold_ms.max(self.hold_ms).max(UNHEARD_MS),
            ..Self::default()
        };
    }

    fn set_up(&mut self, by: &Holder<'_>) {
        let is_first = by.generation <= 1;
        let before = if is_first { "" } else { UNKNOWN };
        *self = Self {
            generation: by.generation,
            node: by.node.to_owned(),
            name: by.name.to_owned(),
            life: by.life,
            before: before.to_owned(),
            is_scattered: !is_first,
            others: self.others,
            renewals: self.renewals,
            after_ms: self.after_ms,
            ..Self::default()
        };
    }

    fn founding(&self) -> Founding {
        let before = match (self.is_scattered, self.before.as_str()) {
            (_, "") => Before::Nothing,
            (true, _) => Before::Scattered,
            (false, node) => Before::Node(node.to_owned()),
        };
        Founding {
            generation: self.generation,
            before,
        }
    }
}

#[cfg(test)]
#[path = "founder_tests.rs"]
mod tests;
