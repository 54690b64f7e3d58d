//! Cookies that a backend set for one user's session (RFC 6265). They stay here: users' browsers never have them, so what a
//! browser loses cannot be used past the relay.

use std::time::Duration;

use cookie::Cookie;
use postern_io::Instant;
use postern_model::secret::SecretText;
use zeroize::Zeroizing;

/// Cookies of one host.
#[derive(Debug, Default, Clone)]
pub(crate) struct Jar(Vec<Kept>);

#[derive(Debug, Clone)]
struct Kept {
    name: String,
    path: String,
    /// None once the backend took it back: it is still a name of ours, which browsers are not given.
    value: Option<SecretText>,
    until: Option<Instant>,
}

impl Jar {
    /// Takes what a `Set-Cookie` says in answer to a request for `path`. Of whom it is and over what it may be sent does not
    /// count: there is one backend, and the operator has said how it is reached.
    pub(crate) fn keep(&mut self, set_cookie: &[u8], path: &str, at: Instant) {
        let Some(cookie) = parsed(set_cookie) else { return };
        let path = cookie.path().filter(|path| path.starts_with('/')).unwrap_or_else(|| default_path(path)).to_owned();
        let (value, until) = match lifetime(&cookie) {
            Lifetime::Over => (None, None),
            Lifetime::Session => (Some(cookie.value()), None),
            Lifetime::For(lasts) => (Some(cookie.value()), Some(at.after(lasts))),
        };
        let value = value.map(|value| SecretText::new(value.to_owned()));
        let kept = Kept { name: cookie.name().to_owned(), path, value, until };
        match self.0.iter().position(|held| held.name == kept.name && held.path == kept.path) {
            Some(place) => self.0[place] = kept,
            None if self.0.len() < COOKIES_MAX => self.0.push(kept),
            None => {
                tracing::warn!("a backend sets more than {COOKIES_MAX} cookies at sign-in: the others are not kept")
            }
        }
    }

    /// Whether it has, or had, a cookie that a field of a browser or a backend names so.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|held| held.name.as_bytes() == name)
    }

    /// Those of `names` that are set and that a browser has not, or has with another value: `NAME=VALUE`.
    pub(crate) fn unlike<'b>(
        &self,
        names: &[Box<str>],
        at: Instant,
        browsers: impl Iterator<Item = &'b [u8]>,
    ) -> Vec<String> {
        if names.is_empty() {
            return Vec::new();
        }
        let pairs: Vec<&[u8]> = browsers.flat_map(|line| line.split(|b| *b == b';')).map(<[u8]>::trim_ascii).collect();
        let is_named = |held: &&Kept| names.iter().any(|name| **name == *held.name);
        let lasting = self.0.iter().filter(is_named).filter(|held| held.until.is_none_or(|until| at < until));
        let texts = lasting.filter_map(|held| Some(format!("{}={}", held.name, held.value.as_ref()?.expose())));
        texts.filter(|text| !pairs.contains(&text.as_bytes())).collect()
    }

    /// What a request for `path` carries, after what the browser sent of its own; none where that is nothing.
    pub(crate) fn field<'b>(
        &self,
        path: &str,
        at: Instant,
        browsers: impl Iterator<Item = &'b [u8]>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut field = Zeroizing::new(Vec::with_capacity(FIELD_BYTES));
        let mut add = |parts: &[&[u8]]| {
            if !field.is_empty() {
                field.extend_from_slice(b"; ");
            }
            parts.iter().for_each(|part| field.extend_from_slice(part));
        };
        let pairs = browsers.flat_map(|line| line.split(|b| *b == b';')).map(<[u8]>::trim_ascii);
        pairs.filter(|pair| !pair.is_empty() && !self.has(name_of(pair))).for_each(|pair| add(&[pair]));
        let mut own: Vec<&Kept> = self.0.iter().filter(|held| held.goes_with(path, at)).collect();
        // The longest path first, §5.4.
        own.sort_by_key(|held| std::cmp::Reverse(held.path.len()));
        for held in own {
            if let Some(value) = &held.value {
                add(&[held.name.as_bytes(), b"=", value.expose().as_bytes()]);
            }
        }
        (!field.is_empty()).then_some(field)
    }
}

impl Kept {
    fn goes_with(&self, path: &str, at: Instant) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let rest = path.strip_prefix(&*self.path);
        let under = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'));
        under && self.until.is_none_or(|until| at < until)
    }
}

enum Lifetime {
    Over,
    Session,
    For(Duration),
}

/// How long it lasts; `Max-Age` goes before `Expires`, §5.3. What expires at a date lasts as long as the session here.
fn lifetime(cookie: &Cookie<'_>) -> Lifetime {
    match (cookie.max_age(), cookie.expires_datetime()) {
        (Some(age), _) => {
            Duration::try_from(age).ok().filter(|age| !age.is_zero()).map_or(Lifetime::Over, Lifetime::For)
        }
        (None, Some(expires)) if expires <= time::OffsetDateTime::now_utc() => Lifetime::Over,
        (None, _) => Lifetime::Session,
    }
}

