//! What the command line, files and the environment say about proxies, made into proxies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_model::ids::Name;
use postern_model::proxy::{Choice, Given, ProxyLogin, ProxyUrl, basic};
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret;
use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::{Proxies, Proxy, ToRelays};
use crate::args::ProxyOptions;
use crate::limits::BACKEND_PROXIES_MAX;

impl Proxies {
    /// Reads passwords and certificates. `environment` looks a variable up.
    ///
    /// # Errors
    /// What is said and cannot be done: nothing goes past a proxy because of a mistake.
    pub(crate) fn load(options: &ProxyOptions, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let args = &options.relays;
        let roots = args.proxy_ca.as_deref().map(roots).transpose()?;
        let (proxy, no_proxy) = (args.proxy.as_deref(), args.no_proxy.as_deref());
        let chosen = Choice::make(Given { proxy, no_proxy, environment });
        let relays = match chosen.map_err(|invalid| Failure::new(invalid.to_string()))? {
            Some(Choice { url, except, by }) => {
                let proxy = proxy_of(by, url, args.proxy_password_file.as_deref(), roots.as_ref())?;
                tracing::info!(proxy = %proxy.address, by, "relays are dialled through a proxy");
                Some(ToRelays { proxy, except })
            }
            None if args.proxy_password_file.is_some() => {
                let failure = Failure::new("--proxy-password-file: no proxy is named that it could be for");
                return Err(failure.cure("name it: --proxy http://USER@HOST:PORT"));
            }
            None => None,
        };
        let named = named(options, roots.as_ref())?;
        Ok(Self { relays, named, roots })
    }
}

fn named(options: &ProxyOptions, roots: Option<&Arc<RootCertStore>>) -> Result<Vec<(Name, Arc<Proxy>)>, Failure> {
    if options.backends.len() > BACKEND_PROXIES_MAX {
        let count = options.backends.len();
        return Err(Failure::new(format!(
            "--backend-proxy is given {count} times, at most {BACKEND_PROXIES_MAX} are possible"
        )));
    }
    let mut passwords = Vec::new();
    for given in &options.backend_passwords {
        let (name, file) = split("--backend-proxy-password-file", "NAME=FILE", given)?;
        passwords.push((name, PathBuf::from(file)));
    }
    let mut named: Vec<(Name, Arc<Proxy>)> = Vec::new();
    for given in &options.backends {
        let (name, url) = split("--backend-proxy", "NAME=URL", given)?;
        let by = format!("--backend-proxy {name}");
        if named.iter().any(|(known, _)| *known == name) {
            return Err(Failure::new(format!("{by} is given twice")));
        }
        let url = ProxyUrl::parse(url).map_err(|invalid| Failure::new(format!("{by}: {invalid}")))?;
        if url.login.as_ref().is_some_and(|login| login.password.is_some()) {
            let failure = Failure::new(format!("{by}: a password does not belong into arguments"));
            return Err(failure.cure(format!("leave it out and give --backend-proxy-password-file {name}=FILE")));
        }
        let file = passwords.iter().position(|(of, _)| *of == name).map(|at| passwords.swap_remove(at).1);
        let proxy = proxy_of(&by, url, file.as_deref(), roots)?;
        named.push((name, proxy));
    }
    match passwords.first() {
        Some((name, _)) => {
            Err(Failure::new(format!("--backend-proxy-password-file {name}: no such proxy, or a second file for it")))
        }
        None => Ok(named),
    }
}

/// What was given may hold a password: it is not shown.
fn split<'a>(by: &str, form: &str, given: &'a str) -> Result<(Name, &'a str), Failure> {
    let wrong = || Failure::new(format!("{by}: write it as {form}, the name of a-z, 0-9 and -"));
    let (name, value) = given.split_once('=').ok_or_else(wrong)?;
    let name = name.parse().map_err(|_| wrong())?;
    if value.is_empty() { Err(wrong()) } else { Ok((name, value)) }
}

