//! openraft's own test of what it asks of a log and a state machine, over ours.

use std::sync::Arc;

use openraft::testing::{StoreBuilder, Suite};
use tokio::sync::{Semaphore, watch};

use super::seals::Seals;
use super::world::{Shelf, Words};
use crate::register::log::Log;
use crate::register::machine::Machine;
use crate::register::store::{Kept, Tenure};
use crate::register::types::{StorageError, Types};
use crate::register::{Known, LogPlace, Sealing};

/// Makes a log and a state machine with nothing in them.
struct Empty;

impl StoreBuilder<Types, Log, Machine> for Empty {
    async fn build(&self) -> Result<((), Log, Machine), StorageError> {
        let places = Arc::new(Semaphore::new(1));
        let tenure = Tenure::begin(Arc::new(Shelf::default()), places).await;
        let tenure = Arc::new(tenure.unwrap());
        let sealing: Arc<dyn Sealing> = Arc::new(Seals::default());
        let mut kept = Kept::default();
        // It removes what no snapshot covers.
        let far = LogPlace {
            term: u64::MAX,
            index: u64::MAX,
        };
        let (_, covered) = watch::channel(Ok(Some(far.into())));
        let log = Log::new(
            Arc::clone(&tenure),
            Arc::clone(&sealing),
            covered,
            &mut kept,
        );
        let known = watch::Sender::new(Known::default());
        let meaning = (Arc::new(Words) as _, sealing);
        let machine = Machine::new(tenure, meaning, known, &mut kept).await;
        Ok(((), log, machine.unwrap()))
    }
}

#[test]
fn the_log_and_the_machine_do_what_openraft_asks_of_them() {
    Suite::test_all(Empty).unwrap();
}
