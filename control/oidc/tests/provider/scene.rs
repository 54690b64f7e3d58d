//! A running provider, our side of it, and a browser.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use postern_model::secret::SecretText;
use postern_oidc::{Callback, ExternalUser, Pending, Provider, ProviderSettings, SignInFailure, SignInWish};
use postern_tests::openid_provider::{self, OpenidProvider, Setup};
use postern_tests::pass_over;
use postern_tests::user_agent::{Person, UserAgent};
use tokio::runtime::Runtime;

/// Nothing listens there: the browser stops before it would be sent there.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:1/cb";

pub(crate) struct Scene {
    pub(crate) real: OpenidProvider,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) program: PathBuf,
    runtime: Runtime,
}

/// `None`: there is no provider here, and the test passes over.
pub(crate) fn scene(setup: &Setup<'_>) -> Option<Scene> {
    let Some(program) = openid_provider::program() else {
        pass_over("no OpenID provider: cargo xtask test, as root, installs one");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let real = OpenidProvider::start(&program, folder.path(), setup).unwrap();
    Some(Scene { real, folder, program, runtime: runtime() })
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn settings(issuer: &str, client_id: &str, secret: Option<&str>) -> ProviderSettings {
    let secret = secret.map(|secret| SecretText::new(secret.into()));
    let mut settings = ProviderSettings::new("example".parse().unwrap(), issuer, client_id, secret);
    settings.insecure_loopback = true;
    settings
}

/// The client that most tests are.
pub(crate) fn proxy(issuer: &str) -> Provider {
    Provider::new(settings(issuer, "proxy", Some("proxy-secret"))).unwrap()
}

pub(crate) fn wish() -> SignInWish {
    SignInWish { redirect_uri: CALLBACK.into(), ..SignInWish::default() }
}

/// The query of an address that the browser came back with.
pub(crate) fn query(address: &str) -> &str {
    address.split_once('?').unwrap().1
}

pub(crate) fn callback(address: &str) -> Callback {
    Callback::parse(query(address)).unwrap()
}

impl Scene {
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn begin(&self, provider: &Provider, wish: &SignInWish) -> (String, Pending) {
        let (url, pending) = self.run(provider.begin(wish, now())).unwrap();
        (url.into(), pending)
    }

    /// Begins, and lets the person sign in at the provider: the address that the browser comes back with.
    pub(crate) fn come_back(&self, provider: &Provider, wish: &SignInWish, who: Person<'_>) -> (String, Pending) {
        let (url, pending) = self.begin(provider, wish);
        (UserAgent::new().sign_in(&url, CALLBACK, who).unwrap(), pending)
    }

    pub(crate) fn finish(
        &self,
        provider: &Provider,
        pending: Pending,
        address: &str,
    ) -> Result<ExternalUser, SignInFailure> {
        self.run(provider.finish(pending, &callback(address), now()))
    }

    /// The whole way.
    pub(crate) fn sign_in(&self, provider: &Provider, who: Person<'_>) -> Result<ExternalUser, SignInFailure> {
        let (url, pending) = self.run(provider.begin(&wish(), now()))?;
        let address = UserAgent::new().sign_in(url.as_str(), CALLBACK, who).unwrap();
        self.finish(provider, pending, &address)
    }
}
