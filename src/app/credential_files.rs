//! Where a node keeps what it shows to others: two files in its data directory, each written whole or
//! not at all, and readable by nobody else.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::{Authority, CredentialError, Credentials};

use crate::data_dir::write_file;

/// Key, certificate and authority of the node, in one file: a crash leaves all or nothing of it.
pub(super) const NODE: &str = "cluster/node.pem";
/// The authority with its key, on nodes that may admit others.
pub(super) const AUTHORITY: &str = "cluster/authority.pem";

/// The files of a data directory.
pub(super) struct CredentialFiles(PathBuf);

// === impl CredentialFiles ===

impl CredentialFiles {
    pub(super) fn of(data: &Path) -> Self {
        Self(data.to_owned())
    }

    /// What the node shows; none before it has any.
    pub(super) fn credentials(
        &self,
    ) -> anyhow::Result<Option<Result<Credentials, CredentialError>>> {
        let text = self.read(NODE)?;
        Ok(text.map(|text| Credentials::from_pem(&text)))
    }

    /// The authority, where it is held.
    pub(super) fn authority(&self) -> anyhow::Result<Option<Authority>> {
        match self.read(AUTHORITY)? {
            None => Ok(None),
            Some(text) => {
                let authority = Authority::from_pem(&text);
                authority.map(Some).with_context(|| {
                    format!("{AUTHORITY} cannot be used: put back what was there, or remove it")
                })
            }
        }
    }

    pub(super) fn save_credentials(&self, credentials: &Credentials) -> anyhow::Result<()> {
        write_file(&self.0.join(NODE), 0o600, credentials.to_pem().as_bytes())
    }

    pub(super) fn save_authority(&self, authority: &Authority) -> anyhow::Result<()> {
        write_file(
            &self.0.join(AUTHORITY),
            0o600,
            authority.to_pem().as_bytes(),
        )
    }

    fn read(&self, name: &str) -> anyhow::Result<Option<String>> {
        match fs::read(self.0.join(name)) {
            // What is no text is no PEM, of which it is said what to do.
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{name} cannot be read")),
        }
    }
}
