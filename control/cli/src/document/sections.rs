//! The sections of a document, one by one. Keys are named as the command line's flags.

use std::collections::BTreeMap;

use postern_model::config::Preauth;
use postern_model::document::{AppEntry, CertificateEntry, Document, LimitEntry, RelayEntry};
use postern_model::ids::{AppId, Name, TenantId};
use postern_model::limit::{LimitScope, ScopeInvalid, quantity};
use postern_model::prefix::IpPrefix;
use postern_model::secret::SecretText;
use postern_service::failure::Failure;
use postern_service::{secret, suggest};
use toml::de::DeTable;

use super::reader::{Section, Source, Value};
use super::{Parsed, Places};

mod client;
mod device;
mod directory;
mod idp;
mod policy;
mod sign_in;

pub(super) fn parse(source: &Source) -> Result<Parsed, Failure> {
    let table = DeTable::parse(&source.text).map_err(|error| {
        let line = error.span().map_or(1, |span| source.line_at(span.start));
        source.refuse(line, error.message())
    })?;
    let whole = Section::closed(source, String::new(), 1, table.get_ref(), WHOLE)?;
    let mut reading = Reading { source, document: Document::default(), places: Places::default() };
    for value in whole.entries() {
        match value.key() {
            TENANT => {}
            GROUP => reading.each(&value, Reading::group)?,
            RELAY => reading.each(&value, Reading::relay)?,
            APP => reading.each(&value, Reading::app)?,
            THROTTLE => reading.each(&value, Reading::limit)?,
            NETWORK => reading.each(&value, Reading::network)?,
            ANONYMISER => reading.each(&value, Reading::anonymiser)?,
            KERBEROS => reading.kerberos(&value)?,
            TERMS => reading.each(&value, Reading::terms)?,
            USER => reading.each(&value, Reading::user)?,
            USER_GROUP => reading.each(&value, Reading::user_group)?,
            IDP => reading.each(&value, Reading::idp)?,
            CLIENT => reading.each(&value, Reading::client)?,
            POLICY => reading.each(&value, Reading::policy)?,
            DEVICE_AUTHORITY => reading.each(&value, Reading::device_authority)?,
            DEVICE_ENROLMENT => reading.device_enrolment(&value)?,
            ASSIGNMENT => reading.assignments(&value)?,
            _ => reading.certificates(&value)?, // the section was closed over these keys
        }
    }
    let tenant = whole.get(TENANT).map(|value| value.parse()).transpose()?;
    reading.places.0.extend(whole.get(TENANT).map(|value| (TENANT.to_owned(), value.line)));
    Ok(Parsed { tenant, document: reading.document, places: reading.places })
}

struct Reading<'a> {
    source: &'a Source,
    document: Document,
    places: Places,
}

impl<'a> Reading<'a> {
    fn each(
        &mut self,
        names: &Value<'a>,
        read: fn(&mut Self, &Value<'a>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut entries: Vec<Value<'a>> = names.names()?.entries().collect();
        // As they stand in the file: of two that are the same the later one is told.
        entries.sort_by_key(|value| value.line);
        entries.iter().try_for_each(|value| read(self, value))
    }

    fn group(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let section = value.section(format!("{GROUP}.{name}"), &[])?;
        self.note(format!("{GROUP}.{name}"), &section);
        self.document.connector_groups.insert(name);
        Ok(())
    }

    fn relay(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let section = value.section(format!("{RELAY}.{name}"), &["address", "fingerprint"])?;
        self.note(format!("{RELAY}.{name}"), &section);
        let fingerprint = section.get("fingerprint").map(|value| value.text()).transpose()?;
        let entry = RelayEntry { address: section.need("address")?.text()?, fingerprint };
        self.document.relays.insert(name, entry);
        Ok(())
    }

    fn certificates(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        for (nth, section) in value.sections(&["cert", "key", "sha256", "hosts"])?.into_iter().enumerate() {
            self.note(format!("{CERTIFICATE}.{nth}"), &section);
            let entry = CertificateEntry {
                sha256: section.get("sha256").map(|value| value.text()).transpose()?,
                hosts: section.get("hosts").map(|value| value.list()).transpose()?.unwrap_or_default(),
                certificate_pem: self.file(&section, "cert")?,
                key_pem: self.key(&section)?,
            };
            self.document.certificates.push(entry);
        }
        Ok(())
    }

    fn app(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let section = value.section(format!("{APP}.{name}"), APP_KEYS)?;
        self.note(format!("{APP}.{name}"), &section);
        let entry = AppEntry {
            external_url: section.need("external")?.text()?,
            internal_url: section.need("internal")?.text()?,
            preauth: preauth(&section.need("preauth")?)?,
            group: section.get("group").map(|value| value.parse()).transpose()?,
            certificate_pem: self.file(&section, "cert")?,
            key_pem: self.key(&section)?,
            settings: section.get("settings").map(|set| self.settings(&name, &set)).transpose()?.unwrap_or_default(),
        };
        self.document.apps.insert(name, entry);
        Ok(())
    }

    /// Names and values are checked by control, which says the nearest of the names there are.
    fn settings(&mut self, app: &Name, value: &Value<'a>) -> Result<BTreeMap<String, String>, Failure> {
        let section = value.names()?;
        section.note(&format!("{APP}.{app}.settings"), &mut self.places);
        let setting = |value: Value<'a>| {
            let text = value.text()?;
            let text = match text.strip_prefix('@') {
                Some(file) => {
                    secret::read_public_text(&self.source.beside(file)).map_err(|error| value.refuse(error))?
                }
                None => text,
            };
            Ok((value.key().to_owned(), text))
        };
        section.entries().map(setting).collect()
    }

