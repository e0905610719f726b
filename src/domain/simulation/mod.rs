//! The seeded simulator (DESIGN §9): the same `step` functions as in production, driven through what each world can
//! meet, against the invariants of `docs/invariants.md`. Messages (of streams, the heartbeats) are lost, repeated, late
//! and out of order in all of them, and what runs (a lease has one life) begins anew. Besides:
//!
//! | world | stand still | cut off | clocks | and |
//! |---|---|---|---|---|
//! | change log | followers | one way, both | of another pace | slow disks, pruning, restored backups |
//! | followers | gateways, control planes | from each control plane or all, one way, both | paces up to a twentieth apart | slow databases, restored backups, followers that leave or are put back |
//! | hold | founders | from where it is written down | hours off, of one pace; T lifted | lost disks, stops in order, an operator's word |
//! | ledger | a gateway, as it takes a unit | | wrong, of another pace; T set back | slow disks, changed limits |
//! | lease | everybody | | paces up to a twentieth apart | |
//! | streams | gateways | one way, both | paces up to a twentieth apart | slow disks, snapshots, silent key managers |
//! | validation | gateways | one way, both, from the log | of another pace | snapshots, restored backups |
//! | view | members and voters | one way, both | the wall's hours off | slow and lost disks, most without power, and the ledger's |
//!
//! The world of members is beside its machine, with as much. A run is a function of its seed alone. [`Planted`] bugs
//! prove that it would notice.

mod change_log_database;
mod change_log_faults;
mod change_log_sender;
mod change_log_source;
mod change_log_tests;
mod change_log_truth;
mod change_log_world;
mod followers_control;
mod followers_database;
mod followers_faults;
mod followers_feed;
mod followers_gateways;
mod followers_node;
mod followers_plans;
mod followers_registrar;
mod followers_tests;
mod followers_truth;
mod followers_world;
mod hold_faults;
mod hold_operator;
mod hold_tests;
mod hold_truth;
mod hold_world;
mod kernel;
mod lease_tests;
mod lease_world;
mod ledger_faults;
mod ledger_gateways;
mod ledger_plans;
mod ledger_truth;
mod ledger_world;
mod plight;
mod seeds;
mod stream_asking;
mod stream_faults;
mod stream_gateway;
mod stream_judging;
mod stream_log;
mod stream_tests;
mod stream_truth;
mod stream_world;
mod tests;
mod validation_faults;
mod validation_history;
mod validation_tests;
mod validation_truth;
mod validation_world;
mod view_changes;
mod view_deeds;
mod view_faults;
mod view_gateways;
mod view_judging;
mod view_nodes;
mod view_plans;
mod view_register;
mod view_resets;
mod view_tests;
mod view_world;

