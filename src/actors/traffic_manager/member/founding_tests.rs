//! Members over the register of a cluster, which one of them founds.

use domain::view::{Entry, Founder, Founding, Others, View};

use super::*;
use crate::agreed_view::message::{Claim, Claimed, GivenUp};
use crate::agreed_view::{NotAgreed, Orders};
use crate::traffic_manager::lone;

#[path = "leading_tests.rs"]
mod leading;

/// Members whose register is to be founded, and who decides on that.
pub(super) struct Founded {
    pub(super) members: Members,
    links: Links,
    claims: ClaimHandle,
    apim: Database,
    deciding: Root,
    /// Where that runs.
    system: System,
}

// === impl Founded ===

impl Founded {
    pub(super) async fn new(dir: &Path) -> Self {
        let url = format!("sqlite:{}", dir.join("claims.db").display());
        let apim = apim::open(&url).await.unwrap();
        let system = System::new(Clock::system(), true);
        let (claims, deciding) = Self::deciding(&system, &apim).await;
        let links = Links::default();
        let registers = Registers::OfCluster(links.clone(), Box::new(claims.clone()));
        Self {
            members: Members::new(dir, registers).await,
            links,
            claims,
            apim,
            deciding,
            system,
        }
    }

    /// A node of the control plane, with its own way to the database.
    async fn deciding(system: &System, apim: &Database) -> (ClaimHandle, Root) {
        let (claims, child) = claims(system, apim, (&lone("cp"), false));
        (claims, start_root(system, vec![child]).await.unwrap())
    }

    /// What it was asked and told.
    fn decided(&self) -> u64 {
        let all = self.system.registry.report(self.system.clock.monotonic());
        all.iter().map(|actor| actor.handled).sum()
    }

    /// Whoever joins from now on is on a node that no other one sees, and reaches the database by this way.
    fn alone(&mut self, claims: &ClaimHandle) {
        let members = &mut self.members;
        members.nodes = Nodes::alone(Life::new("nobody", 0));
        members.ways = Ways::default();
        members.registers = Registers::OfCluster(Links::default(), Box::new(claims.clone()));
    }

    async fn row(&self) -> Founder {
        let mut read = self.apim.read().await.unwrap();
        apim::view_register::find(&mut read).await.unwrap()
    }

