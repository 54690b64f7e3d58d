//! What service providers must know (SAML Metadata §2): names, addresses, and the certificates of all keys.

use super::keys::SigningKey;
use super::response::{PROTOCOL, new_id};
use super::sign::{key_info, signed};
use super::xml::{Element, Ns};
use super::{entity_id, sso_url};
use crate::control::Control;
use postern_model::settings::NameIdFormat;

/// The signed document.
pub(super) fn of(control: &Control) -> Option<String> {
    let entity_id = entity_id(control);
    let sso_url = sso_url(control);
    control.saml.metadata(&entity_id, || {
        let keys = control.saml.all();
        let document = document(&entity_id, &sso_url, keys.iter().map(AsRef::as_ref))?;
        Some(signed(document, 0, keys.first()?)?.canonical())
    })
}

fn document<'a>(entity_id: &str, sso_url: &str, keys: impl Iterator<Item = &'a SigningKey>) -> Option<Element> {
    let keys = keys.map(|key| md("KeyDescriptor").with("use", "signing").child(key_info(&key.certificate_base64)));
    let formats =
        [NameIdFormat::Unspecified, NameIdFormat::EmailAddress, NameIdFormat::Persistent, NameIdFormat::Transient];
    let formats = formats.map(|format| md("NameIDFormat").text(format.uri()));
    let services = ["HTTP-Redirect", "HTTP-POST"].map(|binding| {
        let binding = format!("urn:oasis:names:tc:SAML:2.0:bindings:{binding}");
        md("SingleSignOnService").with("Binding", binding).with("Location", sso_url)
    });
    let role = md("IDPSSODescriptor")
        .with("WantAuthnRequestsSigned", "false")
        .with("protocolSupportEnumeration", PROTOCOL)
        .children(keys)
        .children(formats)
        .children(services);
    let entity = md("EntityDescriptor")
        .with("ID", new_id()?)
        .with("cacheDuration", CACHED)
        .with("entityID", entity_id)
        .child(role);
    Some(entity)
}

const fn md(name: &'static str) -> Element {
    Element::new(Ns::Md, name)
}

/// One hour: service providers that read it by themselves know the next key soon.
const CACHED: &str = "PT1H";
