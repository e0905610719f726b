//! `headgate user`: people of a running node, over its SCIM operations.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::remote::{self, Remote, Target, cell};
use super::{Output, password, table};
use crate::client::percent_encoded;

/// The most bytes of a password on standard input.
const PASSWORD_LIMIT: u64 = 4_096;
/// Rows of one page.
const PAGE: usize = 100;

/// `headgate user`
#[derive(Debug, clap::Args)]
pub(crate) struct User {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add a person; asks for a password at a terminal, makes one elsewhere
    Add {
        /// User name
        name: String,
        /// Roles, such as Internal/creator,Internal/publisher
        #[arg(long, value_name = "LIST", value_delimiter = ',')]
        roles: Vec<String>,
        /// Read the password from standard input instead
        #[arg(long)]
        password_stdin: bool,
    },
    /// Give a person another password and end their sessions; asks for it at a terminal, makes one
    /// elsewhere
    Password {
        /// User name
        name: String,
        /// Read the password from standard input instead
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the people
    List,
    /// Delete a person; whatever they could do ends with the answer
    Delete {
        /// User name
        name: String,
    },
}

pub(super) fn run(user: &User) -> anyhow::Result<ExitCode> {
    remote::run(async {
        let (remote, output) = (user.target.remote()?, user.target.output);
        match &user.command {
            Command::Add {
                name,
                roles,
                password_stdin,
            } => add(&remote, output, name, roles, *password_stdin).await?,
            Command::Password {
                name,
                password_stdin,
            } => set_password(&remote, output, name, *password_stdin).await?,
            Command::List => list(&remote, output).await?,
            Command::Delete { name } => delete(&remote, output, name).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn add(
    remote: &Remote,
    output: Output,
    name: &str,
    roles: &[String],
    from_stdin: bool,
) -> anyhow::Result<()> {
    let (password, made_one) = chosen(name, from_stdin).await?;
    let roles: Vec<Value> = roles.iter().map(|role| json!({ "value": role })).collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name,
        "password": password,
        "roles": roles,
    });
    let answer = remote.ask("POST", "/scim2/Users", Some(&body)).await?;
    let mut made = answer.success(&format!("{name} cannot be added"))?;
    if made_one {
        tell(&mut made, &password);
    }
    let said = format!("added {name} ({})", roles_of(&made));
    say_made(output, name, &said, &made)
}

async fn set_password(
    remote: &Remote,
    output: Output,
    name: &str,
    from_stdin: bool,
) -> anyhow::Result<()> {
    let id = id_of(remote, name).await?;
    let (password, made_one) = chosen(name, from_stdin).await?;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "password", "value": password }],
    });
    let path = format!("/scim2/Users/{}", percent_encoded(&id));
    let answer = remote.ask("PATCH", &path, Some(&body)).await?;
    let mut changed = answer.success(&format!("the password of {name} cannot be changed"))?;
    if made_one {
        tell(&mut changed, &password);
    }
    let said = format!("{name} has another password");
    say_made(output, name, &said, &changed)
}

/// The password that a person gave, or one that is made, and whether it was.
async fn chosen(name: &str, from_stdin: bool) -> anyhow::Result<(String, bool)> {
    let given = if from_stdin {
        Some(read_password(std::io::stdin().lock())?)
    } else if std::io::stdin().is_terminal() {
        password::ask(name).await?
    } else {
        None
    };
    let made_one = given.is_none();
    let password = given.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    Ok((password, made_one))
}

/// Puts a password that was made into what is printed, this once.
fn tell(user: &mut Value, password: &str) {
    if let Some(members) = user.as_object_mut() {
        members.insert("password".to_owned(), Value::String(password.to_owned()));
    }
}

/// Says what was done, and the password that was made.
///
/// # Errors
/// When there is one and nobody reads it: it is not shown again.
fn say_made(output: Output, name: &str, said: &str, user: &Value) -> anyhow::Result<()> {
    let password = user.get("password").and_then(Value::as_str);
    let Some(password) = password else {
        return match output {
            Output::Json => remote::print_json(user),
            Output::Table => remote::say(said),
        };
    };
    let text = match output {
        Output::Json => serde_json::to_string_pretty(user)?,
        Output::Table => format!("{said}\npassword, shown this once: {password}"),
    };
    remote::say_once(&text).with_context(|| {
        format!("{said}, but nobody read the password that was made; make another: headgate user password {name}")
    })
}

async fn list(remote: &Remote, output: Output) -> anyhow::Result<()> {
    let mut people = Vec::new();
    loop {
        let path = format!("/scim2/Users?startIndex={}&count={PAGE}", people.len() + 1);
        let page = resources(remote, &path).await?;
        let last = page.len() < PAGE;
        people.extend(page);
        if last {
            break;
        }
    }
    match output {
        Output::Json => remote::print_json(&Value::Array(people)),
        Output::Table => {
            let row = |user| vec![cell(user, "userName"), roles_of(user), cell(user, "id")];
            table::print(
                &["NAME", "ROLES", "ID"],
                &people.iter().map(row).collect::<Vec<_>>(),
            )?;
            Ok(())
        }
    }
}

async fn delete(remote: &Remote, output: Output, name: &str) -> anyhow::Result<()> {
    let id = id_of(remote, name).await?;
    let path = format!("/scim2/Users/{}", percent_encoded(&id));
    let answer = remote.ask("DELETE", &path, None).await?;
    answer.success(&format!("{name} cannot be deleted"))?;
    match output {
        Output::Json => remote::print_json(&json!({ "deleted": name, "id": id })),
        Output::Table => remote::say(&format!("deleted {name}")),
    }
}

/// The id of the person of a name.
async fn id_of(remote: &Remote, name: &str) -> anyhow::Result<String> {
    if name.contains('"') {
        bail!("there is no user {name}");
    }
    let filter = percent_encoded(&format!("userName eq \"{name}\""));
    let found = resources(remote, &format!("/scim2/Users?filter={filter}")).await?;
    let user = found
        .first()
        .with_context(|| format!("there is no user {name}"))?;
    Ok(cell(user, "id"))
}

async fn resources(remote: &Remote, path: &str) -> anyhow::Result<Vec<Value>> {
    let answer = remote.ask("GET", path, None).await?;
    let mut page = answer.success("the people cannot be listed")?;
    match page.get_mut("Resources").map(Value::take) {
        Some(Value::Array(list)) => Ok(list),
        _ => Ok(Vec::new()),
    }
}

fn roles_of(user: &Value) -> String {
    let roles = user.get("roles").and_then(Value::as_array);
    let names = roles.into_iter().flatten().map(|role| cell(role, "value"));
    names.collect::<Vec<_>>().join(", ")
}

/// The first line of the input, without its end.
fn read_password(input: impl std::io::Read) -> anyhow::Result<String> {
    let mut text = String::new();
    input.take(PASSWORD_LIMIT).read_to_string(&mut text)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => bail!("standard input holds no password"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_the_input() {
        assert_eq!(read_password(&b"open sesame\n"[..]).unwrap(), "open sesame");
        assert!(read_password(&b"\n"[..]).is_err());
    }
}
