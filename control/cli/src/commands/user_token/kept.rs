//! Where logins are kept: one file that its owner alone reads, and a lock beside it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

/// A user's access to one application.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Login {
    /// Its external URL.
    pub(super) app: Url,
    pub(super) client: String,
    pub(super) token_endpoint: Url,
    pub(super) revocation_endpoint: Url,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) connect_to: Option<SocketAddr>,
    pub(super) access_token: SecretText,
    pub(super) refresh_token: SecretText,
    /// Of the access token.
    pub(super) expires_unix: u64,
}

/// All of a user's, locked as long as this lives.
pub(super) struct Kept {
    file: PathBuf,
    logins: Vec<Login>,
    _lock: File,
}

impl Kept {
    /// Waits until nobody else has them.
    pub(super) fn open() -> Result<Self> {
        Self::open_in(&folder()?)
    }

    fn open_in(folder: &Path) -> Result<Self> {
        let unusable = |error: std::io::Error| Failure::new(format!("{}: {error}", folder.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join("lock"));
        let lock = lock.and_then(|lock| lock.lock().map(|()| lock)).map_err(unusable)?;
        let file = folder.join("logins.json");
        let logins = match fs::symlink_metadata(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Ok(_) | Err(_) => {
                if let Some(exposed) = secret::exposure(&file) {
                    return Err(Failure::new(exposed).into());
                }
                let text = secret::read_text(&file)?;
                serde_json::from_str(&text).map_err(|error| {
                    let (line, column) = (error.line(), error.column());
                    let what = format!("{} is damaged at line {line}:{column}", file.display());
                    Failure::new(what).cure("remove it, and sign in again")
                })?
            }
        };
        Ok(Self { file, logins, _lock: lock })
    }

    /// The login for the application that an address is in: of two, the nearer one.
    pub(super) fn of(&self, url: &Url) -> Result<&Login> {
        let near = self.logins.iter().filter(|login| covers(&login.app, url));
        let found = near.max_by_key(|login| login.app.path().len());
        let none = || {
            Failure::new(format!("nobody is signed in for {url}"))
                .cure(format!("postern access login {url} --client CLIENT_ID"))
        };
        Ok(found.ok_or_else(none)?)
    }

    pub(super) fn put(&mut self, login: Login) -> Result<()> {
        self.logins.retain(|other| other.app != login.app);
        self.logins.push(login);
        self.write()
    }

    pub(super) fn remove(&mut self, app: &Url) -> Result<()> {
        self.logins.retain(|login| login.app != *app);
        self.write()
    }

    fn write(&self) -> Result<()> {
        let text = Zeroizing::new(serde_json::to_vec(&self.logins)?);
        let failed = |error| Failure::new(format!("cannot write {}: {error}", self.file.display()));
        Ok(secret::write(&self.file, &text).map_err(failed)?)
    }
}

/// Whether an address is one of the application's: the same origin, and its path or below.
pub(super) fn covers(app: &Url, url: &Url) -> bool {
    let base = app.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(base);
    app.origin() == url.origin() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn folder() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let none = || Failure::new("there is no home to keep tokens in").cure("set HOME or XDG_STATE_HOME");
    Ok(state.ok_or_else(none)?.join("postern/access"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn login(app: &str) -> Login {
        Login {
            app: app.parse().unwrap(),
            client: "oc1-1".into(),
            token_endpoint: "https://login.example.com/oauth/token".parse().unwrap(),
            revocation_endpoint: "https://login.example.com/oauth/revoke".parse().unwrap(),
            ca: None,
            connect_to: None,
            access_token: SecretText::new("a".into()),
            refresh_token: SecretText::new(format!("of {app}")),
            expires_unix: 1,
        }
    }

    #[test]
    fn logins_are_kept_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("postern/access");
        let mut kept = Kept::open_in(&at).unwrap();
        kept.put(login("https://a.example.com/")).unwrap();
        kept.put(login("https://a.example.com/wiki")).unwrap();
        drop(kept);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&at), mode(&at.join("logins.json")), mode(&at.join("lock"))), (0o700, 0o600, 0o600));
        let kept = Kept::open_in(&at).unwrap();
        let of = |url: &str| kept.of(&url.parse().unwrap()).map(|login| login.refresh_token.expose().to_owned()).ok();
        assert_eq!(of("https://a.example.com/wiki/x?y").as_deref(), Some("of https://a.example.com/wiki"));
        assert_eq!(of("https://a.example.com/wikis").as_deref(), Some("of https://a.example.com/"));
        for other in ["https://b.example.com/", "https://a.example.com:8443/", "https://a.example.com.evil.example/"] {
            assert_eq!(of(other), None, "{other}");
        }
        drop(kept);
        fs::set_permissions(at.join("logins.json"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Kept::open_in(&at).is_err(), "others may read it");
    }
}
