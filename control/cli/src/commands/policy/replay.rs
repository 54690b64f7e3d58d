//! `postern policy replay`: an access log read again, and what other policies would have said of each user's request in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, stdin};
use std::path::Path;

use anyhow::Result;
use postern_model::admin::{REPLAYED_MAX, Replay, Replayed, ReplayedRequest, path};
use postern_model::record::{IDLE, LoggedRequest, RequestRecord};
use postern_service::failure::Failure;
use serde::Serialize;

use super::{Context, changed_keys};
use crate::args::ReplayArgs;
use crate::document::{self, Source};
use crate::output::Output;
use crate::time_text::unix;

/// What comes out.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Requests by what was decided and what would be.
    outcomes: Vec<Outcomes>,
    /// The first of those that would be decided otherwise.
    differing: Vec<Differing>,
    /// Those that would be decided otherwise already by the policies, users and groups as they are.
    differing_without_change: u64,
    skipped: Skipped,
    /// Requests whose platform the log does not have.
    without_platform: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Outcomes {
    was: String,
    would_be: String,
    requests: u64,
}

#[derive(Debug, Serialize)]
struct Differing {
    time: String,
    request_id: String,
    user: String,
    app: String,
    client: String,
    was: String,
    would_be: String,
    policies: Vec<String>,
}

/// What was not decided about again, and why.
#[derive(Debug, Default, Serialize)]
struct Skipped {
    /// Of machines, of nobody, or to applications that ask nobody.
    not_of_users: u64,
    /// Of relays that did not log how users had signed in.
    older_relay: u64,
    /// No policy was asked: the user was not assigned, or had one factor where the application demands two.
    no_policy_asked: u64,
    /// When a session was used last is not in the log.
    idle: u64,
    user_gone: u64,
    app_gone: u64,
    /// Lines that the relay could not write.
    dropped: u64,
    not_a_record: u64,
}

/// Requests that wait to be asked about, and what came of those before.
struct Replaying<'a> {
    context: &'a Context,
    change: Replay,
    waiting: Vec<RequestRecord>,
    counts: BTreeMap<(String, String), u64>,
    show: usize,
    report: Report,
}

pub(super) fn run(context: &Context, args: ReplayArgs) -> Result<()> {
    let (log, show) = (args.log.clone(), args.show);
    let change = change(args)?;
    let mut replaying =
        Replaying { context, change, waiting: Vec::new(), counts: BTreeMap::new(), show, report: Report::default() };
    replaying.read(&log)?;
    replaying.ask()?;
    let mut report = replaying.report;
    let counted = replaying.counts.into_iter();
    report.outcomes = counted.map(|((was, would_be), requests)| Outcomes { was, would_be, requests }).collect();
    context.output.show(&report, |report| text(context.output, report))?;
    context.output.warn(&warnings(&report));
    Ok(())
}

/// What is to be other than it is; nothing, to hear what policies say as they are.
fn change(args: ReplayArgs) -> Result<Replay> {
    let ReplayArgs { policy_file, policy, clear, terms, .. } = args;
    let mut replay = Replay::default();
    if let Some(file) = &policy_file {
        replay.put = document::parse(&Source::read(file)?)?.document.policies;
        if replay.put.is_empty() {
            return Err(Failure::usage(format!("{}: it has no [policy.NAME]", file.display())).into());
        }
    }
    let keys = changed_keys(&clear, terms)?;
    match policy {
        Some(_) if keys.is_empty() => {
            return Err(Failure::usage("--policy needs what it is to say, such as --state on or --require mfa").into());
        }
        Some(name) => drop(replay.set.insert(name, keys)),
        None if !keys.is_empty() => return Err(Failure::usage("which policy? name it with --policy NAME").into()),
        None => {}
    }
    Ok(replay)
}

