//! `words`: what the text of the code may not say, and what the manifests may not name.
//!
//! `messages` has the style of log and error messages, `forbidden` names and constructs, `dependencies` what no line
//! uses, `documents` files that are named and are not there, `deployed` settings and metrics that `deploy/` names.

use anyhow::Result;

use crate::stage::report;
use crate::workspace::Workspace;
use crate::{configuration, dependencies, deployed, documents, forbidden, messages};

/// Prints what breaks the rules.
///
/// # Errors
/// When something does.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let sources = workspace.sources()?;
    let mut findings = Vec::new();
    for source in &sources {
        findings.extend(messages::findings(source));
        findings.extend(forbidden::findings(source));
    }
    findings.extend(dependencies::findings(&workspace.manifests()?, &sources));
    findings.extend(documents::findings(workspace.root(), &sources)?);
    findings.extend(deployed::findings(workspace.root())?);
    findings.extend(configuration::findings(workspace.root())?);
    report(&findings)
}
