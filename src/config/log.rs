//! `[log]`: how much is said, and in which form.

use super::read;
use super::source::{ConfigError, Source};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// JSON unless standard error is a terminal.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `[log]`
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// `log.format`, default `auto`: `json`, `text`; `auto` is text on a terminal, JSON elsewhere.
    pub(crate) format: LogFormat,
    /// `log.filter`, default `info`: levels by module. Where a node listens, that it is ready and that it has stopped is
    /// said at any level (target `headgate::node`), unless it is `off` or names that target.
    pub(crate) filter: String,
    /// `log.access`, default `true`: one line a call in the access log.
    pub(crate) access: bool,
}

// === impl Log ===

impl Log {
    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        Ok(Self {
            format: source.take("log.format", "auto", format)?,
            filter: source.take("log.filter", "info", filter)?,
            access: source.take("log.access", "true", read::flag)?,
        })
    }
}

fn format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("must be auto, json or text".to_owned()),
    }
}

fn filter(text: &str) -> Result<String, String> {
    match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("is no log filter: {error}")),
    }
}
