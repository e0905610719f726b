use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ledger::cell::{Count, Held};
use crate::ledger::message::{Holder, Stamp};
use crate::ledger::round::Round;
use crate::policy::{TimeUnit, WindowKind};
use crate::window::WindowSpec;

fn key() -> impl Strategy<Value = CellKey> {
    ("[ab]", "[pq]", "[k-n]").prop_map(|(tenant, policy, key)| CellKey::new(tenant, policy, key))
}

fn held() -> impl Strategy<Value = (String, u64, Held)> {
    let counts = (
        0..3_u64,
        0..3_u64,
        0..3_u64,
        prop_oneof![9 => Just(0), 1 => 1..3_u64],
    );
    (
        "[gh]",
        1..3_u64,
        counts,
        prop_oneof![9 => Just((0, None)), 1 => (1..3_u64, prop::option::of(0..3_u64))],
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(node, incarnation, counts, (covered, awaited), (emptied, silent))| {
                let (lease, granted, returned, forgiven) = counts;
                let count = Count {
                    incarnation,
                    lease,
                    granted,
                    returned,
                    forgiven,
                    covered,
                };
                let held = Held {
                    count,
                    emptied,
                    silent,
                    awaited,
                };
                (node, lease, held)
            },
        )
}

fn cell() -> impl Strategy<Value = Cell> {
    let held = prop::collection::vec((held(), any::<bool>()), 0..3);
    let other = prop_oneof![9 => Just(None), 1 => (0..3_u64).prop_map(Some)];
    let round = prop_oneof![9 => Just(None), 1 => (0..9_i64).prop_map(Some)];
    let counts = (0..3_u64, 0..3_u64, 0..3_u64, 0..3_u64);
    (held, other, round, counts, 0..4_i64, any::<(bool, bool)>()).prop_map(
        |(held, other, round, (limit, spent, coverage, mark), number, (lost, others_denied))| {
            let window = WindowSpec::new(TimeUnit::Hour, 1);
            let kind = if spent == 2 {
                WindowKind::Sliding
            } else {
                WindowKind::Fixed
            };
            let window = window.counted(kind);
            let mut cell = Cell::new(window.numbered(number), Quota { limit, window });
            cell.lag_ms = if window.is_paned() {
                i64::try_from(coverage).unwrap()
            } else {
                0
            };
            let stamp = Stamp {
                epoch: spent,
                seq: limit,
            };
            cell.stamp = stamp;
            cell.mark_stamp = Stamp {
                seq: coverage,
                ..stamp
            };
            (cell.spent, cell.coverage, cell.mark) = (spent, coverage, mark);
            (cell.lost, cell.others_denied) = (lost, others_denied);
            let by_node: BTreeMap<String, (bool, u64, Held)> = held
                .into_iter()
                .map(|((node, lease, held), denied)| (node, (denied, lease, held)))
                .collect();
            for (node, (denied, lease, held)) in &by_node {
                if *denied {
                    let holder = Holder::new(node.clone(), held.count.incarnation, *lease);
                    cell.denied.insert(holder);
                }
            }
            cell.denied
                .extend(other.map(|lease| Holder::new("g", 9, lease)));
            let holders = by_node.into_iter().map(|(node, (.., held))| (node, held));
            cell.holders = holders.collect();
            cell.round = round.map(|until_ms| Round {
                until_ms,
                ..Round::default()
            });
            cell
        },
    )
}

#[derive(Debug, Clone)]
enum Deed {
    Put(CellKey, Box<Cell>),
    Remove(CellKey),
    End(i64, i64),
    EndRounds,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (key(), cell()).prop_map(|(key, cell)| Deed::Put(key, Box::new(cell))),
        2 => key().prop_map(Deed::Remove),
        1 => (0..5_i64, 0..9_i64).prop_map(|(hour, lag)| Deed::End(hour * 3_600_000, lag)),
        1 => Just(Deed::EndRounds),
    ]
}

fn until(cell: &Cell) -> CountsUntil {
    CountsUntil::of(cell.window, cell.lag_ms)
}

fn all(cells: impl Iterator<Item = (CellKey, Cell)>) -> Vec<String> {
    cells
        .map(|(key, cell)| format!("{key:?} {cell:?}"))
        .collect()
}

proptest! {
    #[test]
    fn cells_are_kept_as_they_were_put(deeds in prop::collection::vec(deed(), 0..60)) {
        let (mut cells, mut model) = (Cells::default(), BTreeMap::new());
        for deed in deeds {
            match deed {
                Deed::Put(key, cell) => {
                    cells.put(&key, (*cell).clone());
                    model.insert(key, *cell);
                }
                Deed::Remove(key) => {
                    let (one, other) = (cells.remove(&key), model.remove(&key));
                    prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
                }
                Deed::End(t_ms, lag_ms) => {
                    let by = Instant { t_ms, steady_ms: t_ms - lag_ms };
                    let is_over = |_: &CellKey, cell: &mut Cell| until(cell).is_over(by);
                    let over = model.extract_if(.., is_over);
                    let rounds = over.filter_map(|(key, cell)| Some((cell.round?.until_ms, key)));
                    let mut ended = cells.end(by);
                    ended.sort_by(|one, other| one.1.cmp(&other.1));
                    prop_assert_eq!(ended, rounds.collect::<Vec<_>>());
                }
                Deed::EndRounds => {
                    cells.end_rounds();
                    model.values_mut().for_each(|cell| cell.round = None);
                }
            }
            let expected = model.iter().map(|(key, cell)| (key.clone(), cell.clone()));
            prop_assert_eq!(all(cells.iter()), all(expected));
            prop_assert_eq!(cells.len(), model.len());
            let now = Instant { t_ms: 7, steady_ms: 3 };
            let first = model.values().map(|cell| until(cell).at_ms(now)).min();
            prop_assert_eq!(cells.first_end_ms(now), first);
            for (key, cell) in &model {
                prop_assert!(cells.contains(key));
                prop_assert_eq!(cells.window(key), Some(cell.window));
            }
        }
        for key in cells.keys(|_| true) {
            cells.remove(&key);
        }
        prop_assert_eq!((cells.pools.uses(), cells.places.len(), cells.rows.len()), (0, 0, 0));
    }
}

#[test]
fn a_plain_cell_takes_little() {
    assert!(size_of::<Row>() <= 120, "{} bytes", size_of::<Row>());
}
