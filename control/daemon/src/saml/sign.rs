//! XML Signature, enveloped, as SAML has it (Core §5.4): RSA with SHA-256 over exclusive canonical XML.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::SigningKey;
use super::xml::{Element, Ns};

/// An element with its signature as the `nth` child. It is known by its attribute `ID`.
pub(super) fn signed(element: Element, nth: usize, key: &SigningKey) -> Option<Element> {
    let digest = digest::digest(&digest::SHA256, element.canonical().as_bytes());
    let info = info(element.attribute("ID"), digest.as_ref());
    let value = STANDARD.encode(key.sign(info.canonical().as_bytes())?);
    let signature =
        ds("Signature").child(info).child(ds("SignatureValue").text(value)).child(key_info(&key.certificate_base64));
    Some(element.insert(nth, signature))
}

/// `<ds:KeyInfo>` with a certificate.
pub(super) fn key_info(certificate_base64: &str) -> Element {
    ds("KeyInfo").child(ds("X509Data").child(ds("X509Certificate").text(certificate_base64)))
}

fn info(id: &str, digest: &[u8]) -> Element {
    let transforms = ds("Transforms").children([ENVELOPED, EXCLUSIVE].map(|uri| algorithm("Transform", uri)));
    let reference = ds("Reference")
        .with("URI", format!("#{id}"))
        .child(transforms)
        .child(algorithm("DigestMethod", SHA256))
        .child(ds("DigestValue").text(STANDARD.encode(digest)));
    ds("SignedInfo")
        .child(algorithm("CanonicalizationMethod", EXCLUSIVE))
        .child(algorithm("SignatureMethod", RSA_SHA256))
        .child(reference)
}

const fn ds(name: &'static str) -> Element {
    Element::new(Ns::Ds, name)
}

fn algorithm(name: &'static str, uri: &str) -> Element {
    ds(name).with("Algorithm", uri)
}

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
