use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::{Door, Request as _};
use domain::policy::PolicyLevel;
use domain::view::Life;
use domain::window::WindowSpec;

use super::super::message::{LeaseAsk, LimitName, PassOn};
use super::super::{DEADLINE, Node, TrafficManagerHandle, lone};
use super::*;
use crate::agreed_view::AgreedView;
use crate::agreed_view::message::Agreed;

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
    let owners = TrafficManagerHandle::elsewhere(&lone("n1"), &AgreedView::new());
    let told = tokio::time::timeout(BEYOND / 2, owners.pass_on(question())).await;
    assert_eq!(told, Ok(PassedOn::NotReached));
}

/// Everybody has heard of a view.
fn learned(view: View) -> AgreedView {
    let agreed = AgreedView::new();
    learn(&agreed, view);
    agreed
}

fn learn(agreed: &AgreedView, view: View) {
    agreed.learn(&Agreed {
        view: Some(Box::new(view)),
        voters: Vec::new(),
        clock_ms: None,
        voters_at: None,
        right_ms: 0,
    });
}

/// A door whose actor says this, after so long.
fn door(says: &Leased, after: Duration, heard: &Arc<AtomicUsize>) -> Door<LeaseMany> {
    let (says, heard) = (says.clone(), Arc::clone(heard));
    Door::answering_later(move |_| {
        heard.fetch_add(1, Ordering::SeqCst);
        let says = says.clone();
        async move {
            tokio::time::sleep(after).await;
            says
        }
    })
}

#[tokio::test]
async fn who_passes_on_brings_the_word_of_an_owner_and_asks_nobody_who_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    let heard = Arc::default();
    let owners = node
        .traffic
        .asked_through(door(&OWNERS_WORD, Duration::ZERO, &heard));
    let told = owners.pass_on(question()).await;
    assert_eq!(told, PassedOn::Answered(OWNERS_WORD));
    assert_eq!(heard.swap(0, Ordering::SeqCst), 1);
    // Another view has another owner, which is not reached. Nobody else is asked, a member of before least of all.
    let owners = owners.going_by(&learned(view(&["another"])));
    assert_eq!(owners.pass_on(question()).await, PassedOn::NotReached);
    let nobody = owners.going_by(&learned(view(&[])));
    assert_eq!(nobody.pass_on(question()).await, PassedOn::NotReached);
    assert_eq!(heard.load(Ordering::SeqCst), 0);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn an_owner_that_is_silent_to_one_that_was_passed_on_is_asked_no_other_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    let heard = Arc::default();
    let owners = node
        .traffic
        .asked_through(door(&OWNERS_WORD, BEYOND * 20, &heard));
    let began = Instant::now();
    assert_eq!(owners.pass_on(question()).await, PassedOn::NotReached);
    assert!(began.elapsed() >= BEYOND);
    for _again in 0..AT_ONCE {
        assert_eq!(owners.pass_on(question()).await, PassedOn::NotReached);
    }
    // Only where this took so long that the owner is asked once more.
    let most = 1 + usize::from(began.elapsed() >= BEYOND + IN_VAIN);
    assert!(heard.load(Ordering::SeqCst) <= most);
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn nothing_is_put_in_the_way_to_an_owner_that_is_not_heard() {
    let detours = Detours::default();
    let asked = AtomicUsize::new(0);
    let direct = async {
        asked.fetch_add(1, Ordering::Relaxed);
        Ok(OWNERS_WORD)
    };
    let told = detours.pass_on("o", false, 1, direct).await;
    assert_eq!((told, asked.into_inner()), (PassedOn::NotReached, 0));
}

