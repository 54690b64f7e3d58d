//! `postern explain REQUEST_ID`: what became of a request, as the relay that served it remembers.

mod access;

use anyhow::Result;
use postern_model::admin::path;
use postern_model::codes;
use postern_model::policy::Traced;
use postern_model::question::RequestView;
use postern_model::record::{RequestRecord, StageTimes};

use super::Context;
use super::explain;
use super::histogram::time;
use crate::args::ExplainArgs;
use crate::output::{Output, details};

pub(super) fn run(context: &Context, args: &ExplainArgs) -> Result<()> {
    let Some(request) = args.request() else { return Ok(()) };
    let view: RequestView = context.client.get(&path::request(&context.client.tenant(), request))?;
    let output = context.output;
    output.show(&view, |view| text(output, view))?;
    output.warn(view.access.as_ref().map_or(&[], |access| &access.warnings));
    Ok(())
}

fn text(output: Output, view: &RequestView) -> String {
    let record = &view.record;
    let mut text = format!("{}\n\n", verdict(view));
    let policies: &[Traced] = view.access.as_ref().map_or(&[], |access| &access.policies);
    text.push_str(&details(&facts(record, policies)));
    if let Some(explained) = &view.access {
        text.push_str("\nAccess:\n");
        text.push_str(&access::text(output, record, explained));
    }
    text.push_str("\nTimes:\n");
    text.push_str(&details(&times(&record.us)));
    if let Some(entry) = record.code.as_deref().and_then(codes::lookup) {
        text.push('\n');
        text.push_str(&explain::text(entry));
    }
    text
}

/// What happened, in a sentence.
fn verdict(view: &RequestView) -> String {
    let RequestView { relay, record, .. } = view;
    let status = record.status.map(|status| format!(" with {status}")).unwrap_or_default();
    match (&record.code, &record.culprit) {
        (None, _) => format!("Relay {relay} passed the application's answer on{status}."),
        (Some(code), _) if record.status.is_none() => {
            format!("Relay {relay} had sent no answer when the request ended: {code}.")
        }
        (Some(code), culprit) => {
            let whose = culprit.as_deref().map_or("unknown", whose);
            format!("Relay {relay} answered{status}: {code}. The cause lies with: {whose}.")
        }
    }
}

/// What a relay writes in a word.
fn whose(culprit: &str) -> &str {
    match culprit {
        "configuration" => "the configuration, here, in the directory or at the KDC",
        "sign-in" => "the place to sign in, or control",
        other => other,
    }
}

