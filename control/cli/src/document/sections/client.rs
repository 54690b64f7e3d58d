//! Clients of the OpenID provider. They have no secret here: control makes one that `postern client rotate` replaces.

use postern_model::oauth::{ClientSettings, ClientType, ConsentBy, Scopes};
use postern_service::failure::Failure;

use super::super::reader::{Section, Value};
use super::{CLIENT, Reading, name};

impl<'a> Reading<'a> {
    pub(super) fn client(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let section = value.section(format!("{CLIENT}.{name}"), CLIENT_KEYS)?;
        self.note(format!("{CLIENT}.{name}"), &section);
        let switch =
            |key| section.get(key).map(|value| value.parse::<bool>()).transpose().map(Option::unwrap_or_default);
        let kind = match (switch("public")?, switch("confidential")?) {
            (true, false) => ClientType::Public,
            (false, true) => ClientType::Confidential,
            (true, true) | (false, false) => {
                return Err(value.refuse("it needs `public = true` or `confidential = true`, one of them"));
            }
        };
        let redirect_uris = section.get("redirect-uri").map(|value| value.list()).transpose()?.unwrap_or_default();
        let settings = ClientSettings {
            redirect_uris: redirect_uris.into_iter().collect(),
            device: switch("device")?,
            kind,
            scopes: scopes(&section)?,
            consent: consent(&section.need("consent")?)?,
            disabled: switch("disabled")?,
        };
        settings.check().map_err(|error| value.refuse(format_args!("{error}")))?;
        self.document.clients.insert(name, settings);
        Ok(())
    }
}

fn scopes(section: &Section<'_>) -> Result<Scopes, Failure> {
    Ok(section.need("scope")?.list()?.into_iter().collect())
}

fn consent(value: &Value<'_>) -> Result<ConsentBy, Failure> {
    let text = value.text()?;
    match text.as_str() {
        "admin" => Ok(ConsentBy::Admin),
        "user" => Ok(ConsentBy::User),
        _ => Err(value.refuse(format_args!("`consent` = `{text}`: must be one of admin, user"))),
    }
}

const CLIENT_KEYS: &[&str] = &["redirect-uri", "device", "public", "confidential", "scope", "consent", "disabled"];
