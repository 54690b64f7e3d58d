//! The proxy that relays are looked at through: the one that a connector here is told of, from the same places.

mod tunnel;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_model::proxy::{Choice, Given, NoProxy, ProxyAddress, ProxyUrl, basic};
use postern_model::secret::SecretText;
use postern_service::secret;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::finding::Finding;
use super::host::Host;
use crate::args::{DoctorArgs, RelayAddress, Role};
use crate::look;
pub(super) use tunnel::{MARGIN, through};

/// How relays are looked at.
#[derive(Debug, Default)]
pub(super) struct Way {
    proxy: Option<Arc<Proxy>>,
    except: NoProxy,
}

/// A proxy, and what it is told of who asks.
pub(super) struct Proxy {
    address: ProxyAddress,
    authorization: Option<Zeroizing<String>>,
    roots: RootCertStore,
}

impl Way {
    /// The proxy on the way to this relay, if there is one.
    pub(super) fn to(&self, relay: &RelayAddress) -> Option<&Arc<Proxy>> {
        self.proxy.as_ref().filter(|_| !self.except.matches(&relay.host, relay.port))
    }
}

/// Who asks is a secret.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.address)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}

/// What was said about proxies, apart from the environment.
#[derive(Debug, Default)]
struct Said {
    proxy: Option<String>,
    no_proxy: Option<String>,
    password_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    /// The connector's settings that named the proxy.
    by_file: Option<PathBuf>,
    /// The proxy is shown Kerberos tickets.
    negotiates: bool,
}

/// Which proxy is used. No way where what is said cannot be done: the connector would not start either.
pub(super) fn choose(
    host: &Host,
    args: &DoctorArgs,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Finding, Option<Way>) {
    match chosen(host, args, environment) {
        Ok(found) => found,
        Err(why) => (Finding::fail(CHECK, why, "correct it: a connector with these settings does not start"), None),
    }
}

fn chosen(
    host: &Host,
    args: &DoctorArgs,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Finding, Option<Way>), String> {
    let said = Said::of(host, args)?;
    let given = Given { proxy: said.proxy.as_deref(), no_proxy: said.no_proxy.as_deref(), environment };
    let choice = Choice::make(given).map_err(|invalid| invalid.to_string())?;
    let Some(Choice { url, except, by }) = choice else {
        let words = if said.proxy.is_some() {
            "none is used, as is said"
        } else {
            "none is named by options, the connector's settings or HTTPS_PROXY, and none is used"
        };
        return Ok((Finding::ok(CHECK, words), Some(Way::default())));
    };
    let by = match (&said.by_file, by) {
        (Some(file), "--proxy") => file.display().to_string(),
        (_, "--proxy") => String::from("--proxy"),
        (_, variable) => format!("{variable} of this shell; a unit has an environment of its own"),
    };
    let address = url.address.clone();
    if said.negotiates {
        let seen = format!(
            "relays are dialled through {address} ({by}) with Kerberos tickets, which this command has none of"
        );
        let cure = "look at the connector's log: it names what is wrong with the proxy or the ticket";
        return Ok((Finding::warn(CHECK, seen, cure), None));
    }
    let proxy = Proxy::new(url, &said)?;
    let directly = args.relay.iter().filter(|relay| except.matches(&relay.host, relay.port));
    let directly: String = directly.map(|relay| format!(", {relay} directly")).collect();
    let words = format!("relays are looked at through {address} ({by}){directly}");
    Ok((Finding::ok(CHECK, words), Some(Way { proxy: Some(Arc::new(proxy)), except })))
}

impl Said {
    /// Options win over the connector's file, each by itself, as they do there.
    fn of(host: &Host, args: &DoctorArgs) -> Result<Self, String> {
        let mut said = Self {
            proxy: args.proxy.clone(),
            no_proxy: args.no_proxy.clone(),
            password_file: args.proxy_password_file.clone(),
            ca: args.proxy_ca.clone(),
            by_file: None,
            negotiates: false,
        };
        let packaged = || (args.role == Some(Role::Connector)).then(|| host.at(PACKAGED)).filter(|file| file.exists());
        let Some(file) = args.config.clone().or_else(packaged) else { return Ok(said) };
        let unreadable = |why: &dyn fmt::Display| format!("{}: {why}", file.display());
        let text = secret::read_public_text(&file).map_err(|failure| failure.to_string())?;
        // The parser's words would quote the line.
        let table: toml::Table = toml::from_str(&text).map_err(|_| unreadable(&"it is not TOML"))?;
        let value = |key: &str| -> Result<Option<String>, String> {
            let text = |value: &toml::Value| value.as_str().map(str::to_owned);
            let wrong = || unreadable(&format!("`{key}` must be text"));
            table.get(key).map(|value| text(value).ok_or_else(wrong)).transpose()
        };
        if said.proxy.is_none() {
            said.proxy = value("proxy")?;
            said.by_file = said.proxy.is_some().then(|| file.clone());
        }
        said.negotiates = args.proxy_password_file.is_none() && value("proxy-auth")?.as_deref() == Some("negotiate");
        said.no_proxy = said.no_proxy.or(value("no-proxy")?);
        said.password_file = said.password_file.or(value("proxy-password-file")?.map(PathBuf::from));
        said.ca = said.ca.or(value("proxy-ca")?.map(PathBuf::from));
        Ok(said)
    }
}

