//! Which points a run ends a node at. `cargo xtask test` runs the black box twice, the second time with asks encoded: a node
//! is ended at each point in one of the two; which one, the commit's hash decides. A run by itself takes all.

/// Which half is this run's.
const TURN: &str = "HEADGATE_TEST_TURN";

/// Whether it is this run's turn to end a node there. The statements of a write take turns.
pub(super) fn has(point: &str) -> bool {
    let turn = std::env::var(TURN).ok();
    turn.is_none_or(|turn| turn == half(point).to_string())
}

fn half(point: &str) -> u32 {
    let (write, number) = point.rsplit_once(':').unwrap_or((point, "0"));
    let number = number.parse().unwrap_or(0);
    (write.bytes().map(u32::from).sum::<u32>() + number) % 2
}

#[test]
fn each_statement_is_ended_in_one_of_two_runs_and_neighbours_are_not_in_the_same() {
    let points = (1..=20).map(|at| format!("apim.apis.create:{at}"));
    let halves: Vec<u32> = points.map(|point| half(&point)).collect();
    assert!(
        halves.windows(2).all(|two| two[0] + two[1] == 1),
        "{halves:?}"
    );
}
