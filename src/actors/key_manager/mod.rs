//! The key manager: people, OAuth2 clients, tokens, and what gateways ask about credentials.
//!
//! Validators answer gateways out of one snapshot; clerks carry out commands; the keeper relays
//! and purges. All work at one [`Desk`]; none owns state that a restart would lose.

mod clients;
pub mod command;
mod desk;
mod handle;
mod issue;
mod keys;
pub mod message;
mod passwords;
mod people;
mod revoke;
mod validate;
mod worker;

pub use desk::{Desk, Settings};
pub use handle::{KeyManagerHandle, bearer, hash_hex};
pub use keys::{KeyError, Keys, SigningAlgorithm};
pub use passwords::Passwords;

use std::hash::BuildHasher as _;

use cluster::{Child, Door, System, branch, child, pool};

use command::Command;
use message::ValidateMany;
use worker::{Clerk, ClerkMessage, Keeper, Validator};

/// Validators and clerks: enough to keep two cores and a database busy.
const WORKERS: usize = 4;

/// Describes the key manager's subtree.
#[must_use]
pub fn component(system: &System, desk: &Desk) -> (KeyManagerHandle, Child) {
    let (validators, mut children) =
        pool::<Validator>(system, "key_manager/validator", WORKERS, desk);
    let (clerks, more) = pool::<Clerk>(system, "key_manager/clerk", WORKERS, desk);
    let (_, keeper) = child::<Keeper>(system, "key_manager/keeper", desk.clone());
    children.extend(more);
    children.push(keeper);
    let validate = validators
        .into_iter()
        .map(|address| Door::local(system, address, |asked| asked, Some))
        .collect();
    let commands = clerks.iter().map(|address| {
        Door::local(
            system,
            address.clone(),
            ClerkMessage::Command,
            |message| match message {
                ClerkMessage::Command(asked) => Some(asked),
                ClerkMessage::Basic(_) => None,
            },
        )
    });
    let basics = clerks.iter().map(|address| {
        Door::local(
            system,
            address.clone(),
            ClerkMessage::Basic,
            |message| match message {
                ClerkMessage::Basic(asked) => Some(asked),
                ClerkMessage::Command(_) => None,
            },
        )
    });
    let handle = KeyManagerHandle::new(
        Door::balanced(validate, |asked: &ValidateMany, of| {
            spread(&asked.credentials, of)
        }),
        Door::balanced(basics.collect(), |asked, of| spread(&asked.credential, of)),
        Door::balanced(commands.collect(), by_noun),
        desk,
    );
    (handle, branch(system, "key_manager", children))
}

/// Commands about one thing go to one clerk, so that they happen one after the other.
fn by_noun(command: &Command, of: usize) -> usize {
    match command {
        Command::Issue(request) => spread(&request.client.consumer_key, of),
        Command::Revoke { client, .. } | Command::Authenticate(client) => {
            spread(&client.consumer_key, of)
        }
        Command::CreateClient(client) => spread(&client.name, of),
        Command::FindClient(key) | Command::RegenerateSecret(key) => spread(key, of),
        Command::FindClientByName { name, .. } | Command::FindUserByName { name, .. } => {
            spread(name, of)
        }
        Command::UpdateClient(client) => spread(&client.consumer_key, of),
        Command::DeleteClients(keys) => spread(keys, of),
        Command::EndAccess { id, .. }
        | Command::FindUser { id, .. }
        | Command::DeleteUser { id, .. } => spread(id, of),
        Command::CreateUser(user) => spread(&user.name, of),
        Command::ListUsers { offset, .. } => spread(offset, of),
        Command::HasAdministrator(tenant) => spread(tenant, of),
    }
}

fn spread(key: &impl std::hash::Hash, of: usize) -> usize {
    let hash = foldhash::fast::FixedState::default().hash_one(key);
    usize::try_from(hash % u64::try_from(of.max(1)).unwrap_or(1)).unwrap_or(0)
}
