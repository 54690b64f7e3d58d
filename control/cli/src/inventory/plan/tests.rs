//! What is planned, in which order, what stays commented out, and that the document reads.

use super::*;
use crate::document::{self, Source};

const BASE: [(Column, &str); 3] = [
    (Column::InternalUrl, "https://wiki.corp.example.com/"),
    (Column::ExternalUrl, "https://wiki.example.com/"),
    (Column::UsersAndGroups, "group/staff"),
];

fn row(name: &str, cells: &[(Column, &str)]) -> Row {
    let mut row = Row::new("a.csv:2");
    row.set(Column::Name, name);
    for (column, text) in BASE.iter().chain(cells) {
        row.set(*column, text);
    }
    row
}

fn planned(rows: Vec<Row>) -> Plan {
    let sheet = Sheet { name: "a.csv".into(), rows, warnings: Vec::new() };
    let plan = plan(&sheet, None);
    read(&plan.text);
    plan
}

/// As `apply` reads it.
fn read(text: &str) -> postern_model::document::Document {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let source = Source::read(file.path()).unwrap();
    document::parse(&source).unwrap_or_else(|failure| panic!("{failure}\n{text}")).document
}

#[test]
fn the_simple_ones_come_first_and_all_is_read() {
    let plan = planned(vec![
        row("e", &[(Column::AlternateMappings, "ws://wiki/")]),
        row("d", &[(Column::Authentication, "windows"), (Column::ConnectorGroup, "hq")]),
        row("c", &[(Column::Authentication, "forms; basic")]),
        row("b", &[(Column::Authentication, "header"), (Column::HeaderRequirement, "X-User=login")]),
        row("a", &[(Column::Authentication, "none"), (Column::UsersAndGroups, "everyone user/anna@example.com")]),
    ]);
    assert_eq!(plan.planned, ["a", "b", "c", "d", "e"]);
    let document = read(&plan.text);
    assert_eq!(document.apps.len(), 5);
    assert_eq!(document.connector_groups.len(), 1);
    assert_eq!(document.assignments.len(), 6);
    let of = |name: &str| &document.apps[&name.parse::<Name>().unwrap()];
    assert_eq!(of("b").settings["sso_headers"], "X-User=login");
    assert_eq!(of("d").group.as_ref().unwrap().as_str(), "hq");
    for name in ["a", "c", "d", "e"] {
        assert!(of(name).settings.is_empty(), "{}", plan.text);
    }
    assert!(plan.text.contains("# sso = \"kerberos\"\n# sso_spn = \"HTTP/wiki.corp.example.com\"\n"), "{}", plan.text);
    assert!(plan.text.find("Wave 1") < plan.text.find("Wave 5"));
    assert!(plan.warnings.iter().any(|warning| warning.starts_with("e: its alternate access mappings")), "{plan:?}");
}

