//! How many asks what is wanted of a shard at a time goes in (L2).

use std::sync::{Arc, Mutex};

use cluster::{Actor, Address, Asked, BoxError, Door, child, start_root};
use domain::policy::TimeUnit;

use super::refiller_tests::Gateway;
use crate::traffic_manager::message::LeaseMany;
use crate::traffic_manager::{DEADLINE, Node, TrafficManagerHandle, key, shard_of};

const KEYS: usize = 48;

/// How many keys each ask was of.
type Sizes = Arc<Mutex<Vec<usize>>>;

/// Stands between a gateway and the owner, and counts.
struct Between {
    sizes: Sizes,
    owner: TrafficManagerHandle,
}

impl Actor for Between {
    type Message = Asked<LeaseMany>;
    type Arguments = (Sizes, TrafficManagerHandle);
    const KIND: &'static str = "test.counts";

    async fn start(
        (sizes, owner): Self::Arguments,
        _: Address<Asked<LeaseMany>>,
    ) -> Result<Self, BoxError> {
        Ok(Self { sizes, owner })
    }

    async fn handle(&mut self, asked: Asked<LeaseMany>) -> Result<(), BoxError> {
        let Asked { request, reply } = asked;
        self.sizes.lock().unwrap().push(request.asks.len());
        if let Ok(leased) = self.owner.lease(request).await {
            reply.send(leased);
        }
        Ok(())
    }
}

#[tokio::test]
async fn keys_of_one_shard_that_are_wanted_at_a_time_go_in_two_asks() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 600, TimeUnit::Day).await;
    let sizes = Sizes::default();
    let arguments = (Arc::clone(&sizes), node.traffic.clone());
    let (address, between) = child::<Between>(&node.system, "counts", arguments);
    let door = Door::local(&node.system, address, |asked| asked, Some);
    let between = start_root(&node.system, vec![between]).await.unwrap();
    let gateway = Gateway::asking(&node, "gw1", node.traffic.asked_through(door)).await;
    let all = (0..).map(|number: u32| key("day", &number.to_string()));
    let shard = shard_of(&key("day", "0"));
    let of_one_shard = all.filter(|key| shard_of(key) == shard);
    let keys: Vec<_> = of_one_shard.take(KEYS).collect();
    let mut slots = Vec::new();
    for key in &keys {
        slots.push(gateway.slot(key).await);
    }
    assert!(sizes.lock().unwrap().is_empty());
    for slot in &slots {
        gateway.refill(slot, 1);
    }
    for key in &keys {
        gateway.until(key, |slot| slot.lease.at_hand() > 0).await;
    }
    // The first one at once; what is wanted while it is under way waits for its answer, and goes together.
    assert_eq!(*sizes.lock().unwrap(), [1, KEYS - 1]);
    for root in [gateway.root, between, node.root] {
        root.stop(DEADLINE).await;
    }
}
