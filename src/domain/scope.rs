//! Scopes: which role may get which scope of the REST APIs, and what a token request is granted.

use crate::role::{ADMIN, CREATOR, DEVOPS, EVERYONE, PUBLISHER, SUBSCRIBER};

/// The scope of a token for which no other one was granted.
pub const DEFAULT: &str = "default";
/// The scope that asks for identity.
pub const OPENID: &str = "openid";
/// Scopes with this prefix are passed on unchecked (WSO2's allow-list `^device_.*`).
const DEVICE_PREFIX: &str = "device_";
/// Scopes of the platform's own REST APIs have this prefix, those to come as well.
const PLATFORM_PREFIX: &str = "apim:";

/// Who builds APIs.
const CREATORS: &[&str] = &[ADMIN, CREATOR];
/// Who publishes APIs.
const PUBLISHERS: &[&str] = &[ADMIN, PUBLISHER];
/// Who works in the Publisher.
const BOTH: &[&str] = &[ADMIN, CREATOR, PUBLISHER];
/// Who uses the Developer Portal.
const SUBSCRIBERS: &[&str] = &[ADMIN, SUBSCRIBER];
/// Who has applications and subscriptions.
const CALLERS: &[&str] = &[ADMIN, SUBSCRIBER, DEVOPS];
/// Who runs the platform.
const OPERATORS: &[&str] = &[ADMIN, DEVOPS];
/// Administrators alone.
const ADMINS: &[&str] = &[ADMIN];

/// Scopes of the REST APIs by the roles whose holders may get them; `scopes.txt` says where that is from. What is not named here and
/// begins with `apim:` is known when [`ADMIN_SCOPES`] has it.
const REST_SCOPES: &[(&[&str], &[&str])] = &[
    (
        CREATORS,
        &[
            "apim:api_create",
            "apim:api_delete",
            "apim:api_mediation_policy_manage",
            "apim:client_certificates_add",
            "apim:client_certificates_manage",
            "apim:client_certificates_update",
            "apim:client_certificates_view",
            "apim:common_operation_policy_manage",
            "apim:ep_certificates_add",
            "apim:ep_certificates_manage",
            "apim:ep_certificates_update",
            "apim:ep_certificates_view",
            "apim:mcp_server_create",
            "apim:mcp_server_delete",
            "apim:mediation_policy_create",
            "apim:mediation_policy_manage",
            "apim:mediation_policy_view",
            "apim:pub_alert_manage",
            "apim:threat_protection_policy_create",
            "apim:threat_protection_policy_manage",
        ],
    ),
    (
        PUBLISHERS,
        &[
            "apim:api_publish",
            "apim:mcp_server_publish",
            "apim:monetization_usage_publish",
            "apim:subscription_block",
            "apim:subscription_manage",
        ],
    ),
    (
        BOTH,
        &[
            "apim:api_definition_view",
            "apim:api_generate_key",
            "apim:api_list_view",
            "apim:api_view",
            "apim:comment_manage",
            "apim:comment_view",
            "apim:comment_write",
            "apim:common_operation_policy_view",
            "apim:document_create",
            "apim:document_manage",
            "apim:gateway_policy_view",
            "apim:gov_policy_read",
            "apim:gov_result_read",
            "apim:gov_rule_read",
            "apim:llm_provider_read",
            "apim:mcp_server_list_view",
            "apim:mcp_server_view",
            "apim:publisher_organization_read",
            "apim:publisher_settings",
            "apim:subscription_view",
            "apim:tier_view",
        ],
    ),
    (
        SUBSCRIBERS,
        &[
            "apim:api_key",
            "apim:store_settings",
            "apim:sub_alert_manage",
        ],
    ),
    (
        CALLERS,
        &["apim:app_manage", "apim:sub_manage", "apim:subscribe"],
    ),
    (
        OPERATORS,
        &[
            "apim:api_import_export",
            "apim:api_product_import_export",
            "apim:app_import_export",
            "apim:mcp_server_import_export",
            "apim:policies_import_export",
        ],
    ),
    (ADMINS, ADMIN_SCOPES),
];

const ADMIN_SCOPES: &[&str] = &[
    "apim:admin",
    "apim:admin_alert_manage",
    "apim:admin_operations",
    "apim:admin_settings",
    "apim:admin_tier_manage",
    "apim:admin_tier_view",
    "apim:api_manage",
    "apim:api_provider_change",
    "apim:api_workflow_approve",
    "apim:api_workflow_view",
    "apim:app_owner_change",
    "apim:bl_manage",
    "apim:bl_view",
    "apim:bot_data",
    "apim:environment_manage",
    "apim:environment_read",
    "apim:gateway_policy_manage",
    "apim:gov_policy_manage",
    "apim:gov_rule_manage",
    "apim:keymanagers_manage",
    "apim:label_manage",
    "apim:label_read",
    "apim:llm_provider_manage",
    "apim:mcp_server_manage",
    "apim:organization_manage",
    "apim:organization_read",
    "apim:role_manage",
    "apim:scope_manage",
    "apim:shared_scope_manage",
    "apim:tenantInfo",
    "apim:tenant_theme_manage",
    "apim:tier_manage",
    "internal_user_mgt_create",
    "internal_user_mgt_delete",
    "internal_user_mgt_list",
    "internal_user_mgt_update",
    "internal_user_mgt_view",
];

