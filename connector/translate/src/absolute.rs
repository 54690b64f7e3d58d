//! URLs that name a host, taken apart as far as it takes to find whose they are. Everything behind the host stays as written.

/// `SCHEME://HOST[:PORT]REST`, or `//HOST[:PORT]REST`.
#[derive(Debug, Clone, Copy)]
pub struct Absolute<'a> {
    /// None where it is the page's own.
    pub scheme: Option<UrlScheme>,
    /// In any case; IPv6 without brackets.
    pub host: &'a str,
    /// As written; none is that of the scheme.
    pub port: Option<u16>,
    /// Path, query and fragment: empty, or with `/`, `?` or `#` first.
    pub rest: &'a str,
}

/// What of a scheme matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlScheme {
    /// `https://` or `wss://`.
    pub tls: bool,
    /// `ws://`, which has the ports of `http://`.
    socket: bool,
}

impl<'a> Absolute<'a> {
    /// None for what is no URL of HTTP or WebSockets with a host, or names a user.
    #[must_use]
    pub fn split(url: &'a str) -> Option<Self> {
        let (scheme, after) = match url.strip_prefix("//") {
            Some(after) => (None, after),
            None => SCHEMES.iter().find_map(|(start, scheme)| Some((Some(*scheme), strip_start(url, start)?)))?,
        };
        Self::after_scheme(scheme, after)
    }

    /// `HOST[:PORT]REST`, as sources of a content security policy may be written.
    #[must_use]
    pub fn split_host(text: &'a str) -> Option<Self> {
        Self::after_scheme(None, text)
    }

    fn after_scheme(scheme: Option<UrlScheme>, after: &'a str) -> Option<Self> {
        let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(inside) => inside.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        (!host.is_empty() && !host.contains('@')).then_some(Self { scheme, host, port, rest })
    }

    /// Whether it may be at this port of a server with (`tls`) or without TLS.
    #[must_use]
    pub fn is_at(&self, tls: bool, port: u16) -> bool {
        self.scheme.is_none_or(|scheme| scheme.tls == tls) && self.port.unwrap_or(default_port(tls)) == port
    }

    /// `https://` or `http://`, of WebSockets `wss://` or `ws://`.
    #[must_use]
    pub fn scheme_for(&self, tls: bool) -> &'static str {
        match (self.scheme.is_some_and(|scheme| scheme.socket), tls) {
            (false, true) => "https://",
            (false, false) => "http://",
            (true, true) => "wss://",
            (true, false) => "ws://",
        }
    }
}

/// What stays of a URL's rest, or of a path, when `to` takes the place of the prefix `from`. None where it does not begin with
/// whole segments of `from`, or leads out of it again.
#[must_use]
pub fn moved<'a>(rest: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let after = rest.strip_prefix(from)?;
    let is_within = after.is_empty() || after.starts_with(['/', '?', '#']);
    let stays = (from.is_empty() && to.is_empty()) || !leads_up(after);
    (is_within && stays).then_some(after)
}

/// Of servers with (`tls`) or without TLS.
#[must_use]
pub const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Whether browsers would go up from where it begins, on the way or in the end (URL Standard, path state): each `..` takes back the
/// segment before it, an empty one as well. They take `\` for `/`, and leave out tabs and ends of lines.
#[must_use]
pub fn leads_up(rest: &str) -> bool {
    let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let is_any = |names: &[&str], segment: &str| names.iter().any(|name| name.eq_ignore_ascii_case(segment));
    let mut depth = 0_usize;
    // Before the first slash there is none.
    for segment in path.split(['/', '\\']).skip(1) {
        let deeper = if is_any(&PARENTS, segment) { depth.checked_sub(1) } else { Some(depth + 1) };
        let Some(deeper) = deeper else { return true };
        depth = if is_any(&SELVES, segment) { depth } else { deeper };
    }
    path.contains(['\t', '\r', '\n'])
}

fn strip_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (found, rest) = text.split_at_checked(start.len())?;
    found.eq_ignore_ascii_case(start).then_some(rest)
}

const SCHEMES: [(&str, UrlScheme); 4] = [
    ("https://", UrlScheme { tls: true, socket: false }),
    ("http://", UrlScheme { tls: false, socket: false }),
    ("wss://", UrlScheme { tls: true, socket: true }),
    ("ws://", UrlScheme { tls: false, socket: true }),
];
const PARENTS: [&str; 4] = ["..", ".%2e", "%2e.", "%2e%2e"];
const SELVES: [&str; 2] = [".", "%2e"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_up_and_down_again_within_a_place_stays_there() {
        for (rest, stays) in [
            ("/base/a/../b", true),
            ("/base/a/b/../../c?/../..", true),
            ("/base/a//../b", true),
            ("/base/./a/../b", true),
            ("/base/a/%2E%2e/b", true),
            ("/base/../x", false),
            ("/base/a/../../x", false),
            ("/base/a/../../base/x", false),
            ("/base/./../x", false),
            ("/base/a\\..\\..\\x", false),
            ("/base/a/\t../../x", false),
            ("/base/a/.\t./b", false),
        ] {
            assert_eq!(moved(rest, "/base", "").is_some(), stays, "{rest:?}");
        }
    }

    #[test]
    fn urls_are_split_behind_their_host() {
        for (url, parts) in [
            ("http://wiki", ("wiki", None, "")),
            ("HTTPS://Wiki.Corp:8443/a?b#c", ("Wiki.Corp", Some(8443), "/a?b#c")),
            ("//wiki?x", ("wiki", None, "?x")),
            ("ws://[::1]:80/", ("::1", Some(80), "/")),
            ("http://wiki:/", ("wiki", None, "/")),
        ] {
            let split = Absolute::split(url).unwrap();
            assert_eq!((split.host, split.port, split.rest), parts, "{url}");
        }
        for url in [
            "",
            "/a",
            "wiki",
            "ftp://wiki/",
            "http:/wiki",
            "http:///a",
            "http://user:secret@wiki/",
            "http://user@wiki/",
            "http://wiki:+1/",
            "http://wiki:65536/",
            "http://[::1/",
            "http://[::1]x/",
        ] {
            assert!(Absolute::split(url).is_none(), "{url}");
        }
    }

    #[test]
    fn what_leads_out_is_not_moved() {
        for (rest, after) in [
            ("/base", Some("")),
            ("/base/x/../y", Some("/x/../y")),
            ("/base/../y", None),
            ("/base/%2E%2e/y", None),
            ("/base/..\\y", None),
            ("/base/.\t./y", None),
            ("/base?../x", Some("?../x")),
            ("/base#x", Some("#x")),
            ("/based", None),
            ("/", None),
        ] {
            assert_eq!(moved(rest, "/base", "/shop"), after, "{rest}");
        }
        assert_eq!(moved("/a/../b", "", ""), Some("/a/../b"));
        assert_eq!(moved("/../b", "", "/shop"), None);
    }
}
