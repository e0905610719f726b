//! Whose things are whose, and that nobody owns what the owner is gone from.

use super::*;

#[tokio::test]
async fn what_is_one_owners_is_not_found_by_another() {
    let bench = bench().await;
    let portal = &bench.portal;
    let made = portal.create_application(application("Shop", "ann")).await;
    let made = made.unwrap().value;
    let api = published(&bench, "pizza").await;
    let held = portal.create_subscription(subscription(&api, &made)).await;
    let held = held.unwrap().value;
    let all = ApplicationListing {
        limit: 10,
        ..ApplicationListing::default()
    };
    for (owner, count) in [("ann", 1), ("bob", 0)] {
        let found = portal.application(SUPER_TENANT, owner, &made.id).await;
        assert_eq!(is_not_found(&found), count == 0, "{owner}");
        let found = portal.subscription(SUPER_TENANT, owner, &held.id).await;
        assert_eq!(is_not_found(&found), count == 0, "{owner}");
        let listed = portal.subscriptions_of_api(SUPER_TENANT, &api, owner).await;
        assert_eq!(listed.unwrap().len(), count, "{owner}");
        let listed = portal.applications(SUPER_TENANT, owner, all).await;
        assert_eq!(listed.unwrap().1, count, "{owner}");
    }
}

#[tokio::test]
async fn nothing_is_made_for_an_owner_who_is_gone() {
    let bench = bench().await;
    let portal = &bench.portal;
    let api = published(&bench, "pizza").await;
    let made = portal.create_application(application("Shop", "bob")).await;
    let made = made.unwrap().value;
    let key_manager = portal.key_manager();
    let bob = key_manager.find_user_by_name(SUPER_TENANT, "bob").await;
    let bob = bob.unwrap().id;
    key_manager.delete_user(SUPER_TENANT, &bob).await.unwrap();
    let gone = portal.application(SUPER_TENANT, "bob", &made.id).await;
    assert!(is_not_found(&gone), "{gone:?}");
    let late = portal.create_application(application("Late", "bob")).await;
    assert!(is_not_found(&late), "{late:?}");
    let all = ApplicationListing {
        limit: 10,
        ..ApplicationListing::default()
    };
    let left = portal.applications(SUPER_TENANT, "bob", all).await;
    assert_eq!(left.unwrap().1, 0);
    let key = NewApiKey {
        tenant: SUPER_TENANT.to_owned(),
        name: "late".to_owned(),
        key_type: KeyType::Production,
        api_id: api.clone(),
        application_id: None,
        owner: "bob".to_owned(),
        permitted_ips: String::new(),
        permitted_referers: String::new(),
        validity_seconds: -1,
    };
    let late = portal.create_api_key(key).await;
    assert!(is_not_found(&late), "{late:?}");
    let left = portal.api_keys(SUPER_TENANT, &api, "bob").await;
    assert_eq!(left.unwrap(), []);
}
