//! Conformance of what the change feed and usage read and write, on SQLite and on the PostgreSQL of
//! `HEADGATE_TEST_POSTGRES`.

use domain::api::{Api, Cors, Endpoints};
use domain::change::{Change, MarkedSubject, WRITTEN};
use domain::lifecycle::LifecycleState;
use domain::policy::Policy;
use domain::usage::{Histogram, UsageCount};

use super::revocations::{Mark, Revocation};
use super::snapshots::{Section, list};
use super::{change_log, policies, revocations, usage};
use crate::Database;
use crate::StoreError;
use crate::conformance::{create, server};
use crate::shared::blobs::{self, Blob};

const TENANT: &str = "carbon.super";
/// More than there is.
const ALL: (u32, usize) = (9, usize::MAX);

/// API-M and Shared on each backend.
async fn databases(directory: &std::path::Path) -> Vec<(Database, Database)> {
    let file = |name: &str| format!("sqlite:{}", directory.join(name).display());
    let apim = super::open(&file("apim.db")).await.unwrap();
    let shared = crate::shared::open(&file("shared.db")).await.unwrap();
    let mut databases = vec![(apim, shared)];
    if let Some(server) = server() {
        let apim = super::open(&create(&server, "feed_apim").await).await;
        let shared = crate::shared::open(&create(&server, "feed_shared").await).await;
        databases.push((apim.unwrap(), shared.unwrap()));
    }
    databases
}

fn keys(jwks: &str) -> Change {
    Change::VerificationKeysChanged {
        jwks: jwks.to_owned(),
    }
}

async fn commit(database: &Database, changes: &[Change]) -> u64 {
    let write = database.write("test.feed").await.unwrap();
    let uuid = || uuid::Uuid::new_v4().to_string();
    write.commit_with(TENANT, changes, uuid, 1).await.unwrap()
}

#[tokio::test]
async fn the_log_takes_no_kind_of_change_that_a_member_may_not_read_yet() {
    const LATER: [(&str, u16); 2] = [
        ("user_changed", WRITTEN),
        ("verification_keys_changed", WRITTEN + 1),
    ];
    let dir = tempfile::tempdir().unwrap();
    let uuid = || uuid::Uuid::new_v4().to_string();
    let known = Change::UserChanged {
        user: "mara".to_owned(),
        removed: true,
    };
    for (apim, _) in databases(dir.path()).await {
        // Alone, behind one that may be written, and with one that is relayed.
        for changes in [vec![keys("new")], vec![known.clone(), keys("new")]] {
            let mut write = apim.write("test.feed").await.unwrap();
            write.kinds = &LATER;
            let refused = write.commit_with(TENANT, &changes, uuid, 1).await;
            assert!(matches!(refused, Err(StoreError::Forbidden(_))));
        }
        let mut write = apim.write("test.feed").await.unwrap();
        write.kinds = &LATER;
        let relayed = (TENANT, "outbox");
        let refused = write.relay(relayed, &[keys("new")], &known, uuid, 1).await;
        assert!(matches!(refused, Err(StoreError::Forbidden(_))));
        let mut read = apim.read().await.unwrap();
        assert_eq!(change_log::head(&mut read).await.unwrap().n, 0);
        drop(read);
        let mut write = apim.write("test.feed").await.unwrap();
        write.kinds = &LATER;
        let n = write
            .commit_with(TENANT, std::slice::from_ref(&known), uuid, 1)
            .await;
        assert_eq!(n.unwrap(), 1);
    }
}

