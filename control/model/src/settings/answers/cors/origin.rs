//! Origins (RFC 6454) as rules name them: exact ones, and every host below a domain.

/// A set of origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origins {
    All,
    Named(Box<[Origin]>),
}

/// `https://host:port`, or all hosts below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// With `://`.
    scheme: &'static str,
    /// With the dot that it begins with, of a wildcard.
    host: Box<str>,
    wildcard: bool,
    /// With its colon, or empty.
    port: Box<str>,
}

impl Origins {
    /// `None` if one of them is no origin as browsers write it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let named: Box<[Origin]> = text.split(',').map(Origin::parse).collect::<Option<_>>()?;
        (named.len() <= ORIGINS_MAX).then_some(Self::Named(named))
    }

    pub(super) fn are_all(&self) -> bool {
        *self == Self::All
    }

    /// Whether this one is in it. Browsers write them in one form only: what is written otherwise is none.
    pub(super) fn has(&self, origin: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(named) => {
                let Some((scheme, host, port)) = split(origin) else { return false };
                named.iter().any(|one| one.scheme == scheme && *one.port == *port && one.is_at(host))
            }
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, host, port) = split(text)?;
        let below = host.strip_prefix('*');
        let name = match below {
            Some(below) => below.strip_prefix('.')?,
            None => host,
        };
        // Browsers leave the usual port away.
        let is_usual = matches!((scheme, port), ("https://", ":443") | ("http://", ":80"));
        let is_origin = is_host(name) && !is_usual;
        let host = below.unwrap_or(host);
        is_origin.then(|| Self { scheme, host: host.into(), wildcard: below.is_some(), port: port.into() })
    }

    fn is_at(&self, host: &str) -> bool {
        if self.wildcard { host.strip_suffix(&*self.host).is_some_and(is_host) } else { *self.host == *host }
    }
}

/// Scheme with `://`, host, and port with its colon.
fn split(origin: &str) -> Option<(&'static str, &str, &str)> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| origin.starts_with(scheme))?;
    let rest = &origin[scheme.len()..];
    let (host, port) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
    let digits = port.strip_prefix(':').unwrap_or("1");
    let is_port = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    (is_port && digits.parse::<u16>().is_ok()).then_some((scheme, host, port))
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_inner)
    };
    host.split('.').all(is_label)
}

const ORIGINS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_as_browsers_write_them() {
        let named = Origins::parse("https://a.example,https://*.b.example,http://c.example:8080").unwrap();
        for (origin, is_in) in [
            ("https://a.example", true),
            ("https://x.b.example", true),
            ("https://y.x.b.example", true),
            ("http://c.example:8080", true),
            ("http://a.example", false),
            ("https://a.example:8443", false),
            ("https://a.example.evil", false),
            ("https://b.example", false),
            ("https://evilb.example", false),
            ("https://.b.example", false),
            ("https://evil.example/.b.example", false),
            ("https://evil.example?.b.example", false),
            ("https://u@x.b.example", false),
            ("http://c.example", false),
            ("https://A.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(named.has(origin), is_in, "{origin}");
        }
    }

    #[test]
    fn nothing_else_is_one() {
        for wrong in [
            "",
            "a.example",
            "https://",
            "https://a.example/",
            "https://a.example:443",
            "http://a.example:80",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:99999",
            "https://A.example",
            "https://*",
            "https://*.",
            "https://a.*.example",
            "ftp://a.example",
            "null",
            "*,https://a.example",
            "https://a.example,",
        ] {
            assert_eq!(Origins::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Origins::parse("*"), Some(Origins::All));
        let many = vec!["https://a.example"; 33];
        assert!(Origins::parse(&many[..32].join(",")).is_some() && Origins::parse(&many.join(",")).is_none());
    }
}
