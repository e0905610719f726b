//! People: written in Shared together with an outbox row, and relayed into the change log of
//! API-M before the answer leaves (C5).

use domain::change::{Change, MarkedSubject};
use domain::role;
use storage::apim::revocations;
use storage::shared::outbox::{self, Pending};
use storage::shared::users;

use super::command::{NewUser, Outcome, Refused, User};
use super::desk::{Desk, new_id};

/// Changes relayed in one go.
const RELAY_BATCH: i64 = 100;

impl Desk {
    /// Makes a user.
    pub(super) async fn create_user(&self, new: NewUser) -> Result<Outcome, Refused> {
        check(&new)?;
        let mut read = self.shared.read().await?;
        for role in &new.roles {
            if !users::role_exists(&mut read, &new.tenant, role).await? {
                return Err(bad("roles", format!("role {role} does not exist")));
            }
        }
        drop(read);
        let hash = self.passwords.hash(&new.password).await;
        let now = self.clock.now_ms();
        let user = users::User {
            id: new_id(),
            tenant: new.tenant.clone(),
            name: new.name.clone(),
            password_hash: hash.map_err(|_| Refused::Unavailable)?,
            email: new.email,
            given_name: new.given_name,
            family_name: new.family_name,
            active: true,
            created_at_ms: now,
            updated_at_ms: now,
        };
        let roles: Vec<String> = new
            .roles
            .into_iter()
            .filter(|role| role != role::EVERYONE)
            .collect();
        let change = Change::UserChanged {
            user: user.name.clone(),
            removed: false,
        };
        let mut write = self.shared.write("shared.users.create").await?;
        users::create(&mut write, &user, &roles).await?;
        outbox::create(&mut write, &new_id(), &user.tenant, &change, now).await?;
        write.commit().await?;
        self.relay().await?;
        Ok(Outcome::User(shown(user, roles)))
    }

    /// Removes a user and ends what was issued to them.
    pub(super) async fn delete_user(&self, tenant: &str, id: &str) -> Result<Outcome, Refused> {
        let mut read = self.shared.read().await?;
        let user = users::find(&mut read, tenant, id).await?;
        let user = user.ok_or_else(|| Refused::NotFound("user".to_owned()))?;
        let roles = users::roles(&mut read, tenant, id).await?;
        if roles.iter().any(|role| role == role::ADMIN)
            && users::count_with_role(&mut read, tenant, role::ADMIN).await? <= 1
        {
            return Err(bad("id", "is the last administrator's".to_owned()));
        }
        drop(read);
        let now = self.clock.now_ms();
        let changes = [
            Change::UserChanged {
                user: user.name.clone(),
                removed: true,
            },
            Change::IssuedBefore {
                subject: MarkedSubject::User,
                id: user.name.clone(),
                before_ms: now + 1,
                until_ms: self.everything_expired_by(now),
            },
        ];
        let mut write = self.shared.write("shared.users.delete").await?;
        if !users::delete(&mut write, tenant, id).await? {
            return Err(Refused::NotFound("user".to_owned()));
        }
        for change in &changes {
            outbox::create(&mut write, &new_id(), tenant, change, now).await?;
        }
        write.commit().await?;
        let applied = self.relay().await?;
        Ok(applied.map_or(Outcome::Yes, Outcome::Applied))
    }

    /// A user by id.
    pub(super) async fn find_user(&self, tenant: &str, id: &str) -> Result<Outcome, Refused> {
        let mut read = self.shared.read().await?;
        let user = users::find(&mut read, tenant, id).await?;
        let user = user.ok_or_else(|| Refused::NotFound("user".to_owned()))?;
        let roles = users::roles(&mut read, tenant, &user.id).await?;
        Ok(Outcome::User(shown(user, roles)))
    }

