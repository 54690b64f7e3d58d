//! What an operator should know of an application before it moves: what the inventory says of it, and what publishing does not do.

use std::collections::BTreeSet;

use postern_model::app_url::InternalUrl;
use url::Url;

use super::super::columns::Column;
use super::super::sheet::Row;

/// Comments, and those of them that are warnings too.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    pub(super) lines: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Other names or servers hang together with it.
    pub(super) is_linked: bool,
}

/// `hosts`: those of all applications of the inventory. `has_aliases`: links to its other names are taken care of.
pub(super) fn of(row: &Row, internal: &InternalUrl, hosts: &BTreeSet<String>, has_aliases: bool) -> Remarks {
    let mut remarks = Remarks::default();
    remarks.lines.extend(facts(row));
    remarks.names(row, has_aliases);
    remarks.farm(row);
    remarks.sources(row, internal, hosts);
    if row.words(Column::UsersAndGroups).next().is_none() {
        remarks.warns("nobody is assigned to it: no user gets in until the column users and groups is filled".into());
    }
    remarks
}

impl Remarks {
    fn warns(&mut self, warning: String) {
        self.lines.push(format!("Warning: {warning}"));
        self.warnings.push(warning);
    }

    fn names(&mut self, row: &Row, has_aliases: bool) {
        let names = row.words(Column::AlternateMappings).collect::<Vec<_>>().join(" ");
        if names.is_empty() {
            return;
        }
        self.is_linked = true;
        if has_aliases {
            self.lines.push(format!("Links to its alternate access mappings lead to the external URL: {names}"));
        } else {
            self.warns(format!("its alternate access mappings are not published with it: {names}"));
        }
    }

    fn farm(&mut self, row: &Row) {
        let servers: Vec<&str> = row.words(Column::Farm).collect();
        if servers.len() > 1 {
            self.is_linked = true;
            let balancing = Some(row.get(Column::Balancing)).filter(|text| !text.is_empty());
            let balancing = balancing.map(|text| format!(", balanced by {text}")).unwrap_or_default();
            self.warns(format!(
                "its farm ({}{balancing}) is reached by the internal URL alone: that must lead to what spreads requests",
                servers.join(" ")
            ));
        }
    }

    /// Links to other applications of the inventory, and to what is in none.
    fn sources(&mut self, row: &Row, internal: &InternalUrl, hosts: &BTreeSet<String>) {
        let hosts_of = |word: &str| Url::parse(word).ok().and_then(|url| url.host_str().map(str::to_owned));
        let found: BTreeSet<String> = row.words(Column::OtherContentSources).filter_map(hosts_of).collect();
        let (listed, foreign): (Vec<&String>, Vec<&String>) =
            found.iter().filter(|host| **host != *internal.host).partition(|host| hosts.contains(*host));
        if !listed.is_empty() {
            self.is_linked = true;
            self.lines.push(format!("Publish together with it, for its pages link there: {}", joined(&listed)));
        }
        if !foreign.is_empty() {
            self.warns(format!("its pages need what is not in this inventory: {}", joined(&foreign)));
        }
    }
}

fn joined(hosts: &[&String]) -> String {
    hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(" ")
}

/// What the inventory says, a line for each subject.
fn facts(row: &Row) -> Vec<String> {
    let told = |columns: &[Column]| {
        let cells = columns.iter().filter(|column| !row.get(**column).is_empty());
        let facts: Vec<String> = cells.map(|column| format!("{}: {}", column.heading(), row.get(*column))).collect();
        facts.join("; ")
    };
    let mut lines = vec![
        told(&[Column::ServiceType, Column::Platform, Column::DomainMembership, Column::Location]),
        told(&[Column::ExternalVendor, Column::HeaderVendor, Column::Authentication]),
        told(&[Column::Certificate, Column::CertificateLocation, Column::CertificateSerial]),
        told(&[Column::Notes]),
    ];
    if row.get(Column::WebSockets).eq_ignore_ascii_case("yes") {
        lines.push("WebSockets: they need no setting; websocket_idle_s says how long one may be silent".into());
    }
    lines.retain(|line| !line.is_empty());
    lines
}
