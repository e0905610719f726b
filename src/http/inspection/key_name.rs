//! How a person writes what is counted: `tenant/level/policy/limit/subject`, such as
//! `carbon.super/subscription/Gold/0/9b2f…`. The subject is all that is left, slashes included. The level is
//! `subscription`, `application` or `api`; the limit is its number within the policy: 0 its limit, 1 its burst, 2 and on its
//! conditional groups, 32768 more where bytes are counted.

use actors::traffic_manager::message::ThrottleKey;
use domain::ledger::SHARED_KEY;
use domain::policy::PolicyLevel;

use crate::error::ApiError;

/// Reads a key.
pub(super) fn read(text: &str) -> Result<ThrottleKey, ApiError> {
    let bad = |problem: &str| ApiError::bad_field("key", problem);
    let mut parts = text.splitn(5, '/');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let (Some(tenant), Some(level), Some(policy), Some(limit), Some(subject)) =
        (next(), next(), next(), next(), next())
    else {
        return Err(bad(
            "must be tenant/level/policy/limit/subject, such as carbon.super/subscription/Gold/0/SUBJECT",
        ));
    };
    let level = PolicyLevel::parse(level).ok_or_else(|| {
        bad("its second part, the level, must be subscription, application or api")
    })?;
    let limit = limit.parse().map_err(|_| {
        bad("its fourth part, the limit, must be a number: 0 for the policy's own limit")
    })?;
    if subject == SHARED_KEY {
        return Err(bad(
            "the subject * stands for all keys beyond a shard's bound, in each shard apart: name another",
        ));
    }
    Ok(ThrottleKey {
        tenant: tenant.to_owned(),
        level,
        policy: policy.to_owned(),
        limit,
        subject: subject.to_owned(),
    })
}

/// Writes a key as [`read`] reads it.
pub(super) fn write(key: &ThrottleKey) -> String {
    let ThrottleKey {
        tenant,
        level,
        policy,
        limit,
        subject,
    } = key;
    let level = level.as_str();
    format!("{tenant}/{level}/{policy}/{limit}/{subject}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_whatever_its_subject_holds() {
        for text in [
            "carbon.super/subscription/Gold/0/app:api",
            "carbon.super/api/10KPerMin/32770//pizza/1.0.0",
            "t/application/x_y-z.1/1/alice@b ü%2F*",
        ] {
            assert_eq!(write(&read(text).unwrap()), text);
        }
        let key = read("t/api/P/0//pizza/1.0.0").unwrap();
        assert_eq!((key.limit, key.subject.as_str()), (0, "/pizza/1.0.0"));
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_part_that_is_wrong() {
        for (text, told) in [
            ("", "tenant/level/policy/limit/subject"),
            ("Gold", "tenant/level/policy/limit/subject"),
            ("t/subscription/Gold/0", "tenant/level/policy/limit/subject"),
            (
                "t/subscription/Gold/0/",
                "tenant/level/policy/limit/subject",
            ),
            ("t//Gold/0/s", "tenant/level/policy/limit/subject"),
            ("t/plan/Gold/0/s", "level"),
            ("t/api/Gold/first/s", "limit"),
            ("t/api/Gold/65536/s", "limit"),
            ("t/api/Gold/-1/s", "limit"),
            ("t/api/Gold/0/*", "subject"),
        ] {
            let refused = read(text).unwrap_err();
            let description = refused.description();
            assert!(description.starts_with("key: "), "{text}: {description}");
            assert!(description.contains(told), "{text}: {description}");
        }
    }
}