impl Proxy {
    fn new(url: ProxyUrl, said: &Said) -> Result<Self, String> {
        let authorization = match (url.login, said.password_file.as_deref()) {
            (None, None) => None,
            (None, Some(_)) => {
                return Err("there is a password for the proxy and no user name: http://USER@HOST:PORT".into());
            }
            (Some(login), Some(file)) => {
                let text = secret::read_text(file).map_err(|failure| failure.to_string())?;
                Some(authorization(&login.user, &SecretText::new(text.as_str().to_owned()))?)
            }
            (Some(login), None) => {
                let none = || format!("there is no password for {:?}: --proxy-password-file FILE", login.user);
                Some(authorization(&login.user, login.password.as_ref().ok_or_else(none)?)?)
            }
        };
        let roots = if url.address.tls { roots(said.ca.as_deref())? } else { RootCertStore::empty() };
        Ok(Self { address: url.address, authorization, roots })
    }
}

fn authorization(user: &str, password: &SecretText) -> Result<Zeroizing<String>, String> {
    basic(user, password).map_err(|invalid| invalid.to_string())
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let Some(file) = file else { return Ok(look::system_roots()) };
    let pem = secret::read_public_text(file).map_err(|failure| failure.to_string())?;
    let good = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(good);
    if added == 0 { Err(format!("{}: it has no certificate", file.display())) } else { Ok(roots) }
}

const CHECK: &str = "proxy";
/// The connector's settings, as the package has them.
const PACKAGED: &str = "/etc/postern/connector.toml";

#[cfg(test)]
mod tests {
    use super::super::host::tests::host;
    use super::super::tests::args;
    use super::*;
    use postern_model::check::StepResult;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn found(files: &[(&str, &str)], line: &str, environment: &[(&str, &str)]) -> (Finding, Option<Way>) {
        let (_folder, host) = host(files);
        let environment =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let (finding, way) = choose(&host, &args(line), &environment);
        assert!(!format!("{finding:?} {way:?}").contains("hunter2"), "{finding:?}");
        (finding, way)
    }

    fn relay(host: &str) -> RelayAddress {
        RelayAddress { host: host.into(), port: 443 }
    }

    #[test]
    fn the_options_the_connectors_file_and_the_environment_are_asked_in_this_order() {
        let files = [(PACKAGED, "relay = [\"r:443\"]\nproxy = \"http://file:1\"\nno-proxy = \"near.example\"\n")];
        let environment = [("HTTPS_PROXY", "http://anna:hunter2@shell:2")];
        let cases: [(Pairs<'_>, &str, Pairs<'_>, &str); 6] = [
            (&files, "--role connector --proxy http://given:3", &environment, "http://given:3 (--proxy)"),
            (&files, "--role connector", &environment, "connector.toml)"),
            (&files, "--role relay", &environment, "http://shell:2 (HTTPS_PROXY of this shell"),
            (&[], "--role connector", &environment, "http://shell:2 (HTTPS_PROXY"),
            (&files, "", &[], "none is named"),
            (&files, "--role connector --proxy none", &environment, "as is said"),
        ];
        for (files, line, environment, words) in cases {
            let (finding, way) = found(files, line, environment);
            assert!(finding.result == StepResult::Ok && finding.seen.contains(words), "{line}: {finding:?}");
            assert_eq!(way.unwrap().to(&relay("far.example")).is_some(), finding.seen.contains("through"), "{line}");
        }
        let (finding, way) = found(&files, "--role connector --relay near.example:443", &[]);
        assert!(finding.seen.ends_with(", near.example:443 directly"), "{finding:?}");
        let way = way.unwrap();
        assert!(way.to(&relay("near.example")).is_none() && way.to(&relay("far.example")).is_some());
    }

    #[test]
    fn what_a_connector_would_not_start_with_fails() {
        let cases: [(&str, Pairs<'_>, &str); 6] = [
            ("--proxy http://anna:hunter2@p:1", &[], "--proxy-password-file"),
            ("--proxy http://anna@p:1", &[], "no password for \"anna\""),
            ("--proxy p:1", &[], "--proxy: "),
            ("--proxy http://p:1 --no-proxy a@b", &[], "--no-proxy: "),
            ("--config /nowhere/connector.toml", &[], "cannot read"),
            ("", &[("https_proxy", "socks5://anna:hunter2@p:1")], "https_proxy: "),
        ];
        for (line, environment, words) in cases {
            let (finding, way) = found(&[], line, environment);
            assert!(finding.failed() && finding.seen.contains(words) && way.is_none(), "{line}: {finding:?}");
        }
        let (finding, _) = found(&[(PACKAGED, "proxy = \"http://anna:hunter2@p:1\n")], "--role connector", &[]);
        assert!(finding.failed() && finding.seen.contains("not TOML"), "{finding:?}");
        let tickets = "proxy = \"http://p:1\"\nproxy-auth = \"negotiate\"\n";
        let (finding, way) = found(&[(PACKAGED, tickets)], "--role connector", &[]);
        assert!(finding.result == StepResult::Warn && way.is_none(), "{finding:?}");
        let (finding, _) = found(&[(PACKAGED, "proxy = 7\n")], "--role connector", &[]);
        assert!(finding.failed() && finding.seen.contains("`proxy` must be text"), "{finding:?}");
    }
}
