//! The files of a data directory that a node cannot make anew, or that others know by now.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

use super::line::OfFile;

/// Keys that tokens are signed with, the authorities of the cluster and of the HTTPS certificates, and the password
/// that was made for the first administrator. A node's own certificate is not among them: who begins anew is another
/// node.
pub(super) const KEPT: [&str; 6] = [
    "keys/rs256.pem",
    "keys/es256.pem",
    "cluster/authority.pem",
    "tls/ca-key.pem",
    "ca.pem",
    "admin-password",
];

/// Those that are there.
pub(super) fn of(data: &Path) -> anyhow::Result<Vec<OfFile>> {
    let mut files = Vec::new();
    for name in KEPT {
        match fs::read(data.join(name)) {
            Ok(bytes) => files.push(OfFile::new(name, &bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let path = data.join(name);
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        }
    }
    Ok(files)
}
