//! One Argon2id hash, in memory that is lent and comes back. An allocator keeps a freed block of
//! this size with each thread that ever had one; what is lent again bounds the whole.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq as _;

use super::passwords::HashError;

/// Memory of one hash in KiB: 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Bytes of a hash.
const LENGTH: usize = 32;

/// The memory of hashes that are not being computed.
#[derive(Default)]
pub(super) struct Memory(Mutex<Vec<Vec<Block>>>);

// === impl Memory ===

impl Memory {
    /// Blocks held while nothing is computed.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lock().iter().map(Vec::capacity).sum()
    }

    fn lend<T>(&self, count: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
        let mut blocks = self.lock().pop().unwrap_or_default();
        if blocks.len() < count {
            blocks.resize(count, Block::new());
        }
        let done = work(blocks.get_mut(..count).unwrap_or_default());
        self.lock().push(blocks);
        done
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

/// Hashes a password with a salt of its own; gives the hash in its string form.
pub(super) fn hash(memory: &Memory, password: &str) -> Result<String, HashError> {
    let params = Params::new(MEMORY_KIB, 2, 1, None).unwrap_or_default();
    let written = ParamsString::try_from(&params).map_err(|_| HashError)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = Salt::generate();
    let mut out = [0; LENGTH];
    compute(memory, &argon, password, &salt, &mut out)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: written,
        salt: Some(salt),
        hash: Some(Output::new(&out).map_err(|_| HashError)?),
    };
    Ok(hash.to_string())
}

/// Whether a password is the one behind a hash.
pub(super) fn verify(memory: &Memory, password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str());
    let version = hash.version.map_or(Ok(Version::V0x13), Version::try_from);
    let (Ok(algorithm), Ok(version), Ok(params), Some(salt), Some(known)) = (
        algorithm,
        version,
        Params::try_from(&hash),
        &hash.salt,
        &hash.hash,
    ) else {
        return false;
    };
    let argon = Argon2::new(algorithm, version, params);
    let mut out = vec![0; known.len()];
    compute(memory, &argon, password, salt, &mut out).is_ok()
        && bool::from(out.ct_eq(known.as_bytes()))
}

fn compute(
    memory: &Memory,
    argon: &Argon2<'_>,
    password: &str,
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), HashError> {
    let done = memory.lend(argon.params().block_count(), |blocks| {
        argon.hash_password_into_with_memory(password.as_bytes(), salt, out, blocks)
    });
    done.map_err(|_| HashError)
}
