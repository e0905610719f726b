//! Takes a backup, also of a node that runs.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use storage::backup::Snapshot;

use super::archive::{Contents, Writer, check};
use super::files;
use super::line::{Line, OfDatabase, OfTable};
use crate::config::Config;

/// Writes a backup to `path`, which is not there yet, reads it once more, and gives what it has.
///
/// # Errors
/// Where this node has no databases of the control plane, one cannot be read, or the file cannot be written; then there
/// is none.
pub(crate) async fn take(config: &Config, path: &Path, now_ms: i64) -> anyhow::Result<Contents> {
    let Some(urls) = &config.databases else {
        bail!(
            "this node has no databases of the control plane, and what it counts itself is not backed up: run this on a \
             node of the control plane; a gateway or traffic manager that is lost is replaced by a new one"
        );
    };
    let data = &config.node.data_dir;
    ensure!(
        data.join("carbon.db").exists(),
        "data directory {} is no node's: its keys belong to a backup, name it with --data-dir",
        data.display()
    );
    let files = files::of(data)?;
    let mut writer = Writer::create(path, now_ms)?;
    let snapshots = Snapshot::of_control_plane(&urls.apim, &urls.shared).await?;
    for (name, mut snapshot) in ["apim", "shared"].into_iter().zip(snapshots) {
        writer.write(&Line::Database(OfDatabase {
            database: name.to_owned(),
            migrations: snapshot.migrations.clone(),
        }))?;
        for table in snapshot.tables.clone() {
            writer.write(&Line::Table(OfTable::new(&table.name, &table.columns)))?;
            let rows = snapshot.rows(&table, |values| writer.write(&Line::Row(values)));
            rows.await
                .with_context(|| format!("table {} of {name}", table.name))?;
        }
    }
    for file in files {
        writer.write(&Line::File(file))?;
    }
    writer.end()?;
    // What a disk does not give back is found now, and not when it is needed.
    check(path)
}
