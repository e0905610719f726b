//! Who is to vote (W3): 1, 3 or 5 nodes, traffic managers first, then control planes, then gateways as witnesses.
//!
//! One traffic manager decides alone, for nothing can be counted without it. Two need a third node, lest the loss of one
//! stop the other. Who votes already stays as long as it may come back.
//!
//! An operator may choose others: the choice is in the register, whoever leads carries it out, and nothing is chosen here
//! until it is taken back.

use std::cmp::Reverse;

/// A node that may vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its stable id.
    pub(super) id: String,
    /// Whether it owns shards.
    pub(super) is_traffic_manager: bool,
    /// Whether it has the control plane's databases.
    pub(super) is_control_plane: bool,
    /// Whether it has been there for a while, and stays.
    pub(super) is_there: bool,
}

/// Who is to vote, if others than those that do. `all` are those that are there, and those voters that may come back.
pub(super) fn next_voters(all: &[Candidate], now: &[String]) -> Option<Vec<String>> {
    let votes = |one: &Candidate| now.contains(&one.id);
    let mut able: Vec<&Candidate> = all
        .iter()
        .filter(|one| one.is_there || votes(one))
        .collect();
    able.sort_by_key(|one| {
        (
            Reverse(one.is_traffic_manager),
            Reverse(votes(one)),
            Reverse(one.is_control_plane),
            one.id.clone(),
        )
    });
    let counting = able.iter().filter(|one| one.is_traffic_manager).count();
    let size = match counting {
        0 => return None,
        // Fewer would be lost with the disk of one, and a second voter that is gone for good is rather replaced.
        1 if now.len() > 1 => now.len(),
        1 => 1,
        2 if able.len() < 3 => 1,
        2..=4 => 3,
        _ => 5,
    };
    if able.len() < size {
        return None;
    }
    let mut voters: Vec<String> = able
        .into_iter()
        .take(size)
        .map(|one| one.id.clone())
        .collect();
    voters.sort();
    let mut before = now.to_vec();
    before.sort();
    (voters != before).then_some(voters)
}

/// Those that an operator chose, if others vote.
pub(super) fn chosen_voters(chosen: &[String], now: &[String]) -> Option<Vec<String>> {
    let sorted = |nodes: &[String]| {
        let mut nodes = nodes.to_vec();
        nodes.sort();
        nodes
    };
    let chosen = sorted(chosen);
    (chosen != sorted(now)).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names tell what a node is: `t1`, `c1`, `g1`; a capital letter that it is not there.
    fn next(all: &str, now: &str) -> Option<String> {
        let of = |name: &str| Candidate {
            id: name.to_lowercase(),
            is_traffic_manager: name.to_lowercase().starts_with('t'),
            is_control_plane: name.to_lowercase().starts_with('c'),
            is_there: name.starts_with(char::is_lowercase),
        };
        let all: Vec<Candidate> = all.split_whitespace().map(of).collect();
        let now: Vec<String> = now.split_whitespace().map(str::to_owned).collect();
        next_voters(&all, &now).map(|voters| voters.join(" "))
    }

    #[test]
    fn traffic_managers_vote_and_a_witness_where_there_are_two() {
        assert_eq!(next("c1 g1", "c1"), None, "nothing is counted yet");
        assert_eq!(next("c1 t1", "c1").as_deref(), Some("t1"));
        assert_eq!(next("c1 c2 g1 t1", "t1"), None);
        assert_eq!(next("t1 t2", "t1"), None, "two would be worse than one");
        assert_eq!(next("g1 t1 t2", "t1").as_deref(), Some("g1 t1 t2"));
        assert_eq!(next("c1 g1 t1 t2", "t1").as_deref(), Some("c1 t1 t2"));
        assert_eq!(next("c1 t1 t2 t3", "c1 t1 t2").as_deref(), Some("t1 t2 t3"));
        assert_eq!(next("c1 t1 t2 t3 t4", "t2 t3 t4"), None, "who votes stays");
        let five = next("c1 t1 t2 t3 t4 t5 t6", "t1 t2 t3");
        assert_eq!(five.as_deref(), Some("t1 t2 t3 t4 t5"));
    }

    #[test]
    fn what_an_operator_chose_is_carried_out_once_whatever_its_order() {
        let names = |text: &str| -> Vec<String> {
            let words = text.split_whitespace();
            words.map(str::to_owned).collect()
        };
        let next = chosen_voters(&names("g1 c1 t1"), &names("t1 t2 t3"));
        assert_eq!(next, Some(names("c1 g1 t1")));
        assert_eq!(chosen_voters(&names("b a c"), &names("c b a")), None);
    }

    #[test]
    fn a_voter_that_may_come_back_stays_and_nobody_new_votes_who_is_not_there() {
        assert_eq!(next("c1 T1 t2 c2", "c1 t1 t2"), None);
        assert_eq!(next("c1 T3 t1 t2", "c1 t1 t2"), None);
        assert_eq!(next("c1 t1 t2", "c1 t1 t3").as_deref(), Some("c1 t1 t2"));
        assert_eq!(next("c1 c2 t1", "c1 t1 t2").as_deref(), Some("c1 c2 t1"));
        assert_eq!(next("c1 t1", "c1 t1 t2"), None, "never fewer");
    }
}
