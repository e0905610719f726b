//! The validator between requests, the follower and a key manager that answers when it is told to (V1, V2).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, Clock, Door, Root, System, child, start_root};
use domain::api::SUPER_TENANT;
use domain::validation::{Credential, RefusalReason, Secret, Verdict};
use domain::validation_cache::{self, Effect, Entry, Hit, Input, Questions, Subject, SubjectKind};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::caller::Caller;
use super::local_tests::granted;
use super::state::State;
use super::token_cache::{TokenKey, token_key};
use super::validator::{self, Looked, Message, Validator};
use crate::key_manager::message::{ValidateMany, Validated};
use crate::key_manager::{SigningAlgorithm, test_desk};

pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const KEY: TokenKey = [7; 32];
const TOKEN: &str = "a-hash";

/// Gives every question to the test.
struct Front(UnboundedSender<Asked<ValidateMany>>);

impl Actor for Front {
    type Message = Asked<ValidateMany>;
    type Arguments = UnboundedSender<Asked<ValidateMany>>;
    const KIND: &'static str = "test.front";

    async fn start(
        questions: Self::Arguments,
        _me: Address<Self::Message>,
    ) -> Result<Self, BoxError> {
        Ok(Self(questions))
    }

    async fn handle(&mut self, asked: Self::Message) -> Result<(), BoxError> {
        Ok(self.0.send(asked)?)
    }
}

pub(super) struct Bench {
    pub(super) state: Arc<State>,
    pub(super) validator: Address<Message>,
    questions: UnboundedReceiver<Asked<ValidateMany>>,
    _root: Root,
    _dir: tempfile::TempDir,
}

/// A validator of a gateway that has applied everything up to `applied`.
pub(super) async fn bench(applied: u64) -> Bench {
    let (desk, _, _, dir) = test_desk(SigningAlgorithm::Es256).await;
    let system = System::new(Clock::system(), true);
    let (sender, questions) = unbounded_channel();
    let (address, front) = child::<Front>(&system, "front", sender);
    let (km, _) = crate::key_manager::component(&system, &desk);
    let state = Arc::new(State::new(system.clock.clone()));
    state.applied.store(applied, Ordering::Release);
    let (validator, second) = child::<Validator>(
        &system,
        "validator",
        validator::Arguments {
            state: Arc::clone(&state),
            key_manager: km.answered_by(Door::local(&system, address, |asked| asked, Some)),
            lives: Arc::default(),
        },
    );
    let root = start_root(&system, vec![front, second]).await.unwrap();
    Bench {
        state,
        validator,
        questions,
        _root: root,
        _dir: dir,
    }
}

impl Bench {
    pub(super) fn look_up(&self) -> tokio::task::JoinHandle<Looked> {
        let validator = self.validator.clone();
        cluster::spawn_named("test look up", async move {
            let credential = of_super(Secret::Opaque(TOKEN.to_owned()));
            let ask = |reply| Message::Ask(KEY, credential, reply);
            validator.ask(PATIENCE, ask).await.unwrap()
        })
    }

    /// Asks about a credential of its own, and gives up when the answer is not there in time.
    fn look_up_another(&self, n: u32) -> tokio::task::JoinHandle<Looked> {
        let validator = self.validator.clone();
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        cluster::spawn_named("test look up", async move {
            let credential = of_super(Secret::Opaque(format!("{n}")));
            let ask = |reply| Message::Ask(key, credential, reply);
            validator.ask(PATIENCE, ask).await.unwrap()
        })
    }

    pub(super) async fn question(&mut self) -> Asked<ValidateMany> {
        let next = tokio::time::timeout(PATIENCE, self.questions.recv());
        next.await.unwrap().unwrap()
    }

    pub(super) async fn applied(&self, n: u64) {
        let touched = vec![Subject::new(SubjectKind::Token, SUPER_TENANT, TOKEN)];
        let apply = |done| Message::Applied(n, touched, done);
        self.validator.ask(PATIENCE, apply).await.unwrap();
    }

    async fn installed(&self, n: u64) {
        let install = |done| Message::Installed(n, done);
        self.validator.ask(PATIENCE, install).await.unwrap();
    }
}