fn proxy_of(
    by: &str,
    url: ProxyUrl,
    password: Option<&Path>,
    roots: Option<&Arc<RootCertStore>>,
) -> Result<Arc<Proxy>, Failure> {
    let authorization = authorization(by, url.login, password)?;
    if authorization.is_some() && !url.address.tls {
        tracing::debug!(proxy = %url.address, "the password goes to this proxy in plain text");
    }
    let proxy = Proxy::new(url.address, authorization, roots);
    proxy.map(Arc::new).map_err(|why| Failure::new(format!("{by}: {why}")))
}

fn authorization(
    by: &str,
    login: Option<ProxyLogin>,
    file: Option<&Path>,
) -> Result<Option<Zeroizing<String>>, Failure> {
    let (user, password) = match (login, file) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            let failure = Failure::new(format!("{by}: there is a password and no user name"));
            return Err(failure.cure("name the user: http://USER@HOST:PORT"));
        }
        (Some(login), Some(file)) => {
            let text = secret::read_text(file)?;
            (login.user, SecretText::new(text.as_str().to_owned()))
        }
        (Some(ProxyLogin { user, password: Some(password) }), None) => (user, password),
        (Some(ProxyLogin { user, password: None }), None) => {
            let failure = Failure::new(format!("{by}: there is no password for {user:?}"));
            let cure = "give a file with it: --proxy-password-file FILE, for a backend's --backend-proxy-password-file NAME=FILE";
            return Err(failure.cure(cure));
        }
    };
    let value = basic(&user, &password).map_err(|invalid| Failure::new(format!("{by}: {invalid}")))?;
    Ok(Some(value))
}

