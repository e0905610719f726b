//! The public halves of all nodes' signing keys lie in API-M: each node signs with keys of its own,
//! whose private halves never leave it, and checks what the others have signed.
//!
//! A change of the set has an entry in the change log: gateways then ask anew for what they have
//! cached, and a key manager that answers them at that entry has read the keys as they were at it.

use domain::api::SUPER_TENANT;
use domain::change::Change;
use domain::token;
use storage::apim::snapshots::{self, Section};
use storage::apim::verification_keys::{self, VerificationKey};
use storage::apim::{grants, revocations};
use storage::{Read, StoreError};

use super::desk::{Desk, new_id};

/// How often a node says that it still has its keys.
const RENEWED_MS: i64 = 86_400_000;

impl Desk {
    /// Tells the others of this node's keys, which are all of its keys, and learns theirs.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn share_keys(&self, node: &str) -> Result<(), StoreError> {
        // Set once: a node stays who it is.
        let _ = self.node.set(node.to_owned());
        self.name_keys(node, false).await?;
        self.learn_keys().await
    }

    /// Learns the others' keys, says again that this node has its own before that is forgotten, and
    /// forgets those whose last tokens have ended since a node named them. Keys that somebody has
    /// deleted by hand are told of as well: gateways verify by what the log says.
    pub(super) async fn keep_keys(&self) -> Result<(), StoreError> {
        let mut read = self.apim.read().await?;
        let known = self.learn_keys_in(&mut read).await?;
        let is_told = self.told(&mut read).await?.as_ref() == Some(&key_set(&texts(&known)));
        drop(read);
        let Some(node) = self.node.get() else {
            return Ok(());
        };
        if is_told && !self.are_keys_due(&known).await? {
            return Ok(());
        }
        if let Some(n) = self.name_keys(node, !is_told).await? {
            self.learn_keys().await?;
            drop(self.feed.committed(n).await);
        }
        Ok(())
    }

    /// Learns the others' keys if anything was changed since that was done last.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn learn_news(&self) -> Result<(), StoreError> {
        let mut read = self.apim.read().await?;
        let head = grants::head(&mut read).await?;
        if self.keys.are_older_than(head) {
            self.learn_keys_in(&mut read).await?;
        }
        Ok(())
    }

    /// Learns the others' keys and forgets those that they no longer have.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn learn_keys(&self) -> Result<(), StoreError> {
        let mut read = self.apim.read().await?;
        self.learn_keys_in(&mut read).await.map(drop)
    }

    /// The same in a view that is open already; gives all keys.
    pub(super) async fn learn_keys_in(
        &self,
        read: &mut Read,
    ) -> Result<Vec<VerificationKey>, StoreError> {
        let head = grants::head(read).await?;
        let keys = verification_keys::list(read).await?;
        self.keys.learn(head, texts(&keys));
        Ok(keys)
    }

    /// Learns the others' keys where this token may be of one that came since that was done last. What was changed since
    /// then is always looked at: who revokes a newcomer's token is heard whatever others invent meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn learn_for(&self, token: &str) -> Result<(), StoreError> {
        if !self.is_of_unknown_key([token]) {
            return Ok(());
        }
        self.learn_news().await?;
        if self.may_look_for([token]) {
            self.learn_keys().await?;
        }
        Ok(())
    }

    /// Whether one of these was signed by a key that is not known here, and nobody has looked for such a one lately.
    pub(super) fn may_look_for<'a>(&self, tokens: impl IntoIterator<Item = &'a str>) -> bool {
        self.is_of_unknown_key(tokens) && self.keys.may_look(self.clock.monotonic())
    }

    /// Whether one of these was signed by a key that is not known here: that of a node that came
    /// meanwhile, whose key was there before its tokens were. Whatever is no token was not.
    fn is_of_unknown_key<'a>(&self, tokens: impl IntoIterator<Item = &'a str>) -> bool {
        let mut parsed = tokens
            .into_iter()
            .filter_map(|text| token::parse(text).ok());
        parsed.any(|token| !self.keys.knows(&token.key_id))
    }

    /// Which keys the log says there are.
    async fn told(&self, read: &mut Read) -> Result<Option<String>, StoreError> {
        let mut documents = self.shared.read().await?;
        // There is one set a tenant.
        let bounds = (1, 1);
        let told = snapshots::list(read, &mut documents, Section::Keys, &[], bounds, 0).await?;
        let mut ours = told
            .items
            .into_iter()
            .filter(|item| item.tenant == SUPER_TENANT);
        Ok(ours.find_map(|item| match item.change {
            Change::VerificationKeysChanged { jwks } => Some(jwks),
            _ => None,
        }))
    }

    /// Names this node's keys, and forgets those that nobody names any more. Gives the entry when
    /// that has changed which keys there are, or the log does not say it as it is.
    async fn name_keys(&self, node: &str, untold: bool) -> Result<Option<u64>, StoreError> {
        let mut write = self.apim.write("apim.verification_keys.save").await?;
        verification_keys::lock(&mut write).await?;
        let before = texts(&verification_keys::list_locked(&mut write).await?);
        let own = self.clock.now_ms();
        let now = write.moment_ms(own).await?;
        // Before a token is signed with the key, or has its life from this configuration.
        let longest = self.settings.longest_seconds();
        revocations::raise_longest_life(&mut write, longest).await?;
        verification_keys::delete_of_node(&mut write, node).await?;
        for (id, key) in self.keys.own_public() {
            verification_keys::save(&mut write, node, (id, &key), now).await?;
        }
        verification_keys::delete_before(&mut write, self.forgotten_before(now)).await?;
        let after = texts(&verification_keys::list_locked(&mut write).await?);
        if before == after && !untold {
            write.commit().await?;
            return Ok(None);
        }
        let jwks = key_set(&after);
        let changes = [Change::VerificationKeysChanged { jwks }];
        let committed = write.commit_with(SUPER_TENANT, &changes, new_id, own);
        committed.await.map(Some)
    }

    /// Whether it is time to [`Desk::name_keys`]. A key that two nodes have is named by either.
    async fn are_keys_due(&self, known: &[VerificationKey]) -> Result<bool, StoreError> {
        let now = self.moment().await?;
        let renewed_after = now.saturating_sub(RENEWED_MS);
        let is_fresh = |id: &str| {
            known
                .iter()
                .any(|key| key.kid == id && key.renewed_at_ms > renewed_after)
        };
        let mut own = self.keys.own_public();
        let forgotten_before = self.forgotten_before(now);
        Ok(own.any(|(id, _)| !is_fresh(id))
            || known.iter().any(|key| key.renewed_at_ms < forgotten_before))
    }

    /// A key that no node has named since then has signed nothing that is still good: a node names
    /// its own once a day, and has another day for it.
    fn forgotten_before(&self, now_ms: i64) -> i64 {
        let signed_ms = self.settings.longest_signed_seconds().saturating_mul(1_000);
        now_ms
            .saturating_sub(signed_ms)
            .saturating_sub(2 * RENEWED_MS)
    }
}

fn key_set(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn texts(keys: &[VerificationKey]) -> Vec<String> {
    keys.iter().map(|key| key.jwk.clone()).collect()
}
