//! The `query` of `GET /throttling/deny-policies`: `conditionType:API & conditionValue:/pets/1`.

use domain::deny_policy::DenyTarget;

use crate::error::ApiError;

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    kind: Option<String>,
    value: Option<String>,
}

// === impl Wanted ===

impl Wanted {
    /// Reads a query; an empty one admits all.
    pub(super) fn read(query: &str) -> Result<Self, ApiError> {
        let mut wanted = Self::default();
        for term in query.split('&').map(str::trim) {
            let (member, value) = match term.split_once(':') {
                None if term.is_empty() => continue,
                Some(("conditionType", value)) => (&mut wanted.kind, value),
                Some(("conditionValue", value)) => (&mut wanted.value, value),
                _ => {
                    let problem = "must be conditionType:… or conditionValue:…, joined by &";
                    return Err(ApiError::bad_field("query", problem));
                }
            };
            if member.replace(value.trim().to_owned()).is_some() {
                let problem = format!("{term} stands beside another of its kind");
                return Err(ApiError::bad_field("query", problem));
            }
        }
        Ok(wanted)
    }

    /// Whether a policy that denies this is asked for.
    pub(super) fn admits(&self, target: &DenyTarget) -> bool {
        let of_kind = self.kind.as_ref().is_none_or(|kind| kind == target.kind());
        of_kind
            && self.value.as_ref().is_none_or(|value| match target {
                DenyTarget::Api(text) | DenyTarget::Application(text) | DenyTarget::User(text) => {
                    text == value
                }
                DenyTarget::Address { address, .. } => address == value,
                DenyTarget::AddressRange { from, to, .. } => from == value || to == value,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_narrow_by_type_and_value_and_others_are_refused() {
        let api = DenyTarget::Api("/pets/1".to_owned());
        let ip = DenyTarget::Address {
            address: "::1".to_owned(),
            invert: false,
        };
        for (query, of_api, of_ip) in [
            ("", true, true),
            ("conditionType:IP", false, true),
            ("conditionValue:/pets/1", true, false),
            ("conditionType:API & conditionValue:/pets/1", true, false),
            ("conditionType:IP & conditionValue:::1", false, true),
            ("conditionType:USER", false, false),
        ] {
            let wanted = Wanted::read(query).unwrap();
            assert_eq!((wanted.admits(&api), wanted.admits(&ip)), (of_api, of_ip));
        }
        for query in ["pets", "moon:1", "conditionType:IP & conditionType:API"] {
            assert!(Wanted::read(query).is_err(), "{query}");
        }
    }
}
