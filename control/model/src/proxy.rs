//! HTTP proxies that programs dial out through (CONNECT, RFC 9110 §9.3.6): where they are, who may use them, and which hosts are
//! dialled without one.

mod choice;
mod no_proxy;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::app_url::{host_and_port, one_host, scheme};
use crate::secret::SecretText;

pub use choice::{Choice, ChoiceInvalid, Given};
pub use no_proxy::{NoProxy, NoProxyInvalid};

/// Where a proxy is: `http://HOST[:PORT]` or `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProxyAddress {
    /// Whether it is spoken to in TLS. What is carried to a relay or to an `https://` backend is in TLS of its own either way.
    pub tls: bool,
    /// DNS name in lower case or IP address; IPv6 without brackets.
    pub host: Box<str>,
    /// 80 or 443 unless given.
    pub port: u16,
}

/// A proxy's address with who asks it, as `http://USER@HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// Where it is.
    pub address: ProxyAddress,
    /// Who asks.
    pub login: Option<ProxyLogin>,
}

/// Who asks a proxy, by HTTP Basic (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyLogin {
    /// The name, without a colon.
    pub user: Box<str>,
    /// Nothing where it is to be read from a file.
    pub password: Option<SecretText>,
}

/// What is wrong with a proxy's URL or password; never what was given, for there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProxyInvalid(&'static str);

impl ProxyAddress {
    /// Parses an address; credentials have no place in it.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(url: &str) -> Result<Self, ProxyInvalid> {
        let ProxyUrl { address, login } = ProxyUrl::parse(url)?;
        if login.is_some() {
            return Err(ProxyInvalid("leave out user name and password"));
        }
        Ok(address)
    }

    /// `HOST:PORT`, IPv6 in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl ProxyUrl {
    /// Parses a proxy's URL, with or without a name and a password.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(url: &str) -> Result<Self, ProxyInvalid> {
        let (scheme, rest) = scheme(url).ok_or(ProxyInvalid(FORM))?;
        let tls = match scheme.as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(ProxyInvalid("a proxy's URL begins with http:// or https://; SOCKS is not spoken")),
        };
        if rest.contains(['?', '#']) {
            return Err(ProxyInvalid("leave out query and fragment; in a name or password write them as %3F and %23"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !matches!(path, "" | "/") {
            return Err(ProxyInvalid("a proxy has no path; in a name or password write / as %2F"));
        }
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(ProxyLogin::parse(login)?), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority).map_err(ProxyInvalid)?;
        let host = one_host(host).map_err(ProxyInvalid)?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { address: ProxyAddress { tls, host, port }, login })
    }
}

impl ProxyLogin {
    /// `USER[:PASSWORD]`, each with `%XX` for what has another meaning in a URL.
    fn parse(text: &str) -> Result<Self, ProxyInvalid> {
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, Some(SecretText::new(decoded(password)?))),
            None => (text, None),
        };
        let user = decoded(user)?;
        if user.is_empty() || user.len() > USER_BYTES_MAX || user.contains(':') || user.contains(char::is_control) {
            return Err(ProxyInvalid("the user name must have 1 to 256 bytes, no colon and no control characters"));
        }
        if let Some(password) = &password {
            check_password(password)?;
        }
        Ok(Self { user: user.into(), password })
    }
}

/// The value of `Proxy-Authorization` that proves `user` by `password`.
///
/// # Errors
/// A password that cannot be sent.
pub fn basic(user: &str, password: &SecretText) -> Result<Zeroizing<String>, ProxyInvalid> {
    check_password(password)?;
    let both = Zeroizing::new(format!("{user}:{}", password.expose()));
    let encoded = Zeroizing::new(STANDARD.encode(both.as_bytes()));
    Ok(Zeroizing::new(format!("Basic {}", encoded.as_str())))
}

