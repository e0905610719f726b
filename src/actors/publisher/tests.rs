//! The publisher against real databases: SQLite, and PostgreSQL where one is given.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Asked, Clock, Registry, Root, System, start_root};
use domain::api::{Api, Cors, Endpoints, Operation, SUPER_TENANT};
use domain::lifecycle::LifecycleState;
use domain::policy::Policy;
use storage::apim::policies;
use storage::shared::blobs;

use super::message::{Author, DefinitionDocument, Edition, NewApi, Step, Target};
use super::*;

struct Running {
    publisher: PublisherHandle,
    stores: Stores,
    root: Root,
    _directory: tempfile::TempDir,
}
