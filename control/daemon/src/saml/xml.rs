//! XML by construction, in the one form that Exclusive XML Canonicalization 1.0 gives it: what is written is what is signed,
//! and a verifier that canonicalises it finds the same bytes.

use std::collections::BTreeMap;

/// A namespace, under the one prefix that it has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ns {
    Saml,
    Samlp,
    Md,
    Ds,
}

/// An element. Its attributes have no namespace, and no text has a meaning by prefixes: what an element needs declared is the
/// namespace of its own name and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    ns: Ns,
    name: &'static str,
    attributes: BTreeMap<&'static str, String>,
    content: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
}

impl Ns {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Saml => "saml",
            Self::Samlp => "samlp",
            Self::Md => "md",
            Self::Ds => "ds",
        }
    }

    const fn uri(self) -> &'static str {
        match self {
            Self::Saml => "urn:oasis:names:tc:SAML:2.0:assertion",
            Self::Samlp => "urn:oasis:names:tc:SAML:2.0:protocol",
            Self::Md => "urn:oasis:names:tc:SAML:2.0:metadata",
            Self::Ds => "http://www.w3.org/2000/09/xmldsig#",
        }
    }
}

impl Element {
    pub(super) const fn new(ns: Ns, name: &'static str) -> Self {
        Self { ns, name, attributes: BTreeMap::new(), content: Vec::new() }
    }

    pub(super) fn with(mut self, attribute: &'static str, value: impl Into<String>) -> Self {
        self.attributes.insert(attribute, value.into());
        self
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.content.push(Node::Text(text.into()));
        self
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        self.content.push(Node::Element(child));
        self
    }

    pub(super) fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.content.extend(children.into_iter().map(Node::Element));
        self
    }

    /// Where XML Signature puts it in SAML: behind the issuer, in metadata at the beginning.
    pub(super) fn insert(mut self, at: usize, child: Self) -> Self {
        self.content.insert(at.min(self.content.len()), Node::Element(child));
        self
    }

    pub(super) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// As it is by itself, whatever it stands in.
    pub(super) fn canonical(&self) -> String {
        let mut out = String::new();
        self.write(&mut Vec::new(), &mut out);
        out
    }

    /// A namespace is declared where it is used and not declared around it already; attributes are in the order of their names.
    fn write(&self, declared: &mut Vec<Ns>, out: &mut String) {
        let (prefix, name) = (self.ns.prefix(), self.name);
        let is_new = !declared.contains(&self.ns);
        out.push_str(&format!("<{prefix}:{name}"));
        if is_new {
            declared.push(self.ns);
            out.push_str(&format!(" xmlns:{prefix}=\"{}\"", self.ns.uri()));
        }
        for (attribute, value) in &self.attributes {
            out.push_str(&format!(" {attribute}=\""));
            value.chars().for_each(|letter| escape(letter, true, out));
            out.push('"');
        }
        out.push('>');
        for node in &self.content {
            match node {
                Node::Element(element) => element.write(declared, out),
                Node::Text(text) => text.chars().for_each(|letter| escape(letter, false, out)),
            }
        }
        out.push_str(&format!("</{prefix}:{name}>"));
        if is_new {
            declared.pop();
        }
    }
}

/// Canonical XML 1.0 §2.3.
fn escape(letter: char, in_attribute: bool, out: &mut String) {
    match (letter, in_attribute) {
        ('&', _) => out.push_str("&amp;"),
        ('<', _) => out.push_str("&lt;"),
        ('>', false) => out.push_str("&gt;"),
        ('"', true) => out.push_str("&quot;"),
        ('\t', true) => out.push_str("&#x9;"),
        ('\n', true) => out.push_str("&#xA;"),
        ('\r', _) => out.push_str("&#xD;"),
        _ => out.push(letter),
    }
}

/// Whether XML 1.0 can say it at all (§2.2): there are characters that it has no form for.
pub(crate) fn is_text(text: &str) -> bool {
    text.chars().all(|letter| match letter {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        letter => letter >= ' ',
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_canonical() {
        let inner = Element::new(Ns::Saml, "Issuer").with("b", "1\t\"<>").with("a", "&\n").text("x<&>\"\r\n\ty");
        let outer = Element::new(Ns::Samlp, "Response").child(inner.clone()).child(inner.clone());
        let one = r#"<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" a="&amp;&#xA;" b="1&#x9;&quot;&lt;>">x&lt;&amp;&gt;"&#xD;
	y</saml:Issuer>"#;
        assert_eq!(inner.canonical(), one);
        let all = format!(
            r#"<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol">{one}{one}</samlp:Response>"#
        );
        assert_eq!(outer.canonical(), all, "a sibling declares its namespace by itself");
        let nested = Element::new(Ns::Saml, "Subject").child(Element::new(Ns::Saml, "NameID"));
        assert!(nested.canonical().ends_with("<saml:NameID></saml:NameID></saml:Subject>"));
    }

    #[test]
    fn what_xml_cannot_say_is_known() {
        assert!(is_text("ä\t\r\n😀]]>"));
        for wrong in ["\0", "\u{1b}", "\u{fffe}", "a\u{ffff}", "\u{8}"] {
            assert!(!is_text(wrong), "{wrong:?}");
        }
    }
}
