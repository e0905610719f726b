//! `check`: everything that can be judged without running the program. All stages run, so that one report shows all.

use crate::stage::{Stages, run as command};
use crate::workspace::Workspace;
use crate::{layers, sizes, words};

/// Runs every check; failures are noted in `stages`. The quick ones come first.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages) {
    stages.keep("fmt", || {
        command(workspace.cargo().args(["fmt", "--all", "--check"]))
    });
    stages.keep("layers", || layers::run(workspace));
    stages.keep("sizes", || sizes::run(workspace));
    stages.keep("words", || words::run(workspace));
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    stages.keep("clippy", || command(workspace.cargo().args(clippy)));
}
