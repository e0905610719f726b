//! What was backed up from either backend is what is restored into either, and nothing else is written over.

use super::restoring::{Restore, Which};
use super::*;
use crate::conformance::{TENANT, create, new_id, run, server};
use crate::row::Columns as _;
use crate::shared::blobs::{self, Blob};
use crate::{Database, StoreError};

/// Two databases of one backend.
#[derive(Clone)]
struct Urls {
    apim: String,
    shared: String,
}

/// All rows of a database, by table.
type Rows = Vec<(Table, Vec<Vec<Value>>)>;

// === impl Urls ===

impl Urls {
    fn files(directory: &std::path::Path, name: &str) -> Self {
        let file = |of: &str| {
            format!(
                "sqlite:{}",
                directory.join(format!("{name}-{of}.db")).display()
            )
        };
        Self {
            apim: file("apim"),
            shared: file("shared"),
        }
    }

    /// New ones on each backend that there is.
    async fn everywhere(directory: &std::path::Path, name: &str) -> Vec<Self> {
        let mut all = vec![Self::files(directory, name)];
        if let Some(server) = server() {
            all.push(Self {
                apim: create(&server, "backup_apim").await,
                shared: create(&server, "backup_shared").await,
            });
        }
        all
    }

    async fn open(&self) -> (Database, Database) {
        let apim = crate::apim::open(&self.apim).await.unwrap();
        (apim, crate::shared::open(&self.shared).await.unwrap())
    }

    async fn filled(&self) {
        let (apim, shared) = self.open().await;
        let mut write = apim.write("test.fill").await.unwrap();
        for n in 0..1_203_i64 {
            let nothing = None::<String>;
            let row = sqlx::query(
                "INSERT INTO change_log (n, uuid, kind, tenant, payload, source, at_ms) \
                 VALUES ($1, $2, 'k', 'größe', $3, $4, $5)",
            );
            let source = if n % 2 == 0 {
                nothing
            } else {
                Some(format!("s{n}"))
            };
            let row = row
                .bind(n)
                .bind(new_id())
                .bind("{\"a\":\"\u{1f980}\\n\"}".to_owned());
            write
                .execute(row.bind(source).bind(i64::MIN + n), "row")
                .await
                .unwrap();
        }
        write.commit().await.unwrap();
        add_blob(&shared, "first").await;
        apim.close().await;
        shared.close().await;
    }

    /// No node starts on it.
    async fn is_refused(&self, database: &str) {
        let refused = crate::apim::open(&self.apim).await.map(drop);
        let is_half = |error: &StoreError| matches!(error, StoreError::HalfRestored { database: of } if *of == database);
        assert!(refused.as_ref().is_err_and(is_half), "{refused:?}");
    }

    /// What is there, and with which migrations.
    async fn rows(&self) -> [(Vec<i64>, Rows); 2] {
        let [apim, shared] = Snapshot::of_control_plane(&self.apim, &self.shared)
            .await
            .unwrap();
        [all_of(apim).await, all_of(shared).await]
    }

    async fn restore(&self, backup: &[(Vec<i64>, Rows); 2]) -> Result<(), StoreError> {
        let mut all = self.begun(backup).await?;
        for (restore, (_, rows)) in all.iter_mut().zip(backup) {
            for (table, rows) in rows {
                let target = restore.target(&table.name, &table.columns)?;
                for row in rows {
                    restore.row(&target, row.clone()).await?;
                }
            }
        }
        for restore in all.iter_mut().rev() {
            restore.commit().await?;
        }
        for restore in all.iter_mut().rev() {
            restore.written().await?;
        }
        for restore in all.into_iter().rev() {
            restore.end().await?;
        }
        Ok(())
    }

    async fn begun(&self, backup: &[(Vec<i64>, Rows); 2]) -> Result<Vec<Restore>, StoreError> {
        let mut all = Vec::new();
        for (which, url) in Which::ALL.into_iter().zip([&self.apim, &self.shared]) {
            all.push(Restore::look(which, url).await?);
        }
        for (restore, (migrations, _)) in all.iter_mut().zip(backup) {
            restore.begin("a", migrations).await?;
        }
        Ok(all)
    }
}

