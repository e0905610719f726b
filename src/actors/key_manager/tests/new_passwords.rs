//! A new password: what it ends, what goes on, and who was signing in just then.

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

#[tokio::test]
async fn who_signs_in_with_the_old_password_while_it_is_replaced_gets_nothing_that_lasts() {
    let bench = bench(SigningAlgorithm::Es256).await;
    let (other, _root) = bench.beside().await;
    let user = bench.user("ann", &[]).await;
    let (_, secret) = bench.client(TokenType::Jwt).await;
    let mut old = PASSWORD.to_owned();
    for round in 0..10 {
        let new = format!("open sesame {round}");
        let set = other.set_password(SUPER_TENANT, &user.id, new.clone());
        let (issued, set) = tokio::join!(bench.log_in(&secret, &old), set);
        set.unwrap();
        if let Ok(issued) = issued {
            assert!(!bench.is_good(&issued.access_token).await, "round {round}");
            assert!(bench.km.issue(refresh(&secret, &issued)).await.is_err());
        }
        // The right one, so that the old ones count as no guesses.
        bench.log_in(&secret, &new).await.unwrap();
        old = new;
    }
}
