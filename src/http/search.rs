//! The `query` and `sortBy` parameters of `GET /apis`.

use actors::publisher::{ApiSearch, SortBy};

use crate::error::ApiError;

/// Reads `name:pizza version:"1.0.0" shack`: terms with a prefix narrow a member, the others are
/// looked for together in name, context, description and tags.
pub(crate) fn read(query: &str) -> Result<ApiSearch, ApiError> {
    if query.chars().count() > 1_000 {
        return Err(ApiError::bad_field(
            "query",
            "must not exceed 1000 characters",
        ));
    }
    let mut search = ApiSearch::default();
    let mut free: Vec<String> = Vec::new();
    for term in terms(query) {
        let Some((prefix, wanted)) = term.split_once(':') else {
            free.push(term);
            continue;
        };
        let member = match prefix.to_ascii_lowercase().as_str() {
            "name" | "api-name" => &mut search.name,
            "version" => &mut search.version,
            "context" => &mut search.context,
            "provider" => &mut search.provider,
            "description" => &mut search.description,
            "tag" | "tags" => &mut search.tag,
            "status" | "lcstate" => &mut search.state,
            "type" => &mut search.kind,
            "doc" => &mut search.document,
            _ => {
                let problem = format!(
                    "{prefix}: cannot be searched, use name, version, context, provider, \
                     description, tag, status, type or doc"
                );
                return Err(ApiError::bad_field("query", problem));
            }
        };
        if member.replace(wanted.to_owned()).is_some() {
            let problem = format!("{prefix}: occurs twice");
            return Err(ApiError::bad_field("query", problem));
        }
    }
    let joined = free.join(" ");
    search.free = (!joined.is_empty() && joined != "*").then_some(joined);
    Ok(search)
}

/// Reads `sortBy` and `sortOrder`; the second is whether it is descending.
pub(crate) fn order(by: Option<&str>, order: Option<&str>) -> Result<(SortBy, bool), ApiError> {
    let by = match by {
        None | Some("createdTime") => SortBy::Created,
        Some("apiName") => SortBy::Name,
        Some("version") => SortBy::Version,
        Some("status") => SortBy::State,
        Some(_) => {
            let problem = "must be apiName, version, createdTime or status";
            return Err(ApiError::bad_field("sortBy", problem));
        }
    };
    let descending = match order {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(_) => return Err(ApiError::bad_field("sortOrder", "must be asc or desc")),
    };
    Ok((by, descending))
}

/// The words of a query; spaces between double quotes do not part them.
fn terms(query: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut quoted = false;
    for letter in query.chars() {
        quoted ^= letter == '"';
        if letter.is_whitespace() && !quoted {
            terms.push(String::new());
        } else if let Some(term) = terms.last_mut() {
            term.push(letter);
        }
    }
    terms.retain(|term| !term.is_empty());
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_with_a_prefix_narrow_members_and_others_are_free() {
        let found = read("name:\"Pizza Shack\" tags:oven best one").unwrap();
        assert_eq!(found.name.as_deref(), Some("\"Pizza Shack\""));
        assert_eq!(found.tag.as_deref(), Some("oven"));
        assert_eq!(found.free.as_deref(), Some("best one"));
        assert_eq!(read("type:HTTP").unwrap().kind.as_deref(), Some("HTTP"));
        assert_eq!(
            read("doc:guide").unwrap().document.as_deref(),
            Some("guide")
        );
        assert!(read("name:a name:b").is_err() && read("moon:1").is_err());
        assert_eq!(read("").unwrap(), ApiSearch::default());
    }

    #[test]
    fn the_newest_come_first_unless_asked_otherwise() {
        assert_eq!(order(None, None).unwrap(), (SortBy::Created, true));
        assert_eq!(
            order(Some("apiName"), Some("asc")).unwrap(),
            (SortBy::Name, false)
        );
        assert!(order(Some("x"), None).is_err() && order(None, Some("up")).is_err());
    }
}
