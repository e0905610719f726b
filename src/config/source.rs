//! Where settings come from: defaults, one TOML file, environment over it, flags over both.
//! Every value remembers its origin, and a key that no section asked for is an error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Prefix of environment variables: `HEADGATE__SECTION__KEY`.
const PREFIX: &str = "HEADGATE__";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// A command-line flag.
    Flag(&'static str),
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {key}: {problem}")]
pub(crate) struct ConfigError {
    pub(crate) origin: Origin,
    pub(crate) key: String,
    pub(crate) problem: String,
}

/// One effective value, for `headgate check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effective {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) origin: Origin,
    /// Tells values apart that are shown alike because they are secret; never shown itself.
    digest: u64,
}

/// All values that somebody set, and all keys that somebody asked for.
#[derive(Debug, Default)]
pub(crate) struct Source {
    values: BTreeMap<String, (String, Origin)>,
    effective: Vec<Effective>,
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

// === impl Effective ===

impl Effective {
    /// Whether it is the same, wherever it comes from.
    pub(super) fn is_the_value_of(&self, other: &Self) -> bool {
        self.value == other.value && self.digest == other.digest
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

// === impl Source ===

impl Source {
    /// Adds the values of a TOML file.
    pub(crate) fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let parsed = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            ConfigError {
                origin: Origin::File(path.to_owned(), line),
                key: "syntax".to_owned(),
                problem: error.message().to_owned(),
            }
        })?;
        self.table(path, text, "", parsed.get_ref())
    }

    fn table(
        &mut self,
        path: &Path,
        text: &str,
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        for (key, value) in table {
            let origin = Origin::File(path.to_owned(), line_of(text, key.span().start));
            let key = format!("{prefix}{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.table(path, text, &format!("{key}."), inner)?,
                value => {
                    let value = plain(value).ok_or_else(|| ConfigError {
                        origin: origin.clone(),
                        key: key.clone(),
                        problem: "must be a string, decimal number, truth value or list of strings"
                            .to_owned(),
                    })?;
                    self.values.insert(key, (value, origin));
                }
            }
        }
        Ok(())
    }

    /// Adds the variables that begin with `HEADGATE__`.
    /// Others may be no text; these must be.
    pub(crate) fn environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                continue;
            }
            let shown = name.to_string_lossy().into_owned();
            let key = shown.strip_prefix(PREFIX).unwrap_or_default();
            let key = key.to_ascii_lowercase().replace("__", ".");
            let origin = Origin::Environment(shown);
            match (name.into_string(), value.into_string()) {
                (Ok(_), Ok(value)) => {
                    self.values.insert(key, (value, origin));
                }
                _ => {
                    return Err(ConfigError {
                        origin,
                        key,
                        problem: "is no text (UTF-8)".to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Adds a flag's value.
    pub(crate) fn flag(&mut self, flag: &'static str, key: &str, value: Option<String>) {
        if let Some(value) = value {
            self.values
                .insert(key.to_owned(), (value, Origin::Flag(flag)));
        }
    }

    /// Takes a value and remembers that `key` exists. `read` turns the text into the type.
    pub(crate) fn take<T>(
        &mut self,
        key: &str,
        default: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let unset = || (default.to_owned(), Origin::Default);
        let (text, origin) = self.values.remove(key).unwrap_or_else(unset);
        let value = read(&text).map_err(|problem| ConfigError {
            origin: origin.clone(),
            key: key.to_owned(),
            problem,
        })?;
        self.effective.push(Effective {
            key: key.to_owned(),
            value: without_password(&text),
            origin,
            digest: digest(&text),
        });
        Ok(value)
    }

    /// The same for a value that is shown nowhere; empty where there is none.
    pub(crate) fn take_secret<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let value = self.take(key, "", read)?;
        if let Some(taken) = self
            .effective
            .last_mut()
            .filter(|taken| !taken.value.is_empty())
        {
            taken.value = "***".to_owned();
        }
        Ok(value)
    }

    /// Refuses a key that exists elsewhere but not here, with the reason.
    pub(crate) fn refuse(&mut self, key: &str, problem: &str) -> Result<(), ConfigError> {
        match self.values.remove(key) {
            None => Ok(()),
            Some((_, origin)) => Err(ConfigError {
                origin,
                key: key.to_owned(),
                problem: problem.to_owned(),
            }),
        }
    }

    /// An error about the value taken for `key`, for what only others make wrong.
    pub(crate) fn wrong(&self, key: &str, problem: String) -> ConfigError {
        let taken = self.effective.iter().find(|taken| taken.key == key);
        ConfigError {
            origin: taken.map_or(Origin::Default, |taken| taken.origin.clone()),
            key: key.to_owned(),
            problem,
        }
    }

    /// Whether the value taken for `key` stood in the file.
    pub(crate) fn was_from_file(&self, key: &str) -> bool {
        let taken = self.effective.iter().find(|taken| taken.key == key);
        taken.is_some_and(|taken| matches!(taken.origin, Origin::File(..)))
    }

    /// Whether the value taken for `key` is not the default.
    pub(crate) fn was_given(&self, key: &str) -> bool {
        let taken = self.effective.iter().find(|taken| taken.key == key);
        taken.is_some_and(|taken| !matches!(taken.origin, Origin::Default))
    }

    /// Whether the value taken for `key` stood on the command line.
    pub(crate) fn was_flag(&self, key: &str) -> bool {
        let taken = self.effective.iter().find(|taken| taken.key == key);
        taken.is_some_and(|taken| matches!(taken.origin, Origin::Flag(_)))
    }

    /// Whether the value that `key` will have stands in the file.
    pub(crate) fn is_from_file(&self, key: &str) -> bool {
        let value = self.values.get(key);
        value.is_some_and(|(_, origin)| matches!(origin, Origin::File(..)))
    }

    /// The effective values; fails on the first key that nobody asked for.
    pub(crate) fn finish(self) -> Result<Vec<Effective>, ConfigError> {
        let Some((key, (_, origin))) = self.values.into_iter().next() else {
            return Ok(self.effective);
        };
        let known: Vec<&str> = self.effective.iter().map(|one| one.key.as_str()).collect();
        let problem = unknown(&key, &known);
        Err(ConfigError {
            origin,
            key,
            problem,
        })
    }
}

fn plain(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        // Its digits come without the prefix that says their base.
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Array(list) => {
            let texts = list.iter().map(|item| match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            });
            texts.collect::<Option<Vec<_>>>()?.join(",")
        }
        _ => return None,
    })
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.bytes().filter(|&byte| byte == b'\n').count() + 1
}

