//! Links in a page that lead users where they cannot go: to internal URLs of published applications, which translation makes external,
//! and to hosts of the private network that nobody publishes. Nothing that a page names is fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use html5gum::{HtmlString, StartTag};
use postern_http::{Known, ResponseHead};
use url::{Host, Origin, Url};

use super::findings::Seen;
use super::tags::start_tags;
use crate::backend::{Backend, BackendTable};

/// Where links of one application's page may lead.
struct Places<'a> {
    own: &'a Backend,
    /// Applications of this connector's group by their internal origins.
    published: BTreeMap<String, &'a Backend>,
    /// Bodies are translated.
    translated: bool,
}

/// What was found, each once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    looked_at: usize,
    /// Internal origins, with the application published from there.
    internal: BTreeMap<String, String>,
    /// Hosts that only the private network knows.
    private: BTreeSet<String>,
    /// Links to the application itself without TLS.
    plain: bool,
}

/// The step; none where there is no page of HTML.
pub(super) fn look(
    backend: &Backend,
    table: Option<&BackendTable>,
    head: &ResponseHead,
    content: &[u8],
) -> Option<Seen> {
    let is_html = head.headers.get_str(Known::ContentType).is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
    });
    if !is_html || content.is_empty() {
        return None;
    }
    if head.headers.contains(Known::ContentEncoding) {
        return Some(Seen::skipped("the page is compressed, though nobody asked for it"));
    }
    let places = Places::of(backend, table);
    let scanned = &content[..content.len().min(SCANNED_BYTES_MAX)];
    Some(places.judged(&places.found(scanned)))
}

/// Whether internal URLs in heads become external: unless an operator turned it off.
pub(super) fn translates_headers(backend: &Backend) -> bool {
    backend.app.settings.get("translate_headers").is_none_or(|value| value != "false")
}

fn translates_body(backend: &Backend) -> bool {
    backend.app.settings.get("translate_body").is_some_and(|value| value != "off")
}

impl<'a> Places<'a> {
    fn of(own: &'a Backend, table: Option<&'a BackendTable>) -> Self {
        let apps = table.into_iter().flat_map(|table| table.apps.values());
        let others = apps.flat_map(|app| std::iter::once(&**app).chain(app.segments()));
        let published = std::iter::once(own).chain(others).filter_map(|app| Some((internal_origin(app)?, app)));
        Self { own, published: published.collect(), translated: translates_body(own) }
    }

    fn found(&self, page: &[u8]) -> Found {
        let mut found = Found::default();
        for tag in start_tags(page) {
            for link in ATTRIBUTES.iter().filter_map(|name| absolute(&tag, name)) {
                if found.looked_at == LINKS_MAX {
                    return found;
                }
                found.looked_at += 1;
                self.note(&mut found, &link);
            }
        }
        found
    }

    fn note(&self, found: &mut Found, link: &Url) {
        let origin = link.origin();
        let Origin::Tuple(scheme, ..) = &origin else { return };
        let text = origin.ascii_serialization();
        if self.is_external(link) {
            found.plain |= scheme == "http" && self.own.external.tls;
        } else if let Some(app) = self.published.get(&text) {
            found.internal.insert(text, app.app.name.to_string());
        } else if is_private(link) && found.private.len() < HOSTS_MAX {
            found.private.insert(text);
        }
    }

    /// Whether it is where users reach the application, whatever the scheme.
    fn is_external(&self, link: &Url) -> bool {
        link.host_str().is_some_and(|host| self.own.external.is_at(host))
    }

    fn judged(&self, found: &Found) -> Seen {
        let mut seen = vec![format!("{} absolute links", found.looked_at)];
        let mut cures = Vec::new();
        let name = &self.own.app.name;
        if !found.internal.is_empty() {
            let to: Vec<String> =
                found.internal.iter().map(|(origin, app)| format!("{origin} (published as {app})")).collect();
            seen.push(format!("internal ones to {}", to.join(", ")));
            if !self.translated {
                cures.push(format!("postern app set {name} --set translate_body=on makes them external"));
            }
        }
        if !found.private.is_empty() {
            let hosts: Vec<&str> = found.private.iter().map(String::as_str).collect();
            seen.push(format!("to private hosts that this group does not publish: {}", hosts.join(", ")));
            cures.push("publish those, too: users outside cannot open such links".into());
        }
        if found.plain {
            seen.push("to itself as http://".into());
            cures.push("tell the application that it is reached by https (X-Forwarded-Proto says so)".into());
        }
        let seen = seen.join("; ");
        if cures.is_empty() { Seen::ok(&seen) } else { Seen::warn(&seen, &cures.join("; ")) }
    }
}

fn internal_origin(app: &Backend) -> Option<String> {
    Url::parse(&app.internal.to_string()).ok().map(|url| url.origin().ascii_serialization())
}

