use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::{Cluster, Member, Request as _};
use domain::view::Life;

use super::super::TrafficManagerHandle;
use super::super::message::{LeaseMany, PassOn};
use super::*;
use crate::agreed_view::AgreedView;

const OWNERS_WORD: Leased = Leased::Behind { at: 1 };
const OTHERS_WORD: Leased = Leased::Behind { at: 2 };

/// Who was asked, in order.
#[derive(Default)]
struct Asked(Mutex<Vec<&'static str>>);

impl Asked {
    fn note(&self, whom: &'static str) {
        self.0.lock().unwrap().push(whom);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// An ask in which the owner and the others come to this.
    async fn ask(
        &self,
        detours: &Detours,
        is_up: bool,
        direct: Result<Leased, AskError>,
        by_others: Option<Leased>,
    ) -> Result<Leased, AskError> {
        let direct = async {
            self.note("owner");
            direct
        };
        let by_others = async {
            self.note("others");
            by_others.map(Ok)
        };
        detours.ask("o", is_up, direct, by_others).await
    }
}

fn view(members: &[&str]) -> View {
    let members = members.iter().map(|node| Life::new(*node, 1));
    View {
        members: members.collect(),
        entries: 2,
        ..View::default()
    }
}

#[tokio::test]
async fn an_owner_that_answers_or_refuses_is_asked_alone() {
    let (asked, detours) = (Asked::default(), Detours::default());
    for answer in [
        Ok(OWNERS_WORD),
        Ok(Leased::NotOwner),
        Err(AskError::Overloaded),
        Err(AskError::Unsupported),
    ] {
        let told = asked.ask(&detours, true, answer.clone(), Some(OTHERS_WORD));
        assert_eq!(told.await, answer);
        assert_eq!(asked.take(), ["owner"]);
    }
}

#[tokio::test]
async fn others_are_asked_where_the_owner_is_not_reached() {
    for error in [AskError::Unavailable, AskError::Dropped, AskError::Timeout] {
        let (asked, detours) = (Asked::default(), Detours::default());
        let told = asked.ask(&detours, true, Err(error), Some(OTHERS_WORD));
        assert_eq!(told.await, Ok(OTHERS_WORD), "{error}");
        assert_eq!(asked.take(), ["owner", "others"], "{error}");
        // What nobody can do is told as it was, and the owner is not waited for twice.
        let (asked, detours) = (Asked::default(), Detours::default());
        let told = asked.ask(&detours, true, Err(error), None);
        assert_eq!(told.await, Err(error));
        assert_eq!(asked.take(), ["owner", "others"], "{error}");
    }
}

#[tokio::test]
async fn others_are_asked_first_while_the_owner_is_suspected_and_itself_where_they_cannot() {
    let (asked, detours) = (Asked::default(), Detours::default());
    let told = asked.ask(&detours, false, Ok(OWNERS_WORD), Some(OTHERS_WORD));
    assert_eq!(told.await, Ok(OTHERS_WORD));
    assert_eq!(asked.take(), ["others"]);
    let told = asked.ask(&detours, false, Ok(OWNERS_WORD), None);
    assert_eq!(told.await, Ok(OWNERS_WORD));
    assert_eq!(asked.take(), ["others", "owner"]);
    // As soon as it is up again.
    let told = asked.ask(&detours, true, Ok(OWNERS_WORD), Some(OTHERS_WORD));
    assert_eq!(told.await, Ok(OWNERS_WORD));
    assert_eq!(asked.take(), ["owner"]);
}

#[tokio::test]
async fn an_owner_that_was_silent_is_waited_for_once_and_asked_first_again_after_a_while() {
    let (asked, detours) = (Asked::default(), Detours::default());
    let silent = asked.ask(&detours, true, Err(AskError::Timeout), Some(OTHERS_WORD));
    assert_eq!(silent.await, Ok(OTHERS_WORD));
    assert_eq!(asked.take(), ["owner", "others"]);
    let began = Instant::now();
    loop {
        let told = asked.ask(&detours, true, Ok(OWNERS_WORD), Some(OTHERS_WORD));
        if told.await == Ok(OWNERS_WORD) {
            break;
        }
        assert_eq!(asked.take(), ["others"]);
        assert!(began.elapsed() < SILENT * 5, "the direct way is back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(asked.take(), ["owner"]);
    assert!(began.elapsed() >= SILENT - Duration::from_millis(50));
    // What failed at once is not remembered.
    let lost = asked.ask(&detours, true, Err(AskError::Unavailable), None);
    assert_eq!(lost.await, Err(AskError::Unavailable));
    let told = asked.ask(&detours, true, Ok(OWNERS_WORD), Some(OTHERS_WORD));
    assert_eq!(told.await, Ok(OWNERS_WORD));
}

#[test]
fn a_standby_passes_on_before_the_other_members_and_the_owner_never_does() {
    let view = view(&["a", "b", "c", "d"]);
    for shard in 0..=255 {
        let name = |life: Option<&Life>| life.unwrap().node.clone();
        let owner = name(view.owner(shard, LAYOUT.rank));
        let standby = name(view.standby(shard, LAYOUT.rank));
        let all = carriers(&view, shard, |_| true);
        assert_eq!((all.len(), &all[0]), (3, &standby));
        assert!(!all.contains(&owner));
        // Who is not reached is not asked, the own node among them.
        let without = carriers(&view, shard, |node| node != standby);
        assert_eq!(without, all[1..]);
    }
    assert!(carriers(&self::view(&["a"]), 0, |_| true).is_empty());
    assert!(carriers(&View::default(), 0, |_| true).is_empty());
}

#[tokio::test]
async fn one_that_cannot_pass_on_is_followed_by_another_until_an_answer_or_the_end() {
    let names = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let asks = AtomicUsize::new(0);
    let answered = by(names(), |node, left| {
        asks.fetch_add(1, Ordering::Relaxed);
        assert!(left <= BY_OTHERS);
        async move {
            match node.as_str() {
                "a" => Err(AskError::Unsupported),
                "b" => Ok(PassedOn::NotReached),
                _ => Ok(PassedOn::Answered(OTHERS_WORD)),
            }
        }
    });
    assert_eq!(answered.await, Some(OTHERS_WORD));
    assert_eq!(asks.swap(0, Ordering::Relaxed), 3);
    // One that says nothing takes all the time that there is, and no more.
    let began = Instant::now();
    let silent = by(names(), |_, left| {
        asks.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(left).await;
            Err(AskError::Timeout)
        }
    });
    assert_eq!(silent.await, None);
    assert_eq!(asks.load(Ordering::Relaxed), 1);
    assert!(began.elapsed() < BY_OTHERS * 2);
}

fn question() -> PassOn {
    let asked = LeaseMany {
        shard: 0,
        node: "gw1".to_owned(),
        incarnation: 1,
        applied: 0,
        asked_at_ms: 0,
        limits: Vec::new(),
        asks: Vec::new(),
    };
    PassOn { asked }
}

#[tokio::test]
async fn who_does_not_reach_the_owner_either_says_so_at_once() {
    let member = Member {
        id: "n1".to_owned(),
        incarnation: 1,
        life: 1,
        name: "n1".to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    };
    let owners = TrafficManagerHandle::elsewhere(&Cluster::new(member), &AgreedView::new());
    let told = tokio::time::timeout(BEYOND / 2, owners.pass_on(question())).await;
    assert_eq!(told, Ok(PassedOn::NotReached));
}

#[test]
fn so_many_are_passed_on_at_a_time_and_no_more() {
    let detours = Detours::default();
    let places: Vec<_> = std::iter::from_fn(|| detours.place()).collect();
    assert_eq!(places.len(), AT_ONCE);
    drop(places);
    assert!(detours.place().is_some());
}

#[test]
fn only_who_speaks_the_protocol_of_now_is_asked_to_pass_on() {
    assert_eq!((PassOn::KIND, PassOn::SINCE), (65_018, cluster::PROTOCOL));
    assert!(PassOn::BEFORE.is_none());
}
