//! Conformance of the stores: a test runs over fresh databases on SQLite and, when
//! `HEADGATE_TEST_POSTGRES` names a server's administration database, on PostgreSQL.
//!
//! Every function of a shared store is tested on both, here or in the tests beside it, which `rules`
//! makes sure of: so one text of SQL stays one.

mod beside;
mod blobs;
mod credentials;
mod followers;
mod marks;
mod people;
mod rules;
mod silent;

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
    sqlx::any::install_default_drivers();
    let administration = sqlx::AnyPool::connect(&server).await.unwrap();
    let run = |statement: String| sqlx::query(sqlx::AssertSqlSafe(statement));
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let names = ["apim", "shared"].map(|name| format!("conformance_{name}_{unique}"));
    for name in &names {
        let create = run(format!("CREATE DATABASE {name}"));
        administration.execute(create).await.unwrap();
    }
    let base = server.rsplit_once('/').unwrap().0;
    let [apim, shared] = names.each_ref().map(|name| format!("{base}/{name}"));
    let mut tested = pin!(async { test(Fresh::open(&apim, &shared).await).await });
    let outcome =
        poll_fn(
            |context| match catch_unwind(AssertUnwindSafe(|| tested.as_mut().poll(context))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Poll::Ready(Err(panic)),
            },
        );
    let outcome = outcome.await;
    for name in &names {
        let drop = run(format!("DROP DATABASE {name} WITH (FORCE)"));
        administration.execute(drop).await.unwrap();
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

// === impl Fresh ===

impl Fresh {
    async fn open(apim: &str, shared: &str) -> Self {
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