/// The name in a `Set-Cookie` or a pair of a `Cookie` field.
pub(crate) fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|b| matches!(b, b'=' | b';')).next().unwrap_or_default().trim_ascii()
}

/// Whether a `Set-Cookie` gives a cookie of that name a value.
pub(crate) fn sets(set_cookie: &[u8], name: &str) -> bool {
    let set = parsed(set_cookie).filter(|cookie| cookie.name() == name && !cookie.value().is_empty());
    set.is_some_and(|cookie| !matches!(lifetime(&cookie), Lifetime::Over))
}

fn parsed(set_cookie: &[u8]) -> Option<Cookie<'_>> {
    let text = std::str::from_utf8(set_cookie).ok().filter(|text| text.len() <= COOKIE_BYTES_MAX)?;
    Cookie::parse(text).ok()
}

/// §5.1.4.
fn default_path(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(last) => &path[..last],
    }
}

/// As browsers have it at least, §6.1.
const COOKIES_MAX: usize = 50;
const COOKIE_BYTES_MAX: usize = 4_096;
/// A field grows seldom, and leaves a copy behind when it does.
const FIELD_BYTES: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_nanos(s * 1_000_000_000)
    }

    fn jar(set: &[(&str, &str)]) -> Jar {
        let mut jar = Jar::default();
        set.iter().for_each(|(cookie, path)| jar.keep(cookie.as_bytes(), path, at(10)));
        jar
    }

    fn field(jar: &Jar, path: &str, now_s: u64, browsers: &[&str]) -> String {
        let lines = browsers.iter().map(|line| line.as_bytes());
        jar.field(path, at(now_s), lines).map(|field| String::from_utf8(field.to_vec()).unwrap()).unwrap_or_default()
    }

    #[test]
    fn cookies_go_where_their_path_says() {
        let jar =
            jar(&[("a=1; Path=/", "/x"), ("b=2", "/app/login?x=/y/z"), ("c=3; Path=/app/in", "/"), ("d=4", "/login")]);
        for (path, expected) in [
            ("/", "a=1; d=4"),
            ("/app", "b=2; a=1; d=4"),
            ("/app/in/x?y", "c=3; b=2; a=1; d=4"),
            ("/app/inner", "b=2; a=1; d=4"),
            ("/apple", "a=1; d=4"),
        ] {
            assert_eq!(field(&jar, path, 11, &[]), expected, "{path}");
        }
    }

    #[test]
    fn cookies_end_when_they_are_said_to() {
        let mut held =
            jar(&[("a=1; Max-Age=5", "/"), ("b=2; Expires=Wed, 01 Jan 2200 00:00:00 GMT", "/"), ("c=3", "/")]);
        assert_eq!(field(&held, "/", 14, &[]), "a=1; b=2; c=3");
        assert_eq!(field(&held, "/", 15, &[]), "b=2; c=3");
        held.keep(b"b=x; Max-Age=0", "/", at(20));
        held.keep(b"c=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/", at(20));
        assert_eq!(field(&held, "/", 21, &[]), "");
        assert!(held.has(b"b"), "it is still no name of the browser's");
    }

    #[test]
    fn what_a_browser_sends_under_a_name_of_ours_goes_nowhere() {
        let jar = jar(&[("sid=good; HttpOnly; Secure", "/")]);
        assert_eq!(
            field(&jar, "/", 11, &["theme=dark; sid=forged", " sid =forged;lang=de"]),
            "theme=dark; lang=de; sid=good"
        );
        assert!(!format!("{jar:?}").contains("good"));
    }

    #[test]
    fn what_scripts_read_is_told_to_a_browser_that_has_it_not() {
        let jar = jar(&[("sid=good; HttpOnly", "/"), ("token=t1", "/"), ("old=x; Max-Age=3", "/")]);
        let unlike =
            |browser: &str| jar.unlike(&["token".into(), "old".into()], at(14), std::iter::once(browser.as_bytes()));
        assert_eq!(unlike("token=t0; sid=x"), ["token=t1"]);
        assert!(unlike("a=b; token=t1").is_empty() && jar.unlike(&[], at(11), std::iter::empty()).is_empty());
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut jar = Jar::default();
        for number in 0..100 {
            jar.keep(format!("c{number}=1").as_bytes(), "/", at(1));
        }
        jar.keep(format!("long={}", "x".repeat(COOKIE_BYTES_MAX)).as_bytes(), "/", at(1));
        jar.keep(b"\xff=1", "/", at(1));
        assert_eq!(jar.0.len(), COOKIES_MAX);
    }

    #[test]
    fn a_cookie_is_set_by_a_value_that_lasts() {
        for (set, sets_it) in [
            ("s=1; Path=/", true),
            ("s=", false),
            ("s=1; Max-Age=0", false),
            ("t=1", false),
            ("S=1", false),
            ("s", false),
        ] {
            assert_eq!(sets(set.as_bytes(), "s"), sets_it, "{set}");
        }
    }
}