/// The names of policies, where relays write ids.
fn named(detail: &str, policies: &[Traced]) -> String {
    let word = |word: &str| {
        let id = word.trim_end_matches(',');
        let known = policies.iter().find(|traced| traced.policy.to_string() == id);
        known.map_or_else(|| word.to_owned(), |traced| word.replacen(id, traced.name.as_str(), 1))
    };
    detail.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn facts(record: &RequestRecord, policies: &[Traced]) -> Vec<(&'static str, String)> {
    let scheme = if record.tls.is_some() { "https" } else { "http" };
    let asked = format!("{} {scheme}://{}{} {}", record.method, record.host, record.path, record.protocol);
    let app = match (&record.app_name, record.app) {
        (Some(name), Some(id)) => format!("{name} ({id})"),
        _ => "none was found".to_owned(), // one does not come without the other
    };
    let mut facts = vec![
        ("request", record.request_id.to_string()),
        ("arrived", record.time.clone()),
        ("client", record.client.clone()),
        ("asked", if record.method.is_empty() { "what is no HTTP request".into() } else { asked }),
        ("application", app),
    ];
    if let Some(subject) = &record.subject {
        facts.push(("subject", subject.clone()));
    }
    if let Some(connector) = record.connector {
        let attempts = record.attempts.map(|attempts| format!(", after {attempts} attempts")).unwrap_or_default();
        facts.push(("connector", format!("{connector}{attempts}")));
    }
    facts.push(("content", format!("{} bytes in, {} bytes out", record.bytes_in, record.bytes_out)));
    if let Some(tls) = &record.tls {
        facts.push(("tls", tls.clone()));
    }
    if let Some(agent) = &record.user_agent {
        facts.push(("user agent", agent.clone()));
    }
    if let Some(detail) = record.detail.as_ref().filter(|detail| !detail.is_empty()) {
        facts.push(("detail", named(detail, policies)));
    }
    facts
}

fn times(us: &StageTimes) -> Vec<(&'static str, String)> {
    let stages = [
        ("  tls", us.tls),
        ("  queue", us.queue),
        ("  policy", us.policy),
        ("  tunnel", us.tunnel),
        ("  backend", us.backend),
        ("  first_byte", us.first_byte),
        ("  total", us.total),
    ];
    stages.into_iter().filter_map(|(name, us)| Some((name, time(us? as f64)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;
    use postern_model::admin::AccessExplained;

    fn told(view: &RequestView) -> String {
        text(Output::new(Format::Table), view)
    }

    fn view(more: &str) -> RequestView {
        let id = "0".repeat(31);
        let record = format!(
            r#"{{"time":"2026-01-01T00:00:00.000Z","request_id":"{id}7","tenant":"t1","app":"a1-1","app_name":"wiki","subject":"service/backup","client":"192.0.2.1:9",
            "method":"GET","host":"wiki.example.com","path":"/x","protocol":"HTTP/2","tls":"TLSv1.3","bytes_in":0,"bytes_out":5,
            "connector":"c1-2",{more}"us":{{"queue":12,"total":75003000}}}}"#
        );
        let access = AccessExplained { who: "service/backup".into(), ..AccessExplained::default() };
        RequestView { relay: "edge".into(), record: serde_json::from_str(&record).unwrap(), access: Some(access) }
    }

    #[test]
    fn a_refusal_is_told_with_cause_and_cure() {
        let more = r#""status":504,"culprit":"backend","code":"backend-timeout","detail":"silent for 75000 ms","#;
        let text = told(&view(more));
        assert!(
            text.starts_with("Relay edge answered with 504: backend-timeout. The cause lies with: backend.\n"),
            "{text}"
        );
        for part in [
            "GET https://wiki.example.com/x HTTP/2",
            "wiki (a1-1)",
            "service/backup",
            "c1-2",
            "silent for 75000 ms",
            "75.0 s",
            "12 µs",
        ] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        assert!(text.contains("\nCure:  "), "{text}");
    }

    #[test]
    fn policies_are_told_by_name() {
        let traced = |id: &str, name: &str| {
            let json = format!(
                r#"{{"policy":"{id}","name":"{name}","state":"on","applies":true,"because":[],"asks":["mfa"],
                "outcome":{{"kind":"block","policies":["{id}"]}}}}"#
            );
            serde_json::from_str::<Traced>(&json).unwrap()
        };
        let policies = [traced("p1-1", "outside"), traced("p1-2", "embargo")];
        assert_eq!(named("blocked by p1-2", &policies), "blocked by embargo");
        assert_eq!(named("p1-1, p1-2, p1-12 ask for mfa", &policies), "outside, embargo, p1-12 ask for mfa");
        assert_eq!(named("silent for 75000 ms", &policies), "silent for 75000 ms");
    }

    #[test]
    fn what_a_user_can_do_nothing_about_is_not_laid_at_their_door() {
        let text = told(&view(r#""status":403,"culprit":"configuration","code":"sso-refused","detail":"x","#));
        assert!(
            text.contains("The cause lies with: the configuration, here, in the directory or at the KDC.\n"),
            "{text}"
        );
    }

    #[test]
    fn an_answer_and_a_client_that_left_are_told_apart() {
        assert!(
            told(&view(r#""status":200,"#)).starts_with("Relay edge passed the application's answer on with 200.\n")
        );
        let left = told(&view(r#""culprit":"client","code":"request-cancelled","#));
        assert!(
            left.starts_with("Relay edge had sent no answer when the request ended: request-cancelled.\n"),
            "{left}"
        );
    }
}
