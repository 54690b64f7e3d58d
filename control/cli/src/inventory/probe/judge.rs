//! What an answer tells of an application: how it asks who is there, what it runs on, where it leads.

use hyper::StatusCode;
use hyper::header::{AsHeaderName, CONTENT_TYPE, HeaderMap, LOCATION, WWW_AUTHENTICATE};
use url::Url;

use super::super::authentication::Authentication;
use super::super::columns::Column;
use super::Seen;
use super::dial::{Answer, shown};
use super::page::{Page, look};

/// Tells what is seen in one answer.
pub(super) fn answer(url: &Url, answer: &Answer, seen: &mut Seen) {
    seen.found(format!("http: {} answers {}", shown(url), answer.status.as_u16()));
    platform(&answer.headers, seen);
    let page = look(url, &answer.page);
    let ways = ways(&answer.headers, &page);
    if !ways.is_empty() {
        let words = ways.iter().map(|way| way.word()).collect::<Vec<_>>().join("; ");
        seen.found(format!("authentication: {words}"));
        seen.fills(Column::Authentication, &words);
    } else if answer.status == StatusCode::UNAUTHORIZED {
        seen.missed("authentication: it answers 401 and names no scheme that is known here");
    }
    content(&page, seen);
}

/// Where it leads, if anywhere.
pub(super) fn leads(url: &Url, answer: &Answer) -> Option<Url> {
    if !answer.status.is_redirection() {
        return None;
    }
    url.join(text(&answer.headers, LOCATION)?).ok()
}

/// A redirect to another host, which is not followed.
pub(super) fn elsewhere(to: &Url, seen: &mut Seen) {
    seen.found(format!("http: it leads to {}, which is not followed", shown(to)));
    let has = |name: &str| to.query_pairs().any(|(key, _)| key == name);
    let is_federated = to.query_pairs().any(|(key, value)| key == "wa" && value.starts_with("wsignin"));
    let protocol = if has("SAMLRequest") {
        "SAML"
    } else if is_federated {
        "WS-Federation"
    } else if has("client_id") && has("response_type") {
        "OpenID Connect"
    } else {
        return;
    };
    seen.found(format!("authentication: claims, by {protocol}"));
    seen.fills(Column::Authentication, Authentication::Claims.word());
}

fn platform(headers: &HeaderMap, seen: &mut Seen) {
    let said: Vec<&str> = ["server", "x-powered-by"].into_iter().filter_map(|name| text(headers, name)).collect();
    if !said.is_empty() {
        seen.found(format!("platform: {}", said.join(", ")));
        seen.fills(Column::Platform, &said.join(", "));
    }
    let kind = text(headers, CONTENT_TYPE).unwrap_or_default();
    if headers.contains_key("microsoftsharepointteamservices") {
        seen.fills(Column::ServiceType, "SharePoint");
    } else if kind.starts_with("application/json") {
        seen.fills(Column::ServiceType, "api");
    }
}

/// How it asks, best first.
fn ways(headers: &HeaderMap, page: &Page) -> Vec<Authentication> {
    let offers = |scheme: &str| {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(unquoted_parts).any(|part| {
            // A scheme has parameters behind a space; a parameter has none before its `=`.
            part.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(scheme))
        })
    };
    let windows = offers("Negotiate");
    let all = [
        (Authentication::Windows, windows),
        (Authentication::Claims, page.saml),
        (Authentication::Forms, page.password),
        (Authentication::Basic, offers("Basic")),
        (Authentication::Ntlm, offers("NTLM") && !windows),
    ];
    all.into_iter().filter(|(_, is_so)| *is_so).map(|(way, _)| way).collect()
}

/// What stands between commas; one between quotes divides nothing.
fn unquoted_parts(value: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    value.split(move |c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
}

fn content(page: &Page, seen: &mut Seen) {
    if let Some(hint) = page.websockets {
        seen.found(format!("WebSockets: its page speaks of {hint}"));
        seen.fills(Column::WebSockets, "yes");
    }
    if !page.sources.is_empty() {
        let sources = page.sources.join(" ");
        seen.found(format!("other content sources: {sources}"));
        seen.fills(Column::OtherContentSources, &sources);
    }
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn answered(status: u16, fields: &[(&str, &str)], page: &str) -> Answer {
        let field =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, page: page.as_bytes().to_vec() }
    }

    fn filled(seen: &Seen, column: Column) -> &str {
        seen.fills.iter().find(|(filled, _)| *filled == column).map_or("", |(_, text)| text.as_str())
    }

    fn judged(status: u16, fields: &[(&str, &str)], page: &str) -> Seen {
        let mut seen = Seen::default();
        answer(&Url::parse("http://wiki.test/").unwrap(), &answered(status, fields, page), &mut seen);
        seen
    }

    #[test]
    fn challenges_are_told_apart_and_the_best_is_first() {
        for (challenges, says) in [
            (&["Basic realm=\"a, Negotiate\""][..], "basic"),
            (&["Basic realm=\"sign in, Negotiate or not\""][..], "basic"),
            (&["NTLM", "Negotiate"][..], "windows"),
            (&["NTLM"][..], "ntlm"),
            (&["Basic realm=\"a\", Negotiate"][..], "windows; basic"),
            (&["Bearer"][..], ""),
        ] {
            let fields: Vec<_> = challenges.iter().map(|value| ("www-authenticate", *value)).collect();
            let seen = judged(401, &fields, "");
            assert_eq!(filled(&seen, Column::Authentication), says, "{challenges:?}");
            assert_eq!(seen.missed.is_empty(), !says.is_empty());
        }
    }

    #[test]
    fn a_form_and_a_platform_are_seen() {
        let page = "<form action=/in><input name=u><input type=Password name=p></form>";
        let seen = judged(200, &[("server", "nginx"), ("x-powered-by", "PHP/8")], page);
        assert_eq!(filled(&seen, Column::Authentication), "forms");
        assert_eq!(filled(&seen, Column::Platform), "nginx, PHP/8");
    }

    #[test]
    fn a_redirect_to_a_provider_tells_claims_and_shows_no_query() {
        for (query, says) in [
            ("SAMLRequest=c2VjcmV0", "SAML"),
            ("wa=wsignin1.0&wtrealm=c2VjcmV0", "WS-Federation"),
            ("client_id=c2VjcmV0&response_type=code", "OpenID Connect"),
            ("next=c2VjcmV0", ""),
        ] {
            let location = format!("https://idp.test/sso?{query}");
            let url = Url::parse("http://wiki.test/").unwrap();
            let to = leads(&url, &answered(302, &[("location", location.as_str())], "")).unwrap();
            let mut seen = Seen::default();
            elsewhere(&to, &mut seen);
            assert!(seen.found.join("\n").contains(says) && !seen.found.join("\n").contains("c2V"), "{seen:?}");
            assert_eq!(filled(&seen, Column::Authentication), if says.is_empty() { "" } else { "claims" });
        }
        let url = Url::parse("http://wiki.test/a/").unwrap();
        assert_eq!(leads(&url, &answered(302, &[("location", "b")], "")).unwrap().as_str(), "http://wiki.test/a/b");
        assert!(leads(&url, &answered(200, &[("location", "b")], "")).is_none());
        assert!(leads(&url, &answered(302, &[], "")).is_none());
    }
}