/// What was presented in the tenant that is served.
pub(super) fn of_super(secret: Secret) -> Credential {
    Credential {
        tenant: SUPER_TENANT.to_owned(),
        secret,
    }
}

fn verdict(at: u64, reason: RefusalReason) -> Validated {
    Validated::Verdicts(vec![Verdict::Refused {
        at,
        reason,
        token_id: None,
    }])
}

fn reason(entry: &Entry<Caller>) -> Option<RefusalReason> {
    match entry.hit(i64::MIN) {
        Hit::Current(Caller::Refused(reason)) => Some(*reason),
        _ => None,
    }
}

/// What the first question of a first life is sent with.
fn first_asked(applied: u64) -> validation_cache::Asked {
    let mut machine: Questions<TokenKey, (), Caller> =
        Questions::new(validator::BOUNDS, applied, 0);
    let ask = Input::Ask {
        question: KEY,
        waiter: (),
    };
    match machine.step(ask, 0).pop() {
        Some(Effect::Send { asked, .. }) => asked,
        other => panic!("no question but {other:?}"),
    }
}

#[tokio::test]
async fn an_answer_out_of_a_history_that_a_backup_replaced_is_not_used() {
    let mut bench = bench(100).await;
    let looked = bench.look_up();
    let before = bench.question().await;
    assert_eq!(before.request.applied, 100);
    // The backup's log ends at 52, and what it says at 53 is not what the old one said.
    bench.installed(52).await;
    let after = bench.question().await;
    assert_eq!(after.request.applied, 52);
    bench.applied(53).await;
    let late = Message::Answered(
        0,
        vec![(KEY, first_asked(100))],
        Ok(verdict(100, RefusalReason::Unknown)),
    );
    assert!(bench.validator.tell(late).is_ok());
    after.reply.send(verdict(53, RefusalReason::Revoked));
    // Applied while it was under way, so asked once more.
    let again = bench.question().await;
    assert_eq!(again.request.applied, 53);
    again.reply.send(verdict(53, RefusalReason::Revoked));
    let entry = looked.await.unwrap().unwrap();
    assert_eq!(reason(&entry), Some(RefusalReason::Revoked));
    let kept = bench.state.tokens.current(&KEY, i64::MIN).unwrap();
    assert_eq!(reason(&kept), Some(RefusalReason::Revoked));
    drop(before);
}

#[tokio::test]
async fn what_a_key_manager_knows_beyond_the_gateway_does_not_outlive_the_changes_there() {
    let mut bench = bench(50).await;
    let looked = bench.look_up();
    let asked = bench.question().await;
    asked.reply.send(verdict(100, RefusalReason::Unknown));
    let entry = looked.await.unwrap().unwrap();
    assert_eq!(reason(&entry), Some(RefusalReason::Unknown));
    bench.applied(60).await;
    assert!(matches!(entry.hit(i64::MIN), Hit::Touched));
    assert!(bench.state.tokens.current(&KEY, i64::MIN).is_none());
}

#[tokio::test]
async fn a_key_manager_is_asked_in_the_apis_tenant_and_what_is_good_in_another_is_refused() {
    let mut bench = bench(50).await;
    for (tenant, wanted) in [
        (SUPER_TENANT, None),
        ("other.example", Some(RefusalReason::Unknown)),
    ] {
        let looked = bench.look_up();
        let asked = bench.question().await;
        let [credential] = asked.request.credentials.as_slice() else {
            panic!("{:?}", asked.request);
        };
        assert_eq!(credential.tenant, SUPER_TENANT);
        let mut grant = granted("client", "shop");
        // A key manager that hears of no tenants answers by whatever the secret belongs to.
        (grant.at, grant.tenant) = (50, tenant.to_owned());
        let verdict = Verdict::Granted(Box::new(grant));
        asked.reply.send(Validated::Verdicts(vec![verdict]));
        let entry = looked.await.unwrap().unwrap();
        assert_eq!(reason(&entry), wanted, "{tenant}");
        bench.state.tokens.clear();
    }
}

#[test]
fn one_text_in_two_tenants_or_of_two_kinds_is_two_things_to_look_up() {
    let keys = [
        token_key(0, "a", "text"),
        token_key(0, "b", "text"),
        token_key(1, "a", "text"),
        // Where the tenant's name ends counts as well.
        token_key(0, "at", "ext"),
    ];
    let apart: BTreeSet<_> = keys.iter().collect();
    assert_eq!(apart.len(), keys.len());
}

