//! What the beginning of a page tells: a form with a password, a SAML request, WebSockets, and what it loads from other hosts.

use std::collections::BTreeSet;

use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};
use url::Url;

/// What is in a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// A field for a password.
    pub(super) password: bool,
    /// A form that brings a SAML request elsewhere.
    pub(super) saml: bool,
    /// What speaks for WebSockets.
    pub(super) websockets: Option<&'static str>,
    /// `https://HOST/` of what it loads from elsewhere.
    pub(super) sources: Vec<String>,
}

/// Looks at HTML; at anything else it sees nothing.
pub(super) fn look(url: &Url, content: &[u8]) -> Page {
    let mut emitter = DefaultEmitter::<()>::default();
    // What stands in a script or a comment is no form.
    emitter.naively_switch_states(true);
    let mut page = Page { websockets: websockets(content), ..Page::default() };
    let mut sources = BTreeSet::new();
    for token in Tokenizer::new_with_emitter(content, emitter) {
        let Ok(token) = token;
        let Token::StartTag(tag) = token else { continue };
        if **tag.name == *b"input" {
            page.password |= value(&tag, "type").eq_ignore_ascii_case("password");
            page.saml |= value(&tag, "name") == "SAMLRequest";
        }
        if sources.len() < SOURCES_MAX {
            sources.extend(source(url, &tag));
        }
    }
    page.sources = sources.into_iter().collect();
    page
}

/// The other host that a tag loads something from, or sends something to. A link that a user may follow is none.
fn source(url: &Url, tag: &StartTag<()>) -> Option<String> {
    let attribute = match &**tag.name {
        b"script" | b"img" | b"iframe" | b"frame" | b"source" | b"video" | b"audio" | b"embed" => "src",
        b"link" if only_tells(&value(tag, "rel")) => return None,
        b"link" => "href",
        b"form" => "action",
        b"object" => "data",
        _ => return None, // loads nothing
    };
    let found = url.join(value(tag, attribute).trim()).ok()?;
    let is_other = matches!(found.scheme(), "http" | "https") && found.host() != url.host();
    is_other.then(|| format!("{}/", found.origin().ascii_serialization()))
}

/// Whether a `<link>` says where something is, and browsers load nothing by it.
fn only_tells(rel: &str) -> bool {
    let mut kinds = rel.split_ascii_whitespace().peekable();
    kinds.peek().is_some() && kinds.all(|kind| TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(kind)))
}

fn value(tag: &StartTag<()>, name: &str) -> String {
    let value = tag.attributes.get(&HtmlString::from(name.as_bytes().to_vec()));
    value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

fn websockets(content: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(content).to_lowercase();
    HINTS.into_iter().find(|hint| text.contains(hint))
}

/// In lower case.
const HINTS: [&str; 6] = ["new websocket(", "wss://", "ws://", "socket.io", "sockjs", "signalr"];
/// Kinds of links that load nothing. A style sheet may be an `alternate`, too, and is loaded.
const TELLING: [&str; 10] =
    ["alternate", "author", "canonical", "help", "license", "next", "prev", "profile", "search", "shortlink"];
/// Of other hosts, that a cell can be read.
const SOURCES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(content: &str) -> Page {
        look(&Url::parse("https://wiki.test/a/").unwrap(), content.as_bytes())
    }

    #[test]
    fn what_is_loaded_from_other_hosts_is_told_once() {
        let page = seen(
            "<a href=https://elsewhere.test/><img src=/logo.png><img src=https://wiki.test:8443/x>
             <script src=//cdn.test:8443/a.js></script><script src=//cdn.test:8443/b.js></script>
             <link rel='Alternate stylesheet' href='http://styles.test/x.css'><link rel=Canonical href=https://www.test/>
             <link rel='next prev' href=https://pages.test/><form action=https://post.test/in></form><img src=data:,x>",
        );
        assert_eq!(page.sources, ["http://styles.test/", "https://cdn.test:8443/", "https://post.test/"]);
        assert_eq!((page.password, page.saml, page.websockets), (false, false, None));
    }

    #[test]
    fn forms_scripts_and_comments_are_told_apart() {
        assert!(seen("<form><input TYPE='password'></form>").password);
        assert!(!seen("<!-- <input type=password> --><script>'<input type=password>'</script>").password);
        assert!(seen("<form action=https://idp.test/><input type=hidden name=SAMLRequest value=x>").saml);
        assert_eq!(seen("<script>new WebSocket(url)</script>").websockets, Some("new websocket("));
        assert_eq!(seen("\u{0}\u{1}not HTML"), Page::default());
    }
}
