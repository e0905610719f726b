//! Connections to a database: how many, and what each is told when it is made.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor as _, Row as _};

pub(crate) fn pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        // SQLite ends a transaction by itself when the disk is full. The driver does not notice,
        // and the connection would refuse to begin another one for ever.
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
}

/// Connections to a file that is there. A pool tries again whatever happens, and keeps what that was to itself: where its
/// time is up one more try by hand says it.
pub(crate) async fn sqlite(connections: u32, url: &str) -> Result<AnyPool, sqlx::Error> {
    let options = pool(connections).after_connect(|connection, _| Box::pin(prepare(connection)));
    let opened = options.connect(url).await;
    if matches!(opened, Err(sqlx::Error::PoolTimedOut)) {
        try_once(url).await?;
    }
    opened
}

/// Whoever commits has its changes on the server's disk, whatever the server, the role, the database or the URL says
/// (C1); a setting that promises more than that stays.
const SYNCHRONOUS: &str = "SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

pub(crate) fn postgres(connections: u32) -> AnyPoolOptions {
    pool(connections).after_connect(|connection, _| {
        Box::pin(async move { connection.execute(SYNCHRONOUS).await.map(drop) })
    })
}

async fn prepare(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for pragma in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA busy_timeout = 5000",
        "PRAGMA cache_size = -2000",
    ] {
        connection.execute(pragma).await?;
    }
    Ok(())
}

/// Makes the file where it is missing. Only here: were it to vanish later, a connection that
/// made a new one would hide the loss. What keeps it from being used is said at once, where a
/// pool would try until its time is up.
pub(crate) async fn make_file(url: &str) -> Result<(), sqlx::Error> {
    try_once(&with_mode(url, "rwc")).await
}

async fn try_once(url: &str) -> Result<(), sqlx::Error> {
    let mut made = AnyConnection::connect(url).await?;
    prepare(&mut made).await?;
    made.close().await
}

pub(crate) fn with_mode(url: &str, mode: &str) -> String {
    if url.contains("mode=") {
        url.to_owned()
    } else {
        let joint = if url.contains('?') { '&' } else { '?' };
        format!("{url}{joint}mode={mode}")
    }
}

/// Where the file behind a connection lies; none for one in memory.
pub(crate) async fn file_of(writer: &AnyPool) -> Result<Option<PathBuf>, sqlx::Error> {
    let list = sqlx::query("SELECT file FROM pragma_database_list WHERE name = 'main'");
    let path: String = list.fetch_one(writer).await?.try_get("file")?;
    Ok((!path.is_empty()).then(|| path.into()))
}
