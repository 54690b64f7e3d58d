//! `<AuthnRequest>` (SAML Core §3.4.1), read strictly: elements where the standard has them, each text in one piece, no DTD and so
//! no entities.

use postern_model::saml::{AuthnRequest, CONTEXTS_MAX, Comparison, REQUEST_ID_BYTES_MAX, RequestedContexts};
use roxmltree::{Document, Node, ParsingOptions};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Why something is no request that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestInvalid {
    #[error("SAMLRequest is not in base64, or what is inside is not packed as its binding says")]
    Encoding,
    #[error("it is longer than 16 KiB")]
    TooLong,
    #[error("it is no XML: {0}")]
    Xml(String),
    #[error("it is no AuthnRequest of SAML 2.0")]
    Kind,
    #[error("{0} is missing, or cannot be so")]
    Part(&'static str),
}

/// Reads one.
pub(super) fn read(xml: &str) -> Result<AuthnRequest, RequestInvalid> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(xml, options).map_err(|error| RequestInvalid::Xml(error.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name((PROTOCOL, "AuthnRequest")) || root.attribute("Version") != Some("2.0") {
        return Err(RequestInvalid::Kind);
    }
    if root.attribute("ProtocolBinding").is_some_and(|binding| binding != POST) {
        return Err(RequestInvalid::Part("ProtocolBinding (of answers there is HTTP-POST alone)"));
    }
    let policy = one(root, PROTOCOL, "NameIDPolicy")?;
    let is_there = |namespace, name| one(root, namespace, name).map(|node| node.is_some());
    Ok(AuthnRequest {
        id: id(root)?,
        issuer: issuer(root)?,
        issued_unix: issued(root)?,
        destination: attribute(root, "Destination")?.map(str::to_owned),
        acs: attribute(root, "AssertionConsumerServiceURL")?.map(str::to_owned),
        acs_by_index: root.attribute("AssertionConsumerServiceIndex").is_some(),
        name_id_format: policy.and_then(|policy| policy.attribute("Format")).map(str::to_owned),
        force: flag(root, "ForceAuthn")?,
        passive: flag(root, "IsPassive")?,
        contexts: one(root, PROTOCOL, "RequestedAuthnContext")?.map(contexts).transpose()?,
        unsupported: is_there(ASSERTION, "Subject")? || is_there(ASSERTION, "Conditions")?,
    })
}

/// In UTC (Core §1.3.3).
fn issued(root: Node<'_, '_>) -> Result<u64, RequestInvalid> {
    let text = root.attribute("IssueInstant").filter(|text| text.ends_with('Z'));
    let instant = text.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let unix = instant.and_then(|instant| u64::try_from(instant.unix_timestamp()).ok());
    unix.ok_or(RequestInvalid::Part("IssueInstant"))
}

/// An NCName of ASCII: it is repeated in what is signed.
fn id(root: Node<'_, '_>) -> Result<String, RequestInvalid> {
    let id = root.attribute("ID").unwrap_or_default();
    let is_first = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let is_name = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if !is_first || !is_name || id.len() > REQUEST_ID_BYTES_MAX {
        return Err(RequestInvalid::Part("ID"));
    }
    Ok(id.to_owned())
}

fn issuer(root: Node<'_, '_>) -> Result<String, RequestInvalid> {
    let issuer = one(root, ASSERTION, "Issuer")?.ok_or(RequestInvalid::Part("Issuer"))?;
    if issuer.attribute("Format").is_some_and(|format| format != ENTITY) {
        return Err(RequestInvalid::Part("Issuer's Format"));
    }
    let text = text(issuer).ok_or(RequestInvalid::Part("Issuer"))?;
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(RequestInvalid::Part("Issuer"));
    }
    Ok(text.to_owned())
}

fn contexts(element: Node<'_, '_>) -> Result<RequestedContexts, RequestInvalid> {
    let comparison = match element.attribute("Comparison") {
        None | Some("exact") => Comparison::Exact,
        Some("minimum") => Comparison::Minimum,
        Some("better") => Comparison::Better,
        Some("maximum") => Comparison::Maximum,
        Some(_) => return Err(RequestInvalid::Part("RequestedAuthnContext's Comparison")),
    };
    let wrong = RequestInvalid::Part("RequestedAuthnContext");
    let mut classes = Vec::new();
    for child in element.children().filter(Node::is_element) {
        // Declarations are understood by nobody here: they count as classes that are not known.
        let class = text(child).filter(|class| class.len() <= TEXT_BYTES_MAX).ok_or_else(|| wrong.clone())?;
        if classes.len() >= CONTEXTS_MAX {
            return Err(wrong);
        }
        classes.push(class.to_owned());
    }
    Ok(RequestedContexts { comparison, classes })
}

/// The child of that name; two are refused, for which one counts would be anybody's guess.
fn one<'a, 'input>(
    of: Node<'a, 'input>,
    namespace: &str,
    name: &'static str,
) -> Result<Option<Node<'a, 'input>>, RequestInvalid> {
    let mut found = of.children().filter(|child| child.has_tag_name((namespace, name)));
    let first = found.next();
    if found.next().is_some() { Err(RequestInvalid::Part(name)) } else { Ok(first) }
}

/// In one piece: with a comment in the middle, readers differ in what the text is.
fn text<'a>(element: Node<'a, '_>) -> Option<&'a str> {
    let mut children = element.children();
    let only = children.next().filter(Node::is_text).and_then(|text| text.text())?;
    children.next().is_none().then(|| only.trim_ascii())
}

fn attribute<'a>(element: Node<'a, '_>, name: &'static str) -> Result<Option<&'a str>, RequestInvalid> {
    match element.attribute(name) {
        Some(value) if value.len() > TEXT_BYTES_MAX => Err(RequestInvalid::Part(name)),
        value => Ok(value),
    }
}

