//! `headgate version`

use std::process::ExitCode;

use super::print::say;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    say(concat!("headgate ", env!("CARGO_PKG_VERSION")))?;
    Ok(ExitCode::SUCCESS)
}
