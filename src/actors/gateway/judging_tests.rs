//! Signed tokens that are judged here hold up no change, however many there are and however long
//! judging takes.

use std::sync::mpsc;

use cluster::{Actor, Address, BoxError, Clock, System, child, start_root};
use domain::api::SUPER_TENANT;
use domain::change::Change;
use domain::validation::{RefusalReason, Secret};
use domain::validation_cache::{Hit, Refusal};
use serde_json::json;

use super::caller::Caller;
use super::local_tests::granted;
use super::locked;
use super::projection::Projection;
use super::tests::{Bench, PATIENCE, bench, of_super};
use super::token_cache::token_key;
use super::validator::{self, Looked, Message};
use crate::key_manager::message::Validated;
use crate::key_manager::{Keys, SigningAlgorithm};

const FLOOD: usize = 300;

impl Bench {
    /// Key managers fall silent, and this gateway knows a client and a key.
    async fn alone(&mut self, keys: &Keys) -> Projection {
        let mut projection = Projection::new();
        projection.publish(&self.state);
        let jwks = keys.jwks();
        let change = Change::VerificationKeysChanged { jwks };
        drop(projection.apply(SUPER_TENANT, &change, &self.state));
        let now_ms = self.state.clock.now_ms();
        locked(&self.state.consumers).learn(&granted("known", "shop"), 5, now_ms);
        let looked = self.look_up();
        while !looked.is_finished() {
            let next = tokio::time::timeout(std::time::Duration::from_millis(20), self.question());
            if let Ok(asked) = next.await {
                asked.reply.send(Validated::Unavailable);
            }
        }
        assert_eq!(looked.await.unwrap().err(), Some(Refusal::Unreachable));
        projection
    }

    fn signed(&self, keys: &Keys, n: usize) -> String {
        let now = self.state.clock.now_ms() / 1_000;
        let claims = json!({
            "iss": "https://keys.example/oauth2/token", "sub": "ann@carbon.super",
            "aut": "APPLICATION", "aud": [], "azp": "known", "scope": "", "jti": n.to_string(),
            "iat": now, "nbf": now, "exp": now + 600,
        });
        keys.sign("at+jwt", &claims).unwrap()
    }

    fn ask(&self, text: String) -> tokio::task::JoinHandle<Looked> {
        let validator = self.validator.clone();
        cluster::spawn_named("test look up", async move {
            let question = token_key(0, SUPER_TENANT, &text);
            validator::ask(&validator, question, of_super(Secret::Jwt(text))).await
        })
    }
}

fn reason(looked: &Looked) -> Option<RefusalReason> {
    match looked.as_ref().unwrap().hit(i64::MIN) {
        Hit::Current(Caller::Refused(reason)) => Some(*reason),
        Hit::Current(Caller::Granted(_)) => None,
        Hit::Touched | Hit::Expired => panic!("it does not hold"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_signatures_holds_up_no_change_though_not_one_of_them_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::load(dir.path(), SigningAlgorithm::Es256).unwrap();
    let mut bench = bench(50).await;
    let projection = bench.alone(&keys).await;
    // Whoever judges stands still here, after the signature.
    let ended = bench.state.ended.load_full();
    let (held, is_held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let guard = locked(&ended);
        held.send(()).unwrap();
        released.recv().unwrap();
        drop(guard);
    });
    is_held.recv().unwrap();
    let texts: Vec<_> = (0..FLOOD).map(|n| bench.signed(&keys, n)).collect();
    let forged = format!("{}{}", &texts[0][..texts[0].len() - 8], "AAAAAAAA");
    let flood: Vec<_> = texts.into_iter().map(|text| bench.ask(text)).collect();
    let wrong = bench.ask(forged);
    // All of them are with the validator before the first change is.
    while bench.validator.ask(PATIENCE, Message::Kept).await.unwrap() < FLOOD {
        tokio::task::yield_now().await;
    }
    for n in 51..=60 {
        bench.applied(n).await;
    }
    assert!(flood.iter().all(|one| !one.is_finished()), "they wait");
    release.send(()).unwrap();
    for one in flood {
        let looked = one.await.unwrap();
        assert_eq!(reason(&looked), None);
        // By what was applied when it was asked, and seen by requests when it was judged.
        assert_eq!(looked.unwrap().number(), 50);
    }
    let wrong = wrong.await.unwrap();
    assert_eq!(reason(&wrong), Some(RefusalReason::Malformed));
    holder.join().unwrap();
    drop(projection);
}

/// Stands still from its first message on, until the test ends.
struct Still(tokio::sync::oneshot::Receiver<()>);

impl Actor for Still {
    type Message = Message;
    type Arguments = std::sync::Arc<std::sync::Mutex<Option<tokio::sync::oneshot::Receiver<()>>>>;
    const KIND: &'static str = "test.still";

    async fn start(until: Self::Arguments, _me: Address<Message>) -> Result<Self, BoxError> {
        Ok(Self(locked(&until).take().ok_or("once")?))
    }

    async fn handle(&mut self, _message: Message) -> Result<(), BoxError> {
        (&mut self.0).await?;
        Ok(())
    }
}

#[tokio::test]
async fn questions_leave_the_changes_their_room_before_the_validator() {
    let system = System::new(Clock::system(), true);
    let (end, until) = tokio::sync::oneshot::channel();
    let until = std::sync::Arc::new(std::sync::Mutex::new(Some(until)));
    let (validator, still) = child::<Still>(&system, "validator", until);
    let root = start_root(&system, vec![still]).await.unwrap();
    let ask = |n: u64| {
        let validator = validator.clone();
        async move {
            let mut question = [0; 32];
            question[..8].copy_from_slice(&n.to_be_bytes());
            validator::ask(
                &validator,
                question,
                of_super(Secret::Opaque(n.to_string())),
            )
            .await
        }
    };
    let mut asked = Vec::new();
    let mut refused = None;
    for n in 0..cluster::MAILBOX_LIMIT {
        let mut one = Box::pin(ask(n));
        // Each is sent with its first look.
        match at_once(&mut one).await {
            None => asked.push(one),
            Some(looked) => {
                refused = looked.err();
                break;
            }
        }
    }
    assert_eq!(refused, Some(Refusal::Overloaded));
    assert!(asked.len() as u64 <= cluster::MAILBOX_LIMIT / 2 + 1);
    let applied = |done| Message::Applied(1, Vec::new(), done);
    let mut change = Box::pin(validator.ask(PATIENCE, applied));
    let refused = at_once(&mut change).await;
    assert!(refused.is_none(), "there is room for a change");
    drop((end, root));
}

/// What a future gives at its first look, if anything.
async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
