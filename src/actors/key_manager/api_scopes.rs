//! Who may get the scopes that APIs define: Shared keeps what each version of an API's document
//! says, API-M which version counts (C5).

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::scope;
use storage::apim::apis;
use storage::shared::scope_roles;

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
            .collect::<BTreeSet<_>>();
        let mut apis_that_define = BTreeSet::new();
        let mut read = self.shared.read().await?;
        for name in &of_apis {
            let bindings = scope_roles::list(&mut read, tenant, name).await?;
            apis_that_define.extend(bindings.into_iter().map(|binding| binding.api_id));
        }
        drop(read);
        if apis_that_define.is_empty() {
            return Ok(HashMap::new());
        }
        let mut counts = HashSet::new();
        let mut read = self.apim.read().await?;
        for api in &apis_that_define {
            counts.extend(apis::document(&mut read, tenant, api).await?);
        }
        drop(read);
        // What a row of API-M points at was in Shared before it did: this second look misses no
        // version that counts, whatever was saved since the first one.
        let mut read = self.shared.read().await?;
        let mut roles = HashMap::new();
        for name in of_apis {
            let bindings = scope_roles::list(&mut read, tenant, name).await?;
            let bindings = bindings.iter();
            let counting = bindings.filter(|binding| counts.contains(&binding.version));
            roles.insert(name.clone(), scope_roles::joined(counting));
        }
        Ok(roles)
    }
}
