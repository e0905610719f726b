//! What an application says of its keys and what its clients go by are the same, whoever changes
//! the one or the other meanwhile; and a definition is written for those who ask, once.

use storage::apim::{application_keys, oauth_clients};

use super::*;

async fn made(bench: &Bench) -> Application {
    let made = bench.portal.create_application(application("Shop", "ann"));
    made.await.unwrap().value
}

async fn keys_of(bench: &Bench, made: &Application) -> (ApplicationKey, Client) {
    let wanted = (made.clone(), KeyType::Production, client(made));
    let keys = bench
        .portal
        .create_keys(wanted.0, wanted.1, wanted.2, "{}".to_owned());
    let (key, client, _) = keys.await.unwrap().value;
    (key, client)
}

/// The owner's other request: the application is to have tokens of another kind.
async fn turn_opaque(bench: &Bench, made: &Application) {
    let opaque = Application {
        token_type: TokenType::Oauth,
        row_version: 0,
        ..made.clone()
    };
    bench.portal.update_application(opaque).await.unwrap();
}

async fn kind(bench: &Bench, consumer_key: &str) -> TokenType {
    let found = bench.portal.key_manager().find_client(consumer_key).await;
    found.unwrap().details.token_type
}

#[tokio::test]
async fn keys_issue_what_their_application_says_however_old_the_copy_was_that_they_are_made_of() {
    let bench = bench().await;
    let read = made(&bench).await;
    turn_opaque(&bench, &read).await;
    // Ordered by who has read the application before that.
    let (key, client) = keys_of(&bench, &read).await;
    assert_eq!(client.details.token_type, TokenType::Oauth);
    assert_eq!(kind(&bench, &key.consumer_key).await, TokenType::Oauth);
}

#[tokio::test]
async fn keys_that_are_changed_keep_what_their_application_came_to_say_meanwhile() {
    let bench = bench().await;
    let read = made(&bench).await;
    let (key, client) = keys_of(&bench, &read).await;
    assert_eq!(client.details.token_type, TokenType::Jwt);
    turn_opaque(&bench, &read).await;
    let changed = bench.portal.update_keys(key.clone(), client).await.unwrap();
    assert_eq!(changed.value.1.details.token_type, TokenType::Oauth);
    assert_eq!(kind(&bench, &key.consumer_key).await, TokenType::Oauth);
}

#[tokio::test]
async fn a_change_of_keys_that_are_mapped_no_more_changes_nothing_of_their_client() {
    let bench = bench().await;
    let read = made(&bench).await;
    let (key, before) = keys_of(&bench, &read).await;
    let mut write = bench.apim.write("test.unmap").await.unwrap();
    application_keys::delete(&mut write, SUPER_TENANT, &key.id)
        .await
        .unwrap();
    write.commit().await.unwrap();
    let mut wanted = before.clone();
    wanted.details.access_token_seconds = Some(60);
    let refused = bench.portal.update_keys(key.clone(), wanted).await;
    assert!(is_not_found(&refused), "{refused:?}");
    let key_manager = bench.portal.key_manager();
    let after = key_manager.find_client(&key.consumer_key).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn an_application_can_be_looked_at_while_its_keys_are_cleaned_up() {
    let bench = bench().await;
    let read = made(&bench).await;
    let (key, _) = keys_of(&bench, &read).await;
    // As one sees it who has listed the mappings before, and asks for the clients after.
    let mut write = bench.apim.write("test.clean_up").await.unwrap();
    oauth_clients::delete(&mut write, &key.consumer_key)
        .await
        .unwrap();
    write.commit().await.unwrap();
    assert_eq!(bench.portal.keys(&read).await.unwrap(), Vec::new());
}

#[tokio::test]
async fn a_definition_that_was_asked_for_waits_for_nobody_when_it_is_asked_for_again() {
    let bench = bench().await;
    let api = published(&bench, "pizza").await;
    let portal = &bench.portal;
    let blob = portal.definition_blob(SUPER_TENANT, &api).await.unwrap();
    let urls = || vec!["https://gw/pizza".to_owned()];
    let show = || portal.definition(SUPER_TENANT, &blob, urls());
    let first = show().await.unwrap();
    let turns = &portal.definitions.turns;
    let all = u32::try_from(turns.available_permits()).unwrap();
    let _all = turns.acquire_many(all).await.unwrap();
    let again = show().await.unwrap();
    assert_eq!(first.as_ref(), again.as_ref());
}

#[tokio::test]
async fn a_client_that_is_mapped_is_not_taken_over_and_its_secret_goes_on() {
    let bench = bench().await;
    let read = made(&bench).await;
    let order = |kind| {
        let wanted = (read.clone(), client(&read));
        bench
            .portal
            .create_keys(wanted.0, kind, wanted.1, "{}".to_owned())
    };
    let (_, served, secret) = order(KeyType::Sandbox).await.unwrap().value;
    // The client of that name is another key's by now.
    let refused = order(KeyType::Production).await;
    assert!(
        matches!(
            refused,
            Err(DevPortalError::Store(StoreError::Duplicate(_)))
        ),
        "{refused:?}"
    );
    let request = TokenRequest {
        client: ClientSecret {
            consumer_key: served.consumer_key,
            consumer_secret: secret,
        },
        grant: GrantType::ClientCredentials,
        scopes: Vec::new(),
        validity_seconds: None,
    };
    bench.portal.key_manager().issue(request).await.unwrap();
}
