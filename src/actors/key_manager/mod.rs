//! The key manager: people, OAuth2 clients, tokens, and what gateways ask about credentials.
//!
//! Validators answer gateways out of one snapshot; clerks carry out commands; doorkeepers do what
//! costs a password hash, so that a flood of logins delays nothing else; the keeper relays and
//! purges. All work at one [`Desk`]; none owns state that a restart would lose.

mod api_scopes;
mod attempts;
mod clients;
pub mod command;
mod departure;
mod desk;
mod failures;
mod handle;
mod holder;
mod issue;
mod issuer;
mod key_looks;
mod keys;
mod made;
pub mod message;
mod password_hash;
mod passwords;
mod people;
mod public_keys;
mod refresh_token;
mod relay;
mod revoke;
mod settled;
mod shared_keys;
#[cfg(test)]
mod tests;
mod used_keys;
mod validate;
mod worker;

pub(crate) use clients::stored as client_row;
pub use desk::{Desk, LONGEST_CHOSEN_SECONDS, Settings, bare_name};
pub use handle::{KeyManagerHandle, bearer, hash_hex};
pub(crate) use holder::Holder;
pub use issuer::Issuer;
pub use keys::{KeyError, Keys, SigningAlgorithm};
pub use passwords::Passwords;
pub(crate) use public_keys::PublicKeys;
#[cfg(test)]
pub(crate) use tests::desk as test_desk;

use std::hash::BuildHasher as _;

use cluster::{Child, Door, System, branch, child, pool};

use command::{Command, GrantType, TokenRequest};
use message::ValidateMany;
use worker::{Clerk, DoorKeeper, DoorMessage, Keeper, Validator};

/// Validators, clerks and doorkeepers: enough of each to keep two cores and a database busy.
const WORKERS: usize = 4;

/// Describes the key manager's subtree.
#[must_use]
pub fn component(system: &System, desk: &Desk) -> (KeyManagerHandle, Child) {
    let (validators, mut children) =
        pool::<Validator>(system, "key-manager/validator", WORKERS, desk);
    let (clerks, more) = pool::<Clerk>(system, "key-manager/clerk", WORKERS, desk);
    children.extend(more);
    let (doorkeepers, more) = pool::<DoorKeeper>(system, "key-manager/door", WORKERS, desk);
    children.extend(more);
    let (_, keeper) = child::<Keeper>(system, "key-manager/keeper", desk.clone());
    children.push(keeper);
    let validate = validators
        .into_iter()
        .map(|address| Door::local(system, address, |asked| asked, Some))
        .collect();
    let mut commands: Vec<_> = clerks
        .into_iter()
        .map(|address| Door::local(system, address, |asked| asked, Some))
        .collect();
    commands.extend(doorkeepers.iter().map(|address| {
        Door::local(
            system,
            address.clone(),
            DoorMessage::Command,
            |message| match message {
                DoorMessage::Command(asked) => Some(asked),
                DoorMessage::Basic(_) => None,
            },
        )
    }));
    let basics = doorkeepers.iter().map(|address| {
        Door::local(
            system,
            address.clone(),
            DoorMessage::Basic,
            |message| match message {
                DoorMessage::Basic(asked) => Some(asked),
                DoorMessage::Command(_) => None,
            },
        )
    });
    let handle = KeyManagerHandle::new(
        Door::balanced(validate, |asked: &ValidateMany, of| {
            spread(&asked.credentials, of)
        }),
        Door::balanced(basics.collect(), |asked, of| spread(&asked.credential, of)),
        Door::balanced(commands, by_noun),
        desk,
    );
    (handle, branch(system, "key-manager", children))
}

/// Commands about one thing go to one worker, so that they happen one after the other; the first
/// half of the workers are clerks, the second half doorkeepers.
fn by_noun(command: &Command, of: usize) -> usize {
    let half = of / 2;
    match command {
        Command::Issue(TokenRequest {
            grant: GrantType::Password { username, .. },
            ..
        }) => half + spread(username, half),
        Command::CreateUser(user) => half + spread(&user.name, half),
        Command::SetPassword { id, .. } => half + spread(id, half),
        Command::ChangePassword(change) => half + spread(&change.name, half),
        command => by_clerk(command, half),
    }
}

fn by_clerk(command: &Command, of: usize) -> usize {
    match command {
        Command::Issue(request) => spread(&request.client.consumer_key, of),
        Command::Revoke { client, .. } | Command::Authenticate(client) => {
            spread(&client.consumer_key, of)
        }
        Command::CreateClient(client) | Command::RegisterClient(client) => spread(&client.name, of),
        Command::FindClient(key) | Command::RegenerateSecret(key) | Command::FindRefresh(key) => {
            spread(key, of)
        }
        Command::FindClientByName { name, .. } | Command::FindUserByName { name, .. } => {
            spread(name, of)
        }
        Command::UpdateClient(client) => spread(&client.consumer_key, of),
        Command::EndAccess { id, .. }
        | Command::FindUser { id, .. }
        | Command::SetPassword { id, .. }
        | Command::DeleteUser { id, .. } => spread(id, of),
        Command::CreateUser(user) => spread(&user.name, of),
        Command::ChangePassword(change) => spread(&change.name, of),
        Command::ListUsers { offset, .. } => spread(offset, of),
        Command::HasAdministrator(tenant) => spread(tenant, of),
    }
}

fn spread(key: &impl std::hash::Hash, of: usize) -> usize {
    let hash = foldhash::fast::FixedState::default().hash_one(key);
    usize::try_from(hash % u64::try_from(of.max(1)).unwrap_or(1)).unwrap_or(0)
}