/// A whole URL of the web in this attribute.
fn absolute(tag: &StartTag<()>, name: &str) -> Option<Url> {
    let value = tag.attributes.get(&HtmlString::from(name.as_bytes().to_vec()))?;
    let text = std::str::from_utf8(value).ok()?.trim();
    let url = match text.strip_prefix("//") {
        Some(rest) => Url::parse(&format!("https://{rest}")),
        None => Url::parse(text),
    };
    url.ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether a host cannot be one of the internet.
fn is_private(link: &Url) -> bool {
    match link.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            !name.contains('.') || PRIVATE_DOMAINS.iter().any(|domain| name.ends_with(domain))
        }
        Some(Host::Ipv4(address)) => is_private_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_private_address(IpAddr::V6(address)),
        None => false,
    }
}

fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// That hold one URL.
const ATTRIBUTES: [&str; 6] = ["href", "src", "action", "formaction", "poster", "data"];
/// As networks call theirs, and as RFC 6762 and RFC 8375 reserve.
const PRIVATE_DOMAINS: [&str; 8] =
    [".internal", ".local", ".localdomain", ".lan", ".corp", ".intranet", ".home.arpa", ".localhost"];
const SCANNED_BYTES_MAX: usize = 256 << 10;
const LINKS_MAX: usize = 10_000;
/// That are named.
const HOSTS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{app, config};
    use postern_http::BodyKind;
    use postern_model::check::{CheckStep, StepResult};

    fn step(page: &str) -> Option<CheckStep> {
        step_of("text/html; charset=utf-8", page)
    }

    fn step_of(kind: &str, page: &str) -> Option<CheckStep> {
        let apps = vec![
            app(1, "http://10.0.0.1:8080/base/", &[]),
            app(2, "https://expenses.corp/", &[]),
            app(3, "http://travel:81/", &[]),
        ];
        let table = BackendTable::build(&config(1, apps), None);
        let own = table.apps.values().find(|backend| backend.app.id.seq == 1).unwrap();
        let mut head = ResponseHead::new(200, BodyKind::None);
        head.headers.set(Known::ContentType, kind).unwrap();
        let seen = look(own, Some(&table), &head, page.as_bytes())?;
        super::super::findings::Findings::single("links", seen).steps.into_iter().next()
    }

    #[test]
    fn internal_urls_of_published_applications_need_translation() {
        let page = "<a href=http://10.0.0.1:8080/base/x>a</a><img src='https://expenses.corp/logo.png'>\
                    <form action=\"http://travel:81/book\"></form><a href=/relative>r</a>";
        let found = step(page).unwrap();
        assert_eq!(found.result, StepResult::Warn, "{found:?}");
        for words in [
            "3 absolute links",
            "http://10.0.0.1:8080 (published as app1)",
            "https://expenses.corp (published as app2)",
            "app3",
        ] {
            assert!(found.seen.contains(words), "{words}: {found:?}");
        }
        assert!(found.cure.contains("postern app set app1 --set translate_body=on"), "{found:?}");
        assert!(!found.cure.contains("publish those"), "{found:?}");
    }

    #[test]
    fn private_hosts_that_nobody_publishes_are_named() {
        let page = "<a href=http://feedback/>f</a><a href=//wiki.corp/>w</a><a href='https://192.168.1.7/x'>a</a>\
                    <a href='http://[fd00::1]/'>b</a><a href='http://10.0.0.1:81/'>another port</a><a href='https://www.example.org/'>p</a>";
        let found = step(page).unwrap();
        assert_eq!(found.result, StepResult::Warn);
        for host in ["http://feedback", "https://wiki.corp", "https://192.168.1.7", "http://[fd00::1]"] {
            assert!(found.seen.contains(host), "{host}: {found:?}");
        }
        assert!(!found.seen.contains("10.0.0.1:81"), "no more than some are named: {found:?}");
        assert!(!found.seen.contains("www.example.org") && found.cure.contains("publish those"), "{found:?}");
    }

    #[test]
    fn what_leads_where_users_can_go_is_fine() {
        let good = "<a href=https://app1.example.com/x>me</a><a href=https://www.example.org/>web</a><a href=mailto:a@corp>m</a>\
                    <script>location='http://travel:81/'</script><!-- <a href=http://travel:81/> -->";
        assert_eq!(step(good).unwrap().result, StepResult::Ok, "{:?}", step(good));
        let plain = step("<a href=http://app1.example.com/x>me</a>").unwrap();
        assert!(plain.result == StepResult::Warn && plain.cure.contains("X-Forwarded-Proto"), "{plain:?}");
        assert_eq!(step_of("application/json", "<a href=http://travel:81/>"), None, "it is no page");
        assert_eq!(step(""), None);
    }

    #[test]
    fn a_long_page_is_looked_at_as_far_as_its_bound_and_nonsense_does_no_harm() {
        let far = format!("{}<a href=http://travel:81/>", " ".repeat(SCANNED_BYTES_MAX));
        assert_eq!(step(&far).unwrap().result, StepResult::Ok);
        for page in ["<a href=http://[>", "<<<>>>\"'&#x0;", "<a href=\u{0}http://x>", "<a href='http://travel:81/"] {
            assert!(step(page).is_some(), "{page}");
        }
    }
}
