//! `<<`: the merge key of YAML 1.1, which people use in API descriptions.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::definition::FaultKind;
use super::super::node::{Members, Node, clip};
use super::Fault;

/// The members of a mapping with those that `<<` merges into it; its own come first.
pub(super) fn merge<'a>(
    mut entries: Vec<(Cow<'a, str>, Node<'a>)>,
    merges: Vec<Node<'a>>,
) -> Result<Members<'a>, Fault> {
    if !merges.is_empty() {
        let mut names: BTreeSet<String> =
            entries.iter().map(|(name, _)| name.to_string()).collect();
        let sources = merges.into_iter().flat_map(|node| match node {
            Node::List(items) => items,
            other => vec![other],
        });
        for source in sources {
            let Node::Map(members) = source else {
                let message = format!("<< takes an object, not {}", source.sort());
                return Err(Fault {
                    kind: FaultKind::Wrong,
                    message,
                    member: Some("<<".to_owned()),
                });
            };
            let new = members.into_entries().into_iter();
            entries.extend(new.filter(|(name, _)| names.insert(name.to_string())));
        }
    }
    Members::build(entries).map_err(|name| Fault {
        kind: FaultKind::DuplicateKey,
        message: format!("the member \"{}\" occurs twice", clip(&name)),
        member: Some(name.into_owned()),
    })
}
