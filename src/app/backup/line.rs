//! The lines of a backup, each one JSON value: a person can read it, and a script.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use storage::backup::{Column, Kind, Value};

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The version of the format.
    pub(super) headgate_backup: u32,
    /// The build that made it.
    pub(super) made_by: String,
    /// When, milliseconds since the epoch.
    pub(super) made_at_ms: i64,
}

/// A database begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfDatabase {
    pub(super) database: String,
    pub(super) migrations: Vec<i64>,
}

/// A table begins; its rows follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfTable {
    pub(super) table: String,
    /// Name and kind of each column.
    columns: Vec<(String, String)>,
}

/// A file of the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfFile {
    /// Its path in the data directory.
    pub(super) file: String,
    base64: String,
}

/// The last line: whatever is missing or was changed before it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// The lines before it.
    pub(super) lines: u64,
    /// SHA-256 of all bytes before it, in hexadecimal.
    pub(super) sha256: String,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Head(Head),
    Database(OfDatabase),
    Table(OfTable),
    Row(Vec<Value>),
    File(OfFile),
    End(End),
}

// === impl OfTable ===

impl OfTable {
    pub(super) fn new(table: &str, columns: &[Column]) -> Self {
        let columns = columns.iter();
        let columns = columns.map(|column| (column.name.clone(), column.kind.name().to_owned()));
        Self {
            table: table.to_owned(),
            columns: columns.collect(),
        }
    }

    /// Its columns; none where one is of a kind that there is not.
    pub(super) fn columns(&self) -> Option<Vec<Column>> {
        let columns = self.columns.iter().map(|(name, kind)| {
            let (name, kind) = (name.clone(), Kind::of(kind)?);
            Some(Column { name, kind })
        });
        columns.collect()
    }
}

// === impl OfFile ===

impl OfFile {
    pub(super) fn new(file: &str, bytes: &[u8]) -> Self {
        Self {
            file: file.to_owned(),
            base64: STANDARD.encode(bytes),
        }
    }

    /// What is in it; none where that is no base64.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.base64).ok()
    }
}

// === impl Line ===

impl Line {
    /// As it is written.
    pub(super) fn to_text(&self) -> serde_json::Result<String> {
        match self {
            Self::Head(line) => serde_json::to_string(line),
            Self::Database(line) => serde_json::to_string(line),
            Self::Table(line) => serde_json::to_string(line),
            Self::Row(values) => {
                let values: Vec<Json> = values.iter().map(to_json).collect();
                serde_json::to_string(&values)
            }
            Self::File(line) => serde_json::to_string(line),
            Self::End(line) => serde_json::to_string(line),
        }
    }

    /// Reads one; gives what it is about and why it cannot be read.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if let Json::Array(values) = json {
            let values = values.into_iter().map(of_json);
            return values.collect::<Option<_>>().map(Self::Row).ok_or_else(|| {
                "a row holds what is neither a number, a text, bytes nor null".to_owned()
            });
        }
        let is = |key: &str| json.get(key).is_some();
        let read = if is("headgate_backup") {
            serde_json::from_value(json).map(Self::Head)
        } else if is("database") {
            serde_json::from_value(json).map(Self::Database)
        } else if is("table") {
            serde_json::from_value(json).map(Self::Table)
        } else if is("file") {
            serde_json::from_value(json).map(Self::File)
        } else {
            serde_json::from_value(json).map(Self::End)
        };
        read.map_err(|error| error.to_string())
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(value) => Json::from(*value),
        Value::Text(value) => Json::from(value.as_str()),
        Value::Bytes(value) => serde_json::json!({ "base64": STANDARD.encode(value) }),
    }
}

fn of_json(json: Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::Null),
        Json::Number(value) => value.as_i64().map(Value::Integer),
        Json::String(value) => Some(Value::Text(value)),
        Json::Object(value) => {
            let text = value.get("base64").and_then(Json::as_str)?;
            STANDARD.decode(text).ok().map(Value::Bytes)
        }
        _ => None,
    }
}
