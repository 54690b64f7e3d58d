//! `postern trace`: requests of one application that relays record while an operator looks. Control keeps who looks at what, and passes
//! on what relays give; nothing of it is stored but that it was done. Whoever began a trace asks for it again and again: one that nobody
//! asks for any more, for whatever reason, ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postern_model::admin::Problem;
use postern_model::config::{App, Tenant};
use postern_model::directory::User;
use postern_model::ids::{AppId, Name, TenantId};
use postern_model::question::{Answer, Question};
use postern_model::trace::{
    BeginTrace, CollectTrace, TRACE_ANSWER_BYTES_MAX, TRACE_BYTES_MAX, TRACE_ENTRIES_MAX, TRACE_LEASE_MS,
    TRACE_TIME_MS_MAX, TRACE_TIME_MS_MIN, TraceAsked, TraceBegun, TraceCollected, TraceEntry, TraceTaken,
};
use postern_service::duration;
use tokio::time::{Instant, interval};

use crate::apps::find_app;
use crate::control::{Actor, Control};
use crate::directory::find_user;
use crate::draft::Draft;
use crate::identity::is_reserved;
use crate::limits::{TRACE_ANSWERS_BYTES, TRACES_LOOKED_AT, TRACES_MAX};
use crate::problem::{not_found, problem};
use crate::questions::{Answers, ask_all};
use crate::tenants::{audit, random_hex};

/// All that are run, by their numbers.
#[derive(Default)]
pub(crate) struct Traces(BTreeMap<String, Trace>);

/// One of them.
struct Trace {
    app: AppId,
    name: Name,
    user: Option<User>,
    bodies: bool,
    /// Who began it, and alone may have it.
    by: String,
    begun: Instant,
    until: Instant,
    asked: Instant,
    /// Why it ends, once it does: what relays still have is collected.
    over: Option<&'static str>,
    counted: Counted,
}

/// What relays gave of it.
#[derive(Default)]
struct Counted {
    entries: u32,
    bytes: u64,
    /// Relays at which it began.
    relays: BTreeSet<String>,
    /// By relay, since it began there last.
    dropped: BTreeMap<String, u64>,
    /// At relays that were started anew since.
    dropped_before: u64,
    /// Of those that were recorded, what one trace may not have.
    beyond: u64,
}

/// Begins one, at all relays that are linked; at others when they come.
pub(crate) async fn begin(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    app: &str,
    wanted: BeginTrace,
) -> Result<TraceBegun, Problem> {
    let app = find_app(&control.snapshot(), tenant, app)?.clone();
    check(&app, &wanted)?;
    let user = wanted.user.as_deref().map(|name| find_user(control, tenant, name)).transpose()?;
    let login = user.as_ref().map(|user| user.login.to_string());
    let id = random_hex(16)?;
    let trace = Trace::new(&app, user, &wanted, actor.to_string());
    let asked = trace.question(&id, control);
    control.traces.borrow().check_room(&trace)?;
    note(control, actor, "app.trace-begin", &trace, &trace.begin_text())?;
    control.traces.borrow_mut().0.insert(id.clone(), trace);
    let Answers { from, mut warnings } = ask_all(control, &asked).await;
    let mut traces = control.traces.borrow_mut();
    let begun = traces.find(&id, tenant.id, &actor.to_string())?;
    // There is nothing to hand over yet.
    let mut first = TraceCollected::default();
    begun.counted.take(from, &mut first);
    warnings.extend(first.warnings);
    let relays: Vec<String> = begun.counted.relays.iter().cloned().collect();
    if relays.is_empty() {
        warnings.push("no relay records: what comes before one does is missing".into());
    }
    Ok(TraceBegun { trace: id, app: app.name, user: login, relays, warnings })
}

