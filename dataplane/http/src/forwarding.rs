//! Who sent a request and to which host: fields that a client must not choose, and those that backends are told.
//!
//! Which fields say so is the model's to know ([`postern_model::claims::who`]): there are many conventions, and an application behind
//! a sign-in may believe any of them.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use postern_model::claims::who::{IDENTITY_NAMES, IDENTITY_PREFIXES, ORIGIN_NAMES, ORIGIN_PREFIXES, OWN_PREFIX};

use crate::field::FieldRef;
use crate::head::Scheme;
use crate::headers::Headers;
use crate::hop;
use crate::known::{Known, NameSet};

/// Removes what an untrusted client may not say: `Forwarded`, `X-Forwarded-*`, `X-Real-IP`, `X-Postern-*`, `Client-Cert`,
/// `Client-Cert-Chain` (RFC 9440 §4) and the `also` names (in lower case with `-`), each in every spelling that a backend may
/// read as the same name (`x_forwarded_for`); such spellings of the framing fields (`Content_Length`); and `Proxy`, of which CGI makes
/// the variable that programs take for the way out of their host (`HTTP_PROXY`).
pub fn strip_inbound(headers: &mut Headers, also: &[&str]) {
    // All but always there is nothing to look at closer: what browsers send has numbers, and none of these.
    let names = headers.names();
    if !also.is_empty() || names.has_others() || names.meets(PROTECTED) {
        headers.retain(|field| !is_protected(field, also));
    }
}

/// Whether [`strip_inbound`] would remove `field`.
pub fn is_protected(field: FieldRef<'_>, also: &[&str]) -> bool {
    if let Some(known) = field.known()
        && also.is_empty()
    {
        return PROTECTED.has(known);
    }
    let name = field.name_bytes();
    is_among(name, &ORIGIN_PREFIXES, &ORIGIN_NAMES)
        || is_among(name, &[], also)
        || name == PROXY
        || hop::is_framing_alike(field)
}

/// Removes what may tell an application who asks, by any convention between applications and the proxies they trust: for
/// those that nobody else than Postern may say so to. Each in every spelling (`Remote_User`). [`strip_inbound`] comes before
/// and removes what Postern says itself.
pub fn strip_identity(headers: &mut Headers) {
    // None of them has a number.
    if headers.names().has_others() {
        headers.retain(|field| !is_identity(field));
    }
}

/// Whether [`strip_identity`] would remove `field`.
pub fn is_identity(field: FieldRef<'_>) -> bool {
    // None of them has a number: of what browsers send hardly a field is looked at closer.
    if field.known().is_some() {
        return false;
    }
    let name = field.name_bytes();
    is_among(name, &IDENTITY_PREFIXES, &IDENTITY_NAMES) && !is_among(name, &[], &OWN_CREDENTIALS)
}

/// Tells the backend the name of the service token that let the request in. What a client said there was removed before.
pub fn add_service(headers: &mut Headers, name: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    assert!(name.bytes().all(is_plain), "a name is made of letters, digits and dashes");
    headers.push_known_checked(Known::XPosternService, name.as_bytes());
}

/// Tells the backend client, scheme and external host as RFC 7239 `Forwarded` and as `X-Forwarded-For/Proto/Host`.
/// What is there already (from a trusted hop: strip others first) is kept as the beginning of each list; scheme and host
/// are those of the first hop then.
pub fn add_forwarding(headers: &mut Headers, client: SocketAddr, scheme: Scheme, host: &str) {
    let address = client.ip().to_canonical();
    let mut value = Vec::with_capacity(96);
    extend_list(headers, Known::Forwarded, &mut value, |value| write_forwarded(value, address, scheme, host));
    extend_list(headers, Known::XForwardedFor, &mut value, |value| write_address(value, address));
    if !headers.contains(Known::XForwardedProto) {
        headers.push_known_checked(Known::XForwardedProto, scheme.as_str().as_bytes());
    }
    if !host.is_empty() && !headers.contains(Known::XForwardedHost) {
        let appended = headers.append(Known::XForwardedHost, host);
        assert!(appended.is_ok(), "an authority is a field value");
    }
}

fn extend_list(headers: &mut Headers, name: Known, value: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    value.clear();
    for element in headers.values(name) {
        value.extend_from_slice(element);
        value.extend_from_slice(b", ");
    }
    let had = !value.is_empty();
    write(value);
    if had {
        headers.remove(name);
    }
    headers.push_known_checked(name, value);
}