/// A database URL without its passwords, before the host and among the parameters: what `headgate
/// check` prints is copied into tickets.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (rest, parameters) = match rest.split_once('?') {
        Some((rest, parameters)) => (rest, Some(parameters)),
        None => (rest, None),
    };
    let hidden = || {
        let (user, host) = rest.rsplit_once('@')?;
        let (user, _) = user.split_once(':')?;
        Some(format!("{user}:***@{host}"))
    };
    let mut shown = format!("{scheme}://{}", hidden().unwrap_or_else(|| rest.to_owned()));
    for (n, parameter) in parameters.iter().flat_map(|all| all.split('&')).enumerate() {
        shown.push(if n == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("password") => {
                shown.push_str(&format!("{name}=***"));
            }
            _ => shown.push_str(parameter),
        }
    }
    shown
}

/// What to say of a key that nobody asked for: which one may have been meant, where one is like it; else, of a table that
/// is not known, which table.
fn unknown(key: &str, known: &[&str]) -> String {
    if let Some(nearest) = alike(key, known) {
        return format!("unknown key, did you mean {nearest}?");
    }
    let table = |key: &str| key.split_once('.').map(|(table, _)| table.to_owned());
    let tables: Vec<String> = known.iter().filter_map(|key| table(key)).collect();
    let Some(own) = table(key).filter(|own| !tables.contains(own)) else {
        return "unknown key".to_owned();
    };
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    match alike(&own, &tables) {
        Some(nearest) => format!("unknown table {own}, did you mean {nearest}?"),
        None => format!("unknown table {own}"),
    }
}

/// The nearest name, unless more than a third of it is another.
fn alike<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let nearest = known.iter().min_by_key(|known| distance(known, name))?;
    (distance(nearest, name) * 3 <= name.chars().count()).then_some(*nearest)
}

/// Edit distance (insertions, deletions, substitutions).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let (mut diagonal, mut last) = (i, i + 1);
        let mut next = vec![last];
        for (b, &above) in right.chars().zip(row.iter().skip(1)) {
            let cost = diagonal + usize::from(a != b);
            last = cost.min(above + 1).min(last + 1);
            diagonal = above;
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
