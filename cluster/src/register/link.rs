//! The way from one voter to another: bytes there, bytes back.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::words::{KIND, VERSION};
use crate::ask::AskError;
use crate::cluster::Cluster;
use crate::door::Request;

/// An ask on its way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, AskError>> + Send + 'a>>;

/// Carries what voters say to each other. Losing it, doubling it or delivering it late does no harm.
pub trait RegisterLink: Send + Sync + 'static {
    /// Gives `said` to the register of node `voter`, and what that answers.
    fn ask<'a>(&'a self, voter: &'a str, said: Vec<u8>, deadline: Duration) -> Asking<'a>;
}

/// What one voter says to another, as it crosses nodes. Within are bytes of the register's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskRegister {
    /// What is said.
    pub said: Vec<u8>,
}

impl Request for AskRegister {
    type Reply = Vec<u8>;
    const KIND: u16 = KIND;
    const VERSION: u16 = VERSION;
}

impl RegisterLink for Cluster {
    fn ask<'a>(&'a self, voter: &'a str, said: Vec<u8>, deadline: Duration) -> Asking<'a> {
        Box::pin(async move {
            let request = AskRegister { said };
            Cluster::ask(self, voter, &request, deadline).await
        })
    }
}
