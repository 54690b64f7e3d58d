//! External OpenID providers. Values are checked by control.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::document::ProviderEntry;
use postern_model::external::{DeviceClaim, DeviceClaims, ProviderSettings, UnknownUsers};
use postern_model::ids::Name;
use postern_model::secret::SecretText;
use postern_service::failure::Failure;

use super::super::reader::{Section, Value};
use super::{IDP, Reading, name};

impl<'a> Reading<'a> {
    pub(super) fn idp(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let section = value.section(format!("{IDP}.{name}"), IDP_KEYS)?;
        self.note(format!("{IDP}.{name}"), &section);
        let text = self.secret(&section, "client-secret-file")?;
        let trimmed = |text: SecretText| SecretText::new(text.expose().trim_end_matches(['\r', '\n']).to_owned());
        let entry = ProviderEntry {
            settings: self.provider(&section)?,
            client_secret: text.map(trimmed),
            groups: table(&section, "groups", |value| value.parse::<Name>())?,
        };
        self.document.providers.insert(name, entry);
        Ok(())
    }

    fn provider(&self, section: &Section<'a>) -> Result<ProviderSettings, Failure> {
        let mut settings = ProviderSettings::new(section.need("issuer")?.text()?, section.need("client-id")?.text()?);
        let text = |key: &str, into: &mut String| -> Result<(), Failure> {
            if let Some(value) = section.get(key) {
                *into = value.text()?;
            }
            Ok(())
        };
        let switch = |key| section.get(key).map(|value| value.parse()).transpose().map(Option::unwrap_or_default);
        text("domain-hint-parameter", &mut settings.domain_hint_parameter)?;
        text("claim-display-name", &mut settings.display_name_claim)?;
        text("claim-mail", &mut settings.mail_claim)?;
        if let Some(value) = section.get("label") {
            settings.label = value.parse()?;
        }
        if let Some(value) = section.get("scopes") {
            settings.scopes = value.list()?;
        }
        if let Some(value) = section.get("claim-login") {
            settings.login_claims = value.list()?;
        }
        if let Some(value) = section.get("domain") {
            settings.domains = value.list()?.into_iter().collect();
        }
        if let Some(value) = section.get("skew") {
            settings.skew_s = value.parse()?;
        }
        if let Some(value) = section.get("fetch-timeout-ms") {
            settings.fetch_timeout_ms = value.parse()?;
        }
        settings.group_claim = section.get("group-claim").map(|value| value.text()).transpose()?;
        settings.users = section.get("users").map(|value| users(&value)).transpose()?.unwrap_or_default();
        settings.acr = table(section, "acr", |value| Ok::<BTreeSet<_>, Failure>(value.list()?.into_iter().collect()))?;
        if let Some(value) = section.get("device-claim") {
            let claims = DeviceClaims::try_from(value.list::<DeviceClaim>()?);
            settings.device_claims = claims.map_err(|error| value.refuse(format_args!("`device-claim`: {error}")))?;
        }
        settings.ca_pem = match section.get("ca-pem") {
            Some(value) => Some(value.text()?),
            None => self.file(section, "ca")?,
        };
        settings.trust_mail = switch("trust-mail")?;
        settings.require_mfa = switch("require-mfa")?;
        settings.default = switch("default")?;
        settings.disabled = switch("disabled")?;
        settings.insecure_loopback = switch("insecure-loopback")?;
        Ok(settings)
    }
}

fn users(value: &Value<'_>) -> Result<UnknownUsers, Failure> {
    let text = value.text()?;
    match text.as_str() {
        "existing" => Ok(UnknownUsers::Existing),
        "create" => Ok(UnknownUsers::Create),
        _ => Err(value.refuse(format_args!("`users` = `{text}`: must be one of existing, create"))),
    }
}

/// A table whose keys are the provider's words.
fn table<'a, T>(
    section: &Section<'a>,
    key: &str,
    read: impl Fn(&Value<'a>) -> Result<T, Failure>,
) -> Result<BTreeMap<String, T>, Failure> {
    let Some(value) = section.get(key) else { return Ok(BTreeMap::new()) };
    value.names()?.entries().map(|value| Ok((value.key().to_owned(), read(&value)?))).collect()
}

const IDP_KEYS: &[&str] = &[
    "issuer",
    "client-id",
    "client-secret-file",
    "label",
    "domain",
    "domain-hint-parameter",
    "scopes",
    "claim-login",
    "claim-display-name",
    "claim-mail",
    "trust-mail",
    "group-claim",
    "groups",
    "users",
    "acr",
    "device-claim",
    "require-mfa",
    "default",
    "disabled",
    "ca",
    "ca-pem",
    "skew",
    "fetch-timeout-ms",
    "insecure-loopback",
];
