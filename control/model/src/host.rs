//! What names of hosts say of each other, and of certificates. Names are in lower case, as they are kept.

use crate::app_url::HOST_BYTES_MAX;

/// Whether `host` is below `name`, at any depth.
#[must_use]
pub fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether `host` is `name` or below it.
#[must_use]
pub fn is_at_or_below(host: &str, name: &str) -> bool {
    host == name || is_below(host, name)
}

/// Whether a certificate for these names is good for a host, or for a whole `*.` pattern. A wildcard covers one label
/// (RFC 9525 §6.3).
#[must_use]
pub fn covers(names: &[String], host: &str) -> bool {
    let below = host.split_once('.').map(|(_, below)| below);
    names.iter().any(|name| {
        name == host || !host.starts_with("*.") && name.strip_prefix("*.").is_some_and(|name| Some(name) == below)
    })
}

/// A host that somebody asks for, in lower case; none where it is longer than a name may be. Without allocating: this is on
/// the path of every request.
#[inline]
#[must_use]
pub fn lowered<'b>(host: &str, buffer: &'b mut [u8; HOST_BYTES_MAX]) -> Option<&'b str> {
    let lowered = buffer.get_mut(..host.len())?;
    lowered.copy_from_slice(host.as_bytes());
    lowered.make_ascii_lowercase();
    std::str::from_utf8(lowered).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_a_name_is_what_ends_with_it_after_a_dot() {
        for host in ["a.example.com", "b.a.example.com"] {
            assert!(is_below(host, "example.com") && is_at_or_below(host, "example.com"), "{host}");
        }
        for host in ["aexample.com", "example.org", "com", ""] {
            assert!(!is_below(host, "example.com") && !is_at_or_below(host, "example.com"), "{host}");
        }
        assert!(!is_below("example.com", "example.com") && is_at_or_below("example.com", "example.com"));
    }

    #[test]
    fn a_certificates_wildcard_covers_one_label() {
        let names = ["example.com".to_owned(), "*.apps.example.com".to_owned()];
        for host in ["example.com", "a.apps.example.com", "*.apps.example.com"] {
            assert!(covers(&names, host), "{host}");
        }
        for host in
            ["a.example.com", "apps.example.com", "b.a.apps.example.com", "*.example.com", "*.a.apps.example.com"]
        {
            assert!(!covers(&names, host), "{host}");
        }
    }

    #[test]
    fn hosts_are_asked_for_in_any_case() {
        let (longest, mut buffer) = ("A".repeat(HOST_BYTES_MAX), [0; HOST_BYTES_MAX]);
        assert_eq!(lowered("App.Example.COM", &mut buffer), Some("app.example.com"));
        assert_eq!(lowered(&longest, &mut buffer), Some(longest.to_ascii_lowercase().as_str()));
        assert_eq!(lowered(&format!("{longest}a"), &mut buffer), None);
    }
}