#[tokio::test]
async fn an_owner_is_asked_for_others_again_after_a_while() {
    let detours = Detours::default();
    let ask = |answer| detours.pass_on("o", true, 1, async move { answer });
    let lost = ask(Err(AskError::Timeout)).await;
    assert_eq!(lost, PassedOn::NotReached);
    let began = Instant::now();
    while ask(Ok(OWNERS_WORD)).await == PassedOn::NotReached {
        assert!(began.elapsed() < IN_VAIN * 5, "it is asked again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() >= IN_VAIN - Duration::from_millis(50));
    // What fails at once lies nowhere.
    assert_eq!(ask(Err(AskError::Dropped)).await, PassedOn::NotReached);
    let told = ask(Ok(OWNERS_WORD)).await;
    assert_eq!(told, PassedOn::Answered(OWNERS_WORD));
}

/// What becomes of a question of this size at a node that passes on what `taken` are of already; none where it waits for its owner.
async fn passed_on(taken: &[usize], size: usize) -> Option<PassedOn> {
    let detours = Detours::default();
    let places: Vec<_> = taken.iter().map(|size| detours.place(*size)).collect();
    assert!(places.iter().all(Option::is_some), "there is room");
    let told = detours.pass_on("o", true, size, std::future::pending());
    tokio::time::timeout(Duration::from_millis(20), told)
        .await
        .ok()
}

#[tokio::test]
async fn no_more_is_passed_on_at_a_time_than_a_quarter_of_what_a_way_carries_by_number_or_bytes() {
    let (asks, bytes) = ([1; AT_ONCE], [LARGEST; BYTES / LARGEST]);
    assert_eq!((AT_ONCE * 4, BYTES * 4), (1_024, 8 * 1024 * 1024), "M2");
    let full = Some(PassedOn::NotReached);
    assert_eq!(passed_on(&asks, 1).await, full);
    assert_eq!(passed_on(&asks[1..], 1).await, None);
    assert_eq!(passed_on(&bytes, 1).await, full);
    assert_eq!(passed_on(&bytes[1..], LARGEST).await, None);
    assert_eq!(passed_on(&[], LARGEST + 1).await, full, "too large");
    // A place is free again when its question is over.
    let detours = Detours::default();
    for _one in 0..AT_ONCE * 2 {
        let told = detours.pass_on("o", true, LARGEST, async { Ok(OWNERS_WORD) });
        assert_eq!(told.await, PassedOn::Answered(OWNERS_WORD));
    }
}

#[test]
fn a_question_takes_no_more_bytes_than_are_counted() {
    let ask = |subject: &str| LeaseAsk {
        limit: u16::MAX,
        subject: subject.to_owned(),
        lease: u64::MAX,
        epoch: u64::MAX,
        window: Some(
            WindowSpec::new(domain::policy::TimeUnit::Min, 1)
                .at(i64::MAX / 2)
                .id,
        ),
        have: u64::MAX,
        returned: u64::MAX,
        want: u64::MAX,
        emptied: true,
        due: u64::MAX,
    };
    let limit = LimitName {
        tenant: "tenant".to_owned(),
        level: PolicyLevel::Subscription,
        policy: "policy".to_owned(),
        limit: u16::MAX,
    };
    for count in [0, 1, 300] {
        let PassOn { asked } = question();
        let asked = LeaseMany {
            incarnation: u64::MAX,
            applied: u64::MAX,
            asked_at_ms: i64::MIN,
            limits: vec![limit.clone(); count],
            asks: (0..count).map(|length| ask(&"x".repeat(length))).collect(),
            ..asked
        };
        let counted = size_of(&asked);
        let passed_on = PassOn { asked };
        let sent = cluster::encode(PassOn::KIND, PassOn::VERSION, &passed_on).unwrap();
        assert!(sent.len() <= counted, "{} of {counted}", sent.len());
    }
}

#[tokio::test]
async fn another_view_ends_the_detour_at_once() {
    let agreed = learned(view(&["a", "b"]));
    let epoch = agreed.view().epoch;
    let latest = agreed.subscribe();
    let mut silent = std::pin::pin!(while_it_lasts(latest, epoch, std::future::pending()));
    let later = |entries, epoch| View {
        entries,
        epoch: Epoch::of_number(epoch),
        ..view(&["b"])
    };
    // The same view that goes on ends nothing.
    learn(&agreed, later(3, epoch.number()));
    let short = Duration::from_millis(20);
    let waits = tokio::time::timeout(short, &mut silent).await;
    assert!(waits.is_err(), "{waits:?}");
    learn(&agreed, later(4, epoch.number() + 1));
    let ended = tokio::time::timeout(BEYOND, silent).await;
    assert_eq!(ended, Ok(Some(Err(AskError::Unavailable))));
    // What comes while the view lasts counts.
    let (latest, epoch) = (agreed.subscribe(), agreed.view().epoch);
    let told = while_it_lasts(latest, epoch, async { Some(OTHERS_WORD) });
    assert_eq!(told.await, Some(Ok(OTHERS_WORD)));
}

#[test]
fn only_who_speaks_the_protocol_of_now_is_asked_to_pass_on() {
    assert_eq!((PassOn::KIND, PassOn::SINCE), (65_018, cluster::PROTOCOL));
    assert!(PassOn::BEFORE.is_none());
}