fn flag(element: Node<'_, '_>, name: &'static str) -> Result<bool, RequestInvalid> {
    match element.attribute(name) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(RequestInvalid::Part(name)),
    }
}

const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
/// A signed request has some sixty.
const NODES_MAX: u32 = 512;
const TEXT_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(attributes: &str, content: &str) -> String {
        format!(
            r#"<?xml version="1.0"?><p:AuthnRequest xmlns:p="{PROTOCOL}" xmlns:a="{ASSERTION}" ID="_1" Version="2.0" IssueInstant="2026-01-01T00:00:00Z" {attributes}>{content}</p:AuthnRequest>"#
        )
    }

    const ISSUER: &str = "<a:Issuer>https://wiki.example.com/</a:Issuer>";

    #[test]
    fn what_a_service_provider_asks_is_read() {
        let least = read(&request("", ISSUER)).unwrap();
        let (id, issuer) = ("_1".into(), "https://wiki.example.com/".into());
        let expected = AuthnRequest { id, issuer, issued_unix: 1_767_225_600, ..AuthnRequest::default() };
        assert_eq!(least, expected);
        let attributes = r#"ForceAuthn="true" IsPassive="1" Destination="d" AssertionConsumerServiceURL="u&amp;v" AssertionConsumerServiceIndex="3""#;
        let content = format!(
            r#"{ISSUER}<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><x/></ds:Signature><p:NameIDPolicy Format="f" AllowCreate="true"/>
            <p:RequestedAuthnContext Comparison="minimum"><a:AuthnContextClassRef> c </a:AuthnContextClassRef></p:RequestedAuthnContext><a:Subject/>"#
        );
        let most = read(&request(attributes, &content)).unwrap();
        assert!(most.force && most.passive && most.acs_by_index && most.unsupported);
        assert_eq!((most.acs.as_deref(), most.destination.as_deref()), (Some("u&v"), Some("d")));
        assert_eq!(most.name_id_format.as_deref(), Some("f"));
        let contexts = RequestedContexts { comparison: Comparison::Minimum, classes: vec!["c".into()] };
        assert_eq!(most.contexts, Some(contexts));
    }

    #[test]
    fn entities_are_not_even_declared() {
        let laughs = r#"<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>"#;
        let outside = r#"<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>"#;
        for doctype in [laughs, outside, "<!DOCTYPE a SYSTEM \"http://127.0.0.1/a.dtd\">"] {
            let xml = request("", ISSUER).replace("?>", &format!("?>{doctype}"));
            assert!(matches!(read(&xml), Err(RequestInvalid::Xml(_))), "{xml}");
        }
        assert!(matches!(read(&request("", "<a:Issuer>&b;</a:Issuer>")), Err(RequestInvalid::Xml(_))));
    }

    #[test]
    fn what_is_too_much_or_too_deep_is_refused() {
        for content in ["<x/>".repeat(1_000), format!("{}{}", "<x>".repeat(1_000), "</x>".repeat(1_000))] {
            assert!(matches!(read(&request("", &format!("{ISSUER}{content}"))), Err(RequestInvalid::Xml(_))));
        }
        let classes = "<a:AuthnContextClassRef>c</a:AuthnContextClassRef>".repeat(CONTEXTS_MAX + 1);
        let contexts = format!("{ISSUER}<p:RequestedAuthnContext>{classes}</p:RequestedAuthnContext>");
        assert_eq!(read(&request("", &contexts)), Err(RequestInvalid::Part("RequestedAuthnContext")));
    }

    #[test]
    fn a_name_that_readers_could_read_in_two_ways_is_none() {
        let wrong = Err(RequestInvalid::Part("Issuer"));
        for issuer in [
            "<a:Issuer>https://wiki.example.com/<!-- x -->.evil.example</a:Issuer>",
            "<a:Issuer><!-- x -->https://wiki.example.com/</a:Issuer>",
            "<a:Issuer>https://<?x y?>wiki.example.com/</a:Issuer>",
            "<a:Issuer><x/></a:Issuer>",
            "<a:Issuer/>",
            "<a:Issuer> </a:Issuer>",
            "",
            "<Issuer>https://wiki.example.com/</Issuer>",
            "<x><a:Issuer>https://wiki.example.com/</a:Issuer></x>",
            &format!("{ISSUER}{ISSUER}"),
            &format!("<a:Issuer>{}</a:Issuer>", "x".repeat(1025)),
        ] {
            assert_eq!(read(&request("", issuer)), wrong, "{issuer}");
        }
    }

    #[test]
    fn other_things_are_refused() {
        for (xml, error) in [
            ("hello".to_owned(), None),
            ("<AuthnRequest/>".to_owned(), Some(RequestInvalid::Kind)),
            (request("", ISSUER).replace("AuthnRequest", "LogoutRequest"), Some(RequestInvalid::Kind)),
            (request("", ISSUER).replace(r#"n="2.0""#, r#"n="1.1""#), Some(RequestInvalid::Kind)),
            (request("", ISSUER).replace(r#"ID="_1""#, ""), Some(RequestInvalid::Part("ID"))),
            (request("", ISSUER).replace(r#"ID="_1""#, r#"ID="1""#), Some(RequestInvalid::Part("ID"))),
            (request("", ISSUER).replace(r#"ID="_1""#, r#"ID="_&quot;>""#), Some(RequestInvalid::Part("ID"))),
            (request("", ISSUER).replace("00Z", "00"), Some(RequestInvalid::Part("IssueInstant"))),
            (request("", ISSUER).replace("2026", "1926"), Some(RequestInvalid::Part("IssueInstant"))),
            (request("", ISSUER).replace("IssueInstant", "Issued"), Some(RequestInvalid::Part("IssueInstant"))),
            (request(r#"ForceAuthn="yes""#, ISSUER), Some(RequestInvalid::Part("ForceAuthn"))),
            (request(r#"IsPassive="""#, ISSUER), Some(RequestInvalid::Part("IsPassive"))),
        ] {
            let found = read(&xml).unwrap_err();
            match error {
                Some(error) => assert_eq!(found, error, "{xml}"),
                None => assert!(matches!(found, RequestInvalid::Xml(_))),
            }
        }
        let artifact = r#"ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact""#;
        assert!(read(&request(artifact, ISSUER)).unwrap_err().to_string().starts_with("ProtocolBinding"));
    }
}
