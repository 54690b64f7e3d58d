//! The state this relay follows and the one it serves. They differ only while control's newest cannot be served: the relay
//! goes on with the last good one, which is also what is on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::config::Certificate;
use postern_model::delta::Delta;
use postern_model::ids::{CertificateId, RelayId};
use postern_model::plan::Plan;
use postern_model::snapshot::{DeltaError, Snapshot};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

/// Snapshot and what was made of it.
#[derive(Debug, Default)]
pub(crate) struct FollowedState {
    followed: Snapshot,
    /// Something was applied since the last [`FollowedState::settle`].
    unsettled: bool,
    /// What is followed could not be served.
    refused: bool,
    served: Served,
    certificates: BTreeMap<CertificateId, (Certificate, Arc<CertifiedKey>)>,
}

/// What is in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served {
    pub(crate) plan: Arc<Plan>,
    pub(crate) keys: BTreeMap<CertificateId, Arc<CertifiedKey>>,
}

/// What became of all that was applied since the last time.
#[derive(Debug)]
pub(crate) enum Settled {
    /// Nothing was.
    Unchanged,
    /// It is to be served from now on.
    Serve,
    /// It cannot be served; what was served before still is.
    Refused { version: u64, reason: String },
}

/// What is kept on disk, sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved<S> {
    pub(crate) relay: Option<RelayId>,
    pub(crate) ca_pem: Option<String>,
    pub(crate) snapshot: S,
}

impl FollowedState {
    /// The version to go on from.
    pub(crate) fn version(&self) -> u64 {
        self.followed.version
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.followed
    }

    pub(crate) fn served(&self) -> &Served {
        &self.served
    }

    /// Whether what is followed is what is served. Versions do not tell: those of two histories may be equal.
    pub(crate) fn is_served(&self) -> bool {
        !self.refused && !self.unsettled
    }

    /// Starts over from a whole state.
    pub(crate) fn replace(&mut self, snapshot: Snapshot) {
        self.followed = snapshot;
        self.unsettled = true;
    }

    /// Takes out all that lets requests pass by right.
    pub(crate) fn bar(&mut self) {
        self.followed.bar();
        self.unsettled = true;
    }

    /// Takes the next change.
    ///
    /// # Errors
    /// When it does not follow: a whole state is needed then.
    pub(crate) fn apply(&mut self, delta: &Delta) -> Result<(), DeltaError> {
        self.followed.apply(delta)?;
        self.unsettled = true;
        Ok(())
    }

    /// Checks what was applied as a whole, and serves it if it can be served.
    pub(crate) fn settle(&mut self) -> Settled {
        if !std::mem::take(&mut self.unsettled) {
            return Settled::Unchanged;
        }
        let version = self.followed.version;
        match self.build() {
            Ok(served) => {
                self.served = served;
                self.refused = false;
                Settled::Serve
            }
            Err(reason) => {
                self.refused = true;
                Settled::Refused { version, reason }
            }
        }
    }

    fn build(&mut self) -> Result<Served, String> {
        let plan = Arc::new(Plan::build(&self.followed).map_err(|error| error.to_string())?);
        let mut certificates = BTreeMap::new();
        for (id, certificate) in &self.followed.certificates {
            // Parsing keys is the dear part of a change; most changes touch none.
            let known = self.certificates.get(id).filter(|(known, _)| known == certificate);
            let key = match known {
                Some((_, key)) => Arc::clone(key),
                None => Arc::new(certified(certificate).map_err(|reason| format!("certificate {id}: {reason}"))?),
            };
            certificates.insert(*id, (certificate.clone(), key));
        }
        self.certificates = certificates;
        let keys = self.certificates.iter().map(|(id, (_, key))| (*id, Arc::clone(key))).collect();
        Ok(Served { plan, keys })
    }
}

fn certified(certificate: &Certificate) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect();
    let chain = chain.map_err(|_| "the chain cannot be read")?;
    let key =
        PrivateKeyDer::from_pem_slice(certificate.key_pem.expose().as_bytes()).map_err(|_| "the key cannot be read")?;
    let mut key =
        CertifiedKey::new(chain, any_supported_type(&key).map_err(|_| "the key is of a kind that cannot be used")?);
    key.ocsp = certificate.staple.as_ref().and_then(|staple| STANDARD.decode(&staple.response).ok());
    match key.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(String::from("the key is not the certificate's"))
        }
        Ok(()) | Err(_) => Ok(key), // a key whose public half cannot be told is taken at its word
    }
}
