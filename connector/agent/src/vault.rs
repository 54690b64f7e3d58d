//! The key of the password vault, and the credentials of an application, opened when they are first needed. What is open stays in
//! memory as long as the configuration that brought it is in force, and is shown to nothing but the backend it was sealed for.

pub(crate) mod gate;
pub(crate) mod sessions;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use postern_model::app_url::InternalUrl;
use postern_model::group_config::BackendApp;
use postern_model::ids::{AppId, UserId};
use postern_model::vault::{Credential, Fingerprint, Login, NotOpened, Owner, Purpose, Sealed, VaultSecretKey, origin};
use postern_service::failure::{Failure, OrFail as _};
use postern_service::secret;
use postern_tunnel::SsoLogin;

use crate::failure::{Failed, Fault};
use gate::Gate;
use sessions::Sessions;

/// The keys, how often what they open may be tried, and where it has signed users on.
#[derive(Debug)]
pub(crate) struct Vault {
    keys: Vec<(Fingerprint, VaultSecretKey)>,
    pub(crate) gate: Gate,
    pub(crate) sessions: Sessions,
}

/// The credentials of one application.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    sealed: HashMap<Owner, Credential>,
    origin: String,
    opened: Mutex<HashMap<Owner, Arc<Login>>>,
}

/// A credential of the one who asks.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Who asks.
    pub(crate) user: UserId,
    /// Their own, or the one that all share.
    pub(crate) owner: Owner,
    pub(crate) login: Arc<Login>,
    /// Another one has other bytes.
    pub(crate) sealed: Sealed,
}

impl Vault {
    /// Reads the key file.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        if let Some(warning) = secret::exposure(path) {
            tracing::warn!(path = %path.display(), "{warning}");
        }
        let text = secret::read_text(path)?;
        let keys = VaultSecretKey::parse_file(&text).or_fail("vault-key-invalid", || path.display().to_string())?;
        let vault = Self::new(keys).or_fail("vault-key-invalid", || path.display().to_string())?;
        for (fingerprint, _) in &vault.keys {
            tracing::info!(%fingerprint, "vault: credentials that are sealed to this key can be opened");
        }
        Ok(vault)
    }

    pub(crate) fn new(keys: Vec<VaultSecretKey>) -> Result<Self, postern_model::vault::KeyInvalid> {
        let keys = keys.into_iter().map(|key| Ok((key.public()?.fingerprint(), key))).collect::<Result<_, _>>()?;
        Ok(Self { keys, gate: Gate::default(), sessions: Sessions::default() })
    }

    fn open(&self, credential: &Credential, purpose: &Purpose) -> Result<Login, NotOpened> {
        let Some((_, key)) = self.keys.iter().find(|(fingerprint, _)| *fingerprint == credential.key) else {
            let held: Vec<String> = self.keys.iter().map(|(fingerprint, _)| fingerprint.to_string()).collect();
            return Err(NotOpened::OtherKey { wanted: credential.key, held: held.join(", ") });
        };
        key.open(credential, purpose)
    }
}

impl Credentials {
    /// How many are sealed to a key that is held, of all there are.
    pub(crate) fn that_open_with(&self, vault: &Vault) -> (usize, usize) {
        let held = |credential: &&Credential| vault.keys.iter().any(|(fingerprint, _)| *fingerprint == credential.key);
        (self.sealed.values().filter(held).count(), self.sealed.len())
    }

    pub(crate) fn of(app: &BackendApp, internal: &InternalUrl) -> Self {
        let sealed = app.credentials.iter().map(|held| (held.purpose.owner, held.clone())).collect();
        Self { sealed, origin: origin(internal), opened: Mutex::default() }
    }

    /// The credential of whom the relay names: their own, or the one that all share. It is opened for this application, that
    /// user and this backend, whatever it says of itself.
    pub(crate) fn find(&self, vault: Option<&Vault>, app: AppId, login: Option<&SsoLogin>) -> Result<Found, Failed> {
        let unavailable = |detail: &str| Failed::new(Fault::SsoUnavailable, detail).unprocessed();
        let login = login.ok_or_else(|| unavailable("the relay did not say whom to sign on: update it"))?;
        let user: UserId = login.shared().parse().map_err(|_| unavailable("the relay named no user by an id"))?;
        if user.tenant != app.tenant {
            return Err(unavailable("the relay named a user of another tenant"));
        }
        let vault =
            vault.ok_or_else(|| unavailable("this connector has no key of the vault: start it with --vault-key"))?;
        let held = [Owner::User(user), Owner::Shared].into_iter().find_map(|owner| self.sealed.get(&owner));
        let Some(held) = held else {
            let detail = format!("the vault has no credential of {user} for {app}, and none that all share");
            return Err(Failed::new(Fault::SsoCredentialMissing, detail));
        };
        let owner = held.purpose.owner;
        let stale =
            |error: NotOpened| Failed::new(Fault::SsoCredentialStale, format!("{owner}: {error}")).unprocessed();
        let login = self.opened(vault, app, held).map_err(stale)?;
        Ok(Found { user, owner, login, sealed: held.sealed.clone() })
    }

    fn opened(&self, vault: &Vault, app: AppId, held: &Credential) -> Result<Arc<Login>, NotOpened> {
        let owner = held.purpose.owner;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(login) = opened.get(&owner) {
            return Ok(Arc::clone(login));
        }
        let purpose = Purpose { app, owner, origin: self.origin.clone() };
        let login = Arc::new(vault.open(held, &purpose)?);
        opened.insert(owner, Arc::clone(&login));
        Ok(login)
    }
}