/// What is commented out must be right once its `#` is taken away, but for what an operator fills in.
#[test]
fn what_is_commented_out_can_be_switched_on() {
    let rows = ["windows", "forms", "basic", "header", "claims"].map(|way| row(way, &[(Column::Authentication, way)]));
    let plan = planned(rows.to_vec());
    let on = plan.text.replace("# sso", "sso").replace("# backend_plaintext", "backend_plaintext");
    for (name, app) in read(&on).apps {
        let parsed = match postern_model::settings::AppSettings::parse(&app.settings) {
            Ok(parsed) => parsed,
            Err(_) if name.as_str() == "claims" => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        parsed.check_preauth(app.preauth).unwrap();
        parsed.check_backend(app.internal_url.starts_with("https://")).unwrap();
    }
}

#[test]
fn spns_are_made_of_what_is_known() {
    let spn = |account: &str, domain: &str| {
        let cells = [
            (Column::Authentication, "windows"),
            (Column::ServiceAccount, account),
            (Column::DomainMembership, domain),
        ];
        let plan = planned(vec![row("a", &cells)]);
        plan.text.lines().find_map(|line| line.strip_prefix("# sso_spn = ")).unwrap().to_owned()
    };
    assert_eq!(spn("", "corp.example.com"), "\"HTTP/wiki.corp.example.com@CORP.EXAMPLE.COM\"");
    assert_eq!(spn("web1.corp.example.com", "workgroup"), "\"HTTP/web1.corp.example.com\"");
    assert_eq!(spn("http/web1@CORP.EXAMPLE.COM", ""), "\"http/web1@CORP.EXAMPLE.COM\"");
    assert_eq!(spn("svc-web@corp.example.com", ""), "\"HTTP/wiki.corp.example.com\"");
}

#[test]
fn saml_is_switched_on_where_its_identifiers_are_known() {
    let claims = (Column::Authentication, "claims");
    let plan = planned(vec![row("a", &[claims, (Column::SamlIdentifiers, "urn:wiki https://wiki.example.com/acs")])]);
    let document = read(&plan.text);
    let settings = &document.apps[&"a".parse::<Name>().unwrap()].settings;
    assert_eq!((&*settings["sso"], &*settings["sso_saml_acs"]), ("saml", "https://wiki.example.com/acs"));
    // What control would refuse is told and left for later.
    let plan = planned(vec![row("a", &[claims, (Column::SamlIdentifiers, "urn:wiki https://WIKI.example.com/acs")])]);
    assert!(plan.text.contains("# sso = \"saml\"") && plan.warnings[0].contains("sso_saml_acs"), "{plan:?}");
}

#[test]
fn what_cannot_be_published_is_left_out_and_said() {
    let plan = planned(vec![
        row("good", &[]),
        row("no-url", &[(Column::InternalUrl, "")]),
        row("plain", &[(Column::ExternalUrl, "http://plain.example.com/")]),
    ]);
    assert_eq!(plan.planned, ["good"]);
    assert_eq!(plan.left_out[0], "no-url: it has no internal URL");
    assert!(plan.left_out[1].contains("https://plain.example.com/ say"), "{plan:?}");
    assert!(plan.text.contains("# no-url: it has no internal URL\n"), "{}", plan.text);
    assert_eq!(plan.warnings.len(), 2, "{plan:?}");
}

#[test]
fn what_publishing_does_not_do_is_warned_of() {
    let mut other = row("other", &[]);
    other.set(Column::InternalUrl, "http://files.corp.example.com/");
    let plan = planned(vec![
        other,
        row(
            "a",
            &[
                (Column::Farm, "web1 web2"),
                (Column::OtherContentSources, "http://files.corp.example.com/ https://cdn.test/"),
                (Column::UsersAndGroups, ""),
                (Column::Authentication, "ntlm"),
            ],
        ),
    ]);
    for says in ["its farm (web1 web2)", "not in this inventory: cdn.test", "nobody is assigned", "NTLM alone"] {
        assert!(plan.warnings.iter().any(|warning| warning.contains(says)), "{says}: {plan:?}");
    }
    assert!(plan.text.contains("for its pages link there: files.corp.example.com"), "{}", plan.text);
    assert_eq!(plan.planned, ["other", "a"]);
}

#[test]
fn alternate_access_mappings_are_aliases_where_there_is_such_a_setting() {
    let plan = planned(vec![row("a", &[(Column::AlternateMappings, "http://wiki; http://wiki.corp/")])]);
    let is_known = postern_model::settings::setting_names().any(|name| name == INTERNAL_ALIASES);
    let setting = "internal_aliases = \"http://wiki,http://wiki.corp/\"\n";
    assert_eq!(plan.text.contains(setting), is_known, "{}", plan.text);
    assert_eq!(plan.warnings.is_empty(), is_known, "{plan:?}");
    assert!(plan.text.contains("Wave 5"), "{}", plan.text);
}

#[test]
fn no_cell_gets_out_of_its_comment() {
    let evil = "x\n[app.evil]\nexternal = \"https://evil.example.com/\"\u{202e}";
    let cells =
        [Column::Notes, Column::Platform, Column::HeaderRequirement, Column::Balancing].map(|column| (column, evil));
    let plan = planned(vec![row("a", &[&cells[..], &[(Column::Authentication, "header")]].concat())]);
    assert_eq!(read(&plan.text).apps.len(), 1, "{}", plan.text);
    assert!(!plan.text.contains('\u{202e}'), "it is seen as it is: {}", plan.text);
}

#[test]
fn the_group_of_the_command_is_for_rows_without_one() {
    let sheet = Sheet { name: "a.csv".into(), rows: vec![row("a", &[])], warnings: Vec::new() };
    let group = "branch".parse().unwrap();
    let document = read(&plan(&sheet, Some(&group)).text);
    assert_eq!(document.apps[&"a".parse::<Name>().unwrap()].group, Some(group.clone()));
    assert!(document.connector_groups.contains(&group));
}