impl Replaying<'_> {
    fn read(&mut self, log: &Path) -> Result<()> {
        let name = if log == Path::new("-") { "standard input".to_owned() } else { log.display().to_string() };
        let unreadable = |error: std::io::Error| Failure::usage(format!("cannot read {name}: {error}"));
        let mut reader: Box<dyn BufRead> = match log == Path::new("-") {
            true => Box::new(stdin().lock()),
            false => Box::new(BufReader::new(File::open(log).map_err(unreadable)?)),
        };
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut part = reader.by_ref().take(LINE_BYTES_MAX);
            if part.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
                return Ok(());
            }
            self.line(&line)?;
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        let skipped = &mut self.report.skipped;
        let Ok(record) = serde_json::from_slice::<RequestRecord>(line) else {
            match serde_json::from_slice::<serde_json::Value>(line).ok().and_then(|line| line["dropped"].as_u64()) {
                Some(dropped) => skipped.dropped += dropped,
                None => skipped.not_a_record += 1,
            }
            return Ok(());
        };
        let is_users = record.subject.as_deref().is_some_and(|subject| subject.starts_with("user/"));
        match record.access.as_deref() {
            _ if !is_users => skipped.not_of_users += 1,
            None => skipped.older_relay += 1,
            Some(access) if access.assigned.is_none() => skipped.no_policy_asked += 1,
            Some(access) if access.outcome.as_deref() == Some(IDLE) => skipped.idle += 1,
            Some(_) => match unix(&record.time).ok().and_then(|at| LoggedRequest::of(&record, at)) {
                None => skipped.not_a_record += 1,
                Some(logged) => {
                    self.report.without_platform += u64::from(logged.platform.is_none());
                    self.change.requests.push(logged);
                    self.waiting.push(record);
                }
            },
        }
        if self.waiting.len() >= REPLAYED_MAX { self.ask() } else { Ok(()) }
    }

    /// Asks about those that wait.
    fn ask(&mut self) -> Result<()> {
        let client = &self.context.client;
        let answer: Replayed = client.post(&path::policy_replay(&client.tenant()), &self.change)?;
        self.change.requests.clear();
        for (record, item) in std::mem::take(&mut self.waiting).into_iter().zip(answer.items) {
            self.answered(record, item);
        }
        Ok(())
    }

    fn answered(&mut self, record: RequestRecord, item: ReplayedRequest) {
        let report = &mut self.report;
        let (now, would_be, policies) = match item {
            ReplayedRequest::Decided { now, changed, policies } => (now, changed, policies),
            ReplayedRequest::NoUser => return report.skipped.user_gone += 1,
            ReplayedRequest::NoApp => return report.skipped.app_gone += 1,
        };
        let was = record.access.and_then(|access| access.outcome).unwrap_or_else(|| ALLOW.into());
        report.differing_without_change += u64::from(was != now);
        if was != would_be && report.differing.len() < self.show {
            report.differing.push(Differing {
                time: record.time,
                request_id: record.request_id.to_string(),
                user: record.subject.unwrap_or_default().trim_start_matches("user/").to_owned(),
                app: record.app_name.unwrap_or_default(),
                client: record.client,
                was: was.clone(),
                would_be: would_be.clone(),
                policies: policies.iter().map(ToString::to_string).collect(),
            });
        }
        *self.counts.entry((was, would_be)).or_default() += 1;
    }
}

fn text(output: Output, report: &Report) -> String {
    let counts = output.table(["WAS", "WOULD BE", "REQUESTS"]).rows(&report.outcomes, |outcomes| {
        [outcomes.was.clone(), outcomes.would_be.clone(), outcomes.requests.to_string()]
    });
    let mut text = counts.render("no request of a user that can be decided about again");
    if !report.differing.is_empty() {
        let heads = ["TIME", "REQUEST", "USER", "APP", "CLIENT", "WAS", "WOULD BE", "POLICIES"];
        let table = output.table(heads).rows(&report.differing, |one| {
            [
                one.time.clone(),
                one.request_id.clone(),
                one.user.clone(),
                one.app.clone(),
                one.client.clone(),
                one.was.clone(),
                one.would_be.clone(),
                one.policies.join(", "),
            ]
        });
        text.push('\n');
        text.push_str(&table.render(""));
        let all: u64 = report.outcomes.iter().filter(|one| one.was != one.would_be).map(|one| one.requests).sum();
        let more = all.saturating_sub(report.differing.len() as u64);
        if more > 0 {
            text.push_str(&format!("and {more} more: --show N shows more\n"));
        }
    }
    text
}

/// What the comparison leaves out.
fn warnings(report: &Report) -> Vec<String> {
    let Skipped { not_of_users, older_relay, no_policy_asked, idle, user_gone, app_gone, dropped, not_a_record } =
        report.skipped;
    let all = [
        (not_of_users, "are not of users: no policy about people counts for them"),
        (older_relay, "are of relays that did not log how users had signed in"),
        (
            no_policy_asked,
            "were refused before a policy was asked: no assignment, or one factor where the application demands two",
        ),
        (idle, "had a session that was idle too long: when one was used last is not in the log"),
        (user_gone, "are of users who are no more"),
        (app_gone, "are for applications that are no more, or of another tenant"),
        (dropped, "were not written by the relay, which had no time"),
        (not_a_record, "are no lines of an access log"),
    ];
    let mut warnings: Vec<String> = all
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} left out: they {why}"))
        .collect();
    if report.without_platform > 0 {
        warnings.push(format!(
            "{} have no platform in the log, since no policy asked for it: they count as other",
            report.without_platform
        ));
    }
    if report.differing_without_change > 0 {
        warnings.push(format!(
            "{} would be decided otherwise already by the policies, users and groups as they are now",
            report.differing_without_change
        ));
    }
    if !report.outcomes.is_empty() {
        warnings.push(
            "devices and accepted terms are not in the log: devices count as unknown, terms as they are accepted now"
                .into(),
        );
    }
    warnings
}

const ALLOW: &str = "allow";
/// Relays write lines of a few kilobytes at most.
const LINE_BYTES_MAX: u64 = 64 << 10;
