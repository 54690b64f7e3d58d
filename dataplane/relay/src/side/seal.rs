//! Seals the last good state on disk: it holds private keys. AES-256-GCM under a key that never leaves the state folder, so
//! that a copy of the file alone (a backup, a disk image without the key) says nothing, and a changed one is noticed.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::disk::Folder;

/// The sealing key.
#[derive(Debug)]
pub(crate) struct Seal {
    key: LessSafeKey,
}

/// A file that this key did not seal, or not like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the saved state is damaged, changed, or sealed with another key")]
pub(crate) struct Unsealable;

impl Seal {
    /// The folder's key; made when there is none.
    pub(crate) fn load_or_make(folder: &Folder) -> io::Result<Self> {
        let key = match folder.read(KEY_FILE, KEY_BYTES)? {
            Some(key) => Zeroizing::new(key),
            None => make_key(folder)?,
        };
        let key =
            UnboundKey::new(&AES_256_GCM, &key).map_err(|_| io::Error::other(format!("{KEY_FILE} is damaged")))?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// Seals `plain`, which is overwritten.
    pub(crate) fn seal(&self, mut plain: Zeroizing<Vec<u8>>) -> io::Result<Vec<u8>> {
        // A random nonce: 2³² seals stay far below its collision bound, and a state is saved at most every 200 ms.
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| io::Error::other("no randomness"))?;
        let tag =
            self.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(MAGIC), &mut plain);
        let tag = tag.map_err(|_| io::Error::other("the state cannot be sealed"))?;
        Ok([MAGIC, &nonce, plain.as_slice(), tag.as_ref()].concat())
    }

    /// The reverse.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (nonce, sealed) =
            sealed.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<NONCE_LEN>()).ok_or(Unsealable)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(MAGIC), &mut sealed);
        let length = opened.map_err(|_| Unsealable)?.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

fn make_key(folder: &Folder) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
    rand::fill(&mut key).map_err(|_| io::Error::other("no randomness"))?;
    folder.replace(KEY_FILE, &key)?;
    Ok(key)
}

const KEY_FILE: &str = "state.key";
const KEY_BYTES: usize = 32;
/// Begins every sealed file, and is authenticated with it.
const MAGIC: &[u8] = b"postern-relay-state/1\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn seal_in(folder: &Folder) -> (Seal, Vec<u8>) {
        let seal = Seal::load_or_make(folder).unwrap();
        let sealed = seal.seal(Zeroizing::new(b"a private key".to_vec())).unwrap();
        (seal, sealed)
    }

    #[test]
    fn what_was_sealed_opens_with_the_folders_key_only() {
        let (held, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (_, sealed) = seal_in(&Folder::new(held.path()));
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        let again = Seal::load_or_make(&Folder::new(held.path())).unwrap();
        assert_eq!(again.open(&sealed).unwrap().as_slice(), b"a private key");
        assert_eq!(seal_in(&Folder::new(other.path())).0.open(&sealed), Err(Unsealable));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let held = tempfile::tempdir().unwrap();
        let (seal, sealed) = seal_in(&Folder::new(held.path()));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed), Err(Unsealable), "byte {at}");
            assert_eq!(seal.open(&sealed[..at]), Err(Unsealable), "cut at {at}");
        }
    }
}