async fn add_blob(shared: &Database, id: &str) {
    let mut write = shared.write("test.fill").await.unwrap();
    let blob = Blob {
        id: id.to_owned(),
        tenant: TENANT.to_owned(),
        kind: "definition".to_owned(),
        media_type: "application/octet-stream".to_owned(),
        bytes: vec![0, 1, 255, b'\n', b'"'],
        created_at_ms: 7,
    };
    blobs::create(&mut write, &blob).await.unwrap();
    write.commit().await.unwrap();
}

async fn all_of(mut snapshot: Snapshot) -> (Vec<i64>, Rows) {
    let mut rows = Vec::new();
    // Which database it is is not what it has: a restored one is another.
    let tables = snapshot.tables.clone().into_iter();
    for table in tables.filter(|table| table.name != "database_identity") {
        let mut of_table = Vec::new();
        let each = |values| {
            of_table.push(values);
            Ok::<(), StoreError>(())
        };
        snapshot.rows(&table, each).await.unwrap();
        of_table.sort_by_key(|values| format!("{values:?}"));
        rows.push((table, of_table));
    }
    (snapshot.migrations, rows)
}

fn count(rows: &Rows, table: &str) -> usize {
    let found = rows.iter().find(|(of, _)| of.name == table);
    found.map(|(_, rows)| rows.len()).unwrap()
}

#[tokio::test]
async fn what_either_backend_had_is_restored_into_either() {
    let directory = tempfile::tempdir().unwrap();
    for (number, from) in Urls::everywhere(directory.path(), "from")
        .await
        .iter()
        .enumerate()
    {
        from.filled().await;
        let had = from.rows().await;
        assert_eq!(count(&had[0].1, "change_log"), 1_203);
        assert_eq!(count(&had[1].1, "blobs"), 1);
        for to in Urls::everywhere(directory.path(), &format!("to{number}")).await {
            to.restore(&had).await.unwrap();
            // A node starts on them.
            to.open().await;
            assert_eq!(to.rows().await, had);
        }
    }
}

#[tokio::test]
async fn a_backup_has_what_there_was_when_it_began_and_keeps_nobody_from_writing() {
    let directory = tempfile::tempdir().unwrap();
    for from in Urls::everywhere(directory.path(), "from").await {
        from.filled().await;
        let (_apim, shared) = from.open().await;
        let [apim, of_shared] = Snapshot::of_control_plane(&from.apim, &from.shared)
            .await
            .unwrap();
        add_blob(&shared, "later").await;
        assert_eq!(count(&all_of(of_shared).await.1, "blobs"), 1);
        assert_eq!(count(&all_of(apim).await.1, "change_log"), 1_203);
        assert_eq!(count(&from.rows().await[1].1, "blobs"), 2);
    }
}

#[tokio::test]
async fn no_node_starts_on_half_of_a_backup_and_a_second_try_makes_it_whole() {
    let directory = tempfile::tempdir().unwrap();
    let from = Urls::files(directory.path(), "from");
    from.filled().await;
    let had = from.rows().await;
    for to in Urls::everywhere(directory.path(), "to").await {
        // Killed before a row is committed, when they are, and when all marks but one are taken away.
        drop(to.begun(&had).await.unwrap());
        to.is_refused("apim").await;
        let mut all = to.begun(&had).await.unwrap();
        for restore in &mut all {
            restore.commit().await.unwrap();
        }
        drop(all);
        to.is_refused("apim").await;
        let mut all = to.begun(&had).await.unwrap();
        for restore in all.iter_mut().rev() {
            restore.commit().await.unwrap();
            restore.written().await.unwrap();
        }
        all.pop().unwrap().end().await.unwrap();
        drop(all);
        to.is_refused("apim").await;
        let again = Restore::look(Which::Apim, &to.apim).await.unwrap();
        let shared = Restore::look(Which::Shared, &to.shared).await.unwrap();
        let are_written = |id: &str| Restore::are_written(&again, &shared, id);
        assert!(are_written("a") && !are_written("b"));
        // Nor by a Shared that there is beside it.
        let beside = Urls::files(directory.path(), "beside");
        let beside = Restore::look(Which::Shared, &beside.shared).await.unwrap();
        assert!(!Restore::are_written(&again, &beside, "a"));
        drop(again);
        // Another backup than that one begins anew.
        assert!(!shared.may_be_written());
        shared.end().await.unwrap();
        let mut apim = Restore::look(Which::Apim, &to.apim).await.unwrap();
        apim.begin("b", &had[0].0).await.unwrap();
        drop(apim);
        to.restore(&had).await.unwrap();
        to.open().await;
        assert_eq!(to.rows().await, had);
    }
}