fn write_forwarded(value: &mut Vec<u8>, address: IpAddr, scheme: Scheme, host: &str) {
    value.extend_from_slice(b"for=");
    match address {
        IpAddr::V4(_) => write_address(value, address),
        IpAddr::V6(_) => {
            value.extend_from_slice(b"\"[");
            write_address(value, address);
            value.extend_from_slice(b"]\"");
        }
    }
    if !host.is_empty() {
        // Only a token may stand unquoted, and `:` and `[` are none.
        let quote: &[u8] = if host.bytes().any(|byte| matches!(byte, b':' | b'[')) { b"\"" } else { b"" };
        for part in [b";host=", quote, host.as_bytes(), quote] {
            value.extend_from_slice(part);
        }
    }
    value.extend_from_slice(b";proto=");
    value.extend_from_slice(scheme.as_str().as_bytes());
}

fn write_address(value: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mut text = [b'.'; 15];
            let mut at = 0;
            for octet in address.octets() {
                for (unit, shown) in [(100, octet > 99), (10, octet > 9), (1, true)] {
                    text[at] = b'0' + octet / unit % 10;
                    at += usize::from(shown);
                }
                if let Some(dot) = text.get_mut(at) {
                    *dot = b'.';
                }
                at += 1;
            }
            value.extend_from_slice(&text[..at - 1]);
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(value, "{address}")),
    }
}

/// Whether `name` begins with one of `prefixes` or is one of `names`, in whatever spelling.
pub(crate) fn is_among(name: &[u8], prefixes: &[&str], names: &[&str]) -> bool {
    prefixes.iter().any(|prefix| starts_alike(name, prefix))
        || names.iter().any(|wanted| wanted.len() == name.len() && starts_alike(name, wanted))
}

/// Whether `name` begins with `prefix` when every byte but letters and digits counts as `-`.
fn starts_alike(name: &[u8], prefix: &str) -> bool {
    let alike = |(&byte, &wanted): (&u8, &u8)| byte == wanted || (wanted == b'-' && !byte.is_ascii_alphanumeric());
    name.len() >= prefix.len() && name.iter().zip(prefix.as_bytes()).all(alike)
}

const PROXY: &[u8] = b"proxy";
/// Not what a proxy says but a secret that the application gave its client itself (OpenStack and others): it proves, and
/// without it the client could not use the application.
const OWN_CREDENTIALS: [&str; 2] = ["x-auth-token", "x-auth-key"];
pub(crate) const OWN: &str = OWN_PREFIX;

