//! The place's own key for Kerberos, and the threads that verify tickets with it. Control never sees the one or the other.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use postern_service::secret;
use postern_sso::acceptance::Acceptance;
use tokio::sync::Semaphore;

use crate::args::KerberosKey;
use crate::negotiate::Accepted;

/// What verifies tickets.
pub(crate) struct Acceptor {
    acceptance: Arc<Acceptance>,
    places: Semaphore,
}

impl Acceptor {
    /// With the key that the command line names. One that is there and no good is told, and may become good.
    pub(crate) fn open(key: &KerberosKey, state_dir: &Path) -> anyhow::Result<Self> {
        let KerberosKey { keytab, principal } = key;
        std::fs::File::open(keytab).with_context(|| format!("cannot read the keytab {}", keytab.display()))?;
        if let Some(warning) = secret::exposure(keytab) {
            tracing::warn!(path = %keytab.display(), "{warning}");
        }
        let acceptance = Acceptance::new(keytab, principal, &state_dir.join(REPLAYS_FILE))?;
        match acceptance.check() {
            Ok(()) => tracing::info!(principal, "Kerberos: the keytab is good"),
            Err(failure) => tracing::error!(principal, "Kerberos: nobody can sign in by a ticket: {failure}"),
        }
        Ok(Self { acceptance: Arc::new(acceptance), places: Semaphore::new(AT_ONCE_MAX) })
    }

    /// Whose ticket it is; `None`: it is not good. On a thread of its own, since files are read and written for it.
    pub(crate) async fn accept(&self, token: Vec<u8>) -> Option<Accepted> {
        let _place = self.places.acquire().await.ok()?;
        let acceptance = Arc::clone(&self.acceptance);
        let accepted = tokio::task::spawn_blocking(move || acceptance.accept(&token)).await.ok()?;
        let accepted =
            accepted.inspect_err(|refused| tracing::warn!("a Kerberos ticket is refused: {}", refused.words));
        accepted.ok().map(|accepted| Accepted { principal: accepted.principal, answer: accepted.answer })
    }
}

const REPLAYS_FILE: &str = "kerberos-replays";
/// Tickets that are verified at the same time; a browser waits for its turn, milliseconds.
const AT_ONCE_MAX: usize = 2;
