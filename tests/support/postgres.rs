//! Databases of a test's own on the PostgreSQL server that `cargo xtask test` starts.

use std::process::Command;

/// The server, where one is named; where everything is to be tested, one must be.
pub fn server() -> Option<String> {
    let server = std::env::var("HEADGATE_TEST_POSTGRES").ok();
    let needed = std::env::var("HEADGATE_TEST_POSTGRES_NEEDED").is_ok();
    assert!(server.is_some() || !needed, "no PostgreSQL is named");
    server
}

/// A database that no other test has; gives its URL.
pub fn fresh_database(server: &str, name: &str) -> String {
    let name = format!("{name}_{}", std::process::id());
    run(server, &format!("CREATE DATABASE {name}"));
    let (base, _) = server.rsplit_once('/').expect("a database's URL");
    format!("{base}/{name}")
}

/// A copy of a database that nobody is connected to; gives its URL.
pub fn copy_database(server: &str, original: &str, name: &str) -> String {
    let (base, original) = original.rsplit_once('/').expect("a database's URL");
    let name = format!("{name}_{}", std::process::id());
    run(
        server,
        &format!("CREATE DATABASE {name} TEMPLATE {original}"),
    );
    format!("{base}/{name}")
}

/// Removes a database, whoever is connected.
pub fn drop_database(server: &str, url: &str) {
    let (_, name) = url.rsplit_once('/').expect("a database's URL");
    run(server, &format!("DROP DATABASE {name} WITH (FORCE)"));
}

/// Runs one statement.
pub fn run(url: &str, sql: &str) {
    ask(url, sql);
}

/// Runs one query; gives its rows, a line each, columns separated by `|`.
pub fn ask(url: &str, sql: &str) -> String {
    let psql = Command::new("psql").args([url, "-qAt", "-c", sql]).output();
    let output = psql.expect("psql");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
