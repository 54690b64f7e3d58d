//! Proxies: what the environment names, and the way through one that was given.

use std::io::Write as _;

use super::finding::{Finding, PATIENCE};
use crate::args::{ProxyAddress, RelayAddress};
use crate::look::{self, Timed};

/// What the environment says about proxies.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    pub(super) https_proxy: Option<String>,
    pub(super) no_proxy: Option<String>,
}

impl Environment {
    /// Of this process.
    pub(super) fn own() -> Self {
        let of = |names: [&str; 2]| {
            names.into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        Self { https_proxy: of(["HTTPS_PROXY", "https_proxy"]), no_proxy: of(["NO_PROXY", "no_proxy"]) }
    }
}

/// Which proxy is used, and which is not.
pub(super) fn used(environment: &Environment, given: Option<&ProxyAddress>, relays: bool) -> Finding {
    const CHECK: &str = "proxy";
    let named = environment.https_proxy.as_deref().map(|url| {
        let except = environment.no_proxy.as_deref().map(|hosts| format!(" but for {hosts}")).unwrap_or_default();
        format!("HTTPS_PROXY names {}{except}", without_secrets(url))
    });
    match (given, named) {
        (Some(proxy), None) => Finding::ok(CHECK, format!("relays are looked at through {proxy} (--proxy)")),
        (Some(proxy), Some(named)) => {
            Finding::ok(CHECK, format!("relays are looked at through {proxy} (--proxy); {named}, which is not used"))
        }
        (None, Some(named)) if relays => Finding::warn(
            CHECK,
            format!("{named}; it is not used: relays are dialled directly"),
            "--proxy URL looks at relays through it; the programs do not read HTTPS_PROXY either",
        ),
        (None, Some(named)) => Finding::ok(CHECK, format!("{named}; Postern's programs do not read it")),
        (None, None) => Finding::ok(CHECK, "the environment names none, and none is used"),
    }
}

/// A URL without name and password.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// A connection to the relay by way of the proxy; the error is a finding's words and cure.
pub(super) fn through(proxy: &ProxyAddress, relay: &RelayAddress) -> Result<Timed, (String, String)> {
    let reach = "look at the proxy's address, and at firewalls between this host and it";
    let failed = |why: String| (format!("the proxy {proxy}: {why}"), reach.to_owned());
    let addresses = look::addresses(&proxy.host, proxy.port).map_err(|error| failed(error.to_string()))?;
    let (_, mut stream) = look::connect(&addresses, PATIENCE - MARGIN).map_err(failed)?;
    let asked = format!("CONNECT {relay} HTTP/1.1\r\nhost: {relay}\r\n\r\n");
    stream.write_all(asked.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let head = look::head(&mut stream).map_err(failed)?;
    match head.status {
        200..=299 => Ok(stream),
        407 => Err((
            format!("the proxy {proxy} wants a name and a password (407)"),
            "let this host through without, for this relay".into(),
        )),
        status => Err((
            format!("the proxy {proxy} refuses CONNECT {relay} with {status}"),
            format!("allow CONNECT to {relay} in the proxy's rules"),
        )),
    }
}

/// A check that waits for a proxy says so before its own time is up.
pub(super) const MARGIN: std::time::Duration = std::time::Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::check::StepResult;
    use std::io::Read as _;
    use std::net::TcpListener;

    fn environment(proxy: Option<&str>) -> Environment {
        Environment { https_proxy: proxy.map(str::to_owned), no_proxy: Some("localhost".into()) }
    }

    fn given(port: u16) -> ProxyAddress {
        ProxyAddress { host: "127.0.0.1".into(), port }
    }

    #[test]
    fn which_one_is_used_is_said_and_no_password() {
        let named = environment(Some("http://anna:secret@proxy.corp:3128"));
        let found = used(&named, None, true);
        assert!(
            found.result == StepResult::Warn && found.seen.contains("http://proxy.corp:3128 but for localhost"),
            "{found:?}"
        );
        assert!(!format!("{found:?}").contains("secret") && found.cure.contains("--proxy"), "{found:?}");
        assert_eq!(used(&named, None, false).result, StepResult::Ok, "nothing is dialled");
        assert!(used(&named, Some(&given(3128)), true).seen.contains("which is not used"));
        assert!(used(&environment(None), Some(&given(3128)), true).seen.contains("127.0.0.1:3128 (--proxy)"));
        assert!(used(&environment(None), None, true).seen.contains("none is used"));
    }

    #[test]
    fn a_proxy_lets_through_or_says_why_not() {
        let relay = RelayAddress { host: "relay.test".into(), port: 443 };
        for (answer, refusal) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", None),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some("407")),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", Some("refuses CONNECT relay.test:443 with 403")),
            ("SSH-2.0-x\r\n\r\n", Some("not HTTP")),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let serves = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let bytes = stream.read(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&asked[..bytes]).into_owned()
            });
            let got = through(&given(port), &relay).map(drop);
            assert!(serves.join().unwrap().starts_with("CONNECT relay.test:443 HTTP/1.1\r\nhost: relay.test:443\r\n"));
            match refusal {
                None => got.unwrap(),
                Some(words) => assert!(got.unwrap_err().0.contains(words), "{answer}"),
            }
        }
    }
}