    /// Whether this member grants a unit of it to a gateway that has none.
    async fn grants(&self, of: &str, gateway: &str, key: &ThrottleKey) -> bool {
        let granted = async {
            loop {
                let asked = self.members.asked(of, question(gateway, key, None));
                match asked.await.map(|answer| answer.outcome) {
                    Some(Outcome::Granted) => return true,
                    Some(Outcome::Final) => return false,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let granted = tokio::time::timeout(Duration::from_secs(3), granted);
        granted.await.unwrap_or(false)
    }

    fn register(&self, name: &str) -> Register {
        self.links.0.lock().unwrap()[name].clone()
    }

    async fn claim(&self, node: &str, name: &str, life: u64) -> Claimed {
        let claim = Claim {
            node: node.to_owned(),
            name: name.to_owned(),
            life,
            counted_in: 0,
            known: 0,
            hold_ms: 60_000,
            watched: None,
        };
        self.claims.claim(claim).await.unwrap()
    }

    /// As after nothing was seen of it for long enough.
    async fn give_up(&self, node: &str) {
        let watched = Some(self.row().await.renewals);
        let given_up = self.claims.give_up(node, watched).await;
        let given_up = given_up.unwrap();
        assert!(matches!(given_up, GivenUp::Yes { .. }), "{given_up:?}");
    }

    /// What the last one knows.
    fn view(&self) -> Arc<View> {
        let (_, last) = &self.members.all[self.members.all.len() - 1];
        last.agreed.latest().view
    }

    pub(super) async fn stop(self) {
        self.members.stop().await;
        self.deciding.stop(DEADLINE).await;
    }
}

#[tokio::test]
async fn one_founds_the_register_and_all_agree_over_it_also_when_its_leader_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    for name in NAMES {
        founded.members.join(name, 1, &dir.path().join(name)).await;
    }
    founded.members.wait_for(&NAMES).await;
    let all = NAMES.map(str::to_owned);
    let votes = |name: &&str| !founded.register(name).known().voters.sets.is_empty();
    let founders: Vec<&str> = NAMES.into_iter().filter(votes).collect();
    assert_eq!(founders.len(), 1, "{founders:?}");
    let own = founded.claim("another", "another", 1).await;
    let told = |others| Claimed::Others {
        name: founders[0].to_owned(),
        others,
        generation: 1,
    };
    assert_eq!(own, told(Others::Own));
    let register = founded.register(founders[0]);
    register.change_voters(&all).await.unwrap();
    // The old voters are needed until a view of the new ones is active.
    founded.members.wait_for_voters(&all).await;
    // Where others decide nobody founds anew, whatever was lost.
    for node in ["another", founders[0]] {
        let claimed = founded.claim(node, founders[0], 2).await;
        assert_eq!(claimed, told(Others::Vote));
    }
    let members = &founded.members;
    members
        .control_plane
        .save("minute", 30, TimeUnit::Min)
        .await;
    let key = key("minute", "k");
    let leader = register.known().leader.unwrap();
    let owner = members.pair(&key).0;
    assert_eq!(members.drain(&owner, "gw1", &key, 8).await, 8);
    members.cut_off(&leader);
    let left: Vec<&str> = NAMES.into_iter().filter(|name| *name != leader).collect();
    members.wait_for(&left).await;
    let owner = members.owner_among(&left, &key);
    assert_eq!(members.drain(&owner, "gw2", &key, 40).await, 22);
    founded.stop().await;
}

/// Plans by the month and by the hour, of which a member has granted five each.
async fn with_five_granted(founded: &mut Founded, dir: &Path) -> [ThrottleKey; 2] {
    let members = &mut founded.members;
    members.join_as((NAMES[0], "tm1"), 1, dir).await;
    members.wait_for(&NAMES[..1]).await;
    for (plan, unit) in [("month", TimeUnit::Month), ("minute", TimeUnit::Min)] {
        members.control_plane.save(plan, 20, unit).await;
    }
    let keys = [key("month", "k"), key("minute", "k")];
    for key in &keys {
        assert_eq!(members.drain(NAMES[0], "gw1", key, 5).await, 5);
    }
    assert_eq!(founded.view().entries >> 40, 1);
    keys
}

#[tokio::test]
async fn whoever_replaces_the_founder_whose_disk_is_lost_counts_its_windows_as_full_until_they_are_given_up()
 {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    let keys = with_five_granted(&mut founded, &dir.path().join("one")).await;
    founded.members.crash_all();
    // It is not known to be gone, unless somebody says so.
    founded.give_up(NAMES[0]).await;
    let members = &mut founded.members;
    let empty = dir.path().join("two");
    members.join_as((NAMES[1], "tm1"), 1, &empty).await;
    members.wait_for(&NAMES[1..2]).await;
    for key in &keys {
        assert_eq!(members.drain(NAMES[1], "gw2", key, 40).await, 0, "{key:?}");
    }
    let view = founded.view();
    assert_eq!(view.entries >> 40, 2);
    let holders: Vec<&str> = view
        .lost
        .iter()
        .flat_map(|loss| &loss.holders)
        .map(String::as_str)
        .collect();
    assert!(!holders.is_empty() && holders.iter().all(|node| *node == NAMES[0]));
    // As `headgate cluster forget` does.
    let node = NAMES[0].to_owned();
    let (_, one) = &founded.members.all[0];
    one.register.propose(Entry::Forget { node }).await;
    let deadline = founded.members.system.clock.monotonic() + DEADLINE;
    while !founded.view().lost.is_empty() {
        assert!(founded.members.system.clock.monotonic() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let got = founded.members.drain(NAMES[1], "gw3", &keys[0], 40).await;
    assert_eq!(got, 20, "of the month, whatever was granted before");
    founded.stop().await;
}

#[tokio::test]
async fn of_two_lone_nodes_of_one_name_over_one_database_one_counts_and_stands_still_before_the_other_does()
 {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    founded.members.hold = Duration::from_secs(3);
    let system = System::new(Clock::system(), true);
    let (first, reaches) = Founded::deciding(&system, &founded.apim).await;
    founded.alone(&first);
    let keys = with_five_granted(&mut founded, &dir.path().join("one")).await;
    let second = founded.claims.clone();
    founded.alone(&second);
    let empty = dir.path().join("two");
    founded.members.join_as((NAMES[1], "tm1"), 1, &empty).await;
    // It waits for as long as the first one may go on by itself, and that one says meanwhile that it is there.
    let (deadline, clock) = (DEADLINE, founded.members.system.clock.clone());
    let began = clock.monotonic();
    let before = founded.row().await.renewals;
    loop {
        let row = founded.row().await;
        assert_eq!((row.generation, row.node.as_str()), (1, NAMES[0]));
        if row.renewals > before + 60 {
            break;
        }
        assert!(clock.monotonic() - began < deadline, "{row:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(founded.view().entries, 0);
    // Cut off from the database alone, it goes on for a while.
    reaches.stop(DEADLINE).await;
    assert!(founded.grants(NAMES[0], "gw3", &keys[0]).await);
    founded.members.wait_for(&NAMES[1..2]).await;
    assert_eq!(founded.view().entries >> 40, 2);
    assert!(founded.view().t0_ms >= Some(founded.row().await.after_ms));
    for key in &keys {
        let got = founded.members.drain(NAMES[1], "gw2", key, 40).await;
        assert_eq!(got, 0, "what the first one granted counts: {key:?}");
        assert!(!founded.grants(NAMES[0], "gw4", key).await, "{key:?}");
    }
    founded.stop().await;
}

#[tokio::test]
async fn a_lone_founder_that_renews_its_hold_is_not_given_up_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    founded.members.hold = Duration::from_secs(3);
    let keys = with_five_granted(&mut founded, &dir.path().join("one")).await;
    let clock = founded.members.system.clock.clone();
    let waits = Nodes::alone(Life::new(NAMES[1], 1));
    let orders = Orders::new(&waits, &AgreedView::new()).over(&founded.claims, &clock);
    let founder = || Ok(Some(NAMES[0].to_owned()));
    assert_eq!(orders.founder(NAMES[0]).await, founder());
    for node in [NAMES[1], "nobody"] {
        assert_eq!(orders.founder(node).await, Ok(None));
        assert_eq!(orders.give_up_founder(node).await, Ok(None));
    }
    for _ in 0..2 {
        let refused = orders.give_up_founder(NAMES[0]).await.unwrap_err();
        let NotAgreed::FounderIsThere(why) = refused else {
            panic!("{refused}");
        };
        assert!(why.starts_with("it renewed its hold"), "{why}");
    }
    assert!(!founded.row().await.is_given_up);
    assert!(founded.grants(NAMES[0], "gw2", &keys[0]).await);
    // Nobody is told that it stops: it may be started again while none answers.
    founded.members.stop_all().await;
    assert!(!founded.row().await.is_given_up);
    assert_eq!(orders.give_up_founder(NAMES[0]).await, founder());
    assert!(founded.row().await.is_given_up);
    founded.stop().await;
}

/// Whoever was alone, then not, then alone again goes as far as it likes by then: so does its next life.
#[tokio::test]
async fn what_is_kept_of_a_hold_is_what_it_was_told_last_also_after_others_voted() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    for name in NAMES {
        founded.members.join(name, 1, &dir.path().join(name)).await;
    }
    founded.members.wait_for(&NAMES).await;
    let founder = founded.row().await.node;
    let mut all = founded.members.all.iter();
    let (_, one) = all.find(|(name, _)| *name == founder).unwrap();
    let carbon = &one.carbon;
    let kept = async |wanted: fn(i64) -> bool| {
        let began = founded.members.system.clock.monotonic();
        loop {
            let mut read = carbon.read().await.unwrap();
            let kept = storage::carbon::hold::find(&mut read).await.unwrap();
            drop(read);
            if kept.is_some_and(wanted) {
                return;
            }
            let waited = founded.members.system.clock.monotonic() - began;
            assert!(waited < DEADLINE, "{kept:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    kept(|reach_ms| reach_ms < i64::MAX).await;
    let register = founded.register(&founder);
    let all = NAMES.map(str::to_owned);
    register.change_voters(&all).await.unwrap();
    founded.members.wait_for_voters(&all).await;
    let alone = [founder.clone()];
    register.change_voters(&alone).await.unwrap();
    kept(|reach_ms| reach_ms == i64::MAX).await;
    founded.stop().await;
}

#[tokio::test]
async fn whoever_waits_for_a_founder_founds_nothing_beside_it_though_the_database_is_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    // It says that it is there every ten seconds, and the other one asks every two.
    founded.members.hold = Duration::from_secs(200);
    let claims = founded.claims.clone();
    founded.alone(&claims);
    let keys = with_five_granted(&mut founded, &dir.path().join("one")).await;
    founded.alone(&claims);
    let (empty, before) = (dir.path().join("two"), founded.decided());
    founded.members.join_as((NAMES[1], "tm1"), 1, &empty).await;
    // One may be a renewal: the other shows that it was told who founded.
    let told = async {
        while founded.decided() < before + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, told).await.unwrap();
    let mut write = founded.apim.write("test.set_back").await.unwrap();
    let forgotten = Founder::default();
    let set_back = apim::view_register::save(&mut write, &forgotten).await;
    set_back.unwrap();
    write.commit().await.unwrap();
    let clock = founded.members.system.clock.clone();
    let began = clock.monotonic();
    loop {
        let row = founded.row().await;
        assert_ne!(row.node, NAMES[1], "{row:?}");
        if row.node == NAMES[0] {
            break;
        }
        assert!(clock.monotonic() - began < DEADLINE, "{row:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(founded.view().entries, 0);
    assert!(founded.grants(NAMES[0], "gw2", &keys[0]).await);
    founded.stop().await;
}

#[tokio::test]
async fn a_founder_whose_disk_is_back_after_another_founded_anew_grants_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    let claims = founded.claims.clone();
    founded.alone(&claims);
    let one = dir.path().join("one");
    let keys = with_five_granted(&mut founded, &one).await;
    founded.members.stop_all().await;
    founded.give_up(NAMES[0]).await;
    founded.alone(&claims);
    let empty = dir.path().join("two");
    let members = &mut founded.members;
    members.join_as((NAMES[1], "tm1"), 1, &empty).await;
    members.wait_for(&NAMES[1..2]).await;
    // The first one is back, and sees nobody.
    founded.alone(&claims);
    founded.members.join_as((NAMES[0], "tm1"), 2, &one).await;
    founded.members.wait_for(&NAMES[..1]).await;
    assert_eq!(founded.view().entries >> 40, 1, "by its own register");
    for key in &keys {
        assert!(!founded.grants(NAMES[0], "gw4", key).await, "{key:?}");
    }
    founded.stop().await;
}

#[tokio::test]
async fn a_founder_that_is_started_again_while_nobody_answers_goes_on_as_far_as_it_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    let system = System::new(Clock::system(), true);
    let (claims, reaches) = Founded::deciding(&system, &founded.apim).await;
    founded.alone(&claims);
    let one = dir.path().join("one");
    let keys = with_five_granted(&mut founded, &one).await;
    founded.members.stop_all().await;
    reaches.stop(DEADLINE).await;
    founded.alone(&claims);
    founded.members.join_as((NAMES[0], "tm1"), 2, &one).await;
    let got = founded.members.drain(NAMES[0], "gw2", &keys[0], 40).await;
    assert_eq!(got, 15);
    founded.stop().await;
}

#[tokio::test]
async fn a_founder_that_lost_its_register_alone_goes_on_from_what_its_disk_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    let one = dir.path().join("one");
    let keys = with_five_granted(&mut founded, &one).await;
    founded.members.stop_all().await;
    for file in std::fs::read_dir(&one).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("carbon") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let members = &mut founded.members;
    members.join_as((NAMES[0], "tm1"), 2, &one).await;
    members.wait_for(&NAMES[..1]).await;
    for (key, left) in keys.iter().zip([15, 0]) {
        let got = members.drain(NAMES[0], "gw2", key, 40).await;
        assert_eq!(got, left, "{key:?}");
    }
    let view = founded.view();
    assert_eq!((view.entries >> 40, view.lost.len()), (2, 0));
    founded.stop().await;
}

#[tokio::test]
async fn a_founder_that_was_cut_short_between_claim_and_founding_founds_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    let claimed = founded.claim(NAMES[0], "tm1", 1).await;
    assert!(
        matches!(
            claimed,
            Claimed::Yours {
                founding: Founding { generation: 1, .. },
                ..
            }
        ),
        "{claimed:?}"
    );
    let members = &mut founded.members;
    members
        .join_as((NAMES[0], "tm1"), 2, &dir.path().join("one"))
        .await;
    members.wait_for(&NAMES[..1]).await;
    members
        .control_plane
        .save("month", 20, TimeUnit::Month)
        .await;
    let got = members.drain(NAMES[0], "gw1", &key("month", "k"), 40).await;
    assert_eq!(got, 20, "nothing was granted before");
    let view = founded.view();
    assert_eq!((view.entries >> 40, view.lost.len()), (2, 0));
    founded.stop().await;
}

#[tokio::test]
async fn a_lone_member_waits_for_nobody_after_its_first_start_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    founded.members.layout.patience = Patience {
        fresh_ms: 60_000,
        join_ms: 60_000,
        gather_ms: 60_000,
        stuck_ms: 60_000,
    };
    let name = NAMES[0];
    for incarnation in 1..4 {
        founded.members.join(name, incarnation, dir.path()).await;
        founded.members.wait_for(&[name]).await;
        founded.members.stop_all().await;
    }
    founded.stop().await;
}
