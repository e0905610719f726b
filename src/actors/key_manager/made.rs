//! What a command made or found, out of its outcome.

use super::command::{Client, Outcome, Refused, User};
use crate::change_feed::{Applied, Saved};

pub(super) fn applied(outcome: Outcome) -> Option<Applied> {
    match outcome {
        Outcome::Applied(applied) => Some(applied),
        _ => None,
    }
}

/// What was made or found, beside who has applied it where it was a change.
fn made(outcome: Outcome) -> Saved<Outcome> {
    match outcome {
        Outcome::Changed(made, applied) => Saved {
            value: *made,
            applied: Some(applied),
        },
        value => Saved {
            value,
            applied: None,
        },
    }
}

pub(super) fn client(outcome: Outcome) -> Result<Saved<(Client, Option<String>)>, Refused> {
    let Saved { value, applied } = made(outcome);
    match value {
        Outcome::Client { client, secret } => Ok(Saved {
            value: (client, secret),
            applied,
        }),
        _ => Err(Refused::Unavailable),
    }
}

pub(super) fn with_secret(outcome: Outcome) -> Result<Saved<(Client, String)>, Refused> {
    let Saved { value, applied } = client(outcome)?;
    let (client, secret) = value;
    Ok(Saved {
        value: (client, secret.ok_or(Refused::Unavailable)?),
        applied,
    })
}

pub(super) fn user(outcome: Outcome) -> Result<Saved<User>, Refused> {
    let Saved { value, applied } = made(outcome);
    match value {
        Outcome::User(value) => Ok(Saved { value, applied }),
        _ => Err(Refused::Unavailable),
    }
}
