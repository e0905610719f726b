//! A backup as a file: written beside its name and renamed when it is whole, read line by line and checked before
//! anything is done with it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, IntoInnerError, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest::{Context as Digest, SHA256};

use super::line::{End, Head, Line};
use crate::draft::{Draft, Over};

/// The version of the format.
const FORMAT: u32 = 1;
/// The longest line, bytes: a document may have 10 MiB.
const LINE: u64 = 256 * 1_024 * 1_024;

/// A backup that is being written.
pub(super) struct Writer {
    file: BufWriter<Draft>,
    path: PathBuf,
    digest: Digest,
    lines: u64,
}

/// A backup that is being read.
pub(super) struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    digest: Digest,
    lines: u64,
    has_ended: bool,
    /// Of all before the last line, once that was read.
    sha256: String,
}

/// What a backup has.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Contents {
    /// The build that made it.
    pub(crate) made_by: String,
    /// When, milliseconds since the epoch.
    pub(crate) made_at_ms: i64,
    /// Each table with its database and rows.
    pub(crate) tables: Vec<(String, String, u64)>,
    /// Files of the data directory.
    pub(crate) files: Vec<String>,
    /// SHA-256 of it, in hexadecimal.
    #[serde(skip)]
    pub(super) sha256: String,
    /// Each database with its migrations.
    #[serde(skip)]
    pub(super) migrations: Vec<(String, Vec<i64>)>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn create(path: &Path, now_ms: i64) -> anyhow::Result<Self> {
        let shown = path.display();
        ensure!(
            !path.exists(),
            "{shown} is there already: name another file"
        );
        let mut writer = Self {
            file: BufWriter::new(Draft::begin(path, 0o600)?),
            path: path.to_owned(),
            digest: Digest::new(&SHA256),
            lines: 0,
        };
        writer.write(&Line::Head(Head {
            headgate_backup: FORMAT,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            made_at_ms: now_ms,
        }))?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = line.to_text()?;
        text.push('\n');
        self.digest.update(text.as_bytes());
        self.lines += 1;
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// It is whole: from now on it has its name.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        let end = End {
            lines: self.lines,
            sha256: hex(self.digest.clone()),
        };
        self.write(&Line::End(end))?;
        let Self { file, path, .. } = self;
        let draft = file.into_inner().map_err(IntoInnerError::into_error);
        let finished = draft.and_then(|draft| draft.put(Over::Nothing));
        finished.with_context(|| format!("{} cannot be written", path.display()))
    }
}

// === impl Reader ===

impl Reader {
    pub(super) fn open(path: &Path) -> anyhow::Result<(Self, Head)> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let is_file = file.metadata().is_ok_and(|found| found.is_file());
        ensure!(
            is_file,
            "{} is no file: a backup is read more than once",
            path.display()
        );
        let mut reader = Self {
            file: BufReader::new(file),
            path: path.to_owned(),
            digest: Digest::new(&SHA256),
            lines: 0,
            has_ended: false,
            sha256: String::new(),
        };
        let Ok(Some(Line::Head(head))) = reader.next() else {
            bail!("{} is no backup of headgate", path.display());
        };
        ensure!(
            head.headgate_backup == FORMAT,
            "{} has format {}, which this version does not read: restore it with version {}",
            path.display(),
            head.headgate_backup,
            head.made_by
        );
        Ok((reader, head))
    }

    /// The next line; none after the last one, which was right.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line>> {
        let path = self.path.display().to_string();
        let mut text = String::new();
        let number = self.lines + 1;
        let read = (&mut self.file).take(LINE).read_line(&mut text);
        read.with_context(|| format!("{path}, line {number} cannot be read"))?;
        if self.has_ended {
            ensure!(
                text.is_empty(),
                "{path}, line {number}: something follows its end"
            );
            return Ok(None);
        }
        ensure!(text.ends_with('\n'), "{path} is cut off at line {number}");
        let line = Line::of(&text);
        let line =
            line.map_err(|why| anyhow::anyhow!("{path}, line {number} is damaged: {why}"))?;
        if let Line::End(end) = &line {
            let sha256 = hex(self.digest.clone());
            ensure!(
                (end.lines, &end.sha256) == (self.lines, &sha256),
                "{path} was changed or is damaged: it does not add up to what its last line says"
            );
            self.has_ended = true;
            self.sha256 = sha256;
        }
        self.digest.update(text.as_bytes());
        self.lines = number;
        match self.has_ended {
            true => self.next(),
            false => Ok(Some(line)),
        }
    }
}

fn hex(digest: Digest) -> String {
    let digest = digest.finish();
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Reads all of a backup; gives what it has.
///
/// # Errors
/// Where it cannot be read, is cut off, was changed, or is in a format that this version does not know.
pub(crate) fn check(path: &Path) -> anyhow::Result<Contents> {
    let (mut reader, head) = Reader::open(path)?;
    let mut contents = Contents {
        made_by: head.made_by,
        made_at_ms: head.made_at_ms,
        ..Contents::default()
    };
    while let Some(line) = reader.next()? {
        let number = reader.lines;
        let damaged = |what: &str| format!("{}, line {number}: {what}", path.display());
        match line {
            Line::Database(of) => contents.migrations.push((of.database, of.migrations)),
            Line::Table(of) => {
                let database = contents.migrations.last().map(|(name, _)| name.clone());
                let database = database.with_context(|| damaged("a table of no database"))?;
                of.columns()
                    .with_context(|| damaged("a column of no known kind"))?;
                contents.tables.push((database, of.table, 0));
            }
            Line::Row(_) => {
                let table = contents.tables.last_mut();
                table.with_context(|| damaged("a row of no table"))?.2 += 1;
            }
            Line::File(of) => {
                of.bytes()
                    .with_context(|| damaged("a file that is no base64"))?;
                contents.files.push(of.file);
            }
            Line::Head(_) | Line::End(_) => bail!(damaged("another backup begins in it")),
        }
    }
    contents.sha256 = reader.sha256;
    Ok(contents)
}
