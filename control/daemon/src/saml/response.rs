//! Responses to service providers (SAML Core §3.3.3, Profiles §4.1.4.2): one assertion, or a status that says why there is none.
//! Both response and assertion are signed, since service providers differ in which they look at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::settings::NameIdFormat;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::keys::SigningKey;
use super::sign::signed;
use super::xml::{Element, Ns};

/// Where a response goes, and what it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply<'a> {
    pub(crate) entity_id: &'a str,
    /// The exact URL that it is posted to.
    pub(crate) acs: &'a str,
    /// The request's `ID`; nothing when nobody asked.
    pub(crate) in_response_to: Option<&'a str>,
    pub(crate) now_unix: u64,
}

/// What is said of a user.
#[derive(Debug, Clone)]
pub(crate) struct Assertion<'a> {
    /// The service provider's entity id.
    pub(crate) audience: &'a str,
    /// Nothing: a name made for this assertion alone.
    pub(crate) name_id: Option<String>,
    pub(crate) name_id_format: NameIdFormat,
    pub(crate) attributes: Vec<(&'a str, Vec<String>)>,
    /// `AuthnContextClassRef`.
    pub(crate) context: &'a str,
    pub(crate) authenticated_unix: u64,
    /// The session's end.
    pub(crate) ends_unix: u64,
}

/// Why there is no assertion (Core §3.2.2.2): the second-level code, below Responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    NoPassive,
    NoAuthnContext,
    InvalidNameIdPolicy,
    RequestUnsupported,
}

impl Status {
    const fn code(self) -> &'static str {
        match self {
            Self::NoPassive => "urn:oasis:names:tc:SAML:2.0:status:NoPassive",
            Self::NoAuthnContext => "urn:oasis:names:tc:SAML:2.0:status:NoAuthnContext",
            Self::InvalidNameIdPolicy => "urn:oasis:names:tc:SAML:2.0:status:InvalidNameIDPolicy",
            Self::RequestUnsupported => "urn:oasis:names:tc:SAML:2.0:status:RequestUnsupported",
        }
    }
}

/// A response with an assertion, in base64. `None`: there is no key, or no randomness. Every text in it is one that XML can say.
pub(crate) fn success(keys: &super::SamlKeys, reply: &Reply<'_>, assertion: Assertion<'_>) -> Option<String> {
    let key = keys.signing()?;
    let assertion = assertion_element(reply, assertion)?;
    let assertion = signed(assertion, BEHIND_ISSUER, &key)?;
    let status = samlp("StatusCode").with("Value", SUCCESS);
    finished(reply, samlp("Status").child(status), Some(assertion), &key)
}

/// A response without one.
pub(crate) fn failure(keys: &super::SamlKeys, reply: &Reply<'_>, status: Status) -> Option<String> {
    let second = samlp("StatusCode").with("Value", status.code());
    let first = samlp("StatusCode").with("Value", RESPONDER).child(second);
    finished(reply, samlp("Status").child(first), None, &*keys.signing()?)
}

fn finished(reply: &Reply<'_>, status: Element, assertion: Option<Element>, key: &SigningKey) -> Option<String> {
    let response = samlp("Response")
        .with("Destination", reply.acs)
        .with("ID", new_id()?)
        .with("IssueInstant", instant(reply.now_unix))
        .with("Version", "2.0");
    let response = match reply.in_response_to {
        Some(id) => response.with("InResponseTo", id),
        None => response,
    };
    let response = response.child(issuer(reply)).child(status).children(assertion);
    Some(STANDARD.encode(signed(response, BEHIND_ISSUER, key)?.canonical()))
}

fn assertion_element(reply: &Reply<'_>, assertion: Assertion<'_>) -> Option<Element> {
    let Assertion { audience, name_id, name_id_format, attributes, context, authenticated_unix, ends_unix } = assertion;
    let now = reply.now_unix;
    let until = instant((now + VALID_S).min(ends_unix));
    let name_id = match name_id {
        Some(name_id) => name_id,
        None => new_id()?,
    };
    let data = saml("SubjectConfirmationData").with("NotOnOrAfter", until.clone()).with("Recipient", reply.acs);
    let data = match reply.in_response_to {
        Some(id) => data.with("InResponseTo", id),
        None => data,
    };
    let subject = saml("Subject")
        .child(saml("NameID").with("Format", name_id_format.uri()).text(name_id))
        .child(saml("SubjectConfirmation").with("Method", BEARER).child(data));
    let conditions = saml("Conditions")
        .with("NotBefore", instant(now.saturating_sub(SKEW_S)))
        .with("NotOnOrAfter", until)
        .child(saml("AudienceRestriction").child(saml("Audience").text(audience)));
    // No id of the session, and a new one each time: service providers learn nothing of each other by it.
    let statement = saml("AuthnStatement")
        .with("AuthnInstant", instant(authenticated_unix))
        .with("SessionIndex", new_id()?)
        .with("SessionNotOnOrAfter", instant(ends_unix))
        .child(saml("AuthnContext").child(saml("AuthnContextClassRef").text(context)));
    let attributes: Vec<Element> = attributes.into_iter().map(|(name, values)| attribute(name, values)).collect();
    let attributes = (!attributes.is_empty()).then(|| saml("AttributeStatement").children(attributes));
    let element = saml("Assertion")
        .with("ID", new_id()?)
        .with("IssueInstant", instant(now))
        .with("Version", "2.0")
        .child(issuer(reply))
        .child(subject)
        .child(conditions)
        .child(statement)
        .children(attributes);
    Some(element)
}

fn attribute(name: &str, values: Vec<String>) -> Element {
    let format = if name.contains(':') { "uri" } else { "basic" };
    saml("Attribute")
        .with("Name", name)
        .with("NameFormat", format!("urn:oasis:names:tc:SAML:2.0:attrname-format:{format}"))
        .children(values.into_iter().map(|value| saml("AttributeValue").text(value)))
}

fn issuer(reply: &Reply<'_>) -> Element {
    saml("Issuer").text(reply.entity_id)
}

const fn saml(name: &'static str) -> Element {
    Element::new(Ns::Saml, name)
}

const fn samlp(name: &'static str) -> Element {
    Element::new(Ns::Samlp, name)
}

/// 160 random bits (Core §1.3.4), and no digit first.
pub(super) fn new_id() -> Option<String> {
    let mut bytes = [0; 20];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(format!("_{}", hex::encode(bytes)))
}

fn instant(unix: u64) -> String {
    let at = i64::try_from(unix).ok().and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok());
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// How long an assertion is good for; never longer than the session.
const VALID_S: u64 = 300;
/// By how much a service provider's clock may be behind.
const SKEW_S: u64 = 60;
const BEHIND_ISSUER: usize = 1;
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const RESPONDER: &str = "urn:oasis:names:tc:SAML:2.0:status:Responder";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
