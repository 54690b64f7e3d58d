//! The way of a browser to the device host and back. There TLS asks for its device's certificate, which the relay hands on; what
//! it is worth control decides, and it counts for the browser alone that was sent.

use hyper::Response;
use hyper::header::{HeaderMap, SET_COOKIE};
use postern_model::identity::{AskDevice, CLIENT_CERT_FIELD, DEVICE_TICKET, GiveDevice, ReturnDevice, path};
use postern_model::secret::SecretText;

use crate::control::Control;
use crate::external::now_unix;
use crate::request::{Fields, client};
use crate::server::Page;
use crate::sign_in::{bad_request, redirect, step};
use crate::{cookies, pages};

/// Sends a browser there. By a page: browsers hold a redirect that follows a form against the page's `form-action`.
pub(crate) fn asked(asked: &AskDevice) -> Response<Page> {
    let mut page = pages::to_device(&asked.location, &asked.app);
    if let Some(cookie) = cookies::keep_device(&asked.binding) {
        page.headers_mut().append(SET_COOKIE, cookie);
    }
    page.extensions_mut().insert(Sends);
    page
}

/// With a page that sends a browser there.
#[derive(Clone, Copy)]
struct Sends;

/// Notes since when a browser is away, with the first page that sends it: reloading does not begin the time anew.
pub(crate) fn noted(headers: &HeaderMap, mut page: Response<Page>) -> Response<Page> {
    let sends = page.extensions_mut().remove::<Sends>().is_some();
    let is_new = sends && cookies::device_asked_unix(headers).is_none();
    if let Some(cookie) = cookies::device_asked(now_unix()).filter(|_| is_new) {
        page.headers_mut().append(SET_COOKIE, cookie);
    }
    page
}

/// `GET` of the device host's only path, with a certificate or without.
pub(crate) async fn show(control: &Control, headers: &HeaderMap, query: &str) -> Response<Page> {
    let asked = Fields::parse(query.as_bytes()).zip(client(headers)).zip(certificate(headers));
    let Some(((mut fields, client), certificate)) = asked else { return bad_request() };
    let ticket = SecretText::new(fields.take(DEVICE_TICKET));
    step(control.ask(path::DEVICE, &GiveDevice { ticket, certificate, client }).await, redirect)
}

/// `GET /device/return`, at the place to sign in again.
pub(crate) async fn back(control: &Control, headers: &HeaderMap, query: &str) -> Response<Page> {
    let asked = Fields::parse(query.as_bytes()).zip(client(headers));
    let Some((mut fields, client)) = asked else { return bad_request() };
    // Also where there are none: the ticket is used up by whoever brings it.
    let bindings = cookies::devices(headers);
    let ticket = SecretText::new(fields.take(DEVICE_TICKET));
    // Another tab may have been back before.
    let browser = cookies::browser(headers);
    let returned = ReturnDevice { ticket, bindings, browser, client };
    let mut page = step(control.ask(path::DEVICE_RETURN, &returned).await, redirect);
    page.headers_mut().append(SET_COOKIE, cookies::forget_device_asked());
    page
}

/// The certificate that TLS was made with: one field with one byte sequence (RFC 9440 §2.2), or none. The outer `None`: something
/// else, that no relay says.
fn certificate(headers: &HeaderMap) -> Option<Option<String>> {
    let mut all = headers.get_all(CLIENT_CERT_FIELD).iter();
    let Some(first) = all.next() else { return Some(None) };
    let base64 = first.to_str().ok()?.strip_prefix(':')?.strip_suffix(':')?;
    let is_base64 = base64.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    let is_one = all.next().is_none() && !base64.is_empty() && base64.len() <= CERTIFICATE_CHARS_MAX && is_base64;
    is_one.then(|| Some(base64.to_owned()))
}

/// Certificates of devices have one or two kilobytes.
const CERTIFICATE_CHARS_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn read(values: &[&str]) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CLIENT_CERT_FIELD, HeaderValue::from_str(value).unwrap());
        }
        certificate(&headers)
    }

    #[test]
    fn a_browser_that_is_sent_keeps_since_when_and_nothing_later() {
        let sends = || {
            let location = "https://device.example.com/show-device?ticket=x".into();
            asked(&AskDevice { location, binding: SecretText::new("A".repeat(43)), app: "wiki".into() })
        };
        let kept = |page: &Response<Page>| -> Vec<String> {
            let all = page.headers().get_all(SET_COOKIE).iter();
            all.map(|cookie| cookie.to_str().unwrap().to_owned()).filter(|cookie| cookie.contains("asked")).collect()
        };
        let [cookie] = &kept(&noted(&HeaderMap::new(), sends()))[..] else { panic!("nothing is kept") };
        let mut headers = HeaderMap::new();
        headers.append(hyper::header::COOKIE, HeaderValue::from_str(cookie.split(';').next().unwrap()).unwrap());
        assert!(kept(&noted(&headers, sends())).is_empty());
        assert!(kept(&noted(&HeaderMap::new(), pages::not_found())).is_empty());
    }

    #[test]
    fn one_certificate_is_read_and_nothing_else() {
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&[":MIIB+/==:"]), Some(Some("MIIB+/==".into())));
        let long = format!(":{}:", "A".repeat(CERTIFICATE_CHARS_MAX + 1));
        for wrong in [
            &[""][..],
            &[":"],
            &["::"],
            &["MIIB"],
            &[":MIIB"],
            &[":MIIB:, :MIIB:"],
            &[":a b:"],
            &[":AA:", ":AA:"],
            &[&long],
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
