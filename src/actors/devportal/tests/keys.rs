//! What an application says of its keys and what its clients go by are the same, whoever changes
//! the one or the other meanwhile; and a definition is written for those who ask, once.

use storage::apim::{application_keys, oauth_clients};

use super::writer::{Desk, WriterArguments};
use super::*;
use crate::key_manager::command::Refused;

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
    let changed = bench
        .portal
        .update_keys(key.clone(), client, None)
        .await
        .unwrap();
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
    let refused = bench.portal.update_keys(key.clone(), wanted, None).await;
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

/// What another control plane on the same databases works with.
fn another_desk(bench: &Bench) -> Desk {
    let tools = &bench.clients;
    Desk(WriterArguments {
        apim: bench.apim.clone(),
        shared: bench.shared.clone(),
        feed: tools.feed.clone(),
        key_manager: tools.key_manager.clone(),
        clock: tools.clock.clone(),
        clients: tools.clone(),
        lanes: Lanes::default(),
    })
}

fn mapping(application: &Application, client: &Client) -> ApplicationKey {
    ApplicationKey {
        id: writer::new_id(),
        tenant: SUPER_TENANT.to_owned(),
        application_id: application.id.clone(),
        key_type: KeyType::Production,
        key_manager: String::new(),
        consumer_key: client.consumer_key.clone(),
        properties: "{}".to_owned(),
        created_at_ms: 1,
    }
}

async fn opens(bench: &Bench, client: &Client, secret: String) -> bool {
    let secret = ClientSecret {
        consumer_key: client.consumer_key.clone(),
        consumer_secret: secret,
    };
    let client = bench.portal.key_manager().authenticate(secret).await;
    client.is_ok()
}

fn is_unavailable<T>(outcome: &Result<T, DevPortalError>) -> bool {
    let unavailable = Refused::Unavailable;
    matches!(outcome, Err(DevPortalError::KeyManager(refused)) if *refused == unavailable)
}

#[tokio::test]
async fn of_two_control_planes_that_make_the_same_keys_at_once_none_tells_a_dead_secret() {
    for adopts_first in [true, false] {
        make_the_same_keys_at_once(adopts_first).await;
    }
}

async fn make_the_same_keys_at_once(adopts_first: bool) {
    let bench = bench().await;
    let read = made(&bench).await;
    let (first, second) = (another_desk(&bench), another_desk(&bench));
    let created = bench.portal.key_manager().create_client(client(&read));
    let (made, old) = created.await.unwrap();
    let key = mapping(&read, &made);
    // The second one finds the client that the first one is about to map.
    let busy = bench.apim.write("test.busy").await.unwrap();
    let mut adopt = Box::pin(second.adopt(client(&read), "taken".to_owned()));
    let mut map = Box::pin(first.map_client(&key, &old));
    // Whoever asks for the one writer first gets it first.
    if adopts_first {
        orders::sent(&mut adopt).await;
        orders::sent(&mut map).await;
    } else {
        orders::sent(&mut map).await;
        orders::sent(&mut adopt).await;
    }
    drop(busy);
    let (adopted, mapped) = tokio::join!(adopt, map);
    assert_eq!(mapped.is_ok(), !adopts_first);
    if mapped.is_ok() {
        let taken = DevPortalError::Store(StoreError::Duplicate("taken".to_owned()));
        assert_eq!(adopted.unwrap_err().to_string(), taken.to_string());
        assert!(opens(&bench, &made, old).await);
    } else {
        assert!(is_unavailable(&mapped));
        let (_, new) = adopted.unwrap();
        second.map_client(&key, &new).await.map(drop).unwrap();
        assert!(opens(&bench, &made, new).await);
    }
}

#[tokio::test]
async fn a_client_whose_secret_is_another_by_now_is_not_mapped_and_stays_the_others() {
    let bench = bench().await;
    let read = made(&bench).await;
    let (first, second) = (another_desk(&bench), another_desk(&bench));
    let created = bench.portal.key_manager().create_client(client(&read));
    let (made, old) = created.await.unwrap();
    let adopted = second.adopt(client(&read), "taken".to_owned()).await;
    let (_, new) = adopted.unwrap();
    let key = mapping(&read, &made);
    assert!(is_unavailable(&first.map_client(&key, &old).await));
    second.map_client(&key, &new).await.map(drop).unwrap();
    assert!(opens(&bench, &made, new).await);
}

#[tokio::test]
async fn a_client_that_is_swept_while_it_is_taken_over_is_no_fault_of_the_application() {
    let bench = bench().await;
    let read = made(&bench).await;
    let desk = another_desk(&bench);
    let gone = desk.adopt(client(&read), "taken".to_owned()).await;
    assert!(is_unavailable(&gone), "to be tried again");
}

#[tokio::test]
async fn keys_that_were_changed_since_they_were_read_are_not_overwritten() {
    let bench = bench().await;
    let read = made(&bench).await;
    let seen = keys_of(&bench, &read).await;
    let change = async |seconds, as_read| {
        let (key, mut wanted) = seen.clone();
        wanted.details.access_token_seconds = Some(seconds);
        let changed = bench.portal.update_keys(key, wanted, as_read).await;
        changed.map(|changed| changed.value)
    };
    let latest = change(60, Some(seen.clone())).await.unwrap();
    let stale = change(90, Some(seen.clone())).await;
    assert!(
        matches!(stale, Err(DevPortalError::Store(StoreError::Stale))),
        "{stale:?}"
    );
    let found = bench.portal.keys(&read).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&latest));
    change(90, Some(latest)).await.unwrap();
    change(120, None).await.unwrap();
}
