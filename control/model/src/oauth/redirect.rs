//! Redirect URIs: where a browser goes back to with a code. What is asked for is compared with what was registered as text; only
//! the port of a loopback address is free, for a native program takes what it gets (RFC 8252 §7.3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A registered redirect URI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedirectUri(String);

/// Why text is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redirect URI {uri:?}: {reason}")]
pub struct RedirectUriInvalid {
    uri: String,
    reason: &'static str,
}

impl RedirectUri {
    /// Whether a browser may be sent to `asked` because of this one.
    #[must_use]
    pub fn admits(&self, asked: &str) -> bool {
        if self.0 == asked {
            return true;
        }
        let Some((host, rest)) = LOOPBACK.iter().find_map(|host| Some((*host, self.0.strip_prefix(*host)?))) else {
            return false;
        };
        // Registered with a port, it is this very one.
        if rest.starts_with(':') {
            return false;
        }
        let Some(port) = asked.strip_prefix(host).and_then(|asked| asked.strip_prefix(':')) else { return false };
        let digits = port.len() - port.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (port, path) = port.split_at(digits);
        let is_port = !port.starts_with('0') && port.parse::<u16>().is_ok();
        is_port && path == rest
    }

    /// Whether it leads to a program on the user's device. Any program there may take such a place: who is behind it is not known.
    #[must_use]
    pub fn is_of_a_device(&self) -> bool {
        !self.0.starts_with("https://")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedirectUri {
    type Err = RedirectUriInvalid;

    fn from_str(text: &str) -> Result<Self, RedirectUriInvalid> {
        let invalid = |reason| RedirectUriInvalid { uri: text.chars().take(200).collect(), reason };
        if text.len() > REDIRECT_URI_BYTES_MAX {
            return Err(invalid("it is too long"));
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}*".contains(&byte);
        if !text.bytes().all(is_plain) {
            return Err(invalid("write it in ASCII, percent-encoded, without * and spaces"));
        }
        if text.contains('#') {
            return Err(invalid("leave out the fragment"));
        }
        let Some((scheme, rest)) = text.split_once(':') else { return Err(invalid("write it as https://HOST/PATH")) };
        match scheme {
            "https" | "http" => {
                let authority = rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
                let Some(authority) = authority.filter(|authority| !authority.is_empty()) else {
                    return Err(invalid("write it as https://HOST/PATH"));
                };
                if authority.contains('@') || authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(invalid("write the host in lower case, without a user name"));
                }
                let bare = LOOPBACK.iter().find_map(|host| text.strip_prefix(*host));
                let is_loopback = bare.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']));
                if scheme == "http" && !is_loopback {
                    return Err(invalid(
                        "http:// is for a program on the user's device: http://127.0.0.1/ or http://[::1]/",
                    ));
                }
                Ok(Self(text.to_owned()))
            }
            // RFC 8252 §7.1: a domain name turned round. It also keeps javascript: and data: out.
            _ if scheme.contains('.') && is_scheme(scheme) => Ok(Self(text.to_owned())),
            _ => Err(invalid("write it as https://HOST/PATH, http://127.0.0.1/PATH or com.example.program:/PATH")),
        }
    }
}

/// RFC 3986 §3.1, in lower case.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|letter: char| letter.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'))
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RedirectUri {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RedirectUri {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Not `localhost`: what that is, a resolver says (RFC 8252 §8.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];
const REDIRECT_URI_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_asked_for_is_compared_as_text() {
        let registered = uri("https://app.example.com/callback");
        assert!(registered.admits("https://app.example.com/callback"));
        for wrong in [
            "https://app.example.com/callback/",
            "https://app.example.com/callback?x=1",
            "https://app.example.com/callback#x",
            "https://app.example.com/callback/../evil",
            "https://app.example.com/Callback",
            "https://app.example.com:443/callback",
            "https://APP.example.com/callback",
            "https://app.example.com.evil.example/callback",
            "https://app.example.com@evil.example/callback",
            "https://evil.example/https://app.example.com/callback",
            "http://app.example.com/callback",
            "https://app.example.com/%63allback",
            " https://app.example.com/callback",
            "",
        ] {
            assert!(!registered.admits(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_port_of_a_loopback_address_is_free() {
        for host in ["http://127.0.0.1", "http://[::1]"] {
            let registered = uri(&format!("{host}/back"));
            assert!(registered.admits(&format!("{host}/back")) && registered.is_of_a_device());
            for right in ["1", "8080", "65535"] {
                assert!(registered.admits(&format!("{host}:{right}/back")), "{right}");
            }
            for wrong in [
                ":/back",
                ":0/back",
                ":080/back",
                ":65536/back",
                ":80@evil.example/back",
                ":80/back2",
                ":80/",
                ":+80/back",
                ":80x/back",
                ".evil.example/back",
                ":80/back?x",
                ":80.evil.example/back",
            ] {
                assert!(!registered.admits(&format!("{host}{wrong}")), "{wrong}");
            }
            assert!(!registered.admits("http://localhost:80/back"));
            assert!(!registered.admits("https://127.0.0.1:80/back"));
        }
        let fixed = uri("http://127.0.0.1:9000/back");
        assert!(fixed.admits("http://127.0.0.1:9000/back") && !fixed.admits("http://127.0.0.1:9001/back"));
        assert!(!uri("https://127.0.0.1/back").admits("https://127.0.0.1:80/back"));
    }

    #[test]
    fn what_may_be_registered() {
        for right in [
            "https://app.example.com",
            "https://app.example.com:8443/a?b=c",
            "http://127.0.0.1",
            "http://[::1]:80/x",
            "com.example.app:/back",
        ] {
            assert!(right.parse::<RedirectUri>().is_ok(), "{right}");
        }
        for wrong in [
            "",
            "/callback",
            "https:///x",
            "https://a@b.example/",
            "https://*.example.com/",
            "https://App.example.com/",
            "https://app.example.com/#x",
            "https://app.example.com/a b",
            "http://app.example.com/",
            "http://localhost/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.10/",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/back",
            "Com.example.app:/back",
        ] {
            assert!(wrong.parse::<RedirectUri>().is_err(), "{wrong}");
        }
    }
}
