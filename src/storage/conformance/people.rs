//! Conformance of Shared's people, scopes and outbox.

use domain::change::Change;

use super::{Fresh, TENANT, everywhere, new_id};
use crate::StoreError;
use crate::shared::users::{self, User};
use crate::shared::{outbox, scope_roles};

const ADMIN: &str = "admin";

fn user(id: &str, name: &str) -> User {
    User {
        id: id.to_owned(),
        tenant: TENANT.to_owned(),
        name: name.to_owned(),
        password_hash: "hash".to_owned(),
        email: String::new(),
        given_name: "Änn".to_owned(),
        family_name: String::new(),
        active: true,
        created_at_ms: 1,
        updated_at_ms: 1,
    }
}

async fn create(fresh: &Fresh, user: &User, roles: &[&str]) -> Result<(), StoreError> {
    let roles: Vec<String> = roles.iter().map(|&role| role.to_owned()).collect();
    let mut write = fresh.shared.write("test.users").await?;
    users::create(&mut write, user, &roles).await?;
    write.commit().await
}

async fn seed(fresh: &Fresh) {
    for _ in 0..2 {
        let mut write = fresh.shared.write("test.users").await.unwrap();
        users::seed(&mut write, TENANT, &[ADMIN, "keeper"], 1)
            .await
            .unwrap();
        users::save_role(&mut write, TENANT, "guest").await.unwrap();
        write.commit().await.unwrap();
    }
}

#[tokio::test]
async fn people_are_found_by_id_and_by_name_in_any_case_and_listed_by_name() {
    everywhere(async |fresh| {
        seed(&fresh).await;
        create(&fresh, &user("1", "Zoe"), &["keeper", ADMIN, ADMIN])
            .await
            .unwrap();
        create(&fresh, &user("2", "ann"), &[]).await.unwrap();
        let taken = create(&fresh, &user("3", "ANN"), &[]).await;
        assert!(matches!(taken, Err(StoreError::Duplicate(_))));
        let mut read = fresh.shared.read().await.unwrap();
        let found = users::find_by_name(&mut read, TENANT, "zOE").await.unwrap();
        assert_eq!(found, Some(user("1", "Zoe")));
        assert_eq!(users::find(&mut read, TENANT, "1").await.unwrap(), found);
        for nobody in ["4", "a\0b"] {
            assert_eq!(users::find(&mut read, TENANT, nobody).await.unwrap(), None);
            assert_eq!(
                users::find_by_name(&mut read, TENANT, nobody)
                    .await
                    .unwrap(),
                None
            );
        }
        assert_eq!(users::find(&mut read, "other", "1").await.unwrap(), None);
        let (page, total) = users::list(&mut read, TENANT, 1, 1).await.unwrap();
        assert_eq!((page, total), (vec![user("1", "Zoe")], 2));
        let roles = users::roles(&mut read, TENANT, "1").await.unwrap();
        assert_eq!(roles, [ADMIN, "keeper"]);
        let count = users::count_with_role(&mut read, TENANT, ADMIN).await;
        assert_eq!(count.unwrap(), 1);
        assert!(
            users::role_exists(&mut read, TENANT, "guest")
                .await
                .unwrap()
        );
        assert!(
            !users::role_exists(&mut read, TENANT, "ghost")
                .await
                .unwrap()
        );
    })
    .await;
}

