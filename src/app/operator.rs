//! The first administrator, and the credential by which commands on this machine reach the node.

use std::env::VarError;
use std::io::Write as _;

use anyhow::{Context as _, bail};

use actors::key_manager::command::{NewUser, Refused};
use actors::key_manager::{KeyManagerHandle, bare_name};
use domain::api::SUPER_TENANT;
use domain::role;

use crate::data_dir::{DataDir, write_file};

/// Makes the administrator on the first start: from `HEADGATE_ADMIN_USER` and
/// `HEADGATE_ADMIN_PASSWORD`, or with a generated password that is printed once and kept in
/// `<data>/admin-password`. Both variables are ignored once an administrator exists.
pub(super) async fn ensure_administrator(
    key_manager: &KeyManagerHandle,
    data: &DataDir,
) -> anyhow::Result<()> {
    if key_manager.has_administrator(SUPER_TENANT).await? {
        return Ok(());
    }
    let name = variable("HEADGATE_ADMIN_USER")?.unwrap_or_else(|| "admin".to_owned());
    let name = bare_name(&name).to_owned();
    let given = variable("HEADGATE_ADMIN_PASSWORD")?;
    let generated = given.is_none();
    let password = given.unwrap_or_else(random_secret);
    let kept = data.join("admin-password");
    if generated {
        // Kept before the account exists: a crash in between leaves a file and no account, never
        // an account that nobody can enter.
        write_file(&kept, 0o600, format!("{password}\n").as_bytes())?;
    }
    let administrator = NewUser {
        tenant: SUPER_TENANT.to_owned(),
        name: name.clone(),
        password: password.clone(),
        email: String::new(),
        given_name: String::new(),
        family_name: String::new(),
        roles: role::BUILT_IN.map(str::to_owned).to_vec(),
    };
    match key_manager.create_user(administrator).await {
        Ok(_) => {}
        // Another node over the same databases was faster: its administrator is the one, and the
        // password that was kept here opens nothing.
        Err(Refused::Duplicate(_)) if key_manager.has_administrator(SUPER_TENANT).await? => {
            if generated {
                std::fs::remove_file(&kept)
                    .with_context(|| format!("{} cannot be removed", kept.display()))?;
            }
            tracing::info!(name, "another node has made the administrator");
            return Ok(());
        }
        Err(error) => {
            return Err(error).context(
                "the administrator could not be made, see HEADGATE_ADMIN_USER and \
             HEADGATE_ADMIN_PASSWORD",
            );
        }
    }
    if generated {
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(
            stderr,
            "administrator {name} has the password {password} (kept in {})",
            kept.display()
        );
    }
    Ok(())
}

/// A variable of the environment; one that is no text is not as good as none.
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bail!("environment {name}: is no text (UTF-8)"),
    }
}

/// Writes a fresh credential for commands on this machine; gives its hash.
pub(super) fn credential(data: &DataDir) -> anyhow::Result<String> {
    let credential = random_secret();
    let path = data.join("run/operator-credential");
    write_file(&path, 0o600, credential.as_bytes())?;
    Ok(actors::key_manager::hash_hex(&credential))
}

/// 244 random bits as text.
fn random_secret() -> String {
    let (left, right) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    format!("{}{}", left.simple(), right.simple())
}
