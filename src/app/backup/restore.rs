//! Puts a backup into empty databases and a data directory that no node has used.

use std::fs;
use std::io::ErrorKind;
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

/// The file in the data directory that names the backup whose files are being written there.
const UNDER_WAY: &str = "restore-under-way";

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
    is_known(path, &contents)?;
    let data = DataDir::open(&config.node.data_dir)?;
    let shown = data.path().display();
    for used in USED {
        ensure!(
            !data.join(used).exists(),
            "data directory {shown} was used by a node, it has {used}: restore into a new one"
        );
    }
    let [mut apim, mut shared] = look(urls, &contents.sha256).await?;
    let note = data.join(UNDER_WAY);
    // What is there is this one's, or that of a node which tried to start on half of it.
    let is_noted = fs::read(&note).is_ok_and(|of| of == contents.sha256.as_bytes());
    ensure!(
        is_noted || !has_others(path, &data)?,
        "data directory {shown} has other keys or authorities than the backup: restore into a new one"
    );
    write_file(&note, 0o600, contents.sha256.as_bytes())?;
    // Whoever was cut short while marks were taken away had written everything, maybe into another data directory.
    let are_written = Restore::are_written(&apim, &shared, &contents.sha256);
    if !are_written {
        let id = format!("{}/{}", contents.sha256, uuid::Uuid::new_v4());
        apim.begin(&id, migrations_of(&contents, Which::Apim)?)
            .await?;
        shared
            .begin(&id, migrations_of(&contents, Which::Shared)?)
            .await?;
        write_rows(path, [&mut apim, &mut shared]).await?;
        for database in [&mut shared, &mut apim] {
            database.commit().await?;
        }
    }
    write_files(path, &data)?;
    fs::remove_file(&note).with_context(|| format!("{} cannot be removed", note.display()))?;
    // Before a database says that all is there.
    data.sync()?;
    if !are_written {
        // API-M last: where it says so, both have everything.
        for database in [&mut shared, &mut apim] {
            database.written().await?;
        }
    }
    shared.end().await?;
    apim.end().await?;
    Ok(contents)
}

/// Whether this build knows everything that the backup has, and so restores it.
///
/// # Errors
/// What it does not know.
pub(crate) fn is_known(path: &Path, contents: &Contents) -> anyhow::Result<()> {
    for which in Which::ALL {
        let migrations = migrations_of(contents, which)?;
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
    Ok(())
}

fn migrations_of(contents: &Contents, which: Which) -> anyhow::Result<&[i64]> {
    let mut all = contents.migrations.iter();
    let found = all.find(|(name, _)| name == which.name());
    let found = found.with_context(|| format!("the backup has no database {}", which.name()))?;
    Ok(&found.1)
}

/// Both databases, if each of them may be written.
async fn look(urls: &Databases, sha256: &str) -> anyhow::Result<[Restore; 2]> {
    let one = async |which: Which, url: &str| {
        let setting = format!("see database.{}.url", which.name());
        let looked = Restore::look(which, url).await;
        looked.with_context(|| setting)
    };
    let databases = [
        one(Which::Apim, &urls.apim).await?,
        one(Which::Shared, &urls.shared).await?,
    ];
    let [apim, shared] = &databases;
    for (database, which) in [(apim, Which::Apim), (shared, Which::Shared)] {
        // Shared's mark is taken away first.
        let is_over = Restore::are_written(apim, shared, sha256);
        ensure!(
            is_over || database.may_be_written(),
            "database {} is not empty, a backup is restored into an empty one: see database.{}.url",
            which.name(),
            which.name()
        );
    }
    Ok(databases)
}

/// Whether one of the backup's files is there with something else in it.
fn has_others(path: &Path, data: &DataDir) -> anyhow::Result<bool> {
    let (mut reader, _) = Reader::open(path)?;
    while let Some(line) = reader.next()? {
        if let Line::File(of) = line {
            let file = data.join(&of.file);
            match fs::read(&file) {
                Ok(there) if of.bytes().as_ref() != Some(&there) => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be read", file.display()));
                }
            }
        }
    }
    Ok(false)
}

/// Writes the files of the backup alone.
fn write_files(path: &Path, data: &DataDir) -> anyhow::Result<()> {
    let (mut reader, _) = Reader::open(path)?;
    while let Some(line) = reader.next()? {
        if let Line::File(of) = line {
            write(data, &of)?;
        }
    }
    Ok(())
}

async fn write_rows(path: &Path, [apim, shared]: [&mut Restore; 2]) -> anyhow::Result<()> {
    let (mut reader, _) = Reader::open(path)?;
    let mut database: Option<&mut Restore> = None;
    let mut target: Option<Target> = None;
    while let Some(line) = reader.next()? {
        match line {
            Line::Database(of) => {
                database = match of.database.as_str() {
                    "apim" => Some(&mut *apim),
                    "shared" => Some(&mut *shared),
                    _ => None,
                };
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
            Line::Head(_) | Line::File(_) | Line::End(_) => {}
        }
    }
    Ok(())
}

fn write(data: &DataDir, of: &OfFile) -> anyhow::Result<()> {
    ensure!(
        files::KEPT.contains(&of.file.as_str()),
        "the backup was changed meanwhile"
    );
    write_file(&data.join(&of.file), 0o600, &of.bytes().unwrap_or_default())
}
