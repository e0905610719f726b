//! The key manager: people, OAuth2 clients, tokens, and what gateways ask about credentials.

mod handle;
pub mod message;

pub use handle::{KeyManagerHandle, bearer, hash_hex};
