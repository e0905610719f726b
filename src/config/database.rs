//! `[database.apim]` and `[database.shared]`. Carbon and Broker take no location: they are the
//! node's own and lie in its data directory.

use super::node::Node;
use super::read;
use super::source::{ConfigError, Source};

/// Where the shared databases are.
#[derive(Debug, Clone)]
pub(crate) struct Databases {
    /// `database.apim.url`, default a file in the data directory: `sqlite:` or `postgres:`.
    pub(crate) apim: String,
    /// `database.shared.url`, default a file in the data directory: `sqlite:` or `postgres:`.
    pub(crate) shared: String,
}

// === impl Databases ===

impl Databases {
    /// None for a node that has no role in the control plane, and none to be given.
    pub(super) fn read(source: &mut Source, node: &Node) -> Result<Option<Self>, ConfigError> {
        for own in ["carbon", "broker"] {
            for key in ["url", "path", "location"] {
                source.refuse(
                    &format!("database.{own}.{key}"),
                    "this database is the node's own and lies in its data directory, remove the \
                     setting (node.data_dir moves all of them)",
                )?;
            }
        }
        if !node.roles.iter().any(|role| role.is_control_plane()) {
            for shared in ["database.apim.url", "database.shared.url"] {
                source.refuse(
                    shared,
                    "gateways and traffic managers work without the control plane's databases, \
                     remove the setting or give the node a role that uses them",
                )?;
            }
            return Ok(None);
        }
        let file = |name: &str| format!("sqlite:{}", node.data_dir.join(name).display());
        Ok(Some(Self {
            apim: source.take("database.apim.url", &file("apim.db"), url)?,
            shared: source.take("database.shared.url", &file("shared.db"), url)?,
        }))
    }
}

fn url(text: &str) -> Result<String, String> {
    let known = ["sqlite:", "postgres:", "postgresql:"];
    if known.iter().any(|scheme| text.starts_with(scheme)) {
        read::text(text)
    } else {
        Err("must begin with sqlite: or postgres:".to_owned())
    }
}
