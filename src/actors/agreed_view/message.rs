//! What nodes say to each other about the agreed view (W2 to W4, L3, L4). Plain data with a frozen shape (M1).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use cluster::{Before, Earlier, Request};
use domain::view::{
    Epoch, Founding, GivesUp, Life, NotGivenUp, Origin, Others, Report, Sealed, View,
};

/// A voter is asked for a promise. It is on the voter's disk before the answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskVoter {
    /// For this epoch.
    pub epoch: Epoch,
    /// What.
    pub promise: Promise,
}

/// What a voter may be asked to promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Promise {
    /// To acknowledge nothing of an earlier epoch any more.
    Seal,
    /// To remember this T, in which a member of the epoch's view wants to grant.
    Fence {
        /// Milliseconds.
        t_ms: i64,
    },
}

/// What a voter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Promised {
    /// It is sealed.
    Sealed(Sealed),
    /// It remembers the T that was asked for.
    Fenced,
    /// It is sealed at this epoch, which is higher.
    Refused {
        /// The epoch.
        at: Epoch,
    },
    /// It could not write it down.
    Failed,
}

/// A traffic manager tells a voter how it is, a few times a second; all of it is about now, so only the last counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellVoter {
    /// Who tells, and whom it hears.
    pub report: Report,
    /// The view that it follows.
    pub epoch: Epoch,
    /// Entries of the register in that.
    pub entries: u64,
    /// Shards that it owns in this view and whose pair has what it needs, with where that comes from, and the views that
    /// had to begin without what is found again (L6).
    pub complete: Vec<(u16, Origin, Vec<Epoch>)>,
    /// The highest epoch that anybody refused it for.
    pub refused: Option<Epoch>,
    /// Nodes that it waits for longer than it may.
    pub stalled: BTreeSet<String>,
    /// Parts of copies that came to it and from it in this view.
    pub parts: u64,
}

/// Whoever does not vote asks for what is agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskView {
    /// Entries of the register that it knows of.
    pub entries: u64,
}

/// What is agreed on, as far as the one who was asked knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// The view, if that has more entries than the one who asks knows of.
    pub view: Option<Box<View>>,
    /// Who votes; nobody where that is not known.
    pub voters: Vec<String>,
    /// What the clock of a voter shows that was told, milliseconds since the epoch; members set theirs right by it (L10).
    pub clock_ms: Option<i64>,
    /// The place of the register's log as of which those vote; none where that is not known.
    pub voters_at: Option<Epoch>,
    /// By how much that voter sets its own clock right, milliseconds.
    pub right_ms: i64,
}

/// Whoever leads tells others what was agreed on, so that they need not find it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellView {
    /// The view.
    pub view: Box<View>,
    /// Who votes.
    pub voters: Vec<String>,
    /// As of which place of the register's log.
    pub voters_at: Option<Epoch>,
}

/// The answer to [`TellView`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Entries of the register that are known there now.
    pub entries: u64,
}

/// A node whose view register is empty wants to found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its stable id.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Its incarnation.
    pub life: u64,
    /// The latest generation of a register that its disk counted in; 0 where in none.
    pub counted_in: u64,
    /// The latest generation that it has heard of; 0 where of none.
    pub known: u64,
    /// For how long it will go on where it cannot say that it is there, milliseconds.
    pub hold_ms: i64,
    /// What the founder has said all the while that it may go on: see [`Claimed::Held`].
    pub watched: Option<u64>,
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claimed {
    /// It founds the register.
    Yours {
        /// From where.
        founding: Founding,
        /// What time it is where that was decided.
        now_ms: i64,
    },
    /// Another has.
    Others {
        /// The name of that node.
        name: String,
        /// Who takes part beside it.
        others: Others,
        /// How often the register was founded.
        generation: u64,
    },
    /// It cannot be told now.
    Unavailable,
    /// Another node of its name has, and may be there.
    Held {
        /// The stable id of that node.
        node: String,
        /// How often that has said that it is there.
        renewals: u64,
        /// For how long it may go on without having said so, milliseconds.
        hold_ms: i64,
        /// How often the register was founded.
        generation: u64,
    },
}

/// A node that leads the register says that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOn {
    /// Its stable id.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Its incarnation.
    pub life: u64,
    /// The generation of its register.
    pub generation: u64,
    /// Who takes part in that.
    pub others: Others,
    /// The T up to which it wants to grant, milliseconds.
    pub reach_ms: i64,
    /// For how long it will go on where it cannot say so again, milliseconds.
    pub hold_ms: i64,
    /// Where it stops in order: the T up to which it was told last that it may grant, milliseconds.
    pub leaves_from_ms: Option<i64>,
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldOn {
    /// It may grant in any T, for nobody founds anything in its place.
    Free,
    /// It may grant up to this T.
    Until {
        /// Milliseconds.
        reach_ms: i64,
    },
    /// Another node has founded the register anew: it may not grant.
    Lost {
        /// The name of that node.
        name: String,
    },
    /// It cannot be told now.
    Unavailable,
}

/// An operator says that the founder of the register never runs again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveUp {
    /// Its stable id.
    pub node: String,
    /// What the founder has said all the while that one that is there is silent: see [`GivenUp::Watch`]. None to look.
    pub watched: Option<u64>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GivenUp {
    /// Whoever has its name may found the register anew.
    Yes {
        /// The founder's stable id: it may have been given up by its name. Empty where that is not known.
        founder: String,
    },
    /// It is not the founder.
    No,
    /// It cannot be told now.
    Unavailable,
    /// It may be there: whoever sees that this does not change may say so.
    Watch {
        /// How often it has said that it is there.
        renewals: u64,
        /// For how long it is watched, milliseconds.
        for_ms: i64,
        /// See [`GivenUp::Yes`].
        founder: String,
    },
    /// It is there: it answers this itself.
    There,
}

