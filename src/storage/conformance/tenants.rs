//! Whose a row is: each table of the four databases, as the migrations make it, says it in a column of its own, or
//! stands here with the reason why it does not.

use std::collections::BTreeMap;

use super::everywhere;
use crate::Database;
use crate::database::Backend;
use crate::row::Columns as _;

/// The name of each table, and whether it has a tenant that is never missing.
const ON_SQLITE: &str = "SELECT t.name AS name, (SELECT COUNT(*) FROM pragma_table_info(t.name) AS c \
    WHERE c.name = 'tenant' AND c.[notnull] = 1) AS says FROM sqlite_master AS t WHERE t.type = 'table'";
const ON_POSTGRES: &str = "SELECT CAST(t.table_name AS TEXT) AS name, (SELECT COUNT(*) \
    FROM information_schema.columns AS c WHERE c.table_schema = t.table_schema \
    AND c.table_name = t.table_name AND c.column_name = 'tenant' AND c.is_nullable = 'NO') AS says \
    FROM information_schema.tables AS t WHERE t.table_schema = 'public'";

/// Tables without one.
type Reasons = &'static [(&'static str, &'static str)];

const OF_APIM: Reasons = &[
    ("admissions", "of nodes, which serve all tenants"),
    (
        "change_head",
        "the number of the last change of all tenants",
    ),
    (
        "cluster_identity",
        "of the installation, which serves all tenants",
    ),
    (
        "database_identity",
        "of the database, which holds all tenants",
    ),
    (
        "followers",
        "nodes, which follow the changes of all tenants",
    ),
    (
        "meta",
        "what was done to the database; what was done to a tenant has its name in it",
    ),
    ("retired_nodes", "nodes, which served all tenants"),
    (
        "token_lives",
        "how long keys are kept that sign the tokens of all tenants",
    ),
    (
        "usage_sources",
        "nodes, which count the calls of all tenants",
    ),
    (
        "verification_keys",
        "keys of nodes, which sign the tokens of all tenants",
    ),
    (
        "view_register",
        "nodes, which count the calls of all tenants",
    ),
];
const OF_SHARED: Reasons = &[
    (
        "database_identity",
        "of the database, which holds all tenants",
    ),
    ("meta", "what was done to the database"),
    ("tenants", "the tenants themselves"),
];
const OF_CARBON: Reasons = &[
    (
        "applied",
        "how far the node has applied the changes of all tenants",
    ),
    ("hold", "promises to the node, which serves all tenants"),
    ("identity", "the node, which serves all tenants"),
    ("join_tokens", "of nodes that are to join"),
    ("known_members", "addresses of nodes"),
    (
        "projection",
        "what an item is called begins with its tenant",
    ),
    ("register", "promises of the node, which serves all tenants"),
    (
        "register_entries",
        "views of nodes, which serve all tenants",
    ),
    (
        "register_snapshot",
        "a view of nodes, which serve all tenants",
    ),
    ("voter", "promises of the node, which serves all tenants"),
];
const OF_BROKER: Reasons = &[
    (
        "ledger_cells",
        "what a cell is called begins with its tenant",
    ),
    (
        "ledger_state",
        "the ledger of the node, which counts for all tenants",
    ),
    ("node", "the node, which serves all tenants"),
    (
        "usage_batches",
        "what was counted side by side for all tenants, each count with its own",
    ),
    ("usage_reservations", "numbers of such batches"),
];

/// Every table with whether it says whose its rows are; not those of the engine and of the migrator.
async fn tables(database: &Database) -> BTreeMap<String, bool> {
    let query = match database.backend() {
        Backend::Sqlite => ON_SQLITE,
        Backend::Postgres => ON_POSTGRES,
    };
    let mut read = database.read().await.unwrap();
    let rows = read.all(sqlx::query(query)).await.unwrap();
    let rows = rows
        .iter()
        .map(|row| (row.text("name").unwrap(), row.flag("says").unwrap()));
    rows.filter(|(name, _)| !name.starts_with("_sqlx") && !name.starts_with("sqlite_"))
        .collect()
}

async fn each_says_it_or_has_a_reason(database: &Database, reasons: Reasons, at_least: usize) {
    let found = tables(database).await;
    assert!(found.len() >= at_least, "{found:?}");
    for (table, says) in &found {
        let is_excused = reasons.iter().any(|(name, _)| name == table);
        assert_ne!(*says, is_excused, "{table} of {database:?}");
    }
    for (name, _) in reasons {
        assert!(found.contains_key(*name), "there is no {name} any more");
    }
}

#[tokio::test]
async fn every_row_of_the_four_databases_says_whose_it_is_or_is_of_no_tenant() {
    everywhere(async |fresh| {
        each_says_it_or_has_a_reason(&fresh.apim, OF_APIM, 20).await;
        each_says_it_or_has_a_reason(&fresh.shared, OF_SHARED, 8).await;
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let carbon = crate::carbon::open(dir.path()).await.unwrap();
    each_says_it_or_has_a_reason(&carbon, OF_CARBON, 10).await;
    let broker = crate::broker::open(dir.path()).await.unwrap();
    each_says_it_or_has_a_reason(&broker, OF_BROKER, 5).await;
}