#[tokio::test]
async fn the_log_is_read_and_pruned_alike_on_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    for (apim, shared) in databases(dir.path()).await {
        let mut read = apim.read().await.unwrap();
        assert_eq!(change_log::head(&mut read).await.unwrap().n, 0);
        assert_eq!(change_log::find(&mut read, 0).await.unwrap().tail, 1);
        assert_eq!(change_log::last_at_ms(&mut read).await.unwrap(), None);
        drop(read);
        let n = commit(&apim, &[keys("old"), keys("new"), keys("newest")]).await;
        assert_eq!(n, 3);
        let mut write = apim.write("test.feed").await.unwrap();
        let gone = change_log::delete_before(&mut write, 9).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(gone, 2);
        let mut read = apim.read().await.unwrap();
        let last = change_log::last_at_ms(&mut read).await.unwrap();
        assert_eq!(last, Some(1));
        let log = change_log::find(&mut read, 3).await.unwrap();
        assert_eq!((log.head, log.tail), (3, 3));
        let kept = change_log::list(&mut read, 1, 9, 1_000_000).await.unwrap();
        assert_eq!(kept[0].change(), Some(keys("newest")));
        assert_eq!(log.uuid_at_follower.as_ref(), Some(&kept[0].uuid));
        let mut documents = shared.read().await.unwrap();
        let found = list(&mut read, &mut documents, Section::Keys, &[], ALL, 0).await;
        let found = found.unwrap().items;
        assert_eq!((found.len(), &found[0].change), (1, &keys("newest")));
    }
}

#[tokio::test]
async fn entries_are_read_by_their_bytes_and_one_at_least_on_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    for (database, _) in databases(dir.path()).await {
        let large = keys(&"x".repeat(10_000));
        commit(&database, &vec![keys("{}"); 10]).await;
        commit(&database, &vec![large; 10]).await;
        let mut read = database.read().await.unwrap();
        for (from, most_bytes, count) in [
            (1, 1_000_000, 20),
            (1, 25_000, 12),
            (1, 1, 1),
            (11, 1, 1),
            (11, 35_000, 3),
            (21, 35_000, 0),
        ] {
            let entries = change_log::list(&mut read, from, 99, most_bytes)
                .await
                .unwrap();
            let numbers: Vec<u64> = entries.iter().map(|entry| entry.n).collect();
            let wanted: Vec<u64> = (from..from + count).collect();
            assert_eq!(numbers, wanted, "from {from}, {most_bytes} bytes");
        }
    }
}

#[tokio::test]
async fn sections_are_paged_without_a_gap_on_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    for (apim, shared) in databases(dir.path()).await {
        let mut write = apim.write("test.feed").await.unwrap();
        let defaults = Policy::defaults(TENANT, || uuid::Uuid::new_v4().to_string());
        policies::seed(&mut write, &defaults).await.unwrap();
        for number in 0..9 {
            let revocation = Revocation {
                tenant: TENANT.to_owned(),
                issuer: format!("issuer{}", number % 2),
                token_id: number.to_string(),
                // The first two are over.
                expires_at_ms: 90 + number * 10,
            };
            revocations::save(&mut write, &revocation).await.unwrap();
        }
        let mark = Mark {
            tenant: TENANT.to_owned(),
            subject: MarkedSubject::User,
            subject_id: "ann".to_owned(),
            before_ms: 5,
            until_ms: 500,
        };
        revocations::save_mark(&mut write, &mark).await.unwrap();
        write.commit().await.unwrap();

        let mut found = Vec::new();
        for section in Section::ALL {
            let (mut after, mut items) = (Vec::new(), 0);
            loop {
                let (mut read, mut documents) =
                    (apim.read().await.unwrap(), shared.read().await.unwrap());
                let bounds = (2, usize::MAX);
                let page = list(&mut read, &mut documents, section, &after, bounds, 100).await;
                let page = page.unwrap();
                items += page.items.len();
                match page.items.last() {
                    Some(last) if !page.is_last => after.clone_from(&last.key),
                    _ => break,
                }
            }
            found.push(items);
        }
        assert_eq!(found, [defaults.len(), 0, 7, 1, 0, 0]);
    }
}

fn usage_count() -> UsageCount {
    let mut latency = Histogram::default();
    latency.record(150);
    UsageCount {
        minute_ms: 60_000,
        tenant: TENANT.to_owned(),
        api_id: "api".to_owned(),
        application_id: String::new(),
        status: 200,
        calls: 1,
        forwarded: 1,
        bytes_in: 2,
        bytes_out: 3,
        latency,
    }
}

