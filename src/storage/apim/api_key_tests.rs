//! API keys as they are stored.

use super::*;

#[tokio::test]
async fn an_api_key_is_changed_within_its_tenant_only() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        api_keys::create(&mut write, &api_key("k", None))
            .await
            .unwrap();
        let hash = api_keys::update_secret(&mut write, (OTHER, "k"), "new", 2).await;
        assert!(matches!(hash, Err(StoreError::NotFound(_))));
        let bound = api_keys::update_application(&mut write, (OTHER, "k"), Some(ID)).await;
        assert!(matches!(bound, Err(StoreError::NotFound(_))));
        let gone = api_keys::delete(&mut write, OTHER, "k").await;
        assert!(matches!(gone, Err(StoreError::NotFound(_))));
        let key = (TENANT, "k");
        api_keys::update_secret(&mut write, key, "new", 2)
            .await
            .unwrap();
        api_keys::update_application(&mut write, key, Some(ID))
            .await
            .unwrap();
        let locked = api_keys::lock(&mut write, TENANT, "k").await.unwrap();
        assert_eq!((locked.key_hash.as_str(), locked.issued_at_ms), ("new", 2));
        write.commit().await.unwrap();
        let mut read = database.read().await.unwrap();
        for (tenant, owner, count) in [(TENANT, "ann", 1), (TENANT, "bob", 0), (OTHER, "ann", 0)] {
            let found = api_keys::list_by_api(&mut read, tenant, "api", owner).await;
            assert_eq!(found.unwrap().len(), count, "{tenant} {owner}");
        }
        let used = api_keys::list_by_application(&mut read, TENANT, ID).await;
        assert_eq!(used.unwrap(), [locked]);
        drop(read);
        let mut write = database.write("test.portal").await.unwrap();
        api_keys::delete(&mut write, TENANT, "k").await.unwrap();
        let gone = api_keys::lock(&mut write, TENANT, "k").await;
        assert!(matches!(gone, Err(StoreError::NotFound(_))));
    }
}

#[tokio::test]
async fn an_api_keys_use_is_noted_unless_it_was_just_noted() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let mut write = database.write("test.portal").await.unwrap();
        for id in ["k", "other"] {
            let key = api_key(id, None);
            api_keys::create(&mut write, &key).await.unwrap();
        }
        write.commit().await.unwrap();
        // (now, no later than this before), and what is noted after it.
        for (now, recent, noted) in [(100, 40, 100), (130, 70, 100), (160, 100, 160)] {
            let hash = api_key("k", None).key_hash;
            let done = api_keys::note_used(&database, &[hash], now, recent).await;
            done.unwrap();
            let mut write = database.write("test.portal").await.unwrap();
            let key = api_keys::lock(&mut write, TENANT, "k").await.unwrap();
            assert_eq!(key.last_used_at_ms, Some(noted));
        }
        let mut write = database.write("test.portal").await.unwrap();
        let other = api_keys::lock(&mut write, TENANT, "other").await.unwrap();
        assert_eq!(other.last_used_at_ms, None);
    }
}
