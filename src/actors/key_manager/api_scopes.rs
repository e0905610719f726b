//! Who may get the scopes that APIs define: Shared keeps what each version of an API's document
//! says, API-M which version counts (C5).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{role, scope};
use storage::apim::apis;
use storage::shared::scope_roles::{self, Binding};

use super::command::Refused;
use super::desk::Desk;

impl Desk {
    /// The roles of each scope out of `asked` that only an API can give: none when no API defines
    /// it, empty when anybody may have it.
    pub(super) async fn roles_of_api_scopes(
        &self,
        tenant: &str,
        asked: &[String],
    ) -> Result<HashMap<String, Option<Vec<String>>>, Refused> {
        let of_apis = asked
            .iter()
            .filter(|name| !scope::is_everybodys(name) && !scope::is_of_platform(name))
            .map(String::as_str)
            .collect::<BTreeSet<_>>();
        let of_apis: Vec<&str> = of_apis.into_iter().collect();
        let mut read = self.shared.read().await?;
        let defined = scope_roles::list(&mut read, tenant, &of_apis).await?;
        drop(read);
        if defined.is_empty() {
            return Ok(HashMap::new());
        }
        let apis_that_define: BTreeSet<_> = defined
            .values()
            .flatten()
            .map(|binding| binding.api_id.clone())
            .collect();
        let mut counts = HashMap::new();
        let mut read = self.apim.read().await?;
        for api in &apis_that_define {
            let document = apis::document(&mut read, tenant, api).await?;
            counts.extend(document.map(|(name, version)| (version, name)));
        }
        drop(read);
        // What a row of API-M points at was in Shared before it did: this second look misses no
        // version that counts, whatever was saved since the first one.
        let mut read = self.shared.read().await?;
        let names: Vec<&str> = defined.keys().map(String::as_str).collect();
        let mut roles = HashMap::new();
        for (name, bindings) in scope_roles::list(&mut read, tenant, &names).await? {
            let mut by_api: BTreeMap<&str, Vec<&Binding>> = BTreeMap::new();
            for binding in &bindings {
                if let Some(api) = counts.get(&binding.version) {
                    by_api.entry(api).or_default().push(binding);
                }
            }
            let of_each = by_api.into_values();
            let of_each = of_each.filter_map(|bindings| scope_roles::joined(bindings.into_iter()));
            roles.insert(name, agreed(of_each));
        }
        Ok(roles)
    }
}

/// The roles of a scope that several APIs define: those that each of them grants it to. The
/// publisher lets no two APIs define one scope; where two have since before it did, neither may
/// open what the other closes. None when there is no such API or no such role.
fn agreed(of_each: impl Iterator<Item = Vec<String>>) -> Option<Vec<String>> {
    let of_each: Vec<Vec<String>> = of_each.collect();
    if of_each.is_empty() {
        return None;
    }
    let narrows =
        |roles: &&Vec<String>| !roles.is_empty() && !roles.iter().any(|one| one == role::EVERYONE);
    let mut narrowing = of_each.iter().filter(narrows);
    let Some(first) = narrowing.next() else {
        return Some(Vec::new());
    };
    let mut agreed = first.clone();
    for roles in narrowing {
        agreed.retain(|role| roles.contains(role));
    }
    (!agreed.is_empty()).then_some(agreed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_opens_no_scope_that_another_one_closes() {
        let roles = |each: &[&[&str]]| {
            let each = each
                .iter()
                .map(|one| one.iter().map(|&r| r.to_owned()).collect());
            agreed(each)
        };
        let teller = || Some(vec!["teller".to_owned()]);
        assert_eq!(roles(&[]), None);
        assert_eq!(roles(&[&[]]), Some(Vec::new()));
        assert_eq!(roles(&[&["teller"], &[role::EVERYONE]]), teller());
        assert_eq!(roles(&[&[], &["teller"]]), teller());
        assert_eq!(
            roles(&[&["cook", "teller"], &["teller", "guest"]]),
            teller()
        );
        assert_eq!(roles(&[&["cook"], &["teller"]]), None);
    }
}
