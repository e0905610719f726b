//! The same where owners crash and others take over (L4, L5): never over, whatever was said before that comes late.

use proptest::collection::vec;

use super::*;

#[derive(Debug, Clone)]
enum Deed {
    Event(Event),
    /// A gateway asks so, is answered, and hears of it; its ask may come again.
    Talks(Event, bool),
    /// The owner and its copies are gone; its disk is not.
    Starts,
    /// Somebody else has a copy, and goes on with it.
    TakenOver,
}

// === impl CellImage ===

impl CellImage {
    /// As with the planted bug.
    pub(in crate::ledger) fn with_covered_forgiven(mut self) -> Self {
        self.coverage = 0;
        for (_, count) in &mut self.holders {
            count.forgiven += std::mem::take(&mut count.covered);
        }
        self
    }
}

// === impl World ===

impl World {
    fn deed(&mut self, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::Event(event) => return self.event(event),
            Deed::Talks(ask, again) => return self.talks(ask, *again),
            Deed::Starts => self.starts(),
            Deed::TakenOver => self.is_taken_over(),
        }
        Ok(())
    }

    fn talks(&mut self, ask: &Event, again: bool) -> Result<(), String> {
        self.event(ask)?;
        self.event(&Event::Asked(self.asks.len() - 1, again))?;
        self.event(&Event::Marked)?;
        while !self.said.is_empty() {
            self.event(&Event::Said(0, false))?;
        }
        Ok(())
    }

    fn starts(&mut self) {
        self.is_from_disk = true;
        self.marks.clear();
        let epoch = self.ledger.stamp().epoch + 1;
        let recovery = Recovery {
            t0_ms: Some(self.t_ms),
            source: Source::Disk,
            marks: self.disk.values().cloned().collect(),
            ..Recovery::founding(epoch)
        };
        self.begins_with(recovery);
    }

    fn is_taken_over(&mut self) {
        // What was asked for and is not on disk is asked for again.
        self.marks.clear();
        let epoch = self.ledger.stamp().epoch + 1;
        let image = self.ledger.shard_image();
        self.begins_with(Recovery::founding(1));
        self.ledger.stand_by(epoch);
        let marks = self.ledger.take(image).into_iter();
        self.disk
            .extend(marks.map(|mark| (mark.cell.clone(), mark)));
        self.ledger.activate(epoch, false);
    }

    /// One gateway wants all, and the others say nothing any more.
    fn gives_all_to(&mut self, gateway: usize) -> Result<(), String> {
        self.asks.clear();
        for _ in 0..40 {
            self.event(&Event::Ask(gateway, 0, 0, self.limit))?;
            while !self.asks.is_empty() {
                self.event(&Event::Asked(0, false))?;
            }
            self.event(&Event::Marked)?;
            let holder = self.gateways[gateway].holder.clone();
            for said in std::mem::take(&mut self.said) {
                if matches!(&said, Effect::Reply(reply) if reply.holder == holder) {
                    self.hears(&said);
                }
            }
            self.event(&Event::Pass(100))?;
        }
        let left = self.ledger.counted(&key("a")).map_or(0, |key| key.left);
        match left {
            0 => Ok(()),
            _ => Err(format!("L9: {left} are left when somebody wants all")),
        }
    }

    fn begins_with(&mut self, recovery: Recovery) {
        let planted = self.ledger.planted;
        let policies = policies(self.changes, self.limit, self.window);
        self.ledger = Ledger::new(2, recovery, policies);
        self.ledger.planted = planted;
    }
}

fn event_or_talk() -> impl Strategy<Value = Deed> {
    let talks = (0..GATEWAYS, 0..3_u64, 0..4_u64, 0..9_u64, any::<bool>());
    prop_oneof![
        1 => event().prop_map(Deed::Event),
        2 => talks.prop_map(|(at, used, returned, want, again)| {
            Deed::Talks(Event::Ask(at, used, returned, want), again)
        }),
    ]
}

/// The first limit, whether administrators give back anything, who wants all that is left, and what happens.
type History = (u64, bool, usize, Vec<Deed>);