/// What was recorded since it was asked for last.
pub(crate) async fn collect(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    id: &str,
    wanted: CollectTrace,
) -> Result<TraceCollected, Problem> {
    let by = actor.to_string();
    let is_there = |app: AppId| control.snapshot().apps.contains_key(&app);
    let question = {
        let mut traces = control.traces.borrow_mut();
        let trace = traces.find(id, tenant.id, &by)?;
        trace.look(wanted.end, is_there(trace.app), Instant::now());
        trace.question(id, control)
    };
    let Answers { from, warnings } = ask_all(control, &question).await;
    let mut traces = control.traces.borrow_mut();
    let trace = traces.find(id, tenant.id, &by)?;
    let mut collected = TraceCollected { warnings, ..TraceCollected::default() };
    trace.counted.take(from, &mut collected);
    if trace.over.is_some() && !collected.more {
        collected.over = trace.over.map(str::to_owned);
        let trace = traces.0.remove(id);
        drop(traces);
        // What relays gave cannot be had again: it is handed over, whatever becomes of the record.
        let noted = trace.map(|trace| note(control, actor, "app.trace-end", &trace, &trace.end_text()));
        if let Some(Err(problem)) = noted {
            collected.warnings.push(format!("the end of this trace is not in the audit log: {}", problem.detail));
        }
    }
    Ok(collected)
}

/// Ends those that nobody asks for any more.
pub(crate) async fn watch(control: &Control) {
    let mut tick = interval(TRACES_LOOKED_AT);
    loop {
        tick.tick().await;
        let left = control.traces.borrow_mut().left_alone(Instant::now());
        for mut trace in left {
            trace.over = Some("nobody asked for it any more");
            if let Err(problem) = note(control, &Actor::Control, "app.trace-end", &trace, &trace.end_text()) {
                tracing::error!(app = %trace.name, "the end of a trace is not recorded: {}", problem.detail);
            }
        }
    }
}

fn check(app: &App, wanted: &BeginTrace) -> Result<(), Problem> {
    if is_reserved(app.name.as_str()) && app.id.tenant == TenantId::DEFAULT {
        let detail = format!("{} is where people enter their passwords: it is not traced", app.name);
        return Err(problem("request-invalid", detail));
    }
    if !(TRACE_TIME_MS_MIN..=TRACE_TIME_MS_MAX).contains(&wanted.for_ms) {
        let [least, most] = [TRACE_TIME_MS_MIN, TRACE_TIME_MS_MAX].map(|ms| duration::human(Duration::from_millis(ms)));
        let detail = format!("a trace goes on for {least} to {most}");
        return Err(problem("request-invalid", detail).about("for_ms"));
    }
    Ok(())
}

/// That it was done, and by whom, is never forgotten.
fn note(control: &Control, actor: &Actor, action: &'static str, trace: &Trace, text: &str) -> Result<(), Problem> {
    let mut entry = audit(action, trace.app.tenant, format!("app {}", trace.name));
    entry.after = Some(text.to_owned());
    let mut draft = Draft::default();
    draft.audit(entry);
    control.commit(actor, draft).map(drop)
}

impl Traces {
    fn check_room(&self, wanted: &Trace) -> Result<(), Problem> {
        if let Some(other) = self.0.values().find(|trace| trace.app == wanted.app) {
            let left = duration::human(other.until.saturating_duration_since(Instant::now()));
            let detail =
                format!("{} is traced already, by {}, for {left} at most: try again then", other.name, other.by);
            return Err(problem("limit-reached", detail));
        }
        if self.0.len() >= TRACES_MAX {
            return Err(problem("limit-reached", format!("{TRACES_MAX} applications are traced: try again later")));
        }
        Ok(())
    }

    /// One that is theirs.
    fn find(&mut self, id: &str, tenant: TenantId, by: &str) -> Result<&mut Trace, Problem> {
        let found = self.0.get_mut(id).filter(|trace| trace.app.tenant == tenant && trace.by == by);
        found.ok_or_else(|| not_found("trace", id))
    }

    /// Takes out those that should have been asked for again.
    fn left_alone(&mut self, now: Instant) -> Vec<Trace> {
        let lease = Duration::from_millis(TRACE_LEASE_MS);
        let over = |trace: &Trace| now.saturating_duration_since(trace.asked) > lease;
        let ids: Vec<String> = self.0.iter().filter(|(_, trace)| over(trace)).map(|(id, _)| id.clone()).collect();
        ids.iter().filter_map(|id| self.0.remove(id)).collect()
    }
}