/// Version 1 of [`GivenUp`]: it does not say whom a name stood for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GivenUpBefore {
    /// See [`GivenUp::Yes`].
    Yes,
    /// See [`GivenUp::No`].
    No,
    /// See [`GivenUp::Unavailable`].
    Unavailable,
    /// See [`GivenUp::Watch`].
    Watch {
        /// How often it has said that it is there.
        renewals: u64,
        /// For how long it is watched, milliseconds.
        for_ms: i64,
    },
    /// See [`GivenUp::There`].
    There,
}

/// An operator has forgotten a node: its certificate is not renewed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retire {
    /// Its stable id.
    pub node: String,
    /// How often it had been admitted with a token before it was judged to be gone: one that was admitted since is not meant.
    /// Without it is only looked at.
    pub admissions: Option<u64>,
}

/// Whether that is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retired {
    /// It is.
    Yes,
    /// It was only looked at, or was admitted since.
    No {
        /// How often it was admitted with a token.
        admissions: u64,
    },
    /// No node has such an id.
    NoNode,
    /// The node is connected: one that is there is not forgotten.
    IsThere,
    /// Many were retired in this minute already.
    TooMany,
    /// The database does not answer.
    Unavailable,
}

/// Others are about to take part beside the founder of the view register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The stable id of the node that leads.
    pub node: String,
    /// In what.
    pub others: Others,
}

/// What it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shared {
    /// They may: it is on disk that they do.
    Yes,
    /// They may not: another node has founded the register anew.
    No,
    /// It cannot be told now.
    Unavailable,
}

impl Request for Claim {
    type Reply = Claimed;
    const KIND: u16 = 0x0505;
    const VERSION: u16 = 1;
    /// What one incarnation is told it is told again.
    const IDEMPOTENT: bool = true;
}

impl Request for Share {
    type Reply = Shared;
    const KIND: u16 = 0x0506;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Request for HoldOn {
    type Reply = HeldOn;
    const KIND: u16 = 0x0508;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Request for GiveUp {
    type Reply = GivenUp;
    const KIND: u16 = 0x0509;
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
    const BEFORE: Option<Before<Self>> = Some(Before::new::<Self, GivenUpBefore>(1));
}

// === impl GivenUpBefore ===

impl Earlier<GivenUp> for GivenUpBefore {
    fn of(now: &GivenUp) -> Self {
        match *now {
            GivenUp::Yes { .. } => Self::Yes,
            GivenUp::No => Self::No,
            GivenUp::Unavailable => Self::Unavailable,
            GivenUp::Watch {
                renewals, for_ms, ..
            } => Self::Watch { renewals, for_ms },
            GivenUp::There => Self::There,
        }
    }

    fn into_now(self) -> GivenUp {
        let founder = String::new();
        match self {
            Self::Yes => GivenUp::Yes { founder },
            Self::No => GivenUp::No,
            Self::Unavailable => GivenUp::Unavailable,
            Self::Watch { renewals, for_ms } => GivenUp::Watch {
                renewals,
                for_ms,
                founder,
            },
            Self::There => GivenUp::There,
        }
    }
}

impl Request for Retire {
    type Reply = Retired;
    const KIND: u16 = 0x050a;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
}

/// Whoever runs the cluster orders something, at any node that votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// What.
    pub order: Order,
}

/// What may be ordered. Each may be ordered twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Nothing: to say what its register knows.
    Look,
    /// To have these vote, or whoever is best for it where none is named.
    Voters(Vec<String>),
    /// To give up what this node held of lost shards (L6).
    Forget(String),
    /// Nothing: to say what would be given up with this node.
    LookAt(String),
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ordered {
    /// The answer to [`Order::Look`].
    Seen(RegisterSeen),
    /// It is agreed on.
    Agreed,
    /// It is not, or it is not known yet, and this is why.
    Refused(String),
    /// Another node leads: the order is that one's.
    Elsewhere,
    /// What is given up with the node.
    GivesUp(GivesUp),
    /// Nothing is given up with the node, and this is why.
    NotGivenUp(NotGivenUp),
}

/// What the register of a node that votes knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterSeen {
    /// Who votes; nobody where this node does not know.
    pub voters: Vec<String>,
    /// Who is to vote, while that changes.
    pub next: Vec<String>,
    /// Whom an operator chose; nobody where voters are chosen by what they are.
    pub chosen: Vec<String>,
    /// Who leads.
    pub leader: Option<String>,
}

impl Request for AskVoter {
    type Reply = Promised;
    const KIND: u16 = 0x0501;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Request for TellVoter {
    type Reply = Agreed;
    const KIND: u16 = 0x0502;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Request for AskView {
    type Reply = Agreed;
    const KIND: u16 = 0x0503;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Request for TellView {
    type Reply = Seen;
    const KIND: u16 = 0x0504;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

// === impl TellVoter ===

impl TellVoter {
    /// Who tells.
    #[must_use]
    pub fn life(&self) -> &Life {
        &self.report.life
    }
}

impl Request for OrderView {
    type Reply = Ordered;
    const KIND: u16 = 0x0507;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}
