//! Looks at an application from where this connector is, because control asked, and says step by step what it found. A relay that
//! passes the question on, or makes one up, names an application only: where it is and how it is spoken to comes from the signed
//! configuration, and nothing is fetched but what that configuration names. It happens on a thread of its own; few at a time.

mod challenge;
mod cookies;
mod findings;
mod http;
mod http2;
mod links;
mod members;
mod reach;
mod redirect;
mod segments;
mod sign_on;
mod tags;
mod tls;
mod trial;
mod websocket;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use postern_io::mailbox::{Sender, mailbox};
use postern_io::time::timeout;
use postern_io::{Instant, now, sleep_until, spawn};
use postern_model::check::{CHECK_TIME_MS, CheckAsked, CheckReport};
use postern_model::ids::AppId;
use postern_sso::Account;
use postern_tunnel::{Check, CheckAnswer};

use crate::backend::{Backend, BackendTable};
use crate::embed::is_built_in;
use crate::limits::{CHECK_PAUSE, CHECKS_MAX};
use crate::proxy::Way;
use crate::tunnel::Tunnel;
use crate::vault::Vault;
use findings::{Findings, Seen};

/// Checks in progress, and the account they try.
#[derive(Default)]
pub(crate) struct Checks {
    running: Arc<AtomicUsize>,
    /// When each application's last one began, or is to begin: of those that are looked at now or were a moment ago.
    began: Mutex<HashMap<AppId, Instant>>,
    account: Option<Arc<dyn Account>>,
}

/// A place among the few; free again when dropped.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Checks {
    /// `account`: that users are signed on with by Kerberos, if there is one.
    pub(crate) fn new(account: Option<Arc<dyn Account>>) -> Self {
        Self { account, ..Self::default() }
    }

    fn place(&self) -> Option<Place> {
        let more = |running: usize| (running < CHECKS_MAX).then_some(running + 1);
        let taken = self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Place(Arc::clone(&self.running)))
    }

    /// When a check of this application may begin. A relay passes on what control asks, and if it was taken over asks by itself: an
    /// application must not have one after the other all day long by it.
    fn turn(&self, app: AppId, now: Instant) -> Instant {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.retain(|_, begun| now < begun.after(CHECK_PAUSE));
        let turn = began.get(&app).map_or(now, |begun| begun.after(CHECK_PAUSE));
        began.insert(app, turn);
        turn
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connector has of its own, as a check sees it: what signs users on, and the way to the backend.
#[derive(Default)]
struct Keys {
    account: Option<Arc<dyn Account>>,
    vault: Option<Arc<Vault>>,
    way: Way,
}

/// Begins a check. Its answer goes where the question came from.
pub(crate) fn begin(tunnel: &Rc<Tunnel>, check: Check) {
    let Some(place) = tunnel.worker.shared.checks.place() else {
        let busy = Seen::fail("other checks are still running on this connector", "try again in half a minute");
        return answer(tunnel, check.id, Findings::single("check", busy));
    };
    let tunnel = Rc::clone(tunnel);
    spawn(async move {
        let report = look(&tunnel, &check, place).await;
        answer(&tunnel, check.id, report);
    })
    .detach();
}

fn answer(tunnel: &Rc<Tunnel>, id: u64, report: CheckReport) {
    match serde_json::to_vec(&report.bounded()) {
        Ok(found) => tunnel.answer_check(&CheckAnswer { id, found: Bytes::from(found) }),
        Err(error) => tracing::error!(%error, "a check cannot be answered"),
    }
}

async fn look(tunnel: &Rc<Tunnel>, check: &Check, place: Place) -> CheckReport {
    let Ok(asked) = serde_json::from_slice::<CheckAsked>(&check.asked) else {
        return Findings::single("check", Seen::fail("the question cannot be read", "update this connector"));
    };
    let begun = now();
    tracing::info!(app = %check.app, "control has this application checked from here");
    let worker = &tunnel.worker;
    let Some(pool) = worker.pool_after(tunnel.config_offered(), check.app).await else {
        let unknown = Seen::fail(
            &format!("this connector's configuration has no application {} that it can serve", check.app),
            "look at this connector's log: it says there which settings it cannot use",
        );
        return Findings::single("config", unknown);
    };
    sleep_until(worker.shared.checks.turn(check.app, now())).await;
    let backend = Arc::clone(&pool.backend);
    let account = worker.shared.checks.account.clone();
    let keys = Keys { account, vault: worker.shared.vault.clone(), way: pool.way.clone() };
    let table = worker.table();
    let findings = Arc::new(Findings::default());
    let (done, mut ended) = mailbox(1);
    let looking = Arc::clone(&findings);
    let started = thread::Builder::new().name("check".into()).spawn(move || {
        let _place = place;
        steps(&looking, &backend, table.as_deref(), &keys, &asked);
        tell(&done);
    });
    if let Err(error) = started {
        return Findings::single("check", Seen::fail(&format!("no thread can be started: {error}"), ""));
    }
    // What it has found by then counts. A look-up or a KDC that hangs keeps the thread, and its place, until it ends.
    // Nor does a thread that broke off have looked at everything.
    let left = Duration::from_millis(CHECK_TIME_MS).saturating_sub(now().since(begun));
    let in_time = matches!(timeout(left, ended.recv()).await, Ok(Some(())));
    findings.report(in_time)
}

fn tell(done: &Sender<()>) {
    // Nobody waits any more where it took too long.
    let _ = done.send(());
}

/// All steps, in order. `table`: all applications of the group, for links between them.
fn steps(findings: &Findings, backend: &Backend, table: Option<&BackendTable>, keys: &Keys, asked: &CheckAsked) {
    if is_built_in(&backend.internal.host) {
        let seen = "this application is the process itself: there is nothing on the way to it";
        return findings.add("config", Seen::skipped(seen));
    }
    if let Some(name) = backend.internal.wildcard() {
        let seen =
            format!("the internal URL is a wildcard: users choose among the hosts below {name}, and none is looked at");
        findings.add("config", Seen::skipped(&seen));
        return segments::look(findings, backend, &keys.way);
    }
    let page = reach::reach(findings, backend, &keys.way);
    if let Some(farm) = &backend.farm {
        findings.step("members", || (members::look(farm, &keys.way), ()));
    }
    if asked.sign_on {
        sign_on::challenge(findings, backend, page.as_ref());
    }
    if let Some(page) = &page {
        findings.step("websocket", || (websocket::look(backend, page), ()));
        let content = [
            ("cookies", cookies::look(backend, page.set_cookies())),
            ("links", links::look(backend, table, &page.got.head, &page.got.content)),
        ];
        content
            .into_iter()
            .filter_map(|(step, seen)| Some((step, seen?)))
            .for_each(|(step, seen)| findings.add(step, seen));
    }
    if asked.sign_on {
        sign_on::method(findings, backend, keys, asked.login.as_deref(), page.as_ref());
    }
    segments::look(findings, backend, &keys.way);
}

#[cfg(test)]
mod tests;