fn roots(file: &Path) -> Result<Arc<RootCertStore>, Failure> {
    let pem = secret::read_public_text(file)?;
    let wrong = |why: String| Failure::new(format!("--proxy-ca {}: {why}", file.display())).code("file-unreadable");
    let roots = crate::backend::own_roots(&pem).map_err(wrong)?;
    if roots.is_empty() { Err(wrong(String::from("it has no certificate"))) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ProxyArgs;
    use crate::proxy::Way;
    use postern_model::proxy::ProxyAddress;
    use postern_model::settings::BackendProxy;

    fn load(options: &ProxyOptions, environment: &[(&str, &str)]) -> Result<Proxies, String> {
        let look =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxies::load(options, &look).map_err(|failure| {
            assert!(!format!("{failure} {failure:?}").contains("hunter2"), "{failure}");
            failure.to_string()
        })
    }

    fn relays(proxy: Option<&str>, password: Option<&Path>) -> ProxyOptions {
        let relays = ProxyArgs {
            proxy: proxy.map(str::to_owned),
            proxy_password_file: password.map(Path::to_owned),
            ..ProxyArgs::default()
        };
        ProxyOptions { relays, ..ProxyOptions::default() }
    }

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        secret::write(&file, text.as_bytes()).unwrap();
        (folder, file)
    }

    fn says(proxy: &Proxy) -> Option<&str> {
        proxy.authorization.as_deref().map(String::as_str)
    }

    #[test]
    fn passwords_come_from_files_and_the_environment() {
        let (_folder, file) = written("hunter2\n");
        let loaded = load(&relays(Some("http://anna@proxy:3128"), Some(&file)), &[]).unwrap();
        let proxy = loaded.of_relay("relay.example", 443).unwrap();
        assert_eq!(says(proxy), Some("Basic YW5uYTpodW50ZXIy"));
        assert!(!format!("{loaded:?}").contains("YW5uYT"), "{loaded:?}");
        let environment = [("HTTPS_PROXY", "http://anna:hunter2@proxy:3128"), ("NO_PROXY", "near.example")];
        let loaded = load(&relays(None, None), &environment).unwrap();
        assert_eq!(says(loaded.of_relay("far.example", 443).unwrap()), Some("Basic YW5uYTpodW50ZXIy"));
        assert!(loaded.of_relay("near.example", 443).is_none());
        assert!(load(&relays(Some("none"), None), &environment).unwrap().of_relay("far.example", 443).is_none());
        assert!(load(&relays(None, None), &[]).unwrap().of_relay("far.example", 443).is_none());
    }

    #[test]
    fn halves_are_refused() {
        let (_folder, file) = written("hunter2");
        let (_other, broken) = written("hunter2\nmore");
        for (proxy, password, words) in [
            (Some("http://anna@proxy:1"), None, "no password for \"anna\""),
            (Some("http://proxy:1"), Some(&*file), "no user name"),
            (Some("http://anna:hunter2@proxy:1"), None, "--proxy-password-file"),
            (Some("http://anna@proxy:1"), Some(&*broken), "second line"),
            (Some("http://anna@proxy:1"), Some(Path::new("/nowhere/hunter")), "cannot read"),
            (None, Some(&*file), "no proxy is named"),
            (Some("proxy:1"), None, "--proxy: "),
        ] {
            let error = load(&relays(proxy, password), &[]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn backends_have_their_own_by_name_or_address() {
        let (_folder, file) = written("hunter2");
        let options = |backends: &[&str], passwords: &[String]| ProxyOptions {
            backends: backends.iter().map(|given| (*given).to_owned()).collect(),
            backend_passwords: passwords.to_vec(),
            ..ProxyOptions::default()
        };
        let password = format!("corp={}", file.display());
        let given = ["corp=http://anna@proxy:3128", "dmz=https://dmz.example"];
        let loaded = load(&options(&given, std::slice::from_ref(&password)), &[]).unwrap();
        let way = |wanted: BackendProxy| loaded.way(Some(&wanted));
        let named = |name: &str| way(BackendProxy::Named(name.parse().unwrap()));
        let at = |url: &str| way(BackendProxy::At(ProxyAddress::parse(url).unwrap()));
        let through = |way: Way| match way {
            Way::Through(proxy) => proxy,
            Way::Direct | Way::Unknown(_) => panic!("{way:?}"),
        };
        assert!(says(&through(named("corp"))).is_some() && through(named("dmz")).tls.is_some());
        assert!(says(&through(at("http://proxy:3128"))).is_some(), "the same proxy is told the same");
        assert!(says(&through(at("http://proxy:3129"))).is_none(), "another one is told nothing");
        assert!(says(&through(at("https://proxy:3128"))).is_none());
        assert!(matches!(named("other"), Way::Unknown(why) if why.contains("--backend-proxy other=URL")));
        assert!(matches!(loaded.way(None), Way::Direct));
        let refused: [(&[&str], &[String]); 7] = [
            (&["corp"], &[]),
            (&["corp="], &[]),
            (&["Corp=http://p:1"], &[]),
            (&["corp=http://a:hunter2@p:1"], &[]),
            (&["corp=http://p:1", "corp=http://p:2"], &[]),
            (&["dmz=http://p:1"], std::slice::from_ref(&password)),
            (&["corp=http://anna@p:1"], &[password.clone(), password.clone()]),
        ];
        for (backends, passwords) in refused {
            assert!(load(&options(backends, passwords), &[]).is_err(), "{backends:?}");
        }
    }

    #[test]
    fn authorities_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let with_ca = || {
            let relays =
                ProxyArgs { proxy: Some("https://p".into()), proxy_ca: Some(file.clone()), ..ProxyArgs::default() };
            load(&ProxyOptions { relays, ..ProxyOptions::default() }, &[])
        };
        assert!(with_ca().unwrap_err().contains("cannot read"));
        std::fs::write(&file, "no certificate\n").unwrap();
        assert!(with_ca().unwrap_err().contains("it has no certificate"));
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::new(vec!["p".into()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(&file, ca.pem()).unwrap();
        assert!(with_ca().unwrap().of_relay("r", 1).unwrap().tls.is_some());
    }
}
