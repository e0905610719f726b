//! `headgate version`

use std::process::ExitCode;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    println!("headgate {}", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}
