//! Which proxy a program dials out through, of all that could say so.

use super::{NoProxy, NoProxyInvalid, ProxyInvalid, ProxyUrl};

/// Where it may be said.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// `--proxy`, wherever the program takes its options from: a URL without a password, or `none`.
    pub proxy: Option<&'a str>,
    /// `--no-proxy`.
    pub no_proxy: Option<&'a str>,
    /// Looks an environment variable up.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// The proxy, for whom it is not, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The proxy.
    pub url: ProxyUrl,
    /// What is dialled without it.
    pub except: NoProxy,
    /// The option or variable that named it.
    pub by: &'static str,
}

/// What was said cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceInvalid {
    /// No URL of a proxy.
    #[error("{by}: {reason}")]
    Url {
        /// The option or variable.
        by: &'static str,
        /// What is wrong.
        reason: ProxyInvalid,
    },
    /// Everybody on the host can read arguments, and many a file of settings.
    #[error(
        "{OPTION}: leave the password out and give it with --proxy-password-file: arguments are no place for secrets"
    )]
    Password,
    /// No list of hosts.
    #[error("{by}: {reason}")]
    Except {
        /// The option or variable.
        by: &'static str,
        /// What is wrong.
        reason: NoProxyInvalid,
    },
}

impl Choice {
    /// `--proxy` wins over `HTTPS_PROXY`, that over `https_proxy`; an empty one says nothing. `--no-proxy` wins over `NO_PROXY`, that
    /// over `no_proxy`. The environment's exceptions hold for the environment's proxy alone: who says `--proxy` says it all. What is on
    /// the host itself is dialled without the environment's, as others do it: that was not said of Postern.
    ///
    /// # Errors
    /// What is said and cannot be done. It is not passed over: what should go through a proxy must not go without.
    pub fn make(given: Given<'_>) -> Result<Option<Self>, ChoiceInvalid> {
        if given.proxy == Some(NONE) {
            return Ok(None);
        }
        if let Some(proxy) = given.proxy {
            let url = ProxyUrl::parse(proxy).map_err(|reason| ChoiceInvalid::Url { by: OPTION, reason })?;
            if url.login.as_ref().is_some_and(|login| login.password.is_some()) {
                return Err(ChoiceInvalid::Password);
            }
            let except = except(given.no_proxy.map(|list| (NO_OPTION, list.to_owned())))?;
            return Ok(Some(Self { url, except, by: OPTION }));
        }
        let Some((by, proxy)) = variable(given, ["HTTPS_PROXY", "https_proxy"]) else { return Ok(None) };
        // Others take it without a scheme, too.
        let proxy = if proxy.contains("://") { proxy } else { format!("http://{proxy}") };
        let proxy = zeroize::Zeroizing::new(proxy);
        let url = ProxyUrl::parse(&proxy).map_err(|reason| ChoiceInvalid::Url { by, reason })?;
        let said = given.no_proxy.map(|list| (NO_OPTION, list.to_owned()));
        let except = except(said.or_else(|| variable(given, ["NO_PROXY", "no_proxy"])))?;
        Ok(Some(Self { url, except: except.and_loopback(), by }))
    }
}

fn variable(given: Given<'_>, names: [&'static str; 2]) -> Option<(&'static str, String)> {
    names.into_iter().find_map(|name| Some((name, (given.environment)(name).filter(|value| !value.is_empty())?)))
}

fn except(said: Option<(&'static str, String)>) -> Result<NoProxy, ChoiceInvalid> {
    let Some((by, list)) = said else { return Ok(NoProxy::default()) };
    NoProxy::parse(&list).map_err(|reason| ChoiceInvalid::Except { by, reason })
}

/// What `--proxy` says to go without one, whatever the environment says.
const NONE: &str = "none";
const OPTION: &str = "--proxy";
const NO_OPTION: &str = "--no-proxy";

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        proxy: Option<&str>,
        no_proxy: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Result<Option<Choice>, ChoiceInvalid> {
        let environment =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        Choice::make(Given { proxy, no_proxy, environment: &environment })
    }

    #[test]
    fn the_option_wins_over_the_environment() {
        let both = [("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "http://lower:2"), ("NO_PROXY", "corp.example")];
        let host = |proxy, environment: &[(&str, &str)]| {
            chosen(proxy, None, environment).unwrap().map(|choice| (choice.url.address.host.to_string(), choice.by))
        };
        assert_eq!(host(Some("http://given:3"), &both), Some(("given".into(), "--proxy")));
        assert_eq!(host(None, &both), Some(("upper".into(), "HTTPS_PROXY")));
        assert_eq!(host(None, &both[1..]), Some(("lower".into(), "https_proxy")));
        assert_eq!(host(None, &[("HTTPS_PROXY", ""), both[1]]), Some(("lower".into(), "https_proxy")));
        assert_eq!(host(Some("none"), &both), None);
        assert_eq!(host(None, &[("NO_PROXY", "*"), ("HTTP_PROXY", "http://plain:1")]), None);
        assert_eq!(host(None, &[("https_proxy", "proxy.corp:3128")]), Some(("proxy.corp".into(), "https_proxy")));
    }

    #[test]
    fn exceptions_belong_to_who_named_the_proxy() {
        let environment = [("HTTPS_PROXY", "http://env:1"), ("NO_PROXY", "a.example")];
        let direct = |proxy, no_proxy, host: &str| {
            chosen(proxy, no_proxy, &environment).unwrap().unwrap().except.matches(host, 443)
        };
        assert!(direct(None, None, "a.example") && !direct(None, Some("b.example"), "a.example"));
        assert!(direct(None, Some("b.example"), "b.example"));
        assert!(!direct(Some("http://given:1"), None, "a.example"));
        assert!(direct(None, None, "127.0.0.1") && direct(None, Some("b.example"), "localhost"));
        assert!(!direct(Some("http://given:1"), None, "127.0.0.1"));
        assert!(direct(Some("http://given:1"), Some("b.example"), "b.example"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_no_password_is_said() {
        let refused = |proxy, no_proxy, environment: &[(&str, &str)]| {
            let error = chosen(proxy, no_proxy, environment).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            error.to_string()
        };
        let password = refused(Some("http://anna:hunter2@proxy:1"), None, &[]);
        assert!(password.contains("--proxy-password-file"), "{password}");
        assert!(refused(None, None, &[("HTTPS_PROXY", "socks5://anna:hunter2@p:1")]).starts_with("HTTPS_PROXY: "));
        let list = refused(None, None, &[("https_proxy", "http://p:1"), ("no_proxy", "10.0.0.*")]);
        assert!(list.starts_with("no_proxy: \"10.0.0.*\""), "{list}");
        assert!(refused(Some("http://p:1"), Some("a@b"), &[]).starts_with("--no-proxy: "));
        let known = chosen(None, None, &[("HTTPS_PROXY", "http://anna:hunter2@proxy:1")]).unwrap().unwrap();
        assert_eq!(
            known.url.login.unwrap().password.unwrap().expose(),
            "hunter2",
            "only its owner reads an environment"
        );
    }
}
