//! `words`: what the text of the code may not say, and what the manifests may not name.
//!
//! `messages` has the style of log and error messages, `forbidden` names and constructs, `dependencies` what no line
//! uses, `documents` files that are named and are not there, `deployed` settings and metrics that `deploy/` names, `formats`
//! whether its files can be read at all, `watched` metrics and alerts that the manual has not.

use anyhow::Result;

use crate::stage::report;
use crate::workspace::Workspace;
use crate::{
    configuration, dependencies, deployed, documents, forbidden, formats, messages, watched,
};

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
    findings.extend(formats::findings(workspace.root())?);
    findings.extend(watched::findings(workspace.root(), &sources)?);
    findings.extend(configuration::findings(workspace.root())?);
    report(&findings)
}
