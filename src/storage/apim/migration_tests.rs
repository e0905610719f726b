//! Rows of an older schema after the migrations that came since, on SQLite and on the PostgreSQL
//! of `HEADGATE_TEST_POSTGRES`: what a migration works out of rows it finds is right.

use domain::deny_policy::DenyTarget;
use domain::policy::{Policy, PolicyLevel};
use domain::view::{Founder, Others};

use super::{
    SCHEMA, api_lifecycle, api_revisions, apis, deny_policies, policies, subscriptions,
    view_register,
};
use crate::database::Schema;
use crate::row::Columns as _;
use crate::{Database, Write};

const TENANT: &str = "carbon.super";

/// The schema as it was before the migration of this number.
fn before(number: i64) -> Schema {
    let all = SCHEMA.migrations;
    let older = all.partition_point(|(of, ..)| *of < number);
    Schema {
        name: SCHEMA.name,
        migrations: all.split_at(older).0,
    }
}

async fn urls(directory: &std::path::Path) -> Vec<String> {
    let mut urls = vec![format!("sqlite:{}", directory.join("apim.db").display())];
    if let Some(server) = crate::conformance::server() {
        urls.push(crate::conformance::create(&server, "migrations").await);
    }
    urls
}

async fn run(write: &mut Write, sql: String) {
    let query = sqlx::query(sqlx::AssertSqlSafe(sql));
    write.execute(query, "row").await.unwrap();
}

async fn fill(write: &mut Write) {
    for (id, default) in [("a1", 1), ("a2", 1)] {
        run(
            write,
            format!(
                "INSERT INTO apis (id, tenant, name, name_key, version, context, full_context, \
             provider, description, kind, state, is_default_version, tags, document_blob, \
             definition_blob, created_at_ms, updated_at_ms, row_version) VALUES ('{id}', \
             '{TENANT}', '{id}', '{id}', '1', '/{id}', '/{id}/1', 'ann', '', 'HTTP', \
             'PUBLISHED', {default}, ',,', 'd', 'e', 1, 1, 1)"
            ),
        )
        .await;
    }
    for (id, number) in [("r1", 1), ("r2", 4)] {
        run(write, format!(
            "INSERT INTO api_revisions (id, tenant, api_id, number, description, document_blob, \
             definition_blob, created_by, created_at_ms) VALUES ('{id}', '{TENANT}', 'a1', \
             {number}, '', 'd', 'e', 'ann', 1)"
        ))
        .await;
    }
    for (id, api, at_ms) in [
        ("s3", "a1", 20),
        ("s2", "a1", 20),
        ("s1", "a1", 30),
        ("s4", "a1", 10),
        ("s5", "a2", 10),
    ] {
        run(
            write,
            format!(
                "INSERT INTO api_lifecycle (id, tenant, api_id, previous_state, post_state, \
             changed_by, changed_at_ms) VALUES ('{id}', '{TENANT}', '{api}', NULL, 'CREATED', \
             'ann', {at_ms})"
            ),
        )
        .await;
    }
    subscribe(write).await;
    deny(write).await;
    let plan = plan();
    let document = serde_json::to_string(&plan).unwrap();
    run(
        write,
        format!(
            "INSERT INTO policies (id, tenant, level, name, document, row_version) VALUES ('{}', \
         '{TENANT}', '{}', '{}', '{document}', 1)",
            plan.id,
            plan.level.as_str(),
            plan.name
        ),
    )
    .await;
}

async fn subscribe(write: &mut Write) {
    for (id, name, owner) in [("p1", "Shop", "ann"), ("p2", "Shop", "bob")] {
        run(
            write,
            format!(
                "INSERT INTO applications (id, tenant, name, name_key, owner, throttling_policy, \
             token_type, description, status, attributes, created_at_ms, updated_at_ms, \
             row_version) VALUES ('{id}', '{TENANT}', '{name}', 'shop', '{owner}', 'Unlimited', \
             'JWT', '', 'APPROVED', '{{}}', 1, 1, 1)"
            ),
        )
        .await;
    }
    run(
        write,
        format!(
            "INSERT INTO subscriptions (id, tenant, api_id, application_id, policy, \
         requested_policy, status, subscriber, created_at_ms) VALUES ('s', '{TENANT}', 'a1', \
         'p1', 'Gold', 'Gold', 'UNBLOCKED', 'ann', 1)"
        ),
    )
    .await;
}

async fn deny(write: &mut Write) {
    for (id, target) in [
        ("d1", DenyTarget::Application("ann:Shop".to_owned())),
        ("d2", DenyTarget::Application("BOB:shop".to_owned())),
        ("d3", DenyTarget::Application("ann:Gone".to_owned())),
        ("d4", DenyTarget::User("ann:Shop".to_owned())),
    ] {
        let (kind, text) = (target.kind(), serde_json::to_string(&target).unwrap());
        run(
            write,
            format!(
                "INSERT INTO deny_policies (id, tenant, kind, target, active) VALUES ('{id}', \
             '{TENANT}', '{kind}', '{text}', 1)"
            ),
        )
        .await;
    }
}

/// One that administrators may remove.
fn plan() -> Policy {
    let mut all = Policy::defaults(TENANT, crate::conformance::new_id).into_iter();
    all.find(|plan| plan.level == PolicyLevel::Subscription && plan.name == "Gold")
        .unwrap()
}