    fn limit(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let scope = scope(value)?;
        let section = value.section(format!("{THROTTLE}.\"{}\"", value.key()), &["rps", "burst", "conns", "bps"])?;
        let pointer = format!("{THROTTLE}.{scope}");
        if let Some(line) = self.places.0.get(&pointer) {
            return Err(value.refuse(format_args!("[{}] is the limit of line {line} again", section.name())));
        }
        self.note(pointer, &section);
        let allowance = |key| section.get(key).map(|value| value.parse()).transpose();
        let burst = section.get("burst").map(|value| {
            let text = value.text()?;
            quantity(&text).map_err(|error| value.refuse(format_args!("`burst` = `{text}`: {error}")))
        });
        let (rps, conns, bps) = (allowance("rps")?, allowance("conns")?, allowance("bps")?);
        let entry = LimitEntry { rps, burst: burst.transpose()?, conns, bps };
        self.document.limits.insert(scope, entry);
        Ok(())
    }

    fn network(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        self.places.0.insert(format!("{NETWORK}.{name}"), value.line);
        let prefixes: Vec<IpPrefix> = value.list()?;
        self.document.networks.insert(name, prefixes);
        Ok(())
    }

    fn note(&mut self, pointer: String, section: &Section<'a>) {
        section.note(&pointer, &mut self.places);
    }

    fn file(&self, section: &Section<'a>, key: &str) -> Result<Option<String>, Failure> {
        let Some(value) = section.get(key) else { return Ok(None) };
        let path = self.source.beside(&value.text()?);
        secret::read_public_text(&path).map(Some).map_err(|error| value.refuse(error))
    }

    fn key(&self, section: &Section<'a>) -> Result<Option<SecretText>, Failure> {
        self.secret(section, "key")
    }

    fn secret(&self, section: &Section<'a>, key: &str) -> Result<Option<SecretText>, Failure> {
        let Some(value) = section.get(key) else { return Ok(None) };
        let path = self.source.beside(&value.text()?);
        if let Some(warning) = secret::exposure(&path) {
            eprintln!("warning: {warning}");
        }
        let key = secret::read_text(&path).map_err(|error| value.refuse(error))?;
        Ok(Some(SecretText::new(key.to_string())))
    }
}

fn name(value: &Value<'_>) -> Result<Name, Failure> {
    value.key().parse().map_err(|error| value.refuse(error))
}

/// A limit's scope in its one spelling. Whether an application is there, control knows.
fn scope(value: &Value<'_>) -> Result<String, Failure> {
    let text = value.key();
    let any_app = |_: &str| Ok::<_, ScopeInvalid>(AppId::new(TenantId::DEFAULT, 1));
    match LimitScope::parse(text, any_app).map_err(|error| value.refuse(error))? {
        scope @ LimitScope::SourcePrefix(_) => Ok(scope.to_string()),
        LimitScope::Tenant
        | LimitScope::App(_)
        | LimitScope::User(_)
        | LimitScope::Source { .. }
        | LimitScope::Other(_) => Ok(text.to_owned()),
    }
}

fn preauth(value: &Value<'_>) -> Result<Preauth, Failure> {
    let text = value.text()?;
    match text.as_str() {
        "passthrough" => Ok(Preauth::Passthrough),
        "oidc" => Ok(Preauth::Oidc),
        _ => {
            let nearest = suggest::nearest(&text, ["passthrough", "oidc"]);
            let nearest = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            Err(value.refuse(format_args!("`preauth` = `{text}`: must be one of passthrough, oidc{nearest}")))
        }
    }
}

const TENANT: &str = "tenant";
const GROUP: &str = "connector-group";
const RELAY: &str = "relay";
const CERTIFICATE: &str = "certificate";
const APP: &str = "app";
const THROTTLE: &str = "throttle";
const NETWORK: &str = "network";
const ANONYMISER: &str = "anonymiser";
const KERBEROS: &str = "kerberos";
const TERMS: &str = "terms";
const USER: &str = "user";
const USER_GROUP: &str = "group";
const ASSIGNMENT: &str = "assignment";
const IDP: &str = "idp";
const CLIENT: &str = "client";
const POLICY: &str = "policy";
const DEVICE_AUTHORITY: &str = "device-authority";
const DEVICE_ENROLMENT: &str = "device-enrolment";
const WHOLE: &[&str] = &[
    TENANT,
    GROUP,
    RELAY,
    CERTIFICATE,
    APP,
    THROTTLE,
    NETWORK,
    ANONYMISER,
    KERBEROS,
    TERMS,
    USER,
    USER_GROUP,
    IDP,
    CLIENT,
    ASSIGNMENT,
    POLICY,
    DEVICE_AUTHORITY,
    DEVICE_ENROLMENT,
];
const APP_KEYS: &[&str] = &["external", "internal", "preauth", "group", "cert", "key", "settings"];