#[tokio::test]
async fn half_of_a_backup_is_not_backed_up() {
    let directory = tempfile::tempdir().unwrap();
    let from = Urls::files(directory.path(), "from");
    from.filled().await;
    let had = from.rows().await;
    for to in Urls::everywhere(directory.path(), "to").await {
        let refused = |of: &'static str| {
            let to = to.clone();
            async move {
                let taken = Snapshot::of_control_plane(&to.apim, &to.shared).await;
                let said = taken.map(drop).unwrap_err();
                let is_half =
                    matches!(said, StoreError::HalfRestored { database } if database == of);
                assert!(is_half, "{said}");
            }
        };
        // Without its rows, and with all but the last mark.
        drop(to.begun(&had).await.unwrap());
        refused("apim").await;
        let mut all = to.begun(&had).await.unwrap();
        for restore in all.iter_mut().rev() {
            restore.commit().await.unwrap();
            restore.written().await.unwrap();
        }
        all.remove(0).end().await.unwrap();
        drop(all);
        refused("shared").await;
    }
}

/// Waits until the server has ended a transaction that waits, at the latest one that began now.
async fn until_one_is_ended(url: &str) {
    let database = crate::database::Database::connect(url, &crate::apim::SCHEMA, false).await;
    let database = database.unwrap();
    let mut waits = database.read().await.unwrap();
    let mine = sqlx::query("SELECT pg_backend_pid()::BIGINT AS pid");
    let pid = waits.optional(mine).await.unwrap().unwrap();
    let pid = pid.integer("pid").unwrap();
    let is_ended = async {
        loop {
            let mut looks = database.read().await.unwrap();
            let there = sqlx::query("SELECT COUNT(*) AS n FROM pg_stat_activity WHERE pid = $1");
            let there = looks.optional(there.bind(pid)).await.unwrap().unwrap();
            if there.integer("n").unwrap() == 0 {
                return;
            }
            drop(looks);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, is_ended).await.unwrap();
}

#[tokio::test]
async fn a_server_that_ends_transactions_which_wait_ends_neither_a_backup_nor_a_restore() {
    let directory = tempfile::tempdir().unwrap();
    let Some(server) = server() else { return };
    let from = Urls::everywhere(directory.path(), "from").await.remove(1);
    let to = Urls::everywhere(directory.path(), "to").await.remove(1);
    for url in [&from.apim, &from.shared, &to.apim, &to.shared] {
        let name = url.rsplit_once('/').unwrap().1;
        let short =
            format!("ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '300ms'");
        run(&server, short).await;
    }
    from.filled().await;
    let had = from.rows().await;
    let [apim, shared] = Snapshot::of_control_plane(&from.apim, &from.shared)
        .await
        .unwrap();
    until_one_is_ended(&from.shared).await;
    assert_eq!([all_of(apim).await, all_of(shared).await], had);
    let mut all = to.begun(&had).await.unwrap();
    until_one_is_ended(&to.shared).await;
    for restore in &mut all {
        restore.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_database_is_refused_that_others_use_of_whom_this_role_sees_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(server) = server() else { return };
    let urls = Urls::everywhere(directory.path(), "to").await.remove(1);
    let name = urls.shared.rsplit_once('/').unwrap().1;
    let role = format!("restorer_{}", uuid::Uuid::new_v4().simple());
    run(
        &server,
        format!("CREATE ROLE {role} LOGIN PASSWORD 'restorer'"),
    )
    .await;
    run(&server, format!("ALTER DATABASE {name} OWNER TO {role}")).await;
    let (_, at) = urls.shared.rsplit_once('@').unwrap();
    let url = format!("postgres://{role}:restorer@{at}");
    let node = crate::database::Database::connect(&urls.shared, &crate::shared::SCHEMA, false);
    let node = node.await.unwrap();
    let refused = Restore::look(Which::Shared, &url).await.map(drop);
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("pg_read_all_stats"), "{said}");
    // Who sees them says what they are.
    run(&server, format!("GRANT pg_read_all_stats TO {role}")).await;
    let refused = Restore::look(Which::Shared, &url).await.map(drop);
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("stop the nodes that use it"), "{said}");
    run(&server, format!("REVOKE pg_read_all_stats FROM {role}")).await;
    node.close().await;
    Restore::look(Which::Shared, &url).await.unwrap();
}

