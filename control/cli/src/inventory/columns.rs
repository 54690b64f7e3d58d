//! The columns of an inventory, in their order: what each is called, what it means, and what the template's example has there.

use postern_service::suggest;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    ServiceType,
    Platform,
    DomainMembership,
    Location,
    InternalUrl,
    Farm,
    Balancing,
    OtherContentSources,
    WebSockets,
    ExternalVendor,
    ExternalUrl,
    AlternateMappings,
    Certificate,
    CertificateLocation,
    CertificateSerial,
    Authentication,
    ServiceAccount,
    SamlIdentifiers,
    HeaderVendor,
    HeaderRequirement,
    ConnectorGroup,
    UsersAndGroups,
    Notes,
}

/// How many.
pub(crate) const COLUMNS: usize = 24;
/// Shorter headings are near each other by chance: a date is no name.
const SLIP_CHARS_MIN: usize = 5;

struct Words {
    heading: &'static str,
    meaning: &'static str,
    example: &'static str,
}

impl Column {
    pub(crate) const ALL: [Self; COLUMNS] = [
        Self::Name,
        Self::ServiceType,
        Self::Platform,
        Self::DomainMembership,
        Self::Location,
        Self::InternalUrl,
        Self::Farm,
        Self::Balancing,
        Self::OtherContentSources,
        Self::WebSockets,
        Self::ExternalVendor,
        Self::ExternalUrl,
        Self::AlternateMappings,
        Self::Certificate,
        Self::CertificateLocation,
        Self::CertificateSerial,
        Self::Authentication,
        Self::ServiceAccount,
        Self::SamlIdentifiers,
        Self::HeaderVendor,
        Self::HeaderRequirement,
        Self::ConnectorGroup,
        Self::UsersAndGroups,
        Self::Notes,
    ];

    /// As the header row has it.
    pub(crate) fn heading(self) -> &'static str {
        self.words().heading
    }

    /// As JSON has it: `internal_url`.
    pub(crate) fn key(self) -> String {
        self.heading().to_lowercase().replace(' ', "_")
    }

    /// What the example row has there.
    pub(crate) fn example(self) -> &'static str {
        self.words().example
    }

    /// The column of a heading or key, in whatever case and with `_` or `-` for spaces.
    pub(crate) fn named(heading: &str) -> Option<Self> {
        let asked = folded(heading);
        Self::ALL.into_iter().find(|column| folded(column.heading()) == asked)
    }

    /// The heading that was meant, if one is near.
    pub(crate) fn nearest(heading: &str) -> Option<&'static str> {
        let asked = folded(heading);
        if asked.chars().count() < SLIP_CHARS_MIN {
            return None;
        }
        let keys = Self::ALL.map(|column| (folded(column.heading()), column));
        let nearest = suggest::nearest(&asked, keys.iter().map(|(key, _)| key.as_str()))?;
        keys.iter().find(|(key, _)| key == nearest).map(|(_, column)| column.heading())
    }

    fn words(self) -> &'static Words {
        &WORDS[self as usize]
    }
}

/// What every column means, a line or more for each, for a help text.
pub(crate) fn meanings() -> String {
    Column::ALL.map(|column| format!("  {:<27}{}\n", column.heading(), column.words().meaning)).concat()
}

fn folded(heading: &str) -> String {
    heading.trim().to_lowercase().replace(['_', '-'], " ")
}

const fn words(heading: &'static str, meaning: &'static str, example: &'static str) -> Words {
    Words { heading, meaning, example }
}

/// In the order of [`Column::ALL`].
static WORDS: [Words; COLUMNS] = [
    words("name", "a-z, 0-9 and -: what it is published as. Needed in every row", "example"),
    words("service type", "what it is: web, api, SharePoint, …", "web"),
    words("platform", "what it runs on: IIS 10, nginx, Tomcat, …", "IIS 10"),
    words("domain membership", "the directory domain of its servers", "corp.example.com"),
    words("location", "where it runs: site, data centre", "head office"),
    words("internal URL", "what it is opened by inside", "https://wiki.corp.example.com/"),
    words("farm", "its servers, HOST or HOST:PORT, with spaces between", ""),
    words("balancing", "what spreads requests over them, and how", ""),
    words("other content sources", "URLs elsewhere that its pages need, with spaces between", ""),
    words("WebSockets", "yes or no", "no"),
    words("existing external vendor", "what publishes it today, if anything", ""),
    words("external URL", "what users shall open", "https://wiki.example.com/"),
    words("alternate access mappings", "further URLs that it answers to, with spaces between", ""),
    words("certificate", "subject, issuer and end of its certificate", ""),
    words("certificate location", "where certificate and key are: a store, a path", ""),
    words("certificate serial", "in hexadecimal: 0a:1b:2c", ""),
    words("authentication", "windows, claims, header, forms, basic, ntlm, none; best first", "windows"),
    words("service account FQDN", "host of its SPN, the SPN, or ACCOUNT@DOMAIN", "wiki.corp.example.com"),
    words("SAML identifiers", "entity id, then its reply URLs, with spaces between", ""),
    words("header vendor", "what sends it identity headers today", ""),
    words("header requirement", "headers that it needs, as sso_headers: X-User=login; …", ""),
    words("connector group", "the connectors that reach it [default: default, or --group]", "hq"),
    words("users and groups", "user/LOGIN, group/NAME or everyone, with spaces between", "group/staff"),
    words("notes", "anything", "an example: take this row out"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_its_words_and_is_found_by_them() {
        for (at, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column as usize, at);
            assert_eq!(Column::named(column.heading()), Some(column));
            assert_eq!(Column::named(&column.key()), Some(column));
        }
        assert_eq!(Column::named(" Internal_URL "), Some(Column::InternalUrl));
        assert_eq!(Column::WebSockets.key(), "websockets");
    }

    #[test]
    fn a_slip_gets_the_nearest() {
        assert_eq!(Column::named("internl url"), None);
        assert_eq!(Column::nearest("Internl-URL"), Some("internal URL"));
        assert_eq!(Column::nearest("date"), None);
        assert_eq!(Column::nearest("cost centre of the department"), None);
    }

    #[test]
    fn a_help_text_has_room_for_every_meaning() {
        for line in meanings().lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