const PROTECTED: NameSet = NameSet::of(&[
    Known::Forwarded,
    Known::XForwardedFor,
    Known::XForwardedHost,
    Known::XForwardedPort,
    Known::XForwardedProto,
    Known::XPosternAssertion,
    Known::XPosternMail,
    Known::XPosternName,
    Known::XPosternService,
    Known::XPosternUser,
    Known::XRealIp,
]);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &Headers) -> Vec<&str> {
        headers.iter().map(FieldRef::name).collect()
    }

    #[test]
    fn every_spelling_of_a_protected_name_is_removed() {
        let mut headers = Headers::default();
        let protected = [
            "Forwarded",
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-Forwarded_Proto",
            "x-forwarded-anything",
            "X-Real-IP",
            "x_real_ip",
            "x-postern-user",
            "X_Postern_Groups",
            "x.forwarded.for",
            "x-forwarded",
            "Client-Cert",
            "client_cert",
            "CLIENT.CERT",
            "Client-Cert-Chain",
            "client_cert_chain",
            "X-Remote-User",
            "x_remote-user",
            "Proxy",
            "PROXY",
        ];
        for name in protected {
            headers.append(name, "evil").unwrap();
        }
        let kept = [
            "x-forward",
            "x-real-ipx",
            "forwarded-x",
            "accept",
            "x_custom",
            "xpostern-user",
            "x-remote-users",
            "client-certs",
            "client-cert-chains",
            "proxy-x",
            "proxyx",
        ];
        for name in kept {
            headers.append(name, "fine").unwrap();
        }
        strip_inbound(&mut headers, &["x-remote-user"]);
        assert_eq!(names(&headers), kept);
    }

    #[test]
    fn known_names_agree_with_the_spelled_rule() {
        for &known in Known::ALL {
            let mut headers = Headers::default();
            headers.append(known, "v").unwrap();
            let field = headers.iter().next().unwrap();
            assert_eq!(is_protected(field, &[]), is_protected(field, &["x-no-such-name"]), "{}", known.as_str());
        }
    }

    #[test]
    fn every_spelling_of_an_identity_is_removed_and_the_services_name_is_ours() {
        let mut headers = Headers::default();
        let said = [
            "X-Postern-Service",
            "x_postern_service",
            "X-Postern-Service",
            "X.Postern-Anything",
            "X-Forwarded-User",
            "x_forwarded_groups",
            "X-Forwarded-Preferred-Username",
            "Remote-User",
            "REMOTE_USER",
            "remote.email",
            "X-Remote-Group",
            "X-Auth-Request-Email",
            "X-WEBAUTH-USER",
            "X-User",
        ];
        for name in said {
            headers.append(name, "root").unwrap();
        }
        let kept = [
            "accept",
            "remote-users",
            "remote-addr-x",
            "x-users",
            "user",
            "x-request-id",
            "postern-service",
            "x-auth-token",
            "x_auth_token",
            "x-auth-key",
            "x-authority",
            "x-api-key",
            "x-csrf-token",
            "x-original-method",
            "x-ms-version",
            "x-goog-api-key",
            "x-amz-date",
            "smart",
        ];
        for name in kept {
            headers.append(name, "fine").unwrap();
        }
        strip_inbound(&mut headers, &[]);
        strip_identity(&mut headers);
        assert_eq!(names(&headers), kept);
        add_service(&mut headers, "backup");
        assert_eq!(headers.get_all("X-Postern-Service").collect::<Vec<_>>(), [b"backup"]);
        assert!(is_protected(headers.iter().last().unwrap(), &[]), "a client cannot say it");
        for &known in Known::ALL {
            let name = known.as_str();
            let is = is_among(name.as_bytes(), &IDENTITY_PREFIXES, &IDENTITY_NAMES);
            assert!(!is, "{name} has a number, and is not looked at");
        }
    }

    #[test]
    fn what_other_proxies_say_of_who_asks_is_removed() {
        let mut headers = Headers::default();
        let said = [
            "OIDC_CLAIM_sub",
            "X-Goog-IAP-JWT-Assertion",
            "X-Goog-Authenticated-User-Email",
            "X-Pomerium-Jwt-Assertion",
            "Tailscale-User-Login",
            "X-Vouch-User",
            "X-Auth-User",
            "x_auth_email",
            "X-MS-CLIENT-PRINCIPAL-NAME",
            "X-Amzn-Oidc-Data",
            "Cf-Access-Authenticated-User-Email",
            "X-authentik-username",
            "X-SSL-Client-S-DN",
            "SSL_CLIENT_S_DN_CN",
            "SM_USER",
            "sm-userdn",
            "X-Client-Cert",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-Original-URL",
            "X_Rewrite_Url",
            "X-Original-URI",
        ];
        for name in said {
            headers.append(name, "root").unwrap();
        }
        strip_identity(&mut headers);
        assert_eq!(names(&headers), [""; 0]);
    }

    #[test]
    fn a_backend_is_told_client_scheme_and_host() {
        let mut headers = Headers::default();
        add_forwarding(&mut headers, "192.0.2.7:1234".parse().unwrap(), Scheme::Https, "app.example.com");
        assert_eq!(headers.get_str("forwarded"), Some("for=192.0.2.7;host=app.example.com;proto=https"));
        assert_eq!(headers.get_str("x-forwarded-for"), Some("192.0.2.7"));
        assert_eq!(headers.get_str("x-forwarded-proto"), Some("https"));
        assert_eq!(headers.get_str("x-forwarded-host"), Some("app.example.com"));
    }

    #[test]
    fn addresses_are_written_as_the_library_does() {
        for octets in [[0, 0, 0, 0], [1, 22, 133, 244], [255, 255, 255, 255], [10, 100, 9, 99], [127, 0, 0, 1]] {
            let address = IpAddr::from(octets);
            let mut value = b"x".to_vec();
            write_address(&mut value, address);
            assert_eq!(String::from_utf8(value), Ok(format!("x{address}")), "{address}");
        }
    }

    #[test]
    fn addresses_and_ports_are_quoted() {
        let mut headers = Headers::default();
        add_forwarding(&mut headers, "[2001:db8::1]:1".parse().unwrap(), Scheme::Http, "a:8080");
        assert_eq!(headers.get_str("forwarded"), Some("for=\"[2001:db8::1]\";host=\"a:8080\";proto=http"));
        headers.clear();
        add_forwarding(&mut headers, "[::ffff:192.0.2.1]:1".parse().unwrap(), Scheme::Http, "");
        assert_eq!(headers.get_str("forwarded"), Some("for=192.0.2.1;proto=http"));
        assert!(!headers.contains("x-forwarded-host"));
    }

    #[test]
    fn a_trusted_hops_list_is_continued() {
        let mut headers = Headers::default();
        headers.append("x-forwarded-for", "198.51.100.1").unwrap();
        headers.append("x-forwarded-proto", "https").unwrap();
        headers.append("forwarded", "for=198.51.100.1").unwrap();
        add_forwarding(&mut headers, "192.0.2.7:1".parse().unwrap(), Scheme::Http, "a");
        assert_eq!(headers.get_str("x-forwarded-for"), Some("198.51.100.1, 192.0.2.7"));
        assert_eq!(headers.get_str("x-forwarded-proto"), Some("https"));
        assert_eq!(headers.get_str("forwarded"), Some("for=198.51.100.1, for=192.0.2.7;host=a;proto=http"));
    }
}
