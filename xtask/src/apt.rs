//! Debian's packages, for what the tests need of the machine.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::postgres::is_root;
use crate::stage::run as command;

/// Installs `packages`, which bring `what` the tests need; where that cannot be done here the error says what a person
/// can do: run the line as root or, where there is no apt, install it `by_hand`.
pub(crate) fn install(what: &str, packages: &[&str], by_hand: &str) -> Result<()> {
    let has_apt = Path::new("/usr/bin/apt-get").exists();
    let prefix: &[&str] = match (has_apt, is_root()?) {
        (true, true) => &[],
        (true, false) if sudo_needs_no_password() => &["sudo", "-n"],
        (true, false) => {
            let packages = packages.join(" ");
            bail!(
                "the tests need {what}: as root, apt-get install --no-install-recommends {packages}"
            )
        }
        (false, _) => bail!("the tests need {what}: install {by_hand}"),
    };
    println!("missing: {what}; installing Debian's packages");
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    for apt in [vec!["update", "-q"], [&install[..], packages].concat()] {
        let words = [
            prefix,
            &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"],
            &apt,
        ]
        .concat();
        let (program, args) = words.split_first().context("no command")?;
        command(Command::new(program).args(args))?;
    }
    Ok(())
}

fn sudo_needs_no_password() -> bool {
    let sudo = Command::new("sudo")
        .args(["-n", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    sudo.is_ok_and(|status| status.success())
}