impl Trace {
    fn new(app: &App, user: Option<User>, wanted: &BeginTrace, by: String) -> Self {
        let now = Instant::now();
        Self {
            app: app.id,
            name: app.name.clone(),
            user,
            bodies: wanted.bodies,
            by,
            begun: now,
            until: now + Duration::from_millis(wanted.for_ms),
            asked: now,
            over: None,
            counted: Counted::default(),
        }
    }

    /// Somebody asks for it: whether it goes on.
    fn look(&mut self, end: bool, is_there: bool, now: Instant) {
        self.asked = now;
        if self.over.is_none() {
            let reasons = [
                (end, "it was ended"),
                (!is_there, "the application is published no more"),
                (now >= self.until, "its time is over"),
                (self.counted.is_full(), "there are as many requests as one trace may have"),
            ];
            self.over = reasons.into_iter().find_map(|(is_so, why)| is_so.then_some(why));
        }
    }

    fn question(&self, id: &str, control: &Control) -> Question {
        let left = match self.over {
            Some(_) => Duration::ZERO,
            None => self.until.saturating_duration_since(Instant::now()),
        };
        let relays = control.fleet.borrow().askable().len().max(1) as u64;
        let asked = TraceAsked {
            trace: id.to_owned(),
            app: self.app,
            user: self.user.as_ref().map(|user| user.id),
            left_ms: u64::try_from(left.as_millis()).unwrap_or(TRACE_TIME_MS_MAX),
            bodies: self.bodies,
            bytes_max: (TRACE_ANSWERS_BYTES / relays).min(TRACE_ANSWER_BYTES_MAX),
        };
        Question::Trace { tenant: self.app.tenant, asked }
    }

    fn begin_text(&self) -> String {
        let seconds = self.until.saturating_duration_since(self.begun).as_secs();
        let bodies = if self.bodies { "yes" } else { "no" };
        let user = self.user.as_ref().map(|user| format!(" user={} {}", user.id, user.login)).unwrap_or_default();
        format!("for_s={seconds} bodies={bodies}{user}")
    }

    fn end_text(&self) -> String {
        let Self { by, counted, over, .. } = self;
        let seconds = self.begun.elapsed().as_secs();
        let (entries, dropped, why) = (counted.entries, counted.dropped(), over.unwrap_or_default());
        format!("entries={entries} dropped={dropped} lasted_s={seconds} begun_by={by}: {why}")
    }
}

impl Counted {
    /// Adds what relays gave to what is passed on, as far as one trace may have it.
    fn take(&mut self, from: Vec<(String, Answer)>, collected: &mut TraceCollected) {
        for (relay, answer) in from {
            match answer {
                Answer::Trace { taken } => self.take_of(relay, taken, collected),
                Answer::Histograms { .. }
                | Answer::Limiters { .. }
                | Answer::Request { .. }
                | Answer::Check { .. }
                | Answer::Unknown => {
                    collected.warnings.push(format!("relay {relay} answers with what is no trace"));
                }
            }
        }
        collected.dropped = self.dropped();
    }

    fn take_of(&mut self, relay: String, taken: TraceTaken, collected: &mut TraceCollected) {
        let TraceTaken { entries, more, dropped, begun, refused } = taken;
        if refused {
            let warning = format!("relay {relay} runs as many traces as it may: its requests are missing");
            collected.warnings.push(warning);
        }
        if begun && !self.relays.insert(relay.clone()) {
            collected.warnings.push(format!("relay {relay} was started anew: requests of meanwhile are missing"));
            self.dropped_before += self.dropped.remove(&relay).unwrap_or_default();
        }
        if dropped > 0 {
            self.dropped.insert(relay, dropped);
        }
        collected.more |= more;
        for entry in entries {
            if !self.is_full() {
                self.entries += 1;
                self.bytes += TraceEntry::size(&entry);
                collected.entries.push(entry);
            } else {
                self.beyond += 1;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.entries >= TRACE_ENTRIES_MAX || self.bytes >= TRACE_BYTES_MAX
    }

    fn dropped(&self) -> u64 {
        self.dropped.values().sum::<u64>() + self.dropped_before + self.beyond
    }
}

#[cfg(test)]
mod tests;
