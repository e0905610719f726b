//! A follower that is older than what the log keeps takes a snapshot of thousands of APIs from a real
//! feed, over a way that loses pieces and holds them up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use cluster::{
    Actor, Address, Asked, BoxError, Child, Clock, Door, Root, System, child, spawn_named,
    start_root,
};
use domain::api::{Api, Cors, Endpoints};
use domain::change::Change;
use domain::lifecycle::LifecycleState;
use storage::apim::{api_deployments, api_revisions, apis, change_log};
use storage::carbon::projection as rows;
use storage::shared::blobs;
use storage::{Database, apim, carbon, shared};

use super::follower::{Arguments, Follower};
use super::state::State;
use super::{keeper, refiller, validator};
use crate::change_feed::message::Snapshot;
use crate::change_feed::{ChangeFeedHandle, FeedSettings, component};

const TENANT: &str = "carbon.super";
const APIS: usize = 3_000;
const SOON: Duration = Duration::from_secs(60);
/// Longer than a follower waits for a piece that nobody asks for any more.
const LATE: Duration = Duration::from_millis(5_500);

/// What became of the pieces that were asked for.
#[derive(Default)]
struct Seen {
    asked: AtomicUsize,
    /// Transfers that began.
    begun: AtomicUsize,
    under_way: AtomicUsize,
    /// The most of them at a time.
    most: AtomicUsize,
}

/// The way to the feed: it loses the third piece, and is late with the twentieth.
struct Way {
    feed: ChangeFeedHandle,
    seen: Arc<Seen>,
}

impl Actor for Way {
    type Message = Asked<Snapshot>;
    type Arguments = (ChangeFeedHandle, Arc<Seen>);
    const KIND: &'static str = "test.way";

    async fn start(
        (feed, seen): Self::Arguments,
        _me: Address<Self::Message>,
    ) -> Result<Self, BoxError> {
        Ok(Self { feed, seen })
    }

    async fn handle(&mut self, Asked { request, reply }: Self::Message) -> Result<(), BoxError> {
        let number = self.seen.asked.fetch_add(1, Ordering::SeqCst);
        if request.cursor.is_empty() {
            self.seen.begun.fetch_add(1, Ordering::SeqCst);
        }
        if number == 3 {
            return Ok(());
        }
        let (feed, seen) = (self.feed.clone(), Arc::clone(&self.seen));
        spawn_named("one piece", async move {
            let under_way = seen.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most.fetch_max(under_way, Ordering::SeqCst);
            if number == 20 {
                tokio::time::sleep(LATE).await;
            }
            let piece = feed.try_snapshot(request, SOON).await;
            seen.under_way.fetch_sub(1, Ordering::SeqCst);
            if let Ok(piece) = piece {
                reply.send(piece);
            }
        });
        Ok(())
    }
}

/// Takes whatever the follower says to another actor of the gateway.
struct Neighbour<M>(fn(M));

impl<M: Send + 'static> Actor for Neighbour<M> {
    type Message = M;
    type Arguments = fn(M);
    const KIND: &'static str = "test.neighbour";

    async fn start(takes: fn(M), _me: Address<M>) -> Result<Self, BoxError> {
        Ok(Self(takes))
    }

    async fn handle(&mut self, message: M) -> Result<(), BoxError> {
        (self.0)(message);
        Ok(())
    }
}

struct Bench {
    system: System,
    carbon: Database,
    state: Arc<State>,
    seen: Arc<Seen>,
    head: u64,
    _root: Root,
    _dir: tempfile::TempDir,
}

// === impl Bench ===

impl Bench {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
        let apim = apim::open(&at("apim.db")).await.unwrap();
        let shared = shared::open(&at("shared.db")).await.unwrap();
        let carbon = carbon::open(dir.path()).await.unwrap();
        let head = deploy_thousands(&apim, &shared).await;
        let system = System::new(Clock::system(), true);
        let (feed, feeds) = component(&system, &apim, &shared, FeedSettings::default());
        let seen = Arc::new(Seen::default());
        let (way, ways) = child::<Way>(&system, "way", (feed.clone(), Arc::clone(&seen)));
        let feed = feed.through(Door::local(&system, way, |asked| asked, Some));
        let state = Arc::new(State::new(system.clock.clone()));
        let (arguments, neighbours) = neighbours(&system, &state, feed, &carbon);
        let mut children = vec![feeds, ways];
        children.extend(neighbours);
        children.push(child::<Follower>(&system, "follower", arguments).1);
        let root = start_root(&system, children).await.unwrap();
        Self {
            system,
            carbon,
            state,
            seen,
            head,
            _root: root,
            _dir: dir,
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let held = tokio::time::timeout(SOON * 2, waiting).await;
        assert!(held.is_ok(), "{what}");
    }

    /// How many APIs Carbon has.
    async fn kept(&self) -> usize {
        let mut read = self.carbon.read().await.unwrap();
        let items = rows::list(&mut read, i64::MIN).await.unwrap();
        let is_api = |item: &&rows::Item| item.body.contains("api_deployed");
        items.iter().filter(is_api).count()
    }
}

fn neighbours(
    system: &System,
    state: &Arc<State>,
    feed: ChangeFeedHandle,
    carbon: &Database,
) -> (Arguments, Vec<Child>) {
    let (validator, one) = child::<Neighbour<validator::Message>>(system, "validator", |message| {
        if let validator::Message::Applied(_, _, done)
        | validator::Message::Installed(_, done)
        | validator::Message::Resumed(_, done) = message
        {
            done.send(());
        }
    });
    let (refiller, two) = child::<Neighbour<refiller::Message>>(system, "refiller", |message| {
        if let refiller::Message::LimitsChanged(_, done) = message {
            done.send(());
        }
    });
    let (keeper, three) = child::<Neighbour<keeper::Message>>(system, "keeper", drop);
    let arguments = Arguments {
        state: Arc::clone(state),
        feed,
        carbon: carbon.clone(),
        validator,
        refiller,
        keeper,
        name: "gateway@gw1".to_owned(),
        lives: Arc::new(AtomicU64::new(0)),
    };
    (arguments, vec![one, two, three])
}

