//! Puts a backup into empty databases and a data directory that no node has used.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use storage::backup::restoring::{Restore, Target, Which};

use super::archive::{Contents, Reader, check};
use super::files;
use super::line::{Line, OfFile};
use crate::config::{Config, Databases};
use crate::data_dir::{DataDir, write_file};

/// What a node makes of itself at its first start.
const USED: [&str; 2] = ["carbon.db", "broker.db"];

/// Restores what lies at `path`, all of it or nothing that a node would start on.
///
/// # Errors
/// Where the backup cannot be read or is none of this version's, the data directory or a database has been used, or one
/// of them cannot be written. Run again it begins anew.
pub(crate) async fn restore(config: &Config, path: &Path) -> anyhow::Result<Contents> {
    let contents = check(path)?;
    let Some(urls) = &config.databases else {
        bail!(
            "this node has no databases of the control plane: a backup is restored on a node that has"
        );
    };
    for which in Which::ALL {
        let migrations = migrations_of(&contents, which)?;
        ensure!(
            which.knows(migrations),
            "{} was made by version {}, whose database {} this version does not know: restore it with that version",
            path.display(),
            contents.made_by,
            which.name()
        );
    }
    let is_known = |name: &str| Which::ALL.iter().any(|which| which.name() == name);
    if let Some((other, _)) = contents.migrations.iter().find(|(name, _)| !is_known(name)) {
        bail!(
            "{} has a database {other}, which no backup of this version has",
            path.display()
        );
    }
    if let Some(other) = contents
        .files
        .iter()
        .find(|file| !files::KEPT.contains(&file.as_str()))
    {
        bail!(
            "{} has a file {other}, which no backup of this version has",
            path.display()
        );
    }
    let data = DataDir::open(&config.node.data_dir)?;
    let shown = data.path().display();
    for used in USED {
        ensure!(
            !data.join(used).exists(),
            "data directory {shown} was used by a node, it has {used}: restore into a new one"
        );
    }
    let mut databases = look(urls).await?;
    for database in &mut databases {
        database
            .0
            .begin(migrations_of(&contents, database.1)?)
            .await?;
    }
    write_all(path, &data, &mut databases).await?;
    for (database, _) in &mut databases {
        database.commit().await?;
    }
    // Shared first: as long as API-M is marked a second try takes away both.
    for (database, _) in databases.into_iter().rev() {
        database.end().await?;
    }
    Ok(contents)
}

fn migrations_of(contents: &Contents, which: Which) -> anyhow::Result<&[i64]> {
    let mut all = contents.migrations.iter();
    let found = all.find(|(name, _)| name == which.name());
    let found = found.with_context(|| format!("the backup has no database {}", which.name()))?;
    Ok(&found.1)
}

/// Both databases, if they may be written.
async fn look(urls: &Databases) -> anyhow::Result<Vec<(Restore, Which)>> {
    let mut databases = Vec::new();
    let mut is_half = false;
    for which in Which::ALL {
        let url = match which {
            Which::Apim => &urls.apim,
            Which::Shared => &urls.shared,
        };
        let see = || format!("see database.{}.url", which.name());
        let (database, half) = Restore::look(which, url).await.with_context(see)?;
        is_half |= half;
        databases.push((database, which));
    }
    for (database, which) in &databases {
        ensure!(
            is_half || database.is_empty(),
            "database {} is not empty, a backup is restored into an empty one: see database.{}.url",
            which.name(),
            which.name()
        );
    }
    Ok(databases)
}

async fn write_all(
    path: &Path,
    data: &DataDir,
    databases: &mut [(Restore, Which)],
) -> anyhow::Result<()> {
    let (mut reader, _) = Reader::open(path)?;
    let mut database: Option<&mut Restore> = None;
    let mut target: Option<Target> = None;
    while let Some(line) = reader.next()? {
        match line {
            Line::Database(of) => {
                let mut all = databases.iter_mut();
                let found = all.find(|(_, which)| which.name() == of.database);
                database = found.map(|(database, _)| database);
                target = None;
            }
            Line::Table(of) => {
                let columns = of.columns().unwrap_or_default();
                if let Some(database) = &database {
                    target = Some(database.target(&of.table, &columns)?);
                }
            }
            Line::Row(values) => {
                if let (Some(database), Some(target)) = (&mut database, &target) {
                    database.row(target, values).await?;
                }
            }
            Line::File(of) => write(data, &of)?,
            Line::Head(_) | Line::End(_) => {}
        }
    }
    Ok(())
}

fn write(data: &DataDir, of: &OfFile) -> anyhow::Result<()> {
    write_file(&data.join(&of.file), 0o600, &of.bytes().unwrap_or_default())
}
