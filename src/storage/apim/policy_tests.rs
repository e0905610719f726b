//! Conformance of the administration's rows: throttling and deny policies.

use super::*;

#[tokio::test]
async fn a_policy_in_use_stays_and_comes_back_as_it_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let mut ten = policy("10PerMin", PolicyLevel::Application);
        let gold = policy("Gold", PolicyLevel::Subscription);
        for policy in [&ten, &gold] {
            policies::create(&mut write, policy).await.unwrap();
        }
        let new = application(ID, "Shop", "ann");
        applications::create(&mut write, &new).await.unwrap();
        let held = subscription("s", "api", ID);
        subscriptions::create(&mut write, &held).await.unwrap();
        for policy in [&ten, &gold] {
            let used = policies::delete(&mut write, policy).await;
            assert!(matches!(used, Err(StoreError::Forbidden(_))));
        }
        ten.limit.as_mut().unwrap().units = 11;
        assert_eq!(policies::update(&mut write, &ten).await.unwrap(), 2);
        let stale = policies::update(&mut write, &ten).await;
        assert!(matches!(stale, Err(StoreError::Stale)));
        applications::delete(&mut write, TENANT, (ID, 0))
            .await
            .unwrap();
        policies::delete(&mut write, &gold).await.unwrap();
        let again = policies::delete(&mut write, &gold).await;
        assert!(matches!(again, Err(StoreError::NotFound(_))));
        let gone = policies::update(&mut write, &gold).await;
        assert!(matches!(gone, Err(StoreError::NotFound(_))));
        ten.row_version = 2;
        let level = PolicyLevel::Application;
        let locked = policies::lock(&mut write, TENANT, level, "10PerMin").await;
        assert_eq!(locked.unwrap(), ten);
        let foreign = policies::lock(&mut write, OTHER, level, "10PerMin").await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        for (tenant, level, wanted) in [
            (TENANT, level, Some(&ten)),
            (TENANT, PolicyLevel::Subscription, None),
            (OTHER, level, None),
        ] {
            let found = policies::find(&mut read, tenant, level, "10PerMin").await;
            assert_eq!(found.unwrap().as_ref(), wanted);
        }
    }
}

#[tokio::test]
async fn the_same_is_denied_once_and_within_its_tenant_only() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut denial = DenyPolicy {
            id: "d".to_owned(),
            tenant: TENANT.to_owned(),
            target: DenyTarget::User("ann".to_owned()),
            application_id: None,
            active: true,
        };
        let mut write = database.write("test.portal").await.unwrap();
        deny_policies::create(&mut write, &denial).await.unwrap();
        let foreign = deny_policies::set_active(&mut write, OTHER, "d", false).await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        let lifted = deny_policies::set_active(&mut write, TENANT, "d", false).await;
        denial.active = false;
        assert_eq!(lifted.unwrap(), denial);
        let foreign = deny_policies::delete(&mut write, OTHER, "d").await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))));
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        let found = deny_policies::list(&mut read, TENANT).await.unwrap();
        assert_eq!(found, [denial.clone()]);
        assert_eq!(deny_policies::list(&mut read, OTHER).await.unwrap(), []);
        let found = deny_policies::find(&mut read, TENANT, "d").await.unwrap();
        assert_eq!(found.as_ref(), Some(&denial));
        let foreign = deny_policies::find(&mut read, OTHER, "d").await.unwrap();
        assert_eq!(foreign, None);
        drop(read);
        let mut write = database.write("test.portal").await.unwrap();
        denial.id = "e".to_owned();
        let twice = deny_policies::create(&mut write, &denial).await;
        assert!(matches!(twice, Err(StoreError::Duplicate(_))));
    }
}

#[tokio::test]
async fn a_denial_goes_with_its_application_to_another_name() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let mut app = application(ID, "Shop", "ann");
        applications::create(&mut write, &app).await.unwrap();
        let denial = |id: &str, name: &str| DenyPolicy {
            id: id.to_owned(),
            tenant: TENANT.to_owned(),
            target: DenyTarget::Application(name.to_owned()),
            application_id: None,
            active: true,
        };
        let unknown = deny_policies::resolve(&mut write, denial("x", "bob:Shop")).await;
        assert_eq!(unknown.unwrap(), None);
        let known = deny_policies::resolve(&mut write, denial("d", "ANN:shop")).await;
        let known = known.unwrap().unwrap();
        assert_eq!(known.application_id.as_deref(), Some(ID));
        assert_eq!(known.target, denial("d", "ann:Shop").target);
        deny_policies::create(&mut write, &known).await.unwrap();
        // As if the application of that name was removed, or the policy made by an older version.
        let by_name = denial("e", "ann:Market");
        deny_policies::create(&mut write, &by_name).await.unwrap();
        for (before, name, carried) in [("Shop", "Store", 1), ("Store", "Market", 1)] {
            app.name = name.to_owned();
            let found = deny_policies::carry(&mut write, &app, before)
                .await
                .unwrap();
            assert_eq!(found.len(), carried, "{name}");
        }
        // The name is another policy's already: the first one holds by the application alone.
        let found = deny_policies::lock(&mut write, TENANT, "d").await.unwrap();
        assert_eq!(found.target, denial("d", "ann:Store").target);
        assert_eq!(found.application_id.as_deref(), Some(ID));
        app.name = "Last".to_owned();
        let found = deny_policies::carry(&mut write, &app, "Market").await;
        let found = found.unwrap();
        assert_eq!(found.len(), 2);
        let bound = |one: &DenyPolicy| one.application_id.as_deref() == Some(ID);
        assert!(found.iter().all(bound), "{found:?}");
    }
}

#[tokio::test]
async fn a_denial_of_one_application_never_goes_to_another_that_had_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        let denied = application(ID, "Market", "ann");
        let mut other = application("w", "Shop", "ann");
        for one in [&denied, &other] {
            applications::create(&mut write, one).await.unwrap();
        }
        // It was named so when it was denied.
        let denial = |id: &str, name: &str, of: &str| DenyPolicy {
            id: id.to_owned(),
            tenant: TENANT.to_owned(),
            target: DenyTarget::Application(name.to_owned()),
            application_id: Some(of.to_owned()),
            active: true,
        };
        for one in [denial("d", "ann:Shop", ID), denial("e", "ANN:shop", "gone")] {
            deny_policies::create(&mut write, &one).await.unwrap();
        }
        other.name = "Store".to_owned();
        let carried = deny_policies::carry(&mut write, &other, "Shop").await;
        let carried = carried.unwrap();
        let ids: Vec<_> = carried.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["e"], "whose application is gone holds by its name");
        let kept = deny_policies::lock(&mut write, TENANT, "d").await.unwrap();
        assert_eq!(kept, denial("d", "ann:Shop", ID));
    }
}
