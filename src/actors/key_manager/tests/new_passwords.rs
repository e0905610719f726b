//! A new password: what it ends, what goes on, and who was signing in just then.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::change::MarkedSubject;
use storage::apim::revocations;

use super::super::command::{OauthRefusal, PasswordChange};
use super::super::settled::{Done, Halt};
use super::*;

#[tokio::test]
async fn a_new_password_replaces_the_old_one_and_ends_the_users_sessions() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let user = bench.user("ann", &[]).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let issued = bench.log_in(&secret, PASSWORD).await.unwrap();
    let set = |password: &str| {
        bench
            .km
            .set_password(SUPER_TENANT, &user.id, password.to_owned())
    };
    assert!(matches!(set("1234").await, Err(Refused::BadField { .. })));
    set("open sesame").await.unwrap();
    assert!(!bench.is_good(&issued.access_token).await);
    assert!(bench.km.issue(refresh(&secret, &issued)).await.is_err());
    assert!(bench.log_in(&secret, PASSWORD).await.is_err());
    assert!(bench.log_in(&secret, "open sesame").await.is_ok());
}

#[tokio::test]
async fn a_new_password_ends_sessions_that_could_not_be_refreshed_and_no_clients_own_tokens() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let user = bench.user("ann", &[]).await;
    let (mut sessions, mut own) = (Vec::new(), Vec::new());
    for kind in [TokenType::Jwt, TokenType::Oauth] {
        let grants = ["password", "client_credentials"];
        let (_, secret) = bench.client_of("ann", kind, &grants).await;
        let issued = bench.log_in(&secret, PASSWORD).await.unwrap();
        assert_eq!(issued.refresh_token, None);
        sessions.push(issued.access_token);
        let asked = request(&secret, GrantType::ClientCredentials, "");
        own.push(bench.km.issue(asked).await.unwrap().access_token);
    }
    let set = bench
        .km
        .set_password(SUPER_TENANT, &user.id, "open sesame".to_owned());
    set.await.unwrap();
    for token in sessions {
        assert_eq!(bench.refusal(&token).await, Some(RefusalReason::Revoked));
    }
    for token in own {
        assert!(bench.is_good(&token).await);
    }
}

/// Whether the user's credentials or refresh token were refused.
fn is_refused(settled: Result<Done, Halt>) -> bool {
    let refused = settled.err().map(|halt| halt.refused);
    matches!(refused, Some(Refused::Oauth(OauthRefusal::InvalidGrant, _)))
}

#[tokio::test]
async fn who_signs_in_with_the_old_password_while_it_is_replaced_gets_nothing() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (desk, user) = (&bench.desk, bench.user("ann", &[]).await);
    let (client, _) = bench.client(TokenType::Jwt).await;
    // It was right when it was looked at.
    let known = desk.checked_user(SUPER_TENANT, "ann", PASSWORD, HOME).await;
    let new = "open sesame".to_owned();
    let set = bench.km.set_password(SUPER_TENANT, &user.id, new).await;
    set.unwrap();
    let ground = desk.signed_in(client, known.unwrap()).await.unwrap();
    assert!(is_refused(desk.write_tokens(&ground, Vec::new(), 60).await));
    let mut read = desk.apim.read().await.unwrap();
    let session = (MarkedSubject::Session, ground.session.as_str());
    let mark = revocations::find_mark(&mut read, SUPER_TENANT, session.0, session.1).await;
    assert!(
        mark.unwrap()
            .is_some_and(|before| ground.issued_at_ms < before)
    );
}

#[tokio::test]
async fn a_refresh_that_began_before_a_new_password_gives_nothing_after_it() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (desk, user) = (&bench.desk, bench.user("ann", &[]).await);
    let (client, secret) = bench.client(TokenType::Jwt).await;
    let issued = bench.log_in(&secret, PASSWORD).await.unwrap();
    let text = issued.refresh_token.unwrap();
    let mut ground = desk.refreshed(client, &text).await.unwrap();
    let new = "open sesame".to_owned();
    let set = bench.km.set_password(SUPER_TENANT, &user.id, new).await;
    set.unwrap();
    // However late its moment was read, or by whichever clock.
    ground.issued_at_ms += 60_000;
    assert!(is_refused(desk.write_tokens(&ground, Vec::new(), 60).await));
}

#[tokio::test]
async fn who_refreshes_without_pause_while_the_password_is_replaced_is_out_afterwards() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (other, _root) = bench.beside().await;
    let user = bench.user("ann", &[]).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let mut password = PASSWORD.to_owned();
    for round in 0..5 {
        let mut issued = bench.log_in(&secret, &password).await.unwrap();
        password = format!("open sesame {round}");
        let is_set = AtomicBool::new(false);
        let set = async {
            let set = other.set_password(SUPER_TENANT, &user.id, password.clone());
            set.await.unwrap();
            is_set.store(true, Ordering::Relaxed);
        };
        let refreshed = async {
            while let Ok(next) = bench.km.issue(refresh(&secret, &issued)).await {
                issued = next;
                if is_set.load(Ordering::Relaxed) {
                    break;
                }
            }
        };
        tokio::join!(set, refreshed);
        assert!(!bench.is_good(&issued.access_token).await, "round {round}");
        assert!(bench.km.issue(refresh(&secret, &issued)).await.is_err());
    }
}

fn change(current: &str, new: &str) -> PasswordChange {
    PasswordChange {
        tenant: SUPER_TENANT.to_owned(),
        name: "ann".to_owned(),
        current: current.to_owned(),
        new: new.to_owned(),
        address: HOME,
    }
}

#[tokio::test]
async fn of_two_who_change_a_password_by_the_current_one_one_does() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (other, _root) = bench.beside().await;
    bench.user("ann", &[]).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let wrong = bench.km.change_password(change("guess", "sesame 1")).await;
    assert!(matches!(wrong, Err(Refused::BadField { field, .. }) if field == "current"));
    let short = bench.km.change_password(change(PASSWORD, "1234")).await;
    assert!(matches!(short, Err(Refused::BadField { field, .. }) if field == "new"));
    let session = bench.log_in(&secret, PASSWORD).await.unwrap();
    let (one, two) = tokio::join!(
        bench.km.change_password(change(PASSWORD, "sesame 1")),
        other.change_password(change(PASSWORD, "sesame 2")),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let (new, old) = if one.is_ok() {
        ("sesame 1", "sesame 2")
    } else {
        ("sesame 2", "sesame 1")
    };
    assert!(!bench.is_good(&session.access_token).await);
    assert!(bench.log_in(&secret, new).await.is_ok());
    assert!(bench.log_in(&secret, old).await.is_err());
}

#[tokio::test]
async fn a_password_that_was_replaced_since_it_was_looked_at_changes_no_other_one() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (desk, user) = (&bench.desk, bench.user("ann", &[]).await);
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let known = desk.checked_user(SUPER_TENANT, "ann", PASSWORD, HOME).await;
    let known = known.unwrap().unwrap();
    let new = "open sesame".to_owned();
    let set = bench.km.set_password(SUPER_TENANT, &user.id, new).await;
    set.unwrap();
    let proof = known.password_hash.clone();
    let late = desk.replace_password(known, Some(&proof), "theirs").await;
    assert!(late.unwrap().is_none());
    assert!(bench.log_in(&secret, "theirs").await.is_err());
    assert!(bench.log_in(&secret, "open sesame").await.is_ok());
}
