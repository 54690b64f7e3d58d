//! `postern audit …`: the audit log and the sign-in log.

mod export;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use postern_model::admin::{AUDIT_LIMIT_DEFAULT, AUDIT_LIMIT_MAX, AuditRecord, LogHeads, LogPage, SignInRecord, path};
use postern_model::chain::Chained;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, done};
use crate::args::{AuditCommand, AuditFilterArgs, PageArgs, SignInFilterArgs, SignInsCommand, TimesArgs};
use crate::client::segment;
use crate::output::{Output, details, joined};
use crate::time_text::utc;

pub(super) fn run(context: &Context, command: AuditCommand) -> Result<ExitCode> {
    match command {
        AuditCommand::List { filter, page } => {
            list(context, audit_query(context, filter), &page, audit_table).map(done)
        }
        AuditCommand::Export { filter, export } => {
            export::run::<AuditRecord>(context, audit_query(context, filter), &export).map(done)
        }
        AuditCommand::Verify(args) => verify::run::<AuditRecord>(context, &args),
        AuditCommand::Head => head(context).map(done),
        AuditCommand::SignIns(SignInsCommand::List { filter, page }) => {
            list(context, sign_in_query(context, filter), &page, sign_in_table).map(done)
        }
        AuditCommand::SignIns(SignInsCommand::Export { filter, export }) => {
            export::run::<SignInRecord>(context, sign_in_query(context, filter), &export).map(done)
        }
        AuditCommand::SignIns(SignInsCommand::Verify(args)) => verify::run::<SignInRecord>(context, &args),
    }
}

/// A log as the commands see it.
trait Log: Chained + Serialize + DeserializeOwned {
    const PATH: &'static str;
    const VERIFY_PATH: &'static str;
}

impl Log for AuditRecord {
    const PATH: &'static str = path::AUDIT;
    const VERIFY_PATH: &'static str = path::AUDIT_VERIFY;
}

impl Log for SignInRecord {
    const PATH: &'static str = path::SIGN_INS;
    const VERIFY_PATH: &'static str = path::SIGN_INS_VERIFY;
}

/// What is asked for, as a query in the making.
struct Query(Vec<(&'static str, String)>);

impl Query {
    fn with(mut self, name: &'static str, value: Option<String>) -> Self {
        self.0.extend(value.map(|value| (name, segment(&value))));
        self
    }

    fn times(self, times: &TimesArgs) -> Self {
        let text = |time: Option<u64>| time.map(|time| time.to_string());
        self.with("since", text(times.since)).with("until", text(times.until))
    }

    /// The path of one page.
    fn page<R: Log>(&self, at: (&str, Option<u64>), limit: u32) -> String {
        let mut path = format!("{}?limit={limit}", R::PATH);
        for (name, value) in &self.0 {
            path.push_str(&format!("&{name}={value}"));
        }
        if let (name, Some(seq)) = at {
            path.push_str(&format!("&{name}={seq}"));
        }
        path
    }
}

fn audit_query(context: &Context, filter: AuditFilterArgs) -> Query {
    let AuditFilterArgs { actor, action, target, times } = filter;
    let mut query = Query(Vec::new()).with("actor", actor).with("action", action).with("target", target).times(&times);
    query.0.extend(context.client.tenant_given().map(|tenant| ("tenant", tenant)));
    query
}

/// Names of users and applications are names within a tenant.
fn sign_in_query(context: &Context, filter: SignInFilterArgs) -> Query {
    let SignInFilterArgs { user, app, result, session, request, times } = filter;
    let named = user.is_some() || app.is_some();
    let tenant = context.client.tenant_given().or_else(|| named.then(|| context.client.tenant()));
    let mut query = Query(Vec::new())
        .with("user", user)
        .with("app", app)
        .with("result", result)
        .with("session", session.map(|session| session.to_string()))
        .with("request", request.map(|request| request.to_string()))
        .times(&times);
    query.0.extend(tenant.map(|tenant| ("tenant", tenant)));
    query
}

/// Asks for pages until there are enough: control stops looking after a while when a filter lets little pass.
fn list<R: Log>(context: &Context, query: Query, page: &PageArgs, table: fn(Output, &[R]) -> String) -> Result<()> {
    let limit = page.limit.unwrap_or(AUDIT_LIMIT_DEFAULT).min(AUDIT_LIMIT_MAX);
    let mut found = LogPage { items: Vec::new(), next: page.before };
    loop {
        let missing = limit - u32::try_from(found.items.len()).unwrap_or(limit).min(limit);
        let next: LogPage<R> = context.client.get(&query.page::<R>(("before", found.next), missing))?;
        found.items.extend(next.items);
        found.next = next.next;
        if found.next.is_none() || found.items.len() >= limit as usize {
            break;
        }
    }
    context.output.show(&found, |found| table(context.output, &found.items))
}

fn head(context: &Context) -> Result<()> {
    let heads: LogHeads = context.client.get(path::AUDIT_HEAD)?;
    context
        .output
        .show(&heads, |heads| details(&[("audit", heads.audit.to_string()), ("sign-ins", heads.sign_in.to_string())]))
}

fn audit_table(output: Output, records: &[AuditRecord]) -> String {
    let table =
        output.table(["SEQ", "TIME", "ACTOR", "ACTION", "TENANT", "TARGET", "CHANGE"]).rows(records, |record| {
            [
                record.seq.to_string(),
                utc(record.at_unix_ms / 1_000),
                record.actor.clone(),
                record.action.clone(),
                record.tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
                record.target.clone(),
                change(record),
            ]
        });
    table.render("no changes")
}

fn change(record: &AuditRecord) -> String {
    match (&record.before, &record.after) {
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (None, Some(after)) => after.clone(),
        (Some(before), None) => format!("was {before}"),
        (None, None) => String::new(),
    }
}

fn sign_in_table(output: Output, records: &[SignInRecord]) -> String {
    let heads = ["SEQ", "TIME", "LOGIN", "APP", "RESULT", "METHODS", "SOURCE", "DEVICE", "POLICIES", "REQUEST"];
    let table = output.table(heads).rows(records, |record| {
        [
            record.seq.to_string(),
            utc(record.at_unix_ms / 1_000),
            record.login.clone(),
            record.app_name.as_ref().map(ToString::to_string).unwrap_or_default(),
            record.code.clone().unwrap_or_else(|| record.result.as_str().to_owned()),
            joined(&record.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>()),
            source(record),
            device(record),
            joined(&record.policies.iter().map(|p| format!("{}:{}", p.policy, p.outcome)).collect::<Vec<_>>()),
            record.request.map(|request| request.to_string()).unwrap_or_default(),
        ]
    });
    table.render("no sign-ins")
}

fn source(record: &SignInRecord) -> String {
    let address = record.source.map(|source| source.to_string());
    let system = record.asn.map(|asn| format!("AS{asn}"));
    address.into_iter().chain(record.country.clone()).chain(system).collect::<Vec<_>>().join(" ")
}

fn device(record: &SignInRecord) -> String {
    let parts = record.device.clone().into_iter().chain(record.device_state.clone());
    parts.collect::<Vec<_>>().join(" ")
}