#[tokio::test]
async fn the_last_holder_of_the_kept_role_stays_and_a_password_is_replaced() {
    everywhere(async |fresh| {
        seed(&fresh).await;
        create(&fresh, &user("1", "ann"), &[ADMIN]).await.unwrap();
        create(&fresh, &user("2", "bob"), &[ADMIN, "keeper"])
            .await
            .unwrap();
        let delete = async |id: &str| {
            let mut write = fresh.shared.write("test.users").await.unwrap();
            let removed = users::delete(&mut write, TENANT, id, ADMIN).await?;
            write.commit().await.unwrap();
            Ok::<bool, StoreError>(removed)
        };
        let (one, other) = tokio::join!(delete("1"), delete("2"));
        let removed = [&one, &other]
            .iter()
            .filter(|gone| matches!(gone, Ok(true)))
            .count();
        let kept = [&one, &other];
        let kept = kept
            .iter()
            .filter(|kept| matches!(kept, Err(StoreError::Forbidden(_))));
        assert_eq!((removed, kept.count()), (1, 1));
        assert!(!delete("3").await.unwrap());
        let mut write = fresh.shared.write("test.users").await.unwrap();
        let mut changed = 0;
        for id in ["1", "2"] {
            let done = users::update_password(&mut write, TENANT, id, "new", 7)
                .await
                .unwrap();
            changed += i32::from(done);
        }
        assert_eq!(changed, 1);
        // Who proves a password replaces no other one.
        users::lock(&mut write, TENANT).await.unwrap();
        for (proof, replaced) in [("hash", 0), ("new", 1), ("new", 0)] {
            let mut done = 0;
            for id in ["1", "2"].map(|id| (TENANT, id)) {
                let one = users::replace_password(&mut write, id, proof, "newer", 8).await;
                done += i32::from(one.unwrap());
            }
            assert_eq!(done, replaced, "{proof}");
        }
        write.commit().await.unwrap();
        let mut read = fresh.shared.read().await.unwrap();
        let (left, _) = users::list(&mut read, TENANT, 9, 0).await.unwrap();
        assert_eq!(
            (left[0].password_hash.as_str(), left[0].updated_at_ms),
            ("newer", 8)
        );
    })
    .await;
}

