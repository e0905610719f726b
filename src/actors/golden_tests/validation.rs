//! Kinds 0x0101 and 0x0102.

use cluster::{Earlier, Request, encode};
use domain::application::{ApplicationStatus, KeyType};
use domain::subscription::SubscriptionStatus;
use domain::validation::{
    Credential, Grant, GrantKind, GrantedApplication, GrantedSubscription, RefusalReason, Secret,
    UserType, Verdict,
};

use super::{Frozen, is_no_larger_nearly, text};
use crate::key_manager::message::{
    BasicChecked, CheckBasic, ValidateMany, ValidateManyBefore, Validated,
};

/// Holds every kind of thing a grant may say.
fn grant(kind: GrantKind, key_type: KeyType, user_type: UserType) -> Verdict {
    let statuses = [
        SubscriptionStatus::Unblocked,
        SubscriptionStatus::Blocked,
        SubscriptionStatus::ProdOnlyBlocked,
        SubscriptionStatus::OnHold,
        SubscriptionStatus::Rejected,
        SubscriptionStatus::TierUpdatePending,
    ];
    Verdict::Granted(Box::new(Grant {
        at: 12,
        tenant: text("t"),
        kind,
        issuer: text("i"),
        token_id: text("j"),
        session: Some(text("s")),
        consumer_key: text("c"),
        key_type,
        scopes: vec![text("x")],
        audiences: vec![text("y")],
        user: text("u"),
        user_type,
        issued_at_ms: 1_000,
        not_before_ms: None,
        expires_at_ms: Some(2_000),
        application: Some(GrantedApplication {
            id: text("a"),
            name: text("n"),
            owner: text("o"),
            policy: text("p"),
            status: ApplicationStatus::Created,
        }),
        subscriptions: statuses
            .map(|status| GrantedSubscription {
                id: text("d"),
                api_id: text("e"),
                policy: text("f"),
                status,
            })
            .to_vec(),
        bound_api_id: None,
        permitted_ips: vec![text("g")],
        permitted_referers: vec![text("h")],
    }))
}

/// One of each kind of secret, in a tenant.
fn questions(tenant: &str) -> ValidateMany {
    let secrets = [
        Secret::Jwt(text("a.b.c")),
        Secret::Opaque(text("0a")),
        Secret::ApiKey(text("0b")),
    ];
    let credential = |secret| Credential {
        tenant: text(tenant),
        secret,
    };
    ValidateMany {
        applied: 300,
        credentials: secrets.map(credential).to_vec(),
    }
}

#[test]
fn validations_keep_their_bytes() {
    let refused = [
        RefusalReason::Malformed,
        RefusalReason::Expired,
        RefusalReason::Revoked,
        RefusalReason::Unknown,
        RefusalReason::Inactive,
    ]
    .map(|reason| Verdict::Refused {
        at: 13,
        reason,
        token_id: None,
    });
    let granted = vec![
        grant(GrantKind::Jwt, KeyType::Production, UserType::Application),
        grant(
            GrantKind::Opaque,
            KeyType::Sandbox,
            UserType::ApplicationUser,
        ),
        grant(GrantKind::ApiKey, KeyType::Sandbox, UserType::Application),
    ];
    Frozen::default()
        .request(
            &questions("t"),
            "0101000200000019fb2c010301740005612e622e63017401023061017402023062",
        )
        .reply::<ValidateMany>(&Validated::Verdicts(refused.to_vec()), "01010002000000160005010d0000010d0100010d0200010d0300010d0400")
        .reply::<ValidateMany>(&Validated::Verdicts(granted), "01010002000001160003000c0174000169016a010173016300010178010179017500fbd0070001fba00f010161016e016f0170010601640165016600016401650166010164016501660201640165016603016401650166040164016501660500010167010168000c0174010169016a010173016301010178010179017501fbd0070001fba00f010161016e016f0170010601640165016600016401650166010164016501660201640165016603016401650166040164016501660500010167010168000c0174020169016a010173016301010178010179017500fbd0070001fba00f010161016e016f0170010601640165016600016401650166010164016501660201640165016603016401650166040164016501660500010167010168")
        .reply::<ValidateMany>(&Validated::Behind { at: 299 }, "010100020000000401fb2b01")
        .reply::<ValidateMany>(&Validated::Unavailable, "010100020000000102")
        .hold();
}

#[test]
fn validations_of_the_protocol_before_keep_their_bytes_and_are_of_the_tenant_that_was_served() {
    let before = ValidateManyBefore::of(&questions("t"));
    let bytes = encode(ValidateMany::KIND, 1, &before).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "0101000100000013fb2c01030005612e622e630102306102023062"
    );
    is_no_larger_nearly::<ValidateManyBefore>((ValidateMany::KIND, 1), &bytes);
    let now: ValidateMany = before.into_now();
    assert_eq!(now, questions("carbon.super"));
}

#[test]
fn checks_of_passwords_keep_their_bytes() {
    Frozen::default()
        .request(
            &CheckBasic {
                credential: text("dTpw"),
                address: [203, 0, 113, 9].into(),
            },
            "010200010000000a046454707700cb007109",
        )
        .reply::<CheckBasic>(
            &BasicChecked::User {
                tenant: text("t"),
                name: text("u"),
            },
            "01020001000000050001740175",
        )
        .reply::<CheckBasic>(&BasicChecked::Refused, "010200010000000101")
        .reply::<CheckBasic>(&BasicChecked::Unavailable, "010200010000000102")
        .hold();
}