/// A bug put in on purpose; each breaks one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// Windows that slide count by T, also where it is lifted (L10).
    JumpsCount,
    /// Leases last by T, also while it stands still (L10).
    LeasesStandStill,
    /// A lowered limit does not reach the cells in use (L9).
    OldLimitStays,
    /// A reset ends with its pane, whoever has yet to confirm what was used of it (L9, L10).
    ResetEndsWithItsPane,
    /// What of a pane nobody has confirmed is forgiven as soon as T is beyond it, however long its leases last (L10).
    ForgivesWithThePane,
    /// A reset forgives what a lease had as soon as its gateway holds nothing unused, and the lease goes on: what calls hold
    /// of it may be put back (L9).
    ResetKeepsItsLease,
    /// Who was silent when a reset was told as done is not forgiven when it goes on by another lease (L9).
    ResetForgetsTheSilent,
    /// It is forgiven with what it was granted since (L9).
    ForgivesSinceTheReset,
    /// A reset forgives at once what is out of panes that T was lifted over (L9, L10).
    ForgivesWhatLasts,
    /// Whoever copies takes what a mark covers for forgiven (L5).
    CopiesForgiveWhatIsCovered,
    /// Replies carry what is new instead of the cumulative count (L7).
    ReplyIsIncrement,
    /// What a dead gateway held is given to others (L7: silence means spent).
    RefundDeadGateway,
    /// The gateway reads the clock, then takes (L7).
    ClockBeforeTake,
    /// A restarted owner starts short windows from nothing (L6).
    RestartForgets,
    /// Replies of long windows do not wait for the mark (L5).
    ReleaseBeforeMark,
    /// Members and voters that know of a later view go on in the one before (W4).
    SealsNothing,
    /// Replies do not wait for the standby (L3).
    GrantBeforeStandby,
    /// Replies do not wait for the voters' fence (L3).
    SkipFence,
    /// Owners grant before the view is active (L3).
    ServeInSync,
    /// A view becomes active before its pairs have what was granted (L4).
    ActiveWithoutCopies,
    /// The highest fence is asked of one voter (L4).
    FenceOfOneVoter,
    /// A shard that nobody has begins with empty windows (L6).
    LostBeginsEmpty,
    /// Short windows of a shard that comes from a disk begin empty (L5, L6).
    DiskBeginsEmpty,
    /// A standby acknowledges before its marks are on disk (L5).
    AcknowledgeBeforeMark,
    /// A voter that was started again has forgotten what it fenced (W4).
    VoterForgets,
    /// A node that was started again takes the incarnation that it had (W1).
    ReuseIncarnation,
    /// What a standby was filled with comes twice, and overwrites what was changed since (L2).
    FillTwice,
    /// An older state of a cell replaces a newer one (L2).
    OlderReplacesNewer,
    /// What was lost is taken back from a disk of somebody who had no part in it (L6).
    FoundAtAnybody,
    /// With what was lost short windows are taken back, of which no disk knows (L6).
    FoundWithoutShortWindows,
    /// A disk that was begun anew passes for the one that was lost (L5, L6).
    LostDiskIsASource,
    /// A node grants that would own the shard of those that it hears, whatever the view says (W2, L1).
    TrustGossip,
    /// A member that leaves writes the counts of its stop before it has handed over (M3).
    StopsBeforeHandOver,
    /// A writer takes its number when it begins, not as it commits (C1).
    NumberBeforeCommit,
    /// A follower takes entries that do not follow its own (C4).
    SkipEntries,
    /// A follower takes an answer that it has taken before (C4).
    ApplyTwice,
    /// A follower acknowledges what is on its way to the disk (C4).
    AcknowledgeBeforePersisted,
    /// A restarted follower goes on from where it was, with the state that its disk has (C4).
    ResumeUnpersisted,
    /// The source does not compare the follower's uuid with its own (C2).
    IgnoreUuid,
    /// A follower counts whatever chunk comes (C3).
    ChunksInAnyOrder,
    /// A snapshot's pieces may be of two histories (C3).
    PiecesOfTwoHistories,
    /// A snapshot that is read piece by piece has the position of its first piece (C3).
    PositionOfFirstPiece,
    /// A restarted follower numbers its transfers from 1 again (C3).
    TransfersStartAnew,
    /// A key manager reads the data, then the head (V1).
    HeadAfterData,
    /// Answers are compared with the touches, then inserted (V2).
    CompareBeforeInsert,
    /// Hits are not compared with the touches (V2).
    HitsAreNotCompared,
    /// Forgetting a subject does not raise the floor (V2).
    ForgetWithoutFloor,
    /// Touches are raised and not counted, so that nobody looks at them (V2).
    TouchesAreNotCounted,
    /// Negative answers rest on no subject (V2).
    NegativesAreExempt,
    /// Answers to questions from before a snapshot are used (V2).
    AnswersOutliveSnapshots,
    /// Answers count as true at all that the key manager knew (V2).
    AnswersCountInFull,
    /// What a change touches of whom key managers told of is kept (V2).
    ConsumersAreNotForgotten,
    /// Consumers that a change touches stay on the disk (V2).
    DiskKeepsTheForgotten,
    /// A stream that nobody can vouch for goes on while its gateway is cut off (S2).
    UnsureGoesOnCutOff,
    /// Key managers are asked about a stream that a change itself says is over (S2).
    CertainEndsAreAsked,
    /// Streams go on at a gateway that may serve nobody (S1).
    FencedStreamsGoOn,
    /// A call that is entered while changes are applied is not looked at (S2).
    LateCallsAreNotLookedAt,
    /// A gateway's clock does not count the time that it stands still (S1, V).
    ClockStandsStill,
    /// A gateway that stood still looks as often as it would have whether calls are served (S1).
    MissedLooksAreMadeUp,
    /// The control plane names a head that it read before it was asked (S1).
    HeadBeforeAsked,
    /// A lease counts from when its answer came (S1).
    LeaseFromAnswer,
    /// A lease needs nothing applied (S1).
    LeaseNeedsNothing,
    /// A change is not waited for at whom the control plane still hears, and told long ago (S3).
    HeardIsTold,
    /// A change waits as long as a lease lasts, and no longer for clocks of another pace (S3).
    WaitsAsLongAsALease,
    /// A question that others join is given as long as it had from the start (V2).
    JoiningBeginsAnew,
    /// A node takes a founder's place without having seen that it is silent (W3).
    FoundsUnwatched,
    /// A node that stops in order knows only what its own life fenced (W3).
    LetsGoOfThisLifeAlone,
    /// An operator's word is taken at once (W3).
    WordIsTakenUnwatched,
    /// Whoever is given up is taken to have granted nothing since it said last that it is there (W3).
    GivenUpGrantedNothingSince,
    /// A founder whose T was lifted says so when its turn comes, and grants in it before (W3).
    LiftsGoUntold,
    /// A founder that is back with its disk goes by what it was told before, without asking (W3).
    KeptIsTrusted,
    /// Nobody waits for a fenced follower (S3).
    FencedAreNotWaitedFor,
    /// How long a follower is fenced is told by the row, and another's clock (S3).
    FenceAgeByRow,
    /// An earlier life of a follower that speaks counts for the later one (S3, W1).
    DisputeIgnored,
    /// What was acknowledged stands in another history (C2).
    AcknowledgedOutlivesItsHistory,
    /// Where a newcomer pulls from counts as acknowledged, of whichever history that is (C2).
    PullsAcknowledge,
    /// Only a head that is lower than before tells of another history (C2).
    HeadAloneTells,
    /// A control plane that stood still holds it against its followers (W2).
    ForgivesNothing,
    /// Whoever goes on when cut off is not named once its fence is old (S3, S5).
    ServeIsNotNamed,
    /// Nor once it has left (S5).
    LeftAreForgotten,
    /// Whoever is registered and was not heard here yet is silent (S3).
    StrangersAreSilent,
    /// The head that a registration is answered with was read before it (S1).
    HeadBeforeRegistered,
    /// How long an answer may be used is told by the clock of who gave it (V).
    EndsByAnothersClock,
}
