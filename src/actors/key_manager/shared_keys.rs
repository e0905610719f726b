//! The public halves of all nodes' signing keys lie in API-M: each node signs with keys of its own,
//! whose private halves never leave it, and checks what the others have signed.

use domain::token;
use storage::apim::verification_keys;
use storage::{Read, StoreError};

use super::desk::Desk;

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

    /// Learns the others' keys and forgets those that they no longer have.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn learn_keys(&self) -> Result<(), StoreError> {
        let mut read = self.apim.read().await?;
        self.learn_keys_in(&mut read).await
    }

    /// Whether one of these was signed by a key that is not known here: that of a node that came
    /// meanwhile, whose key was there before its tokens were. Whatever is no token was not.
    pub(super) fn is_of_unknown_key<'a>(&self, tokens: impl IntoIterator<Item = &'a str>) -> bool {
        let mut parsed = tokens
            .into_iter()
            .filter_map(|text| token::parse(text).ok());
        parsed.any(|token| !self.keys.knows(&token.key_id))
    }

    /// The same in a view that is open already.
    pub(super) async fn learn_keys_in(&self, read: &mut Read) -> Result<(), StoreError> {
        let keys = verification_keys::list(read).await?;
        self.keys.learn(&keys);
        Ok(())
    }
}