#[tokio::test]
async fn a_flood_of_questions_that_overlap_leaves_no_credential_behind() {
    let mut bench = bench(50).await;
    // One question stays open throughout, and the others come faster than they are answered.
    let open = bench.look_up();
    let first = bench.question().await;
    let most = u32::try_from(validator::BOUNDS.questions).unwrap();
    let asked: Vec<_> = (0..most + 1_000)
        .map(|n| bench.look_up_another(n))
        .collect();
    let (mut answered, mut overloaded) = (0, 0);
    let counting = cluster::spawn_named("test flood", async move {
        for one in asked {
            match one.await.unwrap() {
                Ok(_) => answered += 1,
                Err(refusal) => {
                    assert_eq!(refusal, validation_cache::Refusal::Overloaded);
                    overloaded += 1;
                }
            }
        }
        (answered, overloaded)
    });
    while !counting.is_finished() {
        let next = tokio::time::timeout(Duration::from_millis(20), bench.questions.recv());
        if let Ok(Some(batch)) = next.await {
            let refused = |_| Verdict::Refused {
                at: 50,
                reason: RefusalReason::Unknown,
                token_id: None,
            };
            let verdicts = batch.request.credentials.iter().map(refused).collect();
            batch.reply.send(Validated::Verdicts(verdicts));
        }
    }
    let (answered, overloaded) = counting.await.unwrap();
    assert!(answered > 0 && overloaded > 0, "{answered} {overloaded}");
    let kept = bench.validator.ask(PATIENCE, Message::Kept).await.unwrap();
    assert!(kept <= 1, "{kept}");
    drop(first);
    open.abort();
}

#[tokio::test]
async fn what_a_request_holds_from_an_earlier_life_ends_before_a_change_is_acknowledged() {
    let mut bench = bench(50).await;
    let looked = bench.look_up();
    let asked = bench.question().await;
    asked.reply.send(verdict(50, RefusalReason::Unknown));
    let entry = looked.await.unwrap().unwrap();
    assert_eq!(reason(&entry), Some(RefusalReason::Unknown));
    bench.validator.kill();
    // The next life has never heard of what the entry is about. A life that ends with the news in
    // its mailbox acknowledges nothing.
    let apply = |done| Message::Applied(51, Vec::new(), done);
    while bench.validator.ask(PATIENCE, apply).await.is_err() {}
    assert!(matches!(entry.hit(i64::MIN), Hit::Touched));
}

#[tokio::test]
async fn many_tokens_at_once_are_asked_about_in_few_messages_and_each_gets_its_own_answer() {
    let mut bench = bench(50).await;
    let most = 1_000_u32;
    let asked: Vec<_> = (0..most).map(|n| bench.look_up_another(n)).collect();
    let answering = async {
        let (mut messages, mut credentials) = (0, 0);
        while credentials < most as usize {
            let batch = bench.question().await;
            messages += 1;
            credentials += batch.request.credentials.len();
            let verdict = |credential: &Credential| {
                let Secret::Opaque(hash) = &credential.secret else {
                    panic!("{credential:?}");
                };
                // Every third is no good, and nobody suffers for it.
                let is_bad = hash.parse::<u32>().unwrap() % 3 == 0;
                Verdict::Refused {
                    at: 50,
                    reason: match is_bad {
                        true => RefusalReason::Malformed,
                        false => RefusalReason::Unknown,
                    },
                    token_id: Some(hash.clone()),
                }
            };
            let verdicts = batch.request.credentials.iter().map(verdict).collect();
            batch.reply.send(Validated::Verdicts(verdicts));
        }
        messages
    };
    let messages = answering.await;
    assert!(messages < most / 3, "{messages} messages");
    for (n, one) in (0..most).zip(asked) {
        let entry = one.await.unwrap().unwrap();
        let wanted = match n % 3 {
            0 => RefusalReason::Malformed,
            _ => RefusalReason::Unknown,
        };
        assert_eq!(reason(&entry), Some(wanted), "{n}");
    }
}