#[tokio::test]
async fn a_backup_of_an_earlier_version_is_brought_up_to_date_by_the_migrations_that_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    for to in Urls::everywhere(directory.path(), "to").await {
        let name = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        // As it was before tokens had lives, and before the register of views.
        let head = Table {
            name: "change_head".to_owned(),
            columns: vec![name("id", Kind::Integer), name("n", Kind::Integer)],
        };
        let rows = vec![(head, vec![vec![Value::Integer(1), Value::Integer(41)]])];
        let apim: Vec<i64> = crate::apim::SCHEMA
            .migrations
            .iter()
            .map(|one| one.0)
            .collect();
        let earlier = apim
            .iter()
            .copied()
            .filter(|version| *version < 16)
            .collect();
        let shared = crate::shared::SCHEMA
            .migrations
            .iter()
            .map(|one| one.0)
            .collect();
        to.restore(&[(earlier, rows), (shared, Vec::new())])
            .await
            .unwrap();
        let [(migrations, rows), _] = to.rows().await;
        assert_eq!(migrations, apim);
        let (_, head) = rows
            .iter()
            .find(|(table, _)| table.name == "change_head")
            .unwrap();
        assert_eq!(*head, [[Value::Integer(1), Value::Integer(41)]]);
        // What a later migration puts there is there.
        assert_eq!(count(&rows, "view_register"), 1);
    }
}

#[tokio::test]
async fn rows_that_a_database_cannot_hold_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let to = Urls::files(directory.path(), "to");
    let shared: Vec<i64> = crate::shared::SCHEMA
        .migrations
        .iter()
        .map(|one| one.0)
        .collect();
    let apim: Vec<i64> = crate::apim::SCHEMA
        .migrations
        .iter()
        .map(|one| one.0)
        .collect();
    let none = [(apim, Vec::new()), (shared, Vec::new())];
    let mut all = to.begun(&none).await.unwrap();
    let restore = &mut all[0];
    let column = |name: &str| Column {
        name: name.to_owned(),
        kind: Kind::Integer,
    };
    let shown = |refused: Result<_, StoreError>| {
        refused
            .map(|_: restoring::Target| ())
            .unwrap_err()
            .to_string()
    };
    let said = shown(restore.target("change_head; DROP TABLE apis", &[column("n")]));
    assert!(
        said.contains("a table change_head; DROP TABLE apis, which database apim has not"),
        "{said}"
    );
    let said = shown(restore.target("change_head", &[column("n) VALUES (1); --")]));
    assert!(
        said.contains("a column n) VALUES (1); -- BIGINT of table change_head"),
        "{said}"
    );
    let target = restore
        .target("change_head", &[column("id"), column("n")])
        .unwrap();
    let said = restore
        .row(&target, vec![Value::Integer(1)])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("a row of table change_head has 1 values"),
        "{said}"
    );
    let wrong = vec![Value::Integer(1), Value::Text("1".to_owned())];
    let said = restore.row(&target, wrong).await.unwrap_err().to_string();
    assert!(
        said.contains("a value of column n of table change_head is of another kind"),
        "{said}"
    );
}
