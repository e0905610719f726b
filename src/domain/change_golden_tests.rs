//! What entries of the log and pieces of a snapshot hold, as it travels and is kept (M1). A line here that no longer holds
//! means that a member of the version before reads a change as another one: make it a kind of its own, do not change the
//! text.

use std::collections::BTreeSet;

use super::*;

/// Every kind, the words that stand in one, and what may be left out both there and not.
const FROZEN: [&str; 41] = [
    r#"{"kind":"api_deployed","artifact":{"tenant":"t","api_id":"a","name":"n","version":"1","context":"/c/1","default_context":"/c","provider":"p","environment":"Default","vhost":"localhost","revision_id":"r","state":"PUBLISHED","transports":["http","https"],"oauth2":true,"api_key":false,"authorization_header":"authorization","api_key_header":"apikey","audiences":["u"],"plans":["Gold"],"api_policy":"10K","cors":{"enabled":true,"allow_origins":["*"],"allow_credentials":false,"allow_headers":["h"],"allow_methods":["GET"],"expose_headers":["e"]},"endpoints":{"production":"http://b","sandbox":"http://s"},"operations":[{"target":"/x","verb":"GET","auth_type":"None","policy":"5K","scopes":["s"]},{"target":"/x","verb":"PUT","auth_type":"Application & Application User","policy":null,"scopes":[]},{"target":"/x","verb":"POST","auth_type":"Application","policy":null,"scopes":[]},{"target":"/x","verb":"DELETE","auth_type":"Application User","policy":null,"scopes":[]}]}}"#,
    r#"{"kind":"api_deployed","artifact":{"tenant":"t","api_id":"a","name":"n","version":"1","context":"/c/1","default_context":null,"provider":"p","environment":"Default","vhost":"localhost","revision_id":"r","state":"CREATED","transports":[],"oauth2":false,"api_key":true,"authorization_header":"authorization","api_key_header":"apikey","audiences":[],"plans":[],"api_policy":null,"cors":{"enabled":false,"allow_origins":[],"allow_credentials":false,"allow_headers":[],"allow_methods":[],"expose_headers":[]},"endpoints":{"production":null,"sandbox":null},"operations":[]}}"#,
    r#"{"kind":"api_undeployed","api_id":"a","environment":"Default"}"#,
    r#"{"kind":"api_state_changed","api_id":"a","state":"CREATED"}"#,
    r#"{"kind":"api_state_changed","api_id":"a","state":"PROTOTYPED"}"#,
    r#"{"kind":"api_state_changed","api_id":"a","state":"PUBLISHED"}"#,
    r#"{"kind":"api_state_changed","api_id":"a","state":"BLOCKED"}"#,
    r#"{"kind":"api_state_changed","api_id":"a","state":"DEPRECATED"}"#,
    r#"{"kind":"api_state_changed","api_id":"a","state":"RETIRED"}"#,
    r#"{"kind":"default_version_changed","api_id":"a","default_context":"/c"}"#,
    r#"{"kind":"default_version_changed","api_id":"a","default_context":null}"#,
    r#"{"kind":"application_changed","application_id":"b"}"#,
    r#"{"kind":"application_removed","application_id":"b"}"#,
    r#"{"kind":"subscription_changed","subscription_id":"s","api_id":"a","application_id":"b"}"#,
    r#"{"kind":"subscription_changed","subscription_id":"s","api_id":"a","application_id":"b","closed":"removed"}"#,
    r#"{"kind":"subscription_changed","subscription_id":"s","api_id":"a","application_id":"b","closed":"blocked"}"#,
    r#"{"kind":"subscription_changed","subscription_id":"s","api_id":"a","application_id":"b","closed":"production_blocked"}"#,
    r#"{"kind":"subscriptions_made","api_id":"a","application_ids":["b","c"]}"#,
    r#"{"kind":"client_changed","consumer_key":"k","application_id":"b"}"#,
    r#"{"kind":"client_changed","consumer_key":"k","application_id":null}"#,
    r#"{"kind":"token_revoked","issuer":"i","token_id":"j","expires_at_ms":7}"#,
    r#"{"kind":"issued_before","subject":"user","id":"u","before_ms":7,"until_ms":9}"#,
    r#"{"kind":"issued_before","subject":"application","id":"b","before_ms":7,"until_ms":9}"#,
    r#"{"kind":"issued_before","subject":"client","id":"k","before_ms":7,"until_ms":9}"#,
    r#"{"kind":"issued_before","subject":"session","id":"s","before_ms":7,"until_ms":9}"#,
    r#"{"kind":"issued_before","subject":"login","id":"u","before_ms":7,"until_ms":9}"#,
    r#"{"kind":"api_key_changed","key_hash":"h","api_id":"a","revoked":true}"#,
    r#"{"kind":"policy_saved","policy":{"id":"i","tenant":"t","level":"subscription","name":"n","display_name":"d","description":"e","limit":null,"burst":null,"stop_on_quota_reach":true,"groups":[],"extra":"{}","row_version":3}}"#,
    r#"{"kind":"policy_saved","policy":{"id":"i","tenant":"t","level":"api","name":"n","display_name":"d","description":"e","limit":{"units":5,"quota":"requests","unit_time":2,"time_unit":"sec"},"burst":{"units":5,"quota":"bytes","unit_time":2,"time_unit":"min"},"stop_on_quota_reach":false,"groups":[{"description":"g","conditions":[{"invert":true,"test":{"Address":"10.0.0.1"}},{"invert":false,"test":{"AddressRange":["10.0.0.1","10.0.0.9"]}},{"invert":false,"test":{"Header":["h","v"]}},{"invert":false,"test":{"Query":["q","v"]}},{"invert":false,"test":{"Claim":["c","v"]}}],"limit":{"units":5,"quota":"events","unit_time":2,"time_unit":"hour"}},{"description":"g","conditions":[],"limit":{"units":5,"quota":"requests","unit_time":2,"time_unit":"day"}},{"description":"g","conditions":[],"limit":{"units":5,"quota":"requests","unit_time":2,"time_unit":"week"}},{"description":"g","conditions":[],"limit":{"units":5,"quota":"requests","unit_time":2,"time_unit":"month"}},{"description":"g","conditions":[],"limit":{"units":5,"quota":"requests","unit_time":2,"time_unit":"year"}}],"options":{"mode":"share","window":"sliding"},"extra":"{}","row_version":3}}"#,
    r#"{"kind":"policy_saved","policy":{"id":"i","tenant":"t","level":"application","name":"n","display_name":"d","description":"e","limit":null,"burst":null,"stop_on_quota_reach":true,"groups":[],"options":{"mode":"allow","window":"bucket"},"extra":"{}","row_version":3}}"#,
    r#"{"kind":"policy_saved","policy":{"id":"i","tenant":"t","level":"application","name":"n","display_name":"d","description":"e","limit":null,"burst":null,"stop_on_quota_reach":true,"groups":[],"options":{"mode":"exact","window":"bucket"},"extra":"{}","row_version":3}}"#,
    r#"{"kind":"policy_saved","policy":{"id":"i","tenant":"t","level":"application","name":"n","display_name":"d","description":"e","limit":null,"burst":null,"stop_on_quota_reach":true,"groups":[],"options":{"mode":"share","window":"fixed"},"extra":"{}","row_version":3}}"#,
    r#"{"kind":"policy_removed","level":"api","name":"n"}"#,
    r#"{"kind":"deny_policy_saved","policy":{"id":"i","tenant":"t","target":{"Api":"/c/1"},"application_id":null,"active":true}}"#,
    r#"{"kind":"deny_policy_saved","policy":{"id":"i","tenant":"t","target":{"Application":"o:n"},"application_id":"b","active":true}}"#,
    r#"{"kind":"deny_policy_saved","policy":{"id":"i","tenant":"t","target":{"Address":{"address":"10.0.0.1","invert":true}},"application_id":null,"active":false}}"#,
    r#"{"kind":"deny_policy_saved","policy":{"id":"i","tenant":"t","target":{"AddressRange":{"from":"10.0.0.1","to":"10.0.0.9","invert":false}},"application_id":null,"active":true}}"#,
    r#"{"kind":"deny_policy_saved","policy":{"id":"i","tenant":"t","target":{"User":"u"},"application_id":null,"active":true}}"#,
    r#"{"kind":"deny_policy_removed","id":"i"}"#,
    r#"{"kind":"user_changed","user":"u","removed":true}"#,
    r#"{"kind":"verification_keys_changed","jwks":"{}"}"#,
];

#[test]
fn every_kind_of_change_is_read_and_written_as_it_is_frozen_here() {
    let mut kinds = BTreeSet::new();
    for text in FROZEN {
        let change: Change = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), text);
        let kind = change.kind();
        assert!(
            text.starts_with(&format!("{{\"kind\":\"{kind}\"")),
            "{text}"
        );
        kinds.insert(kind);
    }
    assert_eq!(kinds, BTreeSet::from(KINDS.map(|(kind, _)| kind)));
}