    /// A user by name.
    pub(super) async fn find_user_by_name(
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<Outcome, Refused> {
        let mut read = self.shared.read().await?;
        let user = users::find_by_name(&mut read, tenant, name).await?;
        let user = user.ok_or_else(|| Refused::NotFound("user".to_owned()))?;
        let roles = users::roles(&mut read, tenant, &user.id).await?;
        Ok(Outcome::User(shown(user, roles)))
    }

    /// A page of users.
    pub(super) async fn list_users(
        &self,
        tenant: &str,
        limit: u32,
        offset: u32,
    ) -> Result<Outcome, Refused> {
        let mut read = self.shared.read().await?;
        let (page, total) = users::list(&mut read, tenant, limit.into(), offset.into()).await?;
        let mut users = Vec::with_capacity(page.len());
        for user in page {
            let roles = users::roles(&mut read, tenant, &user.id).await?;
            users.push(shown(user, roles));
        }
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        Ok(Outcome::Users { users, total })
    }

    /// Whether a tenant has an active administrator.
    pub(super) async fn has_administrator(&self, tenant: &str) -> Result<Outcome, Refused> {
        let mut read = self.shared.read().await?;
        let count = users::count_with_role(&mut read, tenant, role::ADMIN).await?;
        Ok(if count > 0 { Outcome::Yes } else { Outcome::No })
    }

    /// Relays everything pending from Shared into the change log, oldest first; relaying what is
    /// there already changes nothing, so any number of relays may run.
    pub(super) async fn relay(&self) -> Result<Option<crate::change_feed::Applied>, Refused> {
        let mut last = None;
        loop {
            let mut read = self.shared.read().await?;
            let pending = outbox::list(&mut read, RELAY_BATCH).await?;
            drop(read);
            if pending.is_empty() {
                break;
            }
            for one in pending {
                if let Some(n) = self.relay_one(&one).await? {
                    last = Some(n);
                }
            }
        }
        match last {
            Some(n) => Ok(Some(self.feed.committed(n).await)),
            None => Ok(None),
        }
    }

    async fn relay_one(&self, one: &Pending) -> Result<Option<u64>, Refused> {
        let now = self.clock.now_ms();
        let mut write = self.apim.write("apim.outbox.relay").await?;
        if let Change::IssuedBefore {
            subject,
            id,
            before_ms,
            until_ms,
        } = &one.change
        {
            let mark = revocations::Mark {
                tenant: one.tenant.clone(),
                subject: *subject,
                subject_id: id.clone(),
                before_ms: *before_ms,
                until_ms: *until_ms,
            };
            revocations::save_mark(&mut write, &mark).await?;
        }
        let relayed = write
            .relay(&one.tenant, &one.change, &one.id, &new_id(), now)
            .await;
        let n = match relayed {
            Ok(n) => Some(n),
            // Relayed before a crash kept the row from being removed.
            Err(storage::StoreError::Duplicate(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let mut write = self.shared.write("shared.outbox.delete").await?;
        outbox::delete(&mut write, &one.id).await?;
        write.commit().await?;
        Ok(n)
    }
}

fn shown(user: users::User, roles: Vec<String>) -> User {
    User {
        id: user.id,
        name: user.name,
        email: user.email,
        given_name: user.given_name,
        family_name: user.family_name,
        active: user.active,
        roles,
        created_at_ms: user.created_at_ms,
        updated_at_ms: user.updated_at_ms,
    }
}

fn check(new: &NewUser) -> Result<(), Refused> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    let length = new.name.chars().count();
    if !(3..=64).contains(&length) || !new.name.chars().all(good) {
        let rule = "must be 3 to 64 letters, digits or . _ - @ +";
        return Err(bad("userName", rule.to_owned()));
    }
    if !(5..=128).contains(&new.password.chars().count()) {
        return Err(bad("password", "must have 5 to 128 characters".to_owned()));
    }
    for (field, text) in [
        ("emails", &new.email),
        ("givenName", &new.given_name),
        ("familyName", &new.family_name),
    ] {
        if text.chars().count() > 255 {
            return Err(bad(field, "must not exceed 255 characters".to_owned()));
        }
    }
    Ok(())
}

fn bad(field: &str, problem: String) -> Refused {
    Refused::BadField {
        field: field.to_owned(),
        problem,
    }
}
