//! What of a request counts, read once: who asks, and the fields of queries and forms.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HOST, ORIGIN, USER_AGENT};
use postern_model::identity::{ClientInfo, REQUEST_FIELD};

use crate::cookies;
use crate::external::now_unix;

/// Fields of a query or a form: each once.
#[derive(Debug, Default)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// `None` when a field comes twice: which one counts would be anybody's guess.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if fields.len() >= FIELDS_MAX || fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// A field; empty when it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// All of them.
    pub(crate) fn into_all(self) -> BTreeMap<String, String> {
        self.0
    }

    /// A field to keep.
    pub(crate) fn take(&mut self, name: &str) -> String {
        self.0.remove(name).unwrap_or_default()
    }
}

/// Who asks: the relay says so, and nobody else reaches this process.
pub(crate) fn client(headers: &HeaderMap) -> Option<ClientInfo> {
    let mut addresses = headers.get_all("x-forwarded-for").iter();
    let address: IpAddr = addresses.next()?.to_str().ok()?.parse().ok()?;
    if addresses.next().is_some() {
        return None;
    }
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let user_agent = user_agent.chars().take(USER_AGENT_CHARS_MAX).collect();
    let (signed_out, device_overdue) =
        (cookies::is_signed_out(headers), cookies::is_device_overdue(headers, now_unix()));
    let request = headers.get(REQUEST_FIELD).and_then(|value| value.to_str().ok()?.parse().ok());
    Some(ClientInfo { address, user_agent, request, signed_out, device_overdue })
}

/// Whether a form comes from a page of this host: browsers say so themselves, and nothing else is believed.
pub(crate) fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().and_then(|value| value.to_str().ok());
        first.filter(|_| values.next().is_none())
    };
    let host = text(hyper::header::HeaderName::from_static("x-forwarded-host")).or_else(|| text(HOST));
    let Some((origin, host)) = text(ORIGIN).zip(host) else { return false };
    let is_form = text(CONTENT_TYPE).is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    is_form && origin.strip_prefix("https://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

const FIELDS_MAX: usize = 16;
/// Control cuts it once more, by bytes.
const USER_AGENT_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_field_that_comes_twice_is_refused() {
        let fields = Fields::parse(b"a=1&b=%C3%BC+x").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("c")), ("1", "ü x", ""));
        assert!(Fields::parse(b"a=1&a=2").is_none());
        assert!(Fields::parse("a=1&".repeat(40).as_bytes()).is_none());
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let host = ("x-forwarded-host", "login.example.com:8443");
        assert!(is_own_form(&headers(&[form, host, ("origin", "https://login.example.com:8443")])));
        for origin in ["null", "https://evil.example", "https://login.example.com", "http://login.example.com:8443", ""]
        {
            assert!(!is_own_form(&headers(&[form, host, ("origin", origin)])), "{origin}");
        }
        assert!(!is_own_form(&headers(&[form, host])), "no origin");
        let own = ("origin", "https://login.example.com:8443");
        assert!(!is_own_form(&headers(&[host, own])), "no form");
        assert!(!is_own_form(&headers(&[("content-type", "text/plain"), host, own])));
        assert!(!is_own_form(&headers(&[form, host, own, own])), "two origins");
    }

    #[test]
    fn who_asks_is_said_once() {
        let of = |pairs| client(&headers(pairs)).map(|client| client.address.to_string());
        assert_eq!(of(&[("x-forwarded-for", "192.0.2.7")]).as_deref(), Some("192.0.2.7"));
        assert_eq!(of(&[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "192.0.2.8")]), None);
        assert_eq!(of(&[("x-forwarded-for", "192.0.2.7, 192.0.2.8")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn whether_somebody_signed_out_is_said() {
        let address = ("x-forwarded-for", "192.0.2.7");
        let of = |pairs: &[(&'static str, &str)]| client(&headers(pairs)).map(|client| client.signed_out);
        assert_eq!(of(&[address]), Some(false));
        assert_eq!(of(&[address, ("cookie", "a=b; __Host-postern_signed_out=1")]), Some(true));
    }

    #[test]
    fn whether_a_browser_is_not_back_from_the_device_host_is_said() {
        let address = ("x-forwarded-for", "192.0.2.7");
        let of = |cookie: &str| client(&headers(&[address, ("cookie", cookie)])).map(|client| client.device_overdue);
        assert_eq!(of("a=b"), Some(false));
        assert_eq!(of(&format!("__Host-postern_asked_device={}", now_unix())), Some(false));
        assert_eq!(of("a=b; __Host-postern_asked_device=1700000000"), Some(true));
    }
}
