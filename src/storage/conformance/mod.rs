//! Conformance of the stores: a test runs over fresh databases on SQLite and, when
//! `HEADGATE_TEST_POSTGRES` names a server's administration database, on PostgreSQL.
//!
//! Every function of a shared store is tested on both, here or in the tests beside it, which `rules`
//! makes sure of: so one text of SQL stays one.

mod beside;
mod blobs;
mod credentials;
mod durable;
mod followers;
mod founding;
mod marks;
mod migrations;
mod people;
mod retired;
mod rules;
mod silent;
mod tenants;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

use sqlx::Executor as _;

use crate::Database;

/// The tenant of the tests.
pub(crate) const TENANT: &str = "carbon.super";

/// Fresh databases of one backend.
pub(crate) struct Fresh {
    pub(crate) apim: Database,
    pub(crate) shared: Database,
}

/// The PostgreSQL server, where one is named; where everything is to be tested, one must be.
pub(crate) fn server() -> Option<String> {
    let server = std::env::var("HEADGATE_TEST_POSTGRES").ok();
    let needed = std::env::var("HEADGATE_TEST_POSTGRES_NEEDED").is_ok();
    assert!(server.is_some() || !needed, "no PostgreSQL is named");
    server
}

/// Runs a test over fresh databases of each backend there is; they are gone afterwards, also when
/// the test fails.
pub(crate) async fn everywhere(test: impl AsyncFn(Fresh)) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
    test(Fresh::open(&file("apim.db"), &file("shared.db")).await).await;
    let Some(server) = server() else {
        return;
    };
    let apim = create(&server, "conformance_apim").await;
    let shared = create(&server, "conformance_shared").await;
    let mut tested = pin!(async { test(Fresh::open(&apim, &shared).await).await });
    let outcome =
        poll_fn(
            |context| match catch_unwind(AssertUnwindSafe(|| tested.as_mut().poll(context))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Poll::Ready(Err(panic)),
            },
        );
    let outcome = outcome.await;
    for url in [&apim, &shared] {
        let name = url.rsplit_once('/').unwrap().1;
        run(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// API-M alone on each backend, for tests that go through them by themselves.
pub(crate) async fn apim_databases(directory: &std::path::Path) -> Vec<Database> {
    let file = format!("sqlite:{}", directory.join("apim.db").display());
    let mut databases = vec![crate::apim::open(&file).await.unwrap()];
    if let Some(server) = server() {
        let url = create(&server, "apim").await;
        databases.push(crate::apim::open(&url).await.unwrap());
    }
    databases
}

/// A new database on the server; gives its URL.
pub(crate) async fn create(server: &str, name: &str) -> String {
    let name = format!("{name}_{}", uuid::Uuid::new_v4().simple());
    run(server, format!("CREATE DATABASE {name}")).await;
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

/// Runs one statement at a server.
pub(crate) async fn run(server: &str, statement: String) {
    sqlx::any::install_default_drivers();
    let administration = sqlx::AnyPool::connect(server).await.unwrap();
    let statement = sqlx::query(sqlx::AssertSqlSafe(statement));
    administration.execute(statement).await.unwrap();
    administration.close().await;
}

// === impl Fresh ===

impl Fresh {
    pub(crate) async fn open(apim: &str, shared: &str) -> Self {
        Self {
            apim: crate::apim::open(apim).await.unwrap(),
            shared: crate::shared::open(shared).await.unwrap(),
        }
    }
}

/// A fresh id.
pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
