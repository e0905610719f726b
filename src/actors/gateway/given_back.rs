//! Which of what was given back an owner has taken (PROTOCOLS L7).

use cluster::AskError;
use domain::ledger::{Ask, Outcome};

use crate::traffic_manager::message::{LeaseAnswer, Leased};

/// Those that whoever was asked has taken, and those that it has not: nobody answered, it owns nothing, or grants nothing yet.
pub(super) fn taken_and_left(
    asks: Vec<Ask>,
    answer: &Result<Leased, AskError>,
) -> (Vec<Ask>, Vec<Ask>) {
    let Ok(Leased::Leases(answers)) = answer else {
        return (Vec::new(), asks);
    };
    let waits = |answer: &LeaseAnswer| {
        let is_later = matches!(
            answer.outcome,
            Outcome::Retry { .. } | Outcome::Behind { .. }
        );
        answer.window.is_none() && is_later
    };
    // What only gives back is not answered where it is taken.
    let said = answers.iter().map(Some).chain(std::iter::repeat(None));
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for (ask, said) in asks.into_iter().zip(said) {
        match said.and_then(Option::as_ref).is_some_and(waits) {
            true => left.push(ask),
            false => taken.push(ask),
        }
    }
    (taken, left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ledger::{CellKey, Holder, Stamp};
    use domain::policy::TimeUnit;
    use domain::window::WindowSpec;

    const MINUTE: WindowSpec = WindowSpec::new(TimeUnit::Min, 1);

    fn ask(key: &str, returned: u64) -> Ask {
        Ask {
            holder: Holder::new("gw", 7, 1),
            cell: CellKey::new("t", "p", key),
            policies: 0,
            epoch: 4,
            asked_at_ms: i64::try_from(returned).unwrap(),
            window: Some(MINUTE.at(0).id),
            have: 9,
            returned,
            want: 0,
            emptied: true,
            due: 0,
        }
    }

    fn answer(outcome: Outcome) -> LeaseAnswer {
        LeaseAnswer {
            stamp: Stamp::default(),
            window: None,
            remaining_ms: 0,
            granted: 0,
            limit: 0,
            left: 0,
            outcome,
        }
    }

    #[test]
    fn what_an_owner_in_sync_or_behind_or_nobody_answers_is_not_taken_and_all_else_is() {
        let asks = vec![ask("a", 1), ask("b", 2), ask("c", 3), ask("d", 4)];
        let waits = Outcome::Retry { after_ms: 200 };
        let answers = [
            Some(answer(waits)),
            None,
            Some(answer(Outcome::Behind { applied: 1 })),
            Some(answer(Outcome::UnknownPolicy)),
        ];
        let answered = Ok(Leased::Leases(answers.into()));
        let (taken, left) = taken_and_left(asks.clone(), &answered);
        assert_eq!(left, [ask("a", 1), ask("c", 3)]);
        assert_eq!(taken, [ask("b", 2), ask("d", 4)]);
        let retry = LeaseAnswer {
            window: Some(MINUTE.at(0).id),
            ..answer(waits)
        };
        let recalls = Ok(Leased::Leases(vec![Some(retry); 4]));
        assert_eq!(taken_and_left(asks.clone(), &recalls).1, []);
        for nobody in [Err(AskError::Timeout), Ok(Leased::NotOwner)] {
            assert_eq!(taken_and_left(asks.clone(), &nobody).1, asks);
        }
    }
}
