//! The public halves of all nodes' signing keys lie in API-M: each node signs with keys of its own,
//! whose private halves never leave it, and checks what the others have signed.

use std::sync::atomic::Ordering;

use domain::token;
use storage::StoreError;
use storage::apim::verification_keys;

use super::desk::Desk;

/// A key that nobody knows is looked for at most so often, milliseconds.
const LOOK_MS: i64 = 1_000;

impl Desk {
    /// Tells the others of this node's keys, which are all of its keys, and learns theirs.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn share_keys(&self, node: &str) -> Result<(), StoreError> {
        let mut write = self.apim.write("apim.verification_keys.save").await?;
        verification_keys::delete_of_node(&mut write, node).await?;
        for (id, key) in self.keys.own_public() {
            let now = self.clock.now_ms();
            verification_keys::save(&mut write, node, (id, &key), now).await?;
        }
        write.commit().await?;
        self.learn_keys().await
    }

    pub(super) async fn learn_keys(&self) -> Result<(), StoreError> {
        let mut read = self.apim.read().await?;
        let keys = verification_keys::list(&mut read).await?;
        self.keys.learn(&keys);
        Ok(())
    }

    /// A token of a node that came meanwhile: its key is there before its tokens are.
    pub(super) async fn learn_key_of(&self, text: &str) -> Result<(), StoreError> {
        let known = token::parse(text).map(|parsed| self.keys.knows(&parsed.key_id));
        // What is no token, or of a key that is known, needs no look.
        if known.unwrap_or(true) {
            return Ok(());
        }
        let now = self.clock.now_ms();
        let last = self.keys_looked_ms.swap(now, Ordering::Relaxed);
        if (last..last.saturating_add(LOOK_MS)).contains(&now) {
            // Not this time; the time of the look counts.
            self.keys_looked_ms.store(last, Ordering::Relaxed);
            return Ok(());
        }
        self.learn_keys().await
    }
}
