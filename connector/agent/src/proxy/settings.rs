//! What the command line, files and the environment say about proxies, made into proxies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_model::ids::Name;
use postern_model::proxy::{Choice, Given, ProxyAddress, ProxyLogin, ProxyUrl, basic};
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::secret;
use rustls::RootCertStore;

use super::who::Tickets;
use super::{Negotiates, Proxies, Proxy, ToRelays, Who};
use crate::args::{ProxyArgs, ProxyAuth, ProxyOptions};
use crate::limits::BACKEND_PROXIES_MAX;

impl Proxies {
    /// Reads passwords and certificates. `environment` looks a variable up, `account` is this program's own in Kerberos.
    ///
    /// # Errors
    /// What is said and cannot be done: nothing goes past a proxy because of a mistake.
    pub(crate) fn load(
        options: &ProxyOptions,
        environment: &dyn Fn(&str) -> Option<String>,
        account: Option<Arc<dyn Negotiates>>,
    ) -> Result<Self, Failure> {
        let args = &options.relays;
        let roots = args.proxy_ca.as_deref().map(roots).transpose()?;
        let (proxy, no_proxy) = (args.proxy.as_deref(), args.no_proxy.as_deref());
        let chosen = Choice::make(Given { proxy, no_proxy, environment });
        let relays = match chosen.map_err(|invalid| Failure::new(invalid.to_string()))? {
            Some(Choice { url, except, by }) => {
                let file = args.proxy_password_file.as_deref();
                let who = match args.proxy_auth {
                    ProxyAuth::Basic if args.proxy_spn.is_some() => {
                        return Err(Failure::new("--proxy-spn is of use with --proxy-auth negotiate alone"));
                    }
                    ProxyAuth::Basic => basic_of(by, url.login, file)?,
                    ProxyAuth::Negotiate => negotiate(&url, args, account)?,
                };
                let proxy = proxy_of(by, url.address, who, roots.as_ref())?;
                tracing::info!(proxy = %proxy.address, by, "relays are dialled through a proxy");
                Some(ToRelays { proxy, except })
            }
            None if args.proxy_password_file.is_some() => {
                let failure = Failure::new("--proxy-password-file: no proxy is named that it could be for");
                return Err(failure.cure("name it: --proxy http://USER@HOST:PORT"));
            }
            None if args.proxy_auth == ProxyAuth::Negotiate => {
                let failure = Failure::new("--proxy-auth negotiate: no proxy is named that could be shown tickets");
                return Err(failure.cure("name it: --proxy http://HOST:PORT"));
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
        let who = basic_of(&by, url.login, file.as_deref())?;
        let proxy = proxy_of(&by, url.address, who, roots)?;
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
    address: ProxyAddress,
    who: Who,
    roots: Option<&Arc<RootCertStore>>,
) -> Result<Arc<Proxy>, Failure> {
    let proxy = Proxy::new(address, who, roots);
    proxy.map(Arc::new).map_err(|why| Failure::new(format!("{by}: {why}")))
}

fn negotiate(url: &ProxyUrl, args: &ProxyArgs, account: Option<Arc<dyn Negotiates>>) -> Result<Who, Failure> {
    if url.login.is_some() || args.proxy_password_file.is_some() {
        let failure = Failure::new("--proxy-auth negotiate: a user name or password is of no use with tickets");
        return Err(failure.cure("leave them out, or --proxy-auth"));
    }
    let account = account.ok_or_else(|| {
        Failure::new(
            "--proxy-auth negotiate needs a connector with --keytab and --kerberos-principal (docs/kerberos.md)",
        )
    })?;
    let own = || format!("HTTP/{}", url.address.host);
    let tickets = Tickets::start(account, args.proxy_spn.clone().unwrap_or_else(own));
    tickets.map(Who::Negotiate).map_err(|error| Failure::new(format!("no thread can be started: {error}")))
}

fn basic_of(by: &str, login: Option<ProxyLogin>, file: Option<&Path>) -> Result<Who, Failure> {
    let (user, password) = match (login, file) {
        (None, None) => return Ok(Who::Nobody),
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
            let cure =
                "give a file: --proxy-password-file FILE, for a backend's --backend-proxy-password-file NAME=FILE";
            return Err(failure.cure(cure));
        }
    };
    let value = basic(&user, &password).map_err(|invalid| Failure::new(format!("{by}: {invalid}")))?;
    Ok(Who::Basic(value))
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
    use crate::proxy::Way;
    use postern_model::settings::BackendProxy;

    fn load(options: &ProxyOptions, environment: &[(&str, &str)]) -> Result<Proxies, String> {
        let look =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxies::load(options, &look, None).map_err(|failure| {
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
        match &proxy.who {
            Who::Basic(value) => Some(value.as_str()),
            Who::Nobody | Who::Negotiate(_) => None,
        }
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

    struct Account;

    impl Negotiates for Account {
        fn token(&self, service: &str) -> Result<Vec<u8>, String> {
            Ok(service.as_bytes().to_vec())
        }
    }

    #[test]
    fn tickets_need_an_account_and_nothing_else() {
        let options = |url: &str| {
            let mut options = relays(Some(url), None);
            options.relays.proxy_auth = ProxyAuth::Negotiate;
            options
        };
        let load = |url: &str, account| Proxies::load(&options(url), &|_| None, account).map_err(|e| e.to_string());
        let account = || -> Option<Arc<dyn Negotiates>> { Some(Arc::new(Account)) };
        let loaded = load("http://proxy.corp:3128", account()).unwrap();
        let said = loaded.of_relay("relay.example", 443).unwrap().who.says().unwrap().unwrap();
        assert_eq!(said.as_str(), "Negotiate SFRUUC9wcm94eS5jb3Jw");
        let mut named = options("http://10.0.0.3:3128");
        named.relays.proxy_spn = Some(String::from("HTTP/proxy.corp"));
        let loaded = Proxies::load(&named, &|_| None, account()).unwrap();
        let said = loaded.of_relay("relay.example", 443).unwrap().who.says().unwrap().unwrap();
        assert_eq!(said.as_str(), "Negotiate SFRUUC9wcm94eS5jb3Jw", "under the name that is said");
        named.relays.proxy_auth = ProxyAuth::Basic;
        assert!(Proxies::load(&named, &|_| None, account()).is_err());
        assert!(load("http://proxy.corp:3128", None).unwrap_err().contains("--keytab"));
        assert!(load("http://anna@proxy.corp:3128", account()).unwrap_err().contains("of no use"));
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
        let ca = rcgen::CertificateParams::new(vec!["p".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(&file, ca.pem()).unwrap();
        assert!(with_ca().unwrap().of_relay("r", 1).unwrap().tls.is_some());
    }
}