async fn check(database: &Database) {
    let mut read = database.read().await.unwrap();
    for (api, ids) in [("a1", &["s4", "s2", "s3", "s1"][..]), ("a2", &["s5"])] {
        let steps = api_lifecycle::list(&mut read, TENANT, api).await.unwrap();
        let steps: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(steps, ids);
    }
    let found = deny_policies::list(&mut read, TENANT).await.unwrap();
    let bound = |id: &str| {
        let one = found.iter().find(|one| one.id == id).unwrap();
        one.application_id.as_deref()
    };
    assert_eq!(
        ["d1", "d2", "d3", "d4"].map(bound),
        [Some("p1"), Some("p2"), None, None]
    );
    let all = policies::list(&mut read, TENANT, PolicyLevel::Subscription).await;
    assert_eq!(all.unwrap().len(), 1);
    let found = subscriptions::list_by_api(&mut read, TENANT, "a1", "ANN", (9, 0)).await;
    assert_eq!(found.unwrap().1, 1, "a row of before is found");
    let row = apis::find(&mut read, TENANT, "a1").await.unwrap();
    assert_eq!(row.unwrap().policies, Vec::<String>::new());
}

#[tokio::test]
async fn rows_of_an_older_schema_say_the_same_in_the_present_one() {
    let dir = tempfile::tempdir().unwrap();
    for url in urls(dir.path()).await {
        let database = Database::open(&url, &before(11)).await.unwrap();
        let mut write = database.write("test.fill").await.unwrap();
        fill(&mut write).await;
        write.commit().await.unwrap();
        database.close().await;
        let database = super::open(&url).await.unwrap();
        check(&database).await;
        let mut write = database.write("test.migrated").await.unwrap();
        // A policy that was removed before stays away: the tenant has had them.
        let defaults = Policy::defaults(TENANT, crate::conformance::new_id);
        policies::seed(&mut write, &defaults).await.unwrap();
        let level = PolicyLevel::Subscription;
        let names = policies::names(&mut write, TENANT, level).await.unwrap();
        let removable = defaults
            .iter()
            .filter(|one| one.level == level && !one.is_built_in());
        let back: Vec<_> = removable.filter(|one| names.contains(&one.name)).collect();
        assert_eq!(back.len(), 1, "{back:?}");
        // Revisions and steps go on after the last number there was.
        for (api, made) in [("a1", 4), ("a2", 0)] {
            let query = "SELECT revisions_made FROM apis WHERE id = $1";
            let row = write.optional(sqlx::query(query).bind(api)).await.unwrap();
            assert_eq!(row.unwrap().integer("revisions_made").unwrap(), made);
        }
        let query = "SELECT MAX(position) AS last FROM api_lifecycle WHERE api_id = 'a1'";
        let row = write.optional(sqlx::query(query)).await.unwrap();
        assert_eq!(row.unwrap().integer("last").unwrap(), 4);
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let kept = api_revisions::list(&mut read, TENANT, "a1").await.unwrap();
        assert_eq!(kept.len(), 2);
    }
}

/// The row of the view register as it lies in a database of before `0026`, and what that makes of it.
fn founders() -> [(&'static str, Founder); 4] {
    let founded = Founder {
        generation: 3,
        node: "b".to_owned(),
        name: "tm1".to_owned(),
        life: 7,
        before: "a".to_owned(),
        is_scattered: true,
        others: Others::Vote,
        renewals: 12,
        reach_ms: 1_000,
        after_ms: 900,
        hold_ms: 60_000,
        is_given_up: true,
        is_anybodys: false,
        said_ms: 800,
        said_at_ms: 850,
    };
    let all = "generation = 3, founder_id = 'b', founder_life = 7, before_id = 'a', is_scattered = 1, others = 2, \
               renewals = 12, reach_ms = 1000, after_ms = 900, hold_ms = 60000, is_given_up = 1, said_ms = 800, \
               said_at_ms = 850";
    let named = format!("{all}, founder_name = 'tm1'").leak();
    let never = Founder {
        hold_ms: 86_400_000,
        ..Founder::default()
    };
    let nobodys = Founder {
        name: String::new(),
        is_anybodys: true,
        ..founded.clone()
    };
    [
        ("id = 1", never.clone()),
        (named, founded),
        // An operator gave up all who decided: the name was taken away.
        (all, nobodys),
        // Nobody has founded it, so there is nobody whose place could be taken.
        ("founder_name = '', renewals = 0", never),
    ]
}

#[tokio::test]
async fn a_founder_whose_name_was_taken_away_is_anybodys_and_every_other_one_stays_who_it_is() {
    for (row, expected) in founders() {
        let dir = tempfile::tempdir().unwrap();
        for url in urls(dir.path()).await {
            let database = Database::open(&url, &before(26)).await.unwrap();
            let mut write = database.write("test.fill").await.unwrap();
            run(
                &mut write,
                format!("UPDATE view_register SET {row} WHERE id = 1"),
            )
            .await;
            write.commit().await.unwrap();
            database.close().await;
            let database = super::open(&url).await.unwrap();
            let mut read = database.read().await.unwrap();
            let founder = view_register::find(&mut read).await.unwrap();
            assert_eq!(founder, expected, "{row}");
        }
    }
}

#[tokio::test]
async fn a_build_opens_a_database_that_the_next_one_has_added_to() {
    let dir = tempfile::tempdir().unwrap();
    for url in urls(dir.path()).await {
        super::open(&url).await.unwrap().close().await;
        // A version that does not know the last three migrations.
        let before = Schema {
            name: SCHEMA.name,
            migrations: SCHEMA.migrations.split_last_chunk::<3>().unwrap().0,
        };
        let database = Database::open(&url, &before).await.unwrap();
        let mut read = database.read().await.unwrap();
        assert_eq!(apis::find(&mut read, TENANT, "a1").await.unwrap(), None);
        drop(read);
        database.close().await;
    }
}
