//! What is larger than a message cannot reach another node (M1). It would hold up everything behind
//! it for good, so it is left out there, and told of: a former version let such things be stored.

use cluster::MESSAGE_LIMIT;
use domain::change::{Change, Entry, LEFT_OUT};

/// Bytes of one change that fit beside what else a message says.
const MOST: usize = MESSAGE_LIMIT - 64 * 1024;

/// Leaves out of entries what no message can hold. The entry itself stays, for followers count. An
/// API whose new revision cannot be told of is served no more: by the old one it would be wrongly.
pub(super) fn fit(entries: &mut [Entry]) {
    for entry in entries {
        if fits(&entry.tenant, &entry.payload) {
            continue;
        }
        let instead = undeployed(&entry.payload).and_then(|change| {
            let payload = serde_json::to_string(&change).ok()?;
            Some((change.kind().to_owned(), payload))
        });
        let nothing = || (LEFT_OUT.to_owned(), "{}".to_owned());
        (entry.kind, entry.payload) = instead.unwrap_or_else(nothing);
    }
}

/// Keeps the first entries, as many as have so many bytes at most.
pub(super) fn leave_large(entries: &mut Vec<Entry>, most: usize) {
    let mut bytes = 0_usize;
    let small = entries.iter().take_while(|entry| {
        bytes = bytes.saturating_add(entry.payload.len());
        bytes <= most
    });
    entries.truncate(small.count());
}

fn undeployed(payload: &str) -> Option<Change> {
    match serde_json::from_str(payload) {
        Ok(Change::ApiDeployed { artifact }) => Some(Change::ApiUndeployed {
            api_id: artifact.api_id.clone(),
            environment: artifact.environment.clone(),
        }),
        _ => None,
    }
}

/// Whether another node can be told of a change; it is logged and counted when not.
pub(super) fn fits(tenant: &str, change: &str) -> bool {
    let bytes = change.len();
    if bytes <= MOST {
        return true;
    }
    let (kind, api) = match serde_json::from_str::<Change>(change) {
        Ok(Change::ApiDeployed { artifact }) => {
            let api = format!("{} {}", artifact.name, artifact.version);
            ("api_deployed", api)
        }
        Ok(change) => (change.kind(), String::new()),
        Err(_) => ("", String::new()),
    };
    tracing::error!(
        tenant, kind, %api, bytes,
        "a change is larger than a message: other nodes go on without it, until it is made smaller"
    );
    metrics::counter!("headgate_change_log_left_out_total").increment(1);
    false
}

#[cfg(test)]
mod tests {
    use domain::api::{Cors, Endpoints};
    use domain::artifact::Artifact;
    use domain::lifecycle::LifecycleState;

    use super::*;

    #[test]
    fn what_no_message_can_hold_keeps_its_number_and_loses_its_words() {
        let entry = |n: u64, payload: String| Entry {
            n,
            uuid: n.to_string(),
            kind: "user_changed".to_owned(),
            tenant: "carbon.super".to_owned(),
            payload,
            at_ms: 1,
        };
        let small = r#"{"kind":"user_changed","user":"a","removed":false}"#;
        let mut entries = [
            entry(1, "x".repeat(MOST + 1)),
            entry(2, "x".repeat(MOST)),
            entry(3, small.to_owned()),
        ];
        fit(&mut entries);
        assert_eq!(entries[0].change(), None);
        assert_eq!((entries[0].n, entries[0].uuid.as_str()), (1, "1"));
        for (entry, length) in entries.iter().zip([2, MOST, small.len()]) {
            assert_eq!(entry.payload.len(), length);
        }
        let whole = cluster::encode(1, 1, &vec![entries[1].clone()]);
        assert!(whole.is_ok(), "the largest that is let through fits");
    }

    #[test]
    fn a_revision_that_no_message_can_hold_takes_the_one_before_out_of_service() {
        let artifact = Artifact {
            tenant: "carbon.super".to_owned(),
            api_id: "one".to_owned(),
            name: "One".to_owned(),
            version: "1.0.0".to_owned(),
            context: "/one/1.0.0".to_owned(),
            default_context: None,
            provider: "admin".to_owned(),
            environment: "Default".to_owned(),
            vhost: "localhost".to_owned(),
            revision_id: "r2".to_owned(),
            state: LifecycleState::Published,
            transports: vec!["https".to_owned()],
            oauth2: true,
            api_key: false,
            authorization_header: "authorization".to_owned(),
            api_key_header: "apikey".to_owned(),
            audiences: Vec::new(),
            plans: vec!["p".repeat(MOST)],
            api_policy: None,
            cors: Cors::default(),
            endpoints: Endpoints::default(),
            operations: Vec::new(),
        };
        let change = Change::ApiDeployed {
            artifact: Box::new(artifact),
        };
        let mut entries = [Entry {
            n: 7,
            uuid: "u".to_owned(),
            kind: change.kind().to_owned(),
            tenant: "carbon.super".to_owned(),
            payload: serde_json::to_string(&change).unwrap(),
            at_ms: 1,
        }];
        fit(&mut entries);
        let undeployed = Change::ApiUndeployed {
            api_id: "one".to_owned(),
            environment: "Default".to_owned(),
        };
        assert_eq!(entries[0].change(), Some(undeployed));
        assert_eq!(
            (entries[0].n, entries[0].kind.as_str()),
            (7, "api_undeployed")
        );
    }
}
