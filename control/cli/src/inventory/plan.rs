//! Makes a document for `apply` of an inventory: every application that can be published, the simple ones first, each with what is
//! known of it and what to do before its single sign-on is switched on. What stands there uncommented can be applied as it is.

mod remarks;
mod sign_on;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use postern_model::app_url::{ExternalUrl, InternalUrl};
use postern_model::ids::Name;
use postern_model::settings::AppSettings;

use super::columns::Column;
use super::sheet::{Row, Sheet};
use sign_on::SignOn;

/// A document, and what an operator should know of it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// TOML.
    pub(crate) text: String,
    /// Names of the applications in it, in its order.
    pub(crate) planned: Vec<String>,
    /// Names of those that are not, with why.
    pub(crate) left_out: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// When an application's turn is: what needs less comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wave {
    /// It signs its users in itself, or asks nobody.
    Direct,
    /// It is told who its users are: headers, SAML.
    Told,
    /// Its passwords go into the vault.
    Vault,
    /// Kerberos, with an account and its key.
    Kerberos,
    /// Other names and servers hang together with it.
    Linked,
}

/// An application as it is to be published.
#[derive(Debug)]
struct App<'a> {
    row: &'a Row,
    external: ExternalUrl,
    internal: InternalUrl,
    /// Without it the group `default`.
    group: Option<&'a str>,
    wave: Wave,
    sign_on: SignOn,
    /// What can be applied as it is.
    settings: BTreeMap<String, String>,
    remarks: Vec<String>,
    warnings: Vec<String>,
}

/// Of rows that were checked.
pub(crate) fn plan(sheet: &Sheet, group: Option<&Name>) -> Plan {
    let hosts = inside(&sheet.rows);
    let (mut apps, mut left_out) = (Vec::new(), Vec::new());
    for row in &sheet.rows {
        match App::of(row, group, &hosts) {
            Ok(app) => apps.push(app),
            Err(why) => left_out.push(format!("{}: {why}", row.get(Column::Name))),
        }
    }
    // Of one wave they stay in the order of the sheet.
    apps.sort_by_key(|app| app.wave);
    let mut warnings: Vec<String> = left_out.iter().map(|line| format!("{line}: it is left out")).collect();
    warnings.extend(apps.iter().flat_map(|app| app.warnings.clone()));
    let text = text::toml(&sheet.name, &apps, &left_out);
    let planned = apps.iter().map(|app| app.name().to_owned()).collect();
    Plan { text, planned, left_out, warnings }
}

impl<'a> App<'a> {
    /// # Errors
    /// Why it cannot be published.
    fn of(row: &'a Row, group: Option<&'a Name>, hosts: &BTreeSet<String>) -> Result<Self, String> {
        let (internal, external) = (row.get(Column::InternalUrl), row.get(Column::ExternalUrl));
        if internal.is_empty() || external.is_empty() {
            let missing = if internal.is_empty() { Column::InternalUrl } else { Column::ExternalUrl };
            return Err(format!("it has no {}", missing.heading()));
        }
        let internal = InternalUrl::parse(internal).map_err(|error| error.to_string())?;
        let external = ExternalUrl::parse(external).map_err(|error| error.to_string())?;
        if !external.tls {
            let instead = external.secured().map(|url| format!(", {url} say")).unwrap_or_default();
            return Err(format!("users sign in over https:// only: give it an external URL that begins so{instead}"));
        }
        let own = Some(row.get(Column::ConnectorGroup)).filter(|own| !own.is_empty());
        let mut sign_on = sign_on::of(row, &internal);
        let mut settings = std::mem::take(&mut sign_on.settings);
        let aliases = aliases(row);
        let remarks = remarks::of(row, &internal, hosts, aliases.is_some());
        settings.extend(aliases);
        let wave = if remarks.is_linked { Wave::Linked } else { sign_on.wave };
        let warned = sign_on.warnings.iter().chain(&remarks.warnings);
        let warnings = warned.map(|warning| format!("{}: {warning}", row.get(Column::Name))).collect();
        let group = own.or(group.map(Name::as_str));
        Ok(Self { row, external, internal, group, wave, sign_on, settings, remarks: remarks.lines, warnings })
    }

    fn name(&self) -> &str {
        self.row.get(Column::Name)
    }
}

impl Wave {
    const ALL: [Self; 5] = [Self::Direct, Self::Told, Self::Vault, Self::Kerberos, Self::Linked];

    fn title(self) -> &'static str {
        match self {
            Self::Direct => "Wave 1: no single sign-on",
            Self::Told => "Wave 2: headers and SAML: the application is told who its users are",
            Self::Vault => "Wave 3: passwords of the vault",
            Self::Kerberos => "Wave 4: Kerberos",
            Self::Linked => "Wave 5: several names or servers: look at each as a whole before its users do",
        }
    }
}

/// Alternate access mappings as the setting for them, if they are what it can say.
fn aliases(row: &Row) -> Option<(String, String)> {
    let names: Vec<&str> = row.words(Column::AlternateMappings).collect();
    let setting = (INTERNAL_ALIASES.to_owned(), names.join(","));
    let fits = !names.is_empty() && AppSettings::parse(&BTreeMap::from([setting.clone()])).is_ok();
    fits.then_some(setting)
}

const INTERNAL_ALIASES: &str = "internal_aliases";

/// Hosts of the inventory's applications.
fn inside(rows: &[Row]) -> BTreeSet<String> {
    let urls = rows.iter().filter_map(|row| InternalUrl::parse(row.get(Column::InternalUrl)).ok());
    urls.map(|url| String::from(url.host)).collect()
}

#[cfg(test)]
mod tests;