#[tokio::test]
async fn calls_are_summed_by_minute_and_status_on_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    let of = |application: &str, minute_ms, status, calls| UsageCount {
        application_id: application.to_owned(),
        minute_ms,
        status,
        calls,
        ..usage_count()
    };
    let batch = [
        of("one", 60_000, 200, 3),
        of("two", 60_000, 200, 4),
        of("two", 60_000, 429, 5),
        of("one", 120_000, 200, 6),
        of("one", 180_000, 200, 7),
    ];
    for (apim, _) in databases(dir.path()).await {
        let mut write = apim.write("test.usage").await.unwrap();
        let saved = usage::save(&mut write, "a", 1, (1, 25), &batch).await;
        assert_eq!(saved.unwrap(), usage::Taken::Now);
        write.commit().await.unwrap();
        let mut read = apim.read().await.unwrap();
        let sums = usage::sums(&mut read, 60_000, 180_000).await.unwrap();
        let sums = sums.iter();
        let mut sums: Vec<_> = sums
            .map(|sum| (sum.minute_ms, sum.status, sum.calls, sum.forwarded))
            .collect();
        sums.sort_unstable();
        let expected = [
            (60_000, 200, 7, 2),
            (60_000, 429, 5, 1),
            (120_000, 200, 6, 1),
        ];
        assert_eq!(sums, expected);
    }
}

#[tokio::test]
async fn a_usage_batch_counts_once_on_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    let count = usage_count();
    for (apim, _) in databases(dir.path()).await {
        for (node, numbers, taken) in [
            ("a", (1, 4), usage::Taken::Now),
            ("a", (1, 4), usage::Taken::Before(4)),
            ("a", (3, 9), usage::Taken::Before(4)),
            ("b", (1, 4), usage::Taken::Now),
        ] {
            let mut write = apim.write("test.usage").await.unwrap();
            let batch = std::slice::from_ref(&count);
            let saved = usage::save(&mut write, node, 1, numbers, batch).await;
            assert_eq!(saved.unwrap(), taken);
            usage::save_unknown(&mut write, node, 1, 7).await.unwrap();
            write.commit().await.unwrap();
        }
        let mut read = apim.read().await.unwrap();
        let counts = usage::list(&mut read, 0, 60_001, (0, 9)).await.unwrap();
        assert_eq!(counts.len(), 1);
        assert_eq!((counts[0].calls, counts[0].bytes_out), (2, 6));
        assert_eq!(counts[0].latency.counts.iter().sum::<u64>(), 2);
        assert_eq!(usage::unknown(&mut read).await.unwrap(), 14);
        let before = usage::list(&mut read, 0, 60_000, (0, 9)).await;
        assert!(before.unwrap().is_empty());
        drop(read);
        let mut write = apim.write("test.usage").await.unwrap();
        for (before_ms, most, gone) in [(60_000, 9, 0), (60_001, 0, 0), (60_001, 9, 1)] {
            let deleted = usage::delete_before(&mut write, before_ms, most).await;
            assert_eq!(deleted.unwrap(), gone, "{before_ms} {most}");
        }
        drop(write);
        let mut read = apim.read().await.unwrap();
        assert_eq!(usage::newest(&mut read).await.unwrap(), Some(60_000));
        drop(read);
        let mut noted = None;
        for at_ms in [5, 1_795_788_000_000, 7] {
            let mut read = apim.read().await.unwrap();
            assert_eq!(usage::kept_time(&mut read).await.unwrap(), noted);
            drop(read);
            let mut write = apim.write("test.usage").await.unwrap();
            usage::save_kept_time(&mut write, at_ms).await.unwrap();
            write.commit().await.unwrap();
            noted = Some(at_ms);
        }
    }
}

