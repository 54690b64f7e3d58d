//! Looks at the members of a farm: one request every few seconds, on a connection of its own, made as any other, beyond
//! the bound of them: a member whose connections are all in use is busy, and not ill.

use std::rc::{Rc, Weak as RcWeak};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use postern_http::{Known, Method, PathRules, RequestHead, Target};
use postern_io::{sleep, spawn, timeout};

use super::Farm;
use crate::ask::ask_alone;
use crate::backend::{Backend, BackendTable};
use crate::failure::Fault;
use crate::pool::Pool;
use crate::worker::Worker;

/// Begins to look after farms that nobody looks after yet. They are shared: one worker does it.
pub(crate) fn begin(worker: &Rc<Worker>, table: &BackendTable) {
    for backend in table.apps.values() {
        let Some(farm) = backend.farm.as_ref().filter(|farm| farm.check.is_some()) else { continue };
        if farm.looked_after.swap(true, Ordering::Relaxed) {
            continue;
        }
        for at in 0..farm.members.len() {
            spawn(look_after(Rc::downgrade(worker), Arc::downgrade(backend), at)).detach();
        }
    }
}

/// What is asked for.
pub(super) fn target(path: &str) -> Result<Target, String> {
    let target = Target::parse(path.as_bytes(), &Method::Get, PathRules::default());
    target.map_err(|malformed| format!("health_check={path} cannot be requested: {}", malformed.code()))
}

/// As long as the farm is in the configuration that is in force.
async fn look_after(worker: RcWeak<Worker>, backend: Weak<Backend>, at: usize) {
    let mut first = true;
    loop {
        let Some(interval) = interval(&backend) else { return };
        // Members take turns, rather than all be asked at once.
        let members = backend.upgrade().and_then(|backend| backend.farm.as_ref().map(|farm| farm.members.len()));
        let share = u32::try_from(members.unwrap_or(1).max(1)).unwrap_or(1);
        let turn = interval / share * u32::try_from(at).unwrap_or(0);
        sleep(if first { turn } else { interval }).await;
        first = false;
        let (Some(worker), Some(backend)) = (worker.upgrade(), backend.upgrade()) else { return };
        let pool = worker.pool(backend.app.id).filter(|pool| Arc::ptr_eq(&pool.backend, &backend));
        let (Some(pool), Some(farm)) = (pool, &backend.farm) else { return };
        if worker.shared.is_draining() {
            return;
        }
        if let Some(passed) = look(farm, &pool.members[at]).await {
            tell(farm, at, passed);
        }
    }
}

fn interval(backend: &Weak<Backend>) -> Option<Duration> {
    let backend = backend.upgrade()?;
    let (check, _) = backend.farm.as_ref()?.check.as_ref()?;
    Some(Duration::from_millis(check.interval_ms.into()))
}

/// Whether the member is well; none where that could not be asked.
async fn look(farm: &Farm, pool: &Rc<Pool>) -> Option<bool> {
    let (check, target) = farm.check.as_ref()?;
    let mut head = RequestHead::new(Method::Get, pool.backend.host_seen(), target.clone());
    head.keep_alive = false;
    head.headers.append_static(Known::UserAgent, USER_AGENT);
    let patience = Duration::from_millis(check.timeout_ms.into());
    let place = &pool.backend.internal;
    match timeout(patience, ask_alone(pool, head)).await {
        Ok(Ok(answer)) => {
            tracing::debug!(member = %place, status = answer.status, "farm: a look");
            Some((200..400).contains(&answer.status))
        }
        // That its proxy is not known here says nothing of it.
        Ok(Err(failed)) if failed.fault == Fault::ConfigMissing => None,
        Ok(Err(failed)) => {
            tracing::debug!(member = %place, code = failed.fault.code(), detail = failed.detail, "farm: a look failed");
            Some(false)
        }
        Err(_) => {
            tracing::debug!(member = %place, "farm: a look had no answer in time");
            Some(false)
        }
    }
}

fn tell(farm: &Farm, at: usize, passed: bool) {
    let member = &farm.members[at];
    let Some((check, _)) = &farm.check else { return };
    let (app, place) = (&farm.app, &member.backend.internal);
    match member.health.looked(passed, check) {
        Some(true) => tracing::info!(app, member = %place, "farm: this member is up again"),
        Some(false) => {
            let times = check.fails;
            tracing::warn!(app, member = %place, times, "farm: looks at this member failed; it gets no more requests");
        }
        None => {}
    }
}

const USER_AGENT: &str = concat!("postern-connector/", env!("CARGO_PKG_VERSION"), " (health)");
