//! Cookies that an application sets and that browsers will not keep, or not send back, at the external URL (RFC 6265bis). Names and
//! attributes are looked at; values are shown to nobody.

use cookie::{Cookie, SameSite};
use postern_model::app_url::ExternalUrl;
use postern_model::host::is_at_or_below;

use super::findings::Seen;
use crate::backend::Backend;

/// Where they are set, and where browsers get them.
#[derive(Clone, Copy)]
struct Place<'a> {
    external: &'a ExternalUrl,
    internal_host: &'a str,
    internal_path: &'a str,
    /// The connector makes internal domains and paths external.
    translated: bool,
}

/// The step; none where no cookie was set.
pub(super) fn look(backend: &Backend, sets: &[Vec<u8>]) -> Option<Seen> {
    let place = Place {
        external: &backend.external,
        internal_host: &backend.internal.host,
        internal_path: &backend.internal.path,
        translated: super::links::translates_headers(backend),
    };
    judged(place, sets)
}

fn judged(place: Place<'_>, sets: &[Vec<u8>]) -> Option<Seen> {
    let cookies: Vec<Cookie<'_>> =
        sets.iter().filter_map(|set| Cookie::parse(std::str::from_utf8(set).ok()?).ok()).collect();
    if sets.is_empty() {
        return None;
    }
    let troubles: Vec<String> = cookies
        .iter()
        .filter_map(|cookie| trouble(place, cookie).map(|why| format!("{}: {why}", cookie.name())))
        .take(TOLD_MAX)
        .collect();
    let unread = sets.len() - cookies.len();
    if troubles.is_empty() && unread == 0 {
        return Some(Seen::ok(&format!("{} set; browsers keep them at {}", cookies.len(), place.external)));
    }
    let unread = if unread > 0 { format!("; {unread} cannot be read") } else { String::new() };
    let seen = format!("of {} set: {}{unread}", sets.len(), troubles.join("; "));
    Some(Seen::warn(&seen, CURE))
}

/// Why browsers drop it, or never send it back.
fn trouble(place: Place<'_>, cookie: &Cookie<'_>) -> Option<String> {
    let secure = cookie.secure() == Some(true);
    let domain = cookie.domain().map(|domain| domain.trim_start_matches('.').to_ascii_lowercase());
    if let Some(domain) = domain.as_deref().filter(|domain| !domain.is_empty()) {
        let becomes_external = place.translated && is_at_or_below(place.internal_host, domain);
        if !is_at_or_below(&place.external.host, domain) && !becomes_external {
            return Some(format!("Domain={domain} is not that of {}: browsers drop it", place.external.host));
        }
    }
    if secure && !place.external.tls {
        return Some("Secure, and the external URL is http://: browsers drop it".into());
    }
    if cookie.same_site() == Some(SameSite::None) && !secure {
        return Some("SameSite=None without Secure: browsers drop it".into());
    }
    let name = cookie.name();
    let whole_host = domain.is_none() && cookie.path() == Some("/") && place.external.path.is_empty();
    if name.starts_with("__Host-") && !(secure && whole_host) {
        return Some(
            "__Host- wants Secure, Path=/, no Domain, and an external URL without a path: browsers drop it".into(),
        );
    }
    if name.starts_with("__Secure-") && !secure {
        return Some("__Secure- wants Secure: browsers drop it".into());
    }
    let path = cookie.path().filter(|path| path.starts_with('/')).map(|path| external_path(place, path))?;
    let meets = is_below(&path, &place.external.path) || is_below(&place.external.path, &path);
    (!meets).then(|| format!("Path={path} is never asked for below {}: browsers do not send it back", place.external))
}

fn external_path(place: Place<'_>, path: &str) -> String {
    match path.strip_prefix(place.internal_path).filter(|_| place.translated && is_below(path, place.internal_path)) {
        Some(rest) => format!("{}{rest}", place.external.path),
        None => path.to_owned(),
    }
}

/// Whether `path` is `parent` or lies in it.
fn is_below(path: &str, parent: &str) -> bool {
    let parent = parent.trim_end_matches('/');
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

const CURE: &str = "have the application set them without Domain and Path, and Secure where it is published as https; what names \
                    the internal URL is made external by translate_headers";
/// That are named.
const TOLD_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::check::StepResult;

    fn step(external: &str, translated: bool, set: &str) -> postern_model::check::CheckStep {
        let external = ExternalUrl::parse(external).unwrap();
        let place =
            Place { external: &external, internal_host: "wiki.corp.internal", internal_path: "/base", translated };
        let seen = judged(place, &[set.as_bytes().to_vec()]).unwrap();
        let findings = super::super::findings::Findings::single("cookies", seen);
        findings.steps.into_iter().next().unwrap()
    }

    #[test]
    fn what_browsers_keep_is_fine_and_no_value_is_shown() {
        for set in [
            "sid=SECRET",
            "sid=SECRET; Path=/; HttpOnly; Secure; SameSite=None",
            "sid=SECRET; Domain=example.com; Path=/",
            "sid=SECRET; Domain=.wiki.example.com; SameSite=Lax",
            "__Host-sid=SECRET; Secure; Path=/",
        ] {
            let step = step("https://wiki.example.com/", true, set);
            assert!(step.result == StepResult::Ok && !step.seen.contains("SECRET"), "{set}: {step:?}");
        }
        let external = ExternalUrl::parse("https://wiki.example.com/").unwrap();
        let place = Place { external: &external, internal_host: "x", internal_path: "", translated: true };
        assert!(judged(place, &[]).is_none());
    }

    #[test]
    fn what_browsers_drop_or_keep_back_is_named_with_its_reason() {
        for (external, set, why) in [
            ("https://wiki.example.com/", "sid=S; Domain=other.internal", "Domain=other.internal is not that of"),
            ("https://wiki.example.com/", "sid=S; Domain=i.example.com", "browsers drop it"),
            ("http://wiki.example.com/", "sid=S; Secure", "http://"),
            ("https://wiki.example.com/", "sid=S; SameSite=None", "SameSite=None without Secure"),
            ("https://wiki.example.com/", "__Host-sid=S; Secure; Path=/x", "__Host- wants"),
            ("https://wiki.example.com/a/", "__Host-sid=S; Secure; Path=/", "__Host- wants"),
            ("https://wiki.example.com/", "__Secure-sid=S", "__Secure- wants"),
            ("https://wiki.example.com/shop/", "sid=S; Path=/elsewhere", "Path=/elsewhere is never asked for"),
        ] {
            let step = step(external, true, set);
            assert!(step.result == StepResult::Warn && step.seen.contains(why), "{set}: {step:?}");
            assert!(!step.cure.is_empty() && !step.seen.contains("=S"), "{step:?}");
        }
    }

    #[test]
    fn what_the_connector_makes_external_is_no_trouble() {
        for set in ["sid=S; Domain=corp.internal", "sid=S; Path=/base/app"] {
            assert_eq!(step("https://wiki.example.com/shop/", true, set).result, StepResult::Ok, "{set}");
            assert_eq!(step("https://wiki.example.com/shop/", false, set).result, StepResult::Warn, "{set}");
        }
    }
}