/// Thousands of deployed APIs, and a log that does not tell how they came to be; gives its head.
async fn deploy_thousands(apim: &Database, shared: &Database) -> u64 {
    let mut of_shared = shared.write("test.documents").await.unwrap();
    let mut of_apim = apim.write("test.apis").await.unwrap();
    for number in 0..APIS {
        let api = api(number);
        let blob = blobs::Blob {
            id: format!("document{number}"),
            tenant: TENANT.to_owned(),
            kind: "document".to_owned(),
            media_type: "application/json".to_owned(),
            bytes: serde_json::to_vec(&api).unwrap(),
            created_at_ms: 1,
        };
        blobs::create(&mut of_shared, &blob).await.unwrap();
        let row = row(&api, &blob.id);
        apis::create(&mut of_apim, &row).await.unwrap();
        let revision = api_revisions::RevisionRow {
            id: format!("revision{number}"),
            tenant: TENANT.to_owned(),
            api_id: api.id.clone(),
            number: 1,
            description: String::new(),
            document_blob: blob.id.clone(),
            definition_blob: blob.id,
            created_by: "ann".to_owned(),
            created_at_ms: 1,
        };
        let created = api_revisions::create(&mut of_apim, &revision).await;
        created.unwrap();
        let deployment = api_deployments::DeploymentRow {
            id: format!("deployment{number:05}"),
            tenant: TENANT.to_owned(),
            api_id: api.id,
            revision_id: revision.id,
            environment: "Default".to_owned(),
            vhost: "localhost".to_owned(),
            display_on_devportal: true,
            deployed_at_ms: 1,
        };
        let saved = api_deployments::save(&mut of_apim, &deployment).await;
        saved.unwrap();
    }
    of_shared.commit().await.unwrap();
    let changes = ["a", "b", "c"].map(|user| Change::UserChanged {
        user: user.to_owned(),
        removed: false,
    });
    let uuid = || uuid::Uuid::new_v4().to_string();
    let head = of_apim.commit_with(TENANT, &changes, uuid, 1).await;
    let head = head.unwrap();
    let mut write = apim.write("test.prune").await.unwrap();
    let gone = change_log::delete_before(&mut write, head).await.unwrap();
    assert_eq!(gone, 2);
    write.commit().await.unwrap();
    head
}

fn api(number: usize) -> Api {
    Api {
        id: format!("api{number:05}"),
        tenant: TENANT.to_owned(),
        name: format!("Api{number}"),
        version: "1.0.0".to_owned(),
        context: format!("/api{number}"),
        provider: "ann".to_owned(),
        description: String::new(),
        kind: "HTTP".to_owned(),
        state: LifecycleState::Published,
        is_default_version: false,
        transports: vec!["https".to_owned()],
        security_schemes: vec!["oauth2".to_owned()],
        authorization_header: String::new(),
        api_key_header: String::new(),
        audiences: Vec::new(),
        policies: vec!["Unlimited".to_owned()],
        api_throttling_policy: None,
        tags: Vec::new(),
        operations: Vec::new(),
        scopes: Vec::new(),
        endpoints: Endpoints::default(),
        cors: Cors::default(),
        created_at_ms: 1,
        updated_at_ms: 1,
        row_version: 1,
        extra: "{}".to_owned(),
    }
}

fn row(api: &Api, document: &str) -> apis::ApiRow {
    apis::ApiRow {
        id: api.id.clone(),
        tenant: TENANT.to_owned(),
        name: api.name.clone(),
        version: api.version.clone(),
        context: api.context.clone(),
        full_context: format!("{}/1.0.0", api.context),
        provider: api.provider.clone(),
        description: String::new(),
        kind: api.kind.clone(),
        state: api.state,
        is_default_version: false,
        serves_default: false,
        tags: Vec::new(),
        policies: api.policies.clone(),
        document_blob: document.to_owned(),
        definition_blob: document.to_owned(),
        created_at_ms: 1,
        updated_at_ms: 1,
        row_version: 1,
    }
}

#[tokio::test]
async fn a_snapshot_of_thousands_begins_anew_with_its_follower_and_for_no_late_or_lost_piece() {
    let bench = Bench::start().await;
    // A life that ends in the middle has nothing of it, and the next one begins at its beginning.
    let asked = |bench: &Bench| bench.seen.asked.load(Ordering::SeqCst);
    bench
        .until("it is under way", |bench| asked(bench) >= 10)
        .await;
    assert_eq!(bench.seen.begun.load(Ordering::SeqCst), 1);
    assert_eq!(bench.kept().await, 0);
    assert!(bench.system.registry.restart("follower"));
    let done = |bench: &Bench| bench.state.applied() == bench.head;
    bench.until("all of it is there", done).await;
    let stored = |bench: &Bench| bench.state.stored.load().as_ref().map(|at| at.n);
    let is_stored = |bench: &Bench| stored(bench) == Some(bench.head);
    bench.until("all of it is stored", is_stored).await;
    assert_eq!(bench.kept().await, APIS);
    assert_eq!(
        bench.seen.begun.load(Ordering::SeqCst),
        2,
        "once for each life"
    );
    assert!(asked(&bench) > 40, "in pieces");
    // The one of the life that ended may still have been under way.
    assert!(bench.seen.most.load(Ordering::SeqCst) <= 2);
}