/// One that was granted more and more, and says so late and again, gives some of that back to others, and wants it all
/// again: then somebody goes on from a disk, hears of a little that was said before, and is gone.
fn told_late() -> impl Strategy<Value = History> {
    let wants = || vec(1..9_u64, 1..4);
    let asked = vec(
        (0..8_usize).prop_map(|which| Event::Asked(which, false)),
        1..4,
    );
    let noise = || vec(event_or_talk(), 0..3);
    let parts = (wants(), 1..6_u64, wants(), asked, noise(), noise());
    let whose = (8..16_u64, 0..GATEWAYS, 1..GATEWAYS);
    (whose, parts).prop_map(|((limit, one, next), parts)| {
        let (wants, returned, others, asked, before, between) = parts;
        let other = (one + next) % GATEWAYS;
        let talks =
            |at, returned, want, again| Deed::Talks(Event::Ask(at, 0, returned, want), again);
        let wants = wants.into_iter();
        let grows = wants.flat_map(|want| [talks(one, 0, want, false), talks(one, 0, 0, true)]);
        let others = others.into_iter().map(|want| talks(other, 0, want, false));
        let deeds = before
            .into_iter()
            .chain(grows)
            .chain([talks(one, returned, 0, false)])
            .chain(between)
            .chain(others)
            .chain([Deed::Starts])
            .chain(asked.into_iter().map(Deed::Event))
            .chain([Deed::TakenOver]);
        (limit, false, one, deeds.collect())
    })
}

/// Anything: at last somebody goes on from a disk, hears of a little that was said before, and is gone.
fn history() -> impl Strategy<Value = History> {
    let turn = prop_oneof![Just(Deed::Starts), Just(Deed::TakenOver)];
    let turns = vec((vec(event_or_talk(), 1..25), turn), 0..3);
    let before = vec(event_or_talk(), 5..40);
    let asked = (0..8_usize).prop_map(|which| Deed::Event(Event::Asked(which, false)));
    let deeds = (turns, before, vec(asked, 0..4)).prop_map(|(turns, before, asked)| {
        let turns = turns.into_iter();
        let turns = turns.flat_map(|(events, turn)| events.into_iter().chain([turn]));
        let last = before.into_iter().chain([Deed::Starts]).chain(asked);
        turns.chain(last).chain([Deed::TakenOver]).collect()
    });
    (2..16_u64, proptest::bool::weighted(0.3), 0..GATEWAYS, deeds)
}

fn keeps(
    (limit, is_given_back, last, deeds): &History,
    planted: Option<Planted>,
) -> Result<(), String> {
    let mut world = World::new(*limit, WindowSpec::new(TimeUnit::Hour, 1), planted);
    for deed in deeds {
        let gives_back = matches!(deed, Deed::Event(Event::Reset | Event::Refund(_)));
        if !gives_back || *is_given_back {
            world.deed(deed)?;
        }
    }
    if world.is_from_disk {
        // What a mark said in advance, and what was told in a wrong order, counts on.
        return world.gives_all_to(*last);
    }
    world.gives_out_again()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn never_over_whoever_takes_over_and_whatever_only_disks_know(
        history in prop_oneof![history(), told_late()],
    ) {
        prop_assert_eq!(keeps(&history, None), Ok(()));
    }
}

/// 126 of the 300 did when they were counted, and of those that may be anything none.
#[test]
fn many_histories_of_what_is_told_late_show_a_copy_that_takes_what_is_covered_for_forgiven() {
    let mut runner = TestRunner::deterministic();
    let late = told_late();
    let mut shown = 0;
    for _ in 0..300 {
        let history = late.new_tree(&mut runner).unwrap().current();
        assert_eq!(keeps(&history, None), Ok(()));
        let found = keeps(&history, Some(Planted::CopiesForgiveWhatIsCovered));
        shown += u32::from(found.is_err());
    }
    assert!(shown >= 100, "{shown} of 300");
}

#[test]
fn a_copy_that_takes_what_is_covered_for_forgiven_breaks_a_property() {
    let talks = |ask, again| Deed::Talks(ask, again);
    let deeds = vec![
        talks(Event::Ask(0, 0, 0, 8), false),
        talks(Event::Ask(0, 0, 0, 8), false),
        // This comes again, late; by then it has given three back, which the other one has.
        talks(Event::Ask(0, 0, 0, 0), true),
        talks(Event::Ask(0, 0, 3, 0), false),
        talks(Event::Ask(1, 0, 0, 6), false),
        Deed::Starts,
        Deed::Event(Event::Asked(0, false)),
        Deed::TakenOver,
    ];
    let history = (10, false, 0, deeds);
    assert_eq!(keeps(&history, None), Ok(()));
    assert!(keeps(&history, Some(Planted::CopiesForgiveWhatIsCovered)).is_err());
}
