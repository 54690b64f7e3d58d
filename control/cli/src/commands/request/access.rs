//! Why a request was let in or not: who asked, how they had signed in, what they were assigned by, which policies counted and
//! because of what.

use postern_model::admin::AccessExplained;
use postern_model::policy::{PolicyState, Traced, span};
use postern_model::record::{AccessRecord, RequestRecord};

use super::super::policy::outcome_words;
use crate::output::{Output, details, joined};
use crate::time_text::unix;

pub(super) fn text(output: Output, record: &RequestRecord, explained: &AccessExplained) -> String {
    let mut fields = vec![("  who", explained.who.clone())];
    if let Some(access) = record.access.as_deref() {
        fields.extend(signed_in(record, access, explained));
    }
    if !explained.missing.is_empty() {
        fields.push(("  missing", explained.missing.join("; ")));
    }
    let mut text = details(&fields);
    if !explained.policies.is_empty() {
        let table = output.table(["POLICY", "STATE", "COUNTED", "SAYS", "ASKS", "BECAUSE"]);
        let access = record.access.as_deref();
        let table = table.rows(&explained.policies, |traced| {
            let says = traced.outcome.as_ref().map(|outcome| outcome_words(outcome, &explained.policies));
            [
                traced.name.to_string(),
                traced.state.to_string(),
                counted(access, traced).into(),
                says.unwrap_or_else(|| "-".into()),
                joined(&traced.asks),
                traced.because.join("; "),
            ]
        });
        text.push('\n');
        text.push_str(&table.render(""));
    }
    text
}

fn signed_in(
    record: &RequestRecord,
    access: &AccessRecord,
    explained: &AccessExplained,
) -> Vec<(&'static str, String)> {
    let whole = explained.session.map(|id| id.to_string());
    let age = unix(&record.time).ok().map(|at| span(at.saturating_sub(access.authenticated_unix)));
    let with = joined(&access.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>());
    let mut fields = vec![
        ("  session", whole.unwrap_or_else(|| format!("{}… (over)", access.session))),
        ("  signed in", format!("with {with}, {} before", age.unwrap_or_else(|| "unknown".into()))),
        ("  assigned", explained.assigned.clone().unwrap_or_else(|| "no".into())),
    ];
    fields.extend(access.device.as_ref().map(|device| {
        let name = explained.device.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let which = device.id.map_or_else(|| "none was shown".to_owned(), |id| format!("{id}{name}"));
        let whose = if device.claimed >= device.state && !device.claimed.is_unknown() { CLAIMED } else { "" };
        ("  device", format!("{which}, counted as {}{whose}", device.state))
    }));
    fields.extend(access.platform.map(|platform| ("  platform", platform.to_string())));
    fields.extend(access.country.map(|country| ("  country", country.to_string())));
    fields.extend(access.asn.map(|asn| ("  system", asn.to_string())));
    fields.push(("  decided", access.outcome.clone().unwrap_or_else(|| "no policy was about it".into())));
    fields
}

/// Whether it counted for this request. Of machines relays record no policies: there it is what would be now.
fn counted(access: Option<&AccessRecord>, traced: &Traced) -> &'static str {
    let Some(access) = access else { return "now" };
    if access.policies.contains(&traced.policy) {
        "yes"
    } else if access.report_only.contains(&traced.policy) || traced.state == PolicyState::ReportOnly {
        "reports"
    } else {
        "now only"
    }
}

/// Of a device that would count for less, or was not shown.
const CLAIMED: &str = ", as the identity provider said";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;

    fn record(access: &str) -> RequestRecord {
        let id = "0".repeat(31);
        serde_json::from_str(&format!(
            r#"{{"time":"2026-01-01T00:06:40.000Z","request_id":"{id}7","tenant":"t1","app":"a1-1","app_name":"wiki",
            "subject":"user/anna","access":{access},"client":"192.0.2.1:9","bytes_in":0,"bytes_out":5}}"#
        ))
        .unwrap()
    }

    #[test]
    fn it_says_who_how_by_what_and_what_was_missing() {
        let record = record(
            r#"{"session":"9f1c2d3e","authenticated_unix":1767225600,"methods":["pwd"],"assigned":"ug1-1","platform":"linux",
            "device":{"id":"d1-4","state":"registered"},
            "policies":["p1-1"],"report_only":["p1-2"],"outcome":"needs mfa"}"#,
        );
        let policies = serde_json::from_str(
            r#"[{"policy":"p1-1","name":"outside","state":"on","applies":true,"because":["everyone"],"asks":["mfa: not met"],
             "outcome":{"kind":"needs_step_up","steps":[["mfa"]]}},
            {"policy":"p1-2","name":"embargo","state":"report-only","applies":true,"because":["country KP is one of KP"],
             "asks":["block"],"outcome":{"kind":"block","policies":["p1-2"]}}]"#,
        )
        .unwrap();
        let explained = AccessExplained {
            who: "user/anna".into(),
            assigned: Some("group/staff".into()),
            device: Some("Anna's laptop".into()),
            missing: vec!["mfa".into()],
            policies,
            ..AccessExplained::default()
        };
        let text = text(Output::new(Format::Table), &record, &explained);
        assert!(text.contains("d1-4 (Anna's laptop), counted as registered"), "{text}");
        for part in ["user/anna", "9f1c2d3e… (over)", "with pwd, 400s before", "group/staff", "linux", "needs mfa"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        for (logged, says) in [
            (
                r#"{"state":"compliant","claimed":"compliant"}"#,
                "none was shown, counted as compliant, as the identity provider said",
            ),
            (
                r#"{"id":"d1-4","state":"compliant","claimed":"compliant"}"#,
                "laptop), counted as compliant, as the identity",
            ),
            (r#"{"id":"d1-4","state":"compliant","claimed":"registered"}"#, "laptop), counted as compliant\n"),
        ] {
            let mut record = record.clone();
            record.access.as_mut().unwrap().device = serde_json::from_str(logged).unwrap();
            let text = super::text(Output::new(Format::Table), &record, &explained);
            assert!(text.contains(says), "{logged}: {text}");
        }
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("outside").contains("yes") && line("outside").contains("mfa: not met"), "{text}");
        let embargo = line("embargo");
        assert!(embargo.contains("reports") && embargo.contains("block, by embargo"), "{text}");
        assert!(embargo.contains("country KP is one of KP"), "{text}");
    }
}