#[tokio::test]
async fn scopes_of_apis_are_kept_by_version_and_joined_over_those_that_count() {
    everywhere(async |fresh| {
        let save = async |version: &str, scopes: &[(&str, &[&str])]| {
            let scopes: Vec<(String, Vec<String>)> = scopes
                .iter()
                .map(|(scope, roles)| {
                    let roles = roles.iter().map(|&role| role.to_owned()).collect();
                    ((*scope).to_owned(), roles)
                })
                .collect();
            let mut write = fresh.shared.write("test.scopes").await.unwrap();
            scope_roles::create(&mut write, TENANT, "api", version, &scopes)
                .await
                .unwrap();
            write.commit().await.unwrap();
        };
        let find = async |scope: &str, counts: &[&str]| {
            let mut read = fresh.shared.read().await.unwrap();
            let found = scope_roles::list(&mut read, TENANT, &[scope])
                .await
                .unwrap();
            let all = found.get(scope).into_iter().flatten();
            scope_roles::joined(all.filter(|one| counts.contains(&one.version.as_str())))
        };
        save("1", &[("read", &[]), ("write", &["keeper", "keeper"])]).await;
        save("2", &[("write", &["guest"])]).await;
        save("3", &[("write", &[])]).await;
        assert_eq!(find("read", &["1"]).await, Some(Vec::new()));
        assert_eq!(find("read", &["2"]).await, None);
        assert_eq!(find("write", &["1"]).await.unwrap(), ["keeper"]);
        assert_eq!(
            find("write", &["1", "2"]).await.unwrap(),
            ["guest", "keeper"]
        );
        // An API that names no role does not open what another one closes.
        assert_eq!(find("write", &["2", "3"]).await.unwrap(), ["guest"]);
        assert_eq!(find("write", &["3"]).await, Some(Vec::new()));
        assert_eq!(find("a\0b", &["1"]).await, None);
        // More than one statement looks for, most of them unknown.
        let many: Vec<String> = (0..45).map(|n| format!("s{n}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.insert(21, "read");
        many.push("write");
        let mut read = fresh.shared.read().await.unwrap();
        let found = scope_roles::list(&mut read, TENANT, &many).await.unwrap();
        drop(read);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["read", "write"]);
        assert_eq!(found["write"].len(), 3);
        let mut write = fresh.shared.write("test.scopes").await.unwrap();
        scope_roles::delete(&mut write, "2").await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(find("write", &["1", "2"]).await.unwrap(), ["keeper"]);
    })
    .await;
}

#[tokio::test]
async fn a_scope_that_other_apis_define_too_is_found_with_their_versions() {
    everywhere(async |fresh| {
        let mut write = fresh.shared.write("test.scopes").await.unwrap();
        for (api, version, scopes) in [
            ("pizza", "1", &["eat", "bake"][..]),
            ("pizza", "2", &["eat"][..]),
            ("pasta", "3", &["eat", "boil"][..]),
            ("bread", "4", &["bake"][..]),
        ] {
            let roles = ["keeper", "guest"].map(str::to_owned).to_vec();
            let scopes = scopes
                .iter()
                .map(|scope| (scope.to_string(), roles.clone()));
            let scopes: Vec<_> = scopes.collect();
            scope_roles::create(&mut write, TENANT, api, version, &scopes)
                .await
                .unwrap();
        }
        write.commit().await.unwrap();
        let mut read = fresh.shared.read().await.unwrap();
        let pair = |scope: &str, version: &str| (scope.to_owned(), version.to_owned());
        for (tenant, api, version, wanted) in [
            (
                TENANT,
                "pizza",
                "1",
                vec![pair("bake", "4"), pair("eat", "3")],
            ),
            (TENANT, "bread", "4", vec![pair("bake", "1")]),
            (
                TENANT,
                "pasta",
                "3",
                vec![pair("eat", "1"), pair("eat", "2")],
            ),
            ("other.example", "pizza", "1", vec![]),
        ] {
            let found = scope_roles::defined_elsewhere(&mut read, tenant, api, version).await;
            assert_eq!(found.unwrap(), wanted, "{tenant} {api}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_outbox_gives_the_oldest_changes_first_and_forgets_what_was_relayed() {
    everywhere(async |fresh| {
        let change = |name: &str| Change::UserChanged {
            user: name.to_owned(),
            removed: false,
        };
        let (first, second) = (new_id(), new_id());
        let mut write = fresh.shared.write("test.outbox").await.unwrap();
        outbox::create(&mut write, &second, TENANT, &change("bob"), (2, 0))
            .await
            .unwrap();
        outbox::create(&mut write, &first, TENANT, &change("ann"), (1, 0))
            .await
            .unwrap();
        write.commit().await.unwrap();
        let list = async |most| {
            let mut read = fresh.shared.read().await.unwrap();
            outbox::list(&mut read, most).await.unwrap()
        };
        let pending = list(1).await;
        assert_eq!(
            (&pending[0].id, &pending[0].change),
            (&first, &change("ann"))
        );
        let mut write = fresh.shared.write("test.outbox").await.unwrap();
        outbox::delete(&mut write, &first).await.unwrap();
        write.commit().await.unwrap();
        let pending = list(9).await;
        assert_eq!(pending.len(), 1);
        assert_eq!(
            (&pending[0].id, pending[0].tenant.as_str()),
            (&second, TENANT)
        );
    })
    .await;
}

#[tokio::test]
async fn changes_of_one_commit_leave_the_outbox_in_the_order_they_were_given() {
    everywhere(async |fresh| {
        let change = |name: String| Change::UserChanged {
            user: name,
            removed: true,
        };
        let mut write = fresh.shared.write("test.outbox").await.unwrap();
        for place in 0..8 {
            let change = change(format!("user {place}"));
            let id = new_id();
            let kept = outbox::create(&mut write, &id, TENANT, &change, (1, place));
            kept.await.unwrap();
        }
        write.commit().await.unwrap();
        let mut read = fresh.shared.read().await.unwrap();
        let pending = outbox::list(&mut read, 9).await.unwrap();
        let given = (0..8).map(|place| change(format!("user {place}")));
        let left = pending.into_iter().map(|pending| pending.change);
        assert!(left.eq(given), "in order");
    })
    .await;
}