/// `HOST:PORT` as CONNECT names it (RFC 9110 §9.3.6): always with the port, IPv6 in brackets.
#[must_use]
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn check_password(password: &SecretText) -> Result<(), ProxyInvalid> {
    let text = password.expose();
    if text.is_empty() || text.len() > PASSWORD_BYTES_MAX || text.contains(char::is_control) {
        return Err(ProxyInvalid(
            "the password must have 1 to 1024 bytes and no control characters, nor a second line",
        ));
    }
    Ok(())
}

/// `%XX` for each byte that has another meaning.
fn decoded(text: &str) -> Result<String, ProxyInvalid> {
    const WRONG: ProxyInvalid =
        ProxyInvalid("in name and password, % must be followed by two hex digits (% itself is %25)");
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2).ok_or(WRONG)?;
            let [high, low] = [digits[0], digits[1]].map(|digit| char::from(digit).to_digit(16));
            let (high, low) = high.zip(low).ok_or(WRONG)?;
            bytes.push(u8::try_from(high * 16 + low).map_err(|_| WRONG)?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(std::mem::take(&mut *bytes)).map_err(|_| ProxyInvalid("name and password must be UTF-8"))
}

const FORM: &str = "write it as http://HOST:PORT or https://HOST:PORT";
/// A name that a proxy asks for.
pub const USER_BYTES_MAX: usize = 256;
/// A password that a proxy asks for.
pub const PASSWORD_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_normalised() {
        for (given, kept) in [
            ("http://Proxy.Corp:3128", "http://proxy.corp:3128"),
            ("HTTP://proxy.corp/", "http://proxy.corp:80"),
            ("https://proxy.corp", "https://proxy.corp:443"),
            ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
            ("http://10.0.0.7:1", "http://10.0.0.7:1"),
        ] {
            assert_eq!(ProxyAddress::parse(given).unwrap().to_string(), kept);
        }
    }

    #[test]
    fn names_and_passwords_are_decoded() {
        let login = |url: &str| ProxyUrl::parse(url).unwrap().login.unwrap();
        let anna = login("http://anna:p%40ss%3Aw:rd%25@proxy:3128");
        assert_eq!((&*anna.user, anna.password.unwrap().expose()), ("anna", "p@ss:w:rd%"));
        assert_eq!(login("http://corp%5Canna@proxy:3128"), ProxyLogin { user: "corp\\anna".into(), password: None });
        assert_eq!(
            *basic("Aladdin", &SecretText::new("open sesame".into())).unwrap(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert!(
            basic("a", &SecretText::new("two\nlines".into())).is_err()
                && basic("a", &SecretText::new(String::new())).is_err()
        );
    }

    #[test]
    fn others_are_refused_and_no_password_is_said() {
        for url in [
            "",
            "proxy:3128",
            "socks5://proxy:1080",
            "http://",
            "http://proxy:0",
            "http://proxy:65536",
            "http://*.corp:3128",
            "http://proxy:3128/path",
            "http://proxy:3128?x",
            "http://::1:3128",
            "http://a b:1",
            "http://:hunter2@proxy:1",
            "http://a%3Ab:hunter2@proxy:1",
            "http://a:hunter2%@proxy:1",
            "http://a:hunter2%0d%0a@proxy:1",
            "http://a:hunter2/@proxy:1",
            "http://a:@proxy:1",
            "http://a:hunter2%ff@proxy:1",
            "http://a:hunter2@proxy:x",
        ] {
            let error = ProxyUrl::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error}");
        }
        let url = ProxyUrl::parse("http://anna:hunter2@proxy:1").unwrap();
        assert!(!format!("{url:?} {}", url.address).contains("hunter2"), "{url:?}");
        assert!(ProxyAddress::parse("http://anna@proxy:1").is_err());
    }

    #[test]
    fn what_is_asked_for_has_its_port_and_brackets() {
        assert_eq!(authority("relay.example.com", 443), "relay.example.com:443");
        assert_eq!(authority("2001:db8::1", 8443), "[2001:db8::1]:8443");
    }
}
