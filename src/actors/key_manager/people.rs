//! People: written in Shared together with an outbox row, and relayed into the change log of
//! API-M before the answer leaves (C5).

use domain::api::SUPER_TENANT;
use domain::change::{Change, MarkedSubject};
use domain::role;
use storage::shared::{outbox, users};
use storage::{StoreError, Write};

use super::command::{NewUser, Outcome, PasswordChange, Refused, User};
use super::desk::{Desk, bare_name, new_id};
use super::settled::{Done, Halt};

impl Desk {
    /// Makes a user.
    pub(super) async fn create_user(&self, new: NewUser) -> Result<Done, Halt> {
        check(&new)?;
        self.settle().await?;
        let mut read = self.shared.read().await?;
        for role in &new.roles {
            if role.contains('\0') || !users::role_exists(&mut read, &new.tenant, role).await? {
                return Err(bad("roles", format!("role {role} does not exist")).into());
            }
        }
        drop(read);
        let hash = self.passwords.hash(&new.password).await;
        let hash = hash.map_err(|_| Refused::Unavailable)?;
        let mut write = self.shared.write("shared.users.create").await?;
        users::lock(&mut write, &new.tenant).await?;
        // Read late: a namesake before, and all that was issued to them, is older.
        let now = self.moment().await?;
        let user = users::User {
            id: new_id(),
            tenant: new.tenant.clone(),
            name: new.name.clone(),
            password_hash: hash,
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
        // A name begins with nothing: what a write that outlived a namesake's removal has left is
        // cleared away before the newcomer is told of.
        let changes = [true, false].map(|removed| Change::UserChanged {
            user: user.name.clone(),
            removed,
        });
        users::create(&mut write, &user, &roles).await?;
        let tenant = user.tenant.clone();
        let done = self.commit_with_outbox(write, &tenant, &changes, now);
        Ok(Done {
            n: done.await?.n,
            of_others: None,
            outcome: Outcome::User(shown(user, roles)),
        })
    }

    /// Removes a user with everything they own and ends what was issued to them or for it.
    pub(super) async fn delete_user(&self, tenant: &str, id: &str) -> Result<Done, Halt> {
        let settled = self.settle().await?;
        let mut read = self.shared.read().await?;
        let user = users::find(&mut read, tenant, id).await?;
        let user = user.ok_or_else(|| Halt {
            refused: Refused::NotFound(format!("user {id}")),
            // It may be the removal that is asked for again: everybody knows of it first.
            n: settled,
        })?;
        drop(read);
        let now = self.moment().await?;
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
        match users::delete(&mut write, tenant, id, role::ADMIN).await {
            Ok(true) => {}
            Ok(false) => return Err(Refused::NotFound(format!("user {id}")).into()),
            Err(StoreError::Forbidden(reason)) => return Err(bad("id", reason).into()),
            Err(error) => return Err(error.into()),
        }
        self.commit_with_outbox(write, tenant, &changes, now).await
    }

    /// Replaces a user's password and ends the user's sessions; API keys and what clients got for
    /// themselves go on.
    pub(super) async fn set_password(
        &self,
        tenant: &str,
        id: &str,
        password: &str,
    ) -> Result<Done, Halt> {
        check_password("password", password)?;
        let mut read = self.shared.read().await?;
        let user = users::find(&mut read, tenant, id).await?;
        drop(read);
        let user = user.ok_or_else(|| Refused::NotFound(format!("user {id}")))?;
        match self.replace_password(user, None, password).await? {
            Some(done) => Ok(done),
            None => Err(Refused::NotFound(format!("user {id}")).into()),
        }
    }

    /// The same by the user, who gives the current password; wrong ones are counted like logins.
    pub(super) async fn change_password(&self, change: PasswordChange) -> Result<Done, Halt> {
        check_password("new", &change.new)?;
        let (tenant, name) = (&change.tenant, &change.name);
        let user = self.checked_user(tenant, name, &change.current, change.address);
        let wrong = || bad("current", "is wrong".to_owned());
        let user = user.await?.ok_or_else(wrong)?;
        let proof = user.password_hash.clone();
        let replaced = self.replace_password(user, Some(&proof), &change.new);
        // Somebody was faster: what was right when it was looked at opens nothing any more.
        replaced.await?.ok_or_else(|| wrong().into())
    }

    /// Gives a user another password, where one is proved only while it is still the user's; none
    /// when it is not, or the user is gone.
    pub(super) async fn replace_password(
        &self,
        user: users::User,
        proof: Option<&str>,
        password: &str,
    ) -> Result<Option<Done>, Halt> {
        self.settle().await?;
        let hash = self.passwords.hash(password).await;
        let hash = hash.map_err(|_| Refused::Unavailable)?;
        let now = self.moment().await?;
        let (tenant, id) = (user.tenant.as_str(), user.id.as_str());
        let changes = [
            Change::UserChanged {
                user: user.name.clone(),
                removed: false,
            },
            Change::IssuedBefore {
                subject: MarkedSubject::Login,
                id: user.name,
                before_ms: now + 1,
                until_ms: self.everything_expired_by(now),
            },
        ];
        let mut write = self.shared.write("shared.users.set_password").await?;
        let replaced = match proof {
            Some(proof) => {
                users::replace_password(&mut write, (tenant, id), proof, &hash, now).await?
            }
            None => users::update_password(&mut write, tenant, id, &hash, now).await?,
        };
        if !replaced {
            return Ok(None);
        }
        let done = self.commit_with_outbox(write, tenant, &changes, now);
        Ok(Some(done.await?))
    }

    /// Commits a change of Shared together with what it says to the change log, and relays that.
    async fn commit_with_outbox(
        &self,
        mut write: Write,
        tenant: &str,
        changes: &[Change],
        now_ms: i64,
    ) -> Result<Done, Halt> {
        let mut rows = Vec::with_capacity(changes.len());
        for (place, change) in (0..).zip(changes) {
            let row = new_id();
            outbox::create(&mut write, &row, tenant, change, (now_ms, place)).await?;
            rows.push(row);
        }
        write.commit().await?;
        Ok(Done {
            outcome: Outcome::Yes,
            n: self.relay_or_owe(&rows).await?,
            of_others: None,
        })
    }

    /// A user by id.
    pub(super) async fn find_user(&self, tenant: &str, id: &str) -> Result<Outcome, Refused> {
        let mut read = self.shared.read().await?;
        let user = users::find(&mut read, tenant, id).await?;
        let user = user.ok_or_else(|| Refused::NotFound(format!("user {id}")))?;
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
        let user = user.ok_or_else(|| Refused::NotFound(format!("user {name}")))?;
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
    // Whoever signs in may add the tenant, and it is cut off: such a name would be another one's.
    if bare_name(&new.name) != new.name {
        let rule = format!("must not end in @{SUPER_TENANT}");
        return Err(bad("userName", rule));
    }
    check_password("password", &new.password)?;
    for (field, text) in [
        ("emails", &new.email),
        ("givenName", &new.given_name),
        ("familyName", &new.family_name),
    ] {
        if text.chars().count() > 255 || text.contains(char::is_control) {
            let rule = "must be at most 255 characters, none of them a control character";
            return Err(bad(field, rule.to_owned()));
        }
    }
    Ok(())
}

fn check_password(field: &str, password: &str) -> Result<(), Refused> {
    if (5..=128).contains(&password.chars().count()) {
        return Ok(());
    }
    Err(bad(field, "must have 5 to 128 characters".to_owned()))
}

fn bad(field: &str, problem: String) -> Refused {
    Refused::BadField {
        field: field.to_owned(),
        problem,
    }
}
