//! The cookies of the identity's host: what a browser has of its sign-in, and what tells it from others on the way there.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};
use postern_model::identity::{BrowserGrant, DEVICE_COOKIES, DEVICE_TICKET_S};
use postern_model::secret::SecretText;

/// What the browser shows of its sign-in; nothing when it shows two.
pub(crate) fn browser(headers: &HeaderMap) -> Option<SecretText> {
    shown(headers, NAME)
}

/// What tells it from others while it is at an external provider.
pub(crate) fn external(headers: &HeaderMap) -> Option<SecretText> {
    shown(headers, EXTERNAL)
}

/// As [`keep`], until the browser is closed: a sign-in is begun and finished in the same one.
pub(crate) fn keep_external(secret: &SecretText) -> Option<HeaderValue> {
    let text = format!("{EXTERNAL}={}; Path=/; Secure; HttpOnly; SameSite=Lax", secret.expose());
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What tells it from others while it is at the device host: of each sign-in that is there now one.
pub(crate) fn devices(headers: &HeaderMap) -> Vec<SecretText> {
    (0..DEVICE_COOKIES).filter_map(|slot| shown(headers, &device_name(slot))).collect()
}

/// As [`keep`], for as long as it may be there.
pub(crate) fn keep_device(secret: &SecretText) -> Option<HeaderValue> {
    // Which of them is any one's guess: a browser that is there for several applications at once keeps several.
    let slot = secret.expose().bytes().map(usize::from).sum::<usize>() % DEVICE_COOKIES;
    let (name, secret) = (device_name(slot), secret.expose());
    let text = format!("{name}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={DEVICE_TICKET_S}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Since when a browser is away to show a device, if it is.
pub(crate) fn device_asked_unix(headers: &HeaderMap) -> Option<u64> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim_start_matches(' ').strip_prefix(ASKED_DEVICE)?.parse().ok())
}

/// Whether that is so long ago that it should be back: something keeps it from there. Tabs that are opened at once are all sent.
pub(crate) fn is_device_overdue(headers: &HeaderMap, now_unix: u64) -> bool {
    device_asked_unix(headers).is_some_and(|asked| asked.saturating_add(DEVICE_OVERDUE_S) <= now_unix)
}

/// It is away from now on; forgotten when it may not come back any more, so that it is sent once more then.
pub(crate) fn device_asked(now_unix: u64) -> Option<HeaderValue> {
    let attributes = format!("Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={DEVICE_TICKET_S}");
    HeaderValue::from_str(&format!("{ASKED_DEVICE}{now_unix}; {attributes}")).ok()
}

/// It is back.
pub(crate) fn forget_device_asked() -> HeaderValue {
    HeaderValue::from_static("__Host-postern_asked_device=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

fn device_name(slot: usize) -> String {
    format!("{DEVICE}{slot}")
}

fn shown(headers: &HeaderMap, wanted: &str) -> Option<SecretText> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim_start_matches(' ').split_once('=')?;
        (name == wanted && is_secret(value)).then_some(value)
    });
    let first = found.next()?;
    found.next().is_none().then(|| SecretText::new(first.to_owned()))
}

/// For this host alone, never to scripts, and on navigations from other sites, for that is how browsers come.
pub(crate) fn keep(grant: &BrowserGrant) -> Option<HeaderValue> {
    let age = grant.max_age_s.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
    let text = format!("{NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax{age}", grant.secret.expose());
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes it away.
pub(crate) fn forget() -> HeaderValue {
    HeaderValue::from_static("__Host-postern-sso=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// Whether somebody signed out in this browser, who is not to be signed in again without being asked.
pub(crate) fn is_signed_out(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).any(|pair| pair.trim_start_matches(' ').starts_with(SIGNED_OUT))
}

/// Somebody signs out: until the browser is closed, or they want in as before.
pub(crate) fn signed_out() -> HeaderValue {
    HeaderValue::from_static("__Host-postern_signed_out=1; Path=/; Secure; HttpOnly; SameSite=Lax")
}

pub(crate) fn forget_signed_out() -> HeaderValue {
    HeaderValue::from_static("__Host-postern_signed_out=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

fn is_secret(value: &str) -> bool {
    value.len() == SECRET_CHARS && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

const NAME: &str = postern_model::identity::SIGN_IN_COOKIE;
/// Not `__Host-postern-…`: of those, relays let through the one above alone.
const EXTERNAL: &str = "__Host-postern_external";
const DEVICE: &str = "__Host-postern_device";
const ASKED_DEVICE: &str = "__Host-postern_asked_device=";
/// A browser that can choose a certificate by itself is back within one.
const DEVICE_OVERDUE_S: u64 = 5;
const SIGNED_OUT: &str = "__Host-postern_signed_out=";
/// 32 bytes in base64url.
const SECRET_CHARS: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_in(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        browser(&headers).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn exactly_one_counts() {
        let secret = "A".repeat(43);
        let pair = format!("{NAME}={secret}");
        assert_eq!(shown_in(&[&format!("a=b; {pair}; c=d")]).as_deref(), Some(&*secret));
        assert_eq!(shown_in(&["a=b", &pair]).as_deref(), Some(&*secret));
        for none in [&[][..], &["a=b"], &[&*format!("{pair}; {pair}")], &[&*pair, &*pair], &[&*format!("{pair}x")]] {
            assert_eq!(shown_in(none), None, "{none:?}");
        }
        assert_eq!(shown_in(&[&format!("x{pair}")]), None);
    }

    #[test]
    fn a_browser_that_is_not_back_after_a_while_is_overdue() {
        let shown = |cookie: &HeaderValue| {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&format!("a=b; {pair}")).unwrap())])
        };
        let asked = device_asked(100).unwrap();
        assert!(asked.to_str().unwrap().ends_with("; Max-Age=300"), "{asked:?}");
        let headers = shown(&asked);
        assert_eq!(device_asked_unix(&headers), Some(100));
        assert!(!is_device_overdue(&headers, 104) && is_device_overdue(&headers, 105));
        let back = shown(&forget_device_asked());
        assert!(device_asked_unix(&back).is_none() && !is_device_overdue(&back, 105));
        assert!(!is_device_overdue(&HeaderMap::new(), 105));
    }

    #[test]
    fn each_sign_in_that_asks_for_a_device_has_a_cookie() {
        let mut headers = HeaderMap::new();
        for letter in ["A", "B", "C"] {
            let kept = keep_device(&SecretText::new(letter.repeat(43))).unwrap();
            let kept = kept.to_str().unwrap();
            assert!(kept.starts_with("__Host-postern_device") && kept.ends_with("; Max-Age=300"), "{kept}");
            assert!(kept.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{kept}");
            headers.append(COOKIE, HeaderValue::from_str(kept.split(';').next().unwrap()).unwrap());
        }
        let mut found: Vec<_> = devices(&headers).iter().map(|secret| secret.expose()[..1].to_owned()).collect();
        found.sort();
        assert_eq!(found, ["A", "B", "C"]);
        headers.append(COOKIE, HeaderValue::from_str(&format!("__Host-postern_device16={}", "D".repeat(43))).unwrap());
        assert_eq!(devices(&headers).len(), 3);
    }
}
