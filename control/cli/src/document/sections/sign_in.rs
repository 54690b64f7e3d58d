//! What else sign-ins go by: Kerberos tickets, terms of use, lists of anonymisers.

use clap::ValueEnum as _;
use postern_model::document::TermsEntry;
use postern_model::negotiate::KerberosSignIn;
use postern_model::terms::TermsFormat;
use postern_service::duration;
use postern_service::failure::Failure;

use super::super::reader::{Section, Value};
use super::{ANONYMISER, KERBEROS, Reading, TERMS, name};
use crate::args::KerberosNames;
use crate::commands::{identity, network, terms};

impl<'a> Reading<'a> {
    /// Prefixes, or `@` and a file that has them.
    pub(super) fn anonymiser(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        self.places.0.insert(format!("{ANONYMISER}.{name}"), value.line);
        let file = value.text().ok().and_then(|text| text.strip_prefix('@').map(|file| self.source.beside(file)));
        let prefixes = match file {
            Some(file) => network::prefixes_of(&file).map_err(|error| value.refuse(error))?,
            None => value.list()?,
        };
        self.document.anonymisers.insert(name, prefixes);
        Ok(())
    }

    pub(super) fn kerberos(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let section = value.section(KERBEROS.into(), KERBEROS_KEYS)?;
        self.note(KERBEROS.into(), &section);
        let login = section.get("login").map(|value| {
            let text = value.text()?;
            let unknown = |_| {
                let known: Vec<_> = KerberosNames::value_variants().iter().filter_map(known).collect();
                value.refuse(format_args!("`login` = `{text}`: must be one of {}", known.join(", ")))
            };
            KerberosNames::from_str(&text, false).map(identity::kerberos::names).map_err(unknown)
        });
        let settings = KerberosSignIn {
            realms: section.need("realm")?.list()?,
            networks: section.need("network")?.list()?,
            login: login.transpose()?.unwrap_or_default(),
        };
        settings.check().map_err(|error| value.refuse(error))?;
        self.document.kerberos = Some(settings);
        Ok(())
    }

    /// Their text is in a file, or here.
    pub(super) fn terms(&mut self, value: &Value<'a>) -> Result<(), Failure> {
        let name = name(value)?;
        let section = value.section(format!("{TERMS}.{name}"), TERMS_KEYS)?;
        self.note(format!("{TERMS}.{name}"), &section);
        let title = section.need("title")?.parse()?;
        let (text, format) = match (section.get("file"), section.get("text")) {
            (Some(file), None) => {
                let path = self.source.beside(&file.text()?);
                let (text, by_name) = terms::text_of(&path).map_err(|error| file.refuse(error))?;
                (text, format(&section)?.unwrap_or(by_name))
            }
            (None, Some(value)) => {
                let text = value.text()?.try_into().map_err(|error| value.refuse(format_args!("`text`: {error}")))?;
                (text, format(&section)?.unwrap_or_default())
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(value.refuse("it needs `file` or `text`, one of them"));
            }
        };
        self.document.terms.insert(name, TermsEntry { title, text, format, every_s: every(&section)? });
        Ok(())
    }
}

fn known(name: &KerberosNames) -> Option<String> {
    name.to_possible_value().map(|value| value.get_name().to_owned())
}

fn format(section: &Section<'_>) -> Result<Option<TermsFormat>, Failure> {
    let Some(value) = section.get("format") else { return Ok(None) };
    let text = value.text()?;
    match text.as_str() {
        "plain" => Ok(Some(TermsFormat::Plain)),
        "markdown" => Ok(Some(TermsFormat::Markdown)),
        _ => Err(value.refuse(format_args!("`format` = `{text}`: must be one of plain, markdown"))),
    }
}

fn every(section: &Section<'_>) -> Result<Option<u32>, Failure> {
    let Some(value) = section.get("every") else { return Ok(None) };
    let text = value.text()?;
    let every = duration::parse(&text).map_err(|error| value.refuse(format_args!("`every` = `{text}`: {error}")))?;
    // What is longer than can be said is refused by control.
    Ok(Some(u32::try_from(every.as_secs()).unwrap_or(u32::MAX).max(1)))
}

const KERBEROS_KEYS: &[&str] = &["realm", "network", "login"];
const TERMS_KEYS: &[&str] = &["title", "file", "text", "format", "every"];