fn document() -> Api {
    Api {
        id: "a".to_owned(),
        tenant: TENANT.to_owned(),
        name: "Pizza".to_owned(),
        version: "1".to_owned(),
        context: "/pizza".to_owned(),
        provider: "ann".to_owned(),
        description: String::new(),
        kind: "HTTP".to_owned(),
        state: LifecycleState::Created,
        is_default_version: false,
        transports: vec!["https".to_owned()],
        security_schemes: vec!["oauth2".to_owned()],
        authorization_header: String::new(),
        api_key_header: String::new(),
        audiences: Vec::new(),
        policies: vec!["Gold".to_owned()],
        api_throttling_policy: None,
        tags: Vec::new(),
        operations: Vec::new(),
        scopes: Vec::new(),
        endpoints: Endpoints {
            production: Some("http://10.0.0.1".to_owned()),
            sandbox: None,
        },
        cors: Cors::default(),
        created_at_ms: 0,
        updated_at_ms: 0,
        row_version: 1,
        extra: "{}".to_owned(),
    }
}

#[tokio::test]
async fn a_deployed_revision_is_given_as_frozen_with_the_state_of_now_on_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    for (apim, shared) in databases(dir.path()).await {
        let mut write = shared.write("test.blob").await.unwrap();
        let blob = Blob {
            id: "frozen".to_owned(),
            tenant: TENANT.to_owned(),
            kind: "document".to_owned(),
            media_type: "application/json".to_owned(),
            bytes: serde_json::to_vec(&document()).unwrap(),
            created_at_ms: 1,
        };
        blobs::create(&mut write, &blob).await.unwrap();
        write.commit().await.unwrap();
        let mut write = apim.write("test.deployed").await.unwrap();
        for sql in [
            "INSERT INTO apis (id, tenant, name, name_key, version, context, full_context, \
             provider, description, kind, state, is_default_version, tags, document_blob, \
             definition_blob, created_at_ms, updated_at_ms, row_version, policies, \
             serves_default) VALUES ('a', 'carbon.super', 'Pizza', 'pizza', '1', '/pizza', \
             '/pizza/1', 'ann', '', 'HTTP', 'BLOCKED', 0, ',', 'later', 'later', 1, 1, 2, 'Gold', 1)",
            "INSERT INTO api_revisions VALUES ('r', 'carbon.super', 'a', 1, '', 'frozen', 'x', \
             'ann', 1)",
            "INSERT INTO api_deployments VALUES ('d', 'carbon.super', 'a', 'r', 'Default', \
             'localhost', 1, 1)",
            "INSERT INTO api_deployments VALUES ('e', 'carbon.super', 'a', 'r', 'Other', \
             'localhost', 1, 1)",
        ] {
            write.execute(sqlx::query(sql), "row").await.unwrap();
        }
        write.commit().await.unwrap();
        let (mut read, mut documents) = (apim.read().await.unwrap(), shared.read().await.unwrap());
        let found = list(&mut read, &mut documents, Section::Artifacts, &[], ALL, 0).await;
        let found = found.unwrap();
        assert!(found.is_last);
        let found = found.items;
        let Change::ApiDeployed { artifact } = &found[0].change else {
            panic!("no artifact but {found:?}");
        };
        assert_eq!((found.len(), artifact.revision_id.as_str()), (2, "r"));
        assert_eq!(artifact.state, LifecycleState::Blocked);
        assert_eq!(artifact.context, "/pizza/1");
        assert_eq!(artifact.default_context.as_deref(), Some("/pizza"));
        // One document is more than there is room for: the next page has the next.
        let mut after = Vec::new();
        for (number, is_last) in [(0, false), (1, true)] {
            let page = list(
                &mut read,
                &mut documents,
                Section::Artifacts,
                &after,
                (9, 1),
                0,
            );
            let page = page.await.unwrap();
            assert_eq!(
                (&page.items[..], page.is_last),
                (&found[number..=number], is_last)
            );
            after.clone_from(&found[number].key);
        }
    }
}
