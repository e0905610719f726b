//! When a leader says that it is there. openraft's own clock says it once for each span that it lets an answer take, so
//! that a leader could be heard often or voters be far away from each other, but not both.

use tokio::time::sleep;

use super::timing::RegisterTiming;
use super::types::Raft;

/// Says it again and again, where this node leads; ends with the register.
///
/// Where it does not lead openraft looks at the word and drops it: that shows that it does not hang.
pub(crate) async fn say_so(raft: Raft, timing: RegisterTiming) {
    loop {
        sleep(timing.heartbeat).await;
        if raft.trigger().heartbeat().await.is_err() {
            return;
        }
        // Not the next before it has looked at this one: while its disk hangs they would only pile up.
        if raft.with_raft_state(|_| ()).await.is_err() {
            return;
        }
    }
}