/// The roles whose holders may get a REST scope; none when it is no REST scope.
#[must_use]
pub fn rest_scope_roles(scope: &str) -> Option<&'static [&'static str]> {
    REST_SCOPES
        .iter()
        .find(|(_, scopes)| scopes.contains(&scope))
        .map(|(roles, _)| *roles)
}

/// Whether a scope is granted to whoever asks for it, whatever an API binds it to.
#[must_use]
pub fn is_everybodys(scope: &str) -> bool {
    scope == OPENID || scope == DEFAULT || scope.starts_with(DEVICE_PREFIX)
}

/// Whether a scope belongs to the platform's own REST APIs, now or one day.
#[must_use]
pub fn is_of_platform(scope: &str) -> bool {
    scope.starts_with(PLATFORM_PREFIX) || rest_scope_roles(scope).is_some()
}

/// The scopes granted out of those asked for (wso2-behaviour §3): REST scopes and API scopes to
/// holders of their roles, `openid` and device scopes to anybody, unknown ones dropped;
/// [`DEFAULT`] when nothing is left. `roles` are none for an application that stands for itself.
/// `api_scope_roles` gives the roles of an API's scope, empty when anybody may have it.
pub fn grant<'a>(
    asked: impl Iterator<Item = &'a str>,
    roles: &[String],
    api_scope_roles: impl Fn(&str) -> Option<Vec<String>>,
) -> Vec<String> {
    let holds = |wanted: &str| wanted == EVERYONE || roles.iter().any(|role| role == wanted);
    let mut granted: Vec<String> = Vec::new();
    for scope in asked {
        let allowed = if is_everybodys(scope) {
            true
        } else if let Some(wanted) = rest_scope_roles(scope) {
            wanted.iter().any(|role| holds(role))
        } else {
            api_scope_roles(scope)
                .is_some_and(|wanted| wanted.is_empty() || wanted.iter().any(|role| holds(role)))
        };
        if allowed && !granted.iter().any(|known| known == scope) {
            granted.push(scope.to_owned());
        }
    }
    if granted.is_empty() {
        granted.push(DEFAULT.to_owned());
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(asked: &str, roles: &[&str]) -> String {
        let roles: Vec<String> = roles.iter().map(|&role| role.to_owned()).collect();
        let api = |scope: &str| match scope {
            "read:pets" => Some(Vec::new()),
            "write:pets" => Some(vec!["keeper".to_owned()]),
            _ => None,
        };
        grant(asked.split(' '), &roles, api).join(" ")
    }

    #[test]
    fn scopes_go_to_holders_of_their_roles_and_unknown_ones_are_dropped() {
        assert_eq!(
            granted("apim:api_view apim:admin", &[PUBLISHER]),
            "apim:api_view"
        );
        assert_eq!(
            granted("apim:admin apim:subscribe", &[ADMIN]),
            "apim:admin apim:subscribe"
        );
        assert_eq!(granted("read:pets write:pets", &[]), "read:pets");
        assert_eq!(granted("write:pets", &["keeper"]), "write:pets");
        assert_eq!(granted("moon apim:moon", &[ADMIN]), "default");
        assert_eq!(granted("openid device_1 openid", &[]), "openid device_1");
    }

    #[test]
    fn what_the_platform_grants_by_its_own_rules_is_known_as_such() {
        for scope in ["openid", "default", "device_1"] {
            assert!(is_everybodys(scope) && !is_of_platform(scope), "{scope}");
            assert_eq!(granted(scope, &[]), scope);
        }
        for scope in ["apim:moon", "internal_user_mgt_view"] {
            assert!(is_of_platform(scope) && !is_everybodys(scope), "{scope}");
        }
        assert!(!is_of_platform("read:pets") && !is_everybodys("openid2"));
    }

    /// Scope and roles, a line each; where the lines come from stands above them.
    const PINNED: &str = include_str!("scopes.txt");

    #[test]
    fn each_scope_of_the_rest_apis_goes_to_the_roles_that_wso2_gives_it_and_to_no_other() {
        let mut lines: Vec<String> = REST_SCOPES
            .iter()
            .flat_map(|(roles, scopes)| {
                let line = |scope: &&str| format!("{scope}: {}", roles.join(" "));
                scopes.iter().map(line)
            })
            .collect();
        lines.sort_unstable();
        let pinned: Vec<_> = PINNED
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let differ: Vec<_> = lines
            .iter()
            .map(String::as_str)
            .filter(|line| !pinned.contains(line))
            .collect();
        assert_eq!(differ, Vec::<&str>::new());
        assert_eq!(lines, pinned);
    }

    #[test]
    fn no_scope_stands_twice() {
        let mut all: Vec<_> = REST_SCOPES.iter().flat_map(|(_, scopes)| *scopes).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
