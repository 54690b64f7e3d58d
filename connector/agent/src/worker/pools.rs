//! The connections to each application's backend.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use postern_io::time::timeout;
use postern_io::{Instant, now};
use postern_model::ids::AppId;

use super::Worker;
use super::config_wait::ConfigWait;
use crate::backend::BackendTable;
use crate::keeper::Offered;
use crate::limits::CONFIG_PATIENCE;
use crate::pool::Pool;

/// An application that the configuration in force does not name any more.
pub(super) struct Leaving {
    pool: Rc<Pool>,
    /// The offer of that configuration.
    decided: Offered,
    until: Instant,
}

impl Worker {
    /// Applications that a configuration does not name any more are there for a moment longer, for requests of relays' workers that
    /// have not offered it yet: those were sent before their application moved to another group, say.
    pub(super) fn keep_leaving(&self, next: &BackendTable, decided: Offered) {
        let Some(held) = self.table() else { return };
        let until = now().after(CONFIG_PATIENCE);
        let is_gone = |app: &AppId| !next.apps.contains_key(app);
        let pools: Vec<(AppId, Rc<Pool>)> =
            held.apps.keys().filter(|app| is_gone(app)).filter_map(|app| Some((*app, self.pool(*app)?))).collect();
        let mut leaving = self.leaving.borrow_mut();
        leaving.retain(|app, _| is_gone(app));
        leaving.extend(pools.into_iter().map(|(app, pool)| (app, Leaving { pool, decided, until })));
    }

    /// Closes what was there for a moment longer.
    pub(super) fn forget_leaving(&self) {
        let at = now();
        self.leaving.borrow_mut().retain(|_, leaving| leaving.until > at);
    }

    /// As it was before it left, for a request that was opened when `offered` was the last that its tunnel had offered.
    fn leaving(&self, offered: Offered, app: AppId) -> Option<Rc<Pool>> {
        let leaving = self.leaving.borrow();
        let held = leaving.get(&app).filter(|held| offered < held.decided && now() < held.until)?;
        Some(Rc::clone(&held.pool))
    }

    /// The connections to an application's backend, by the configuration that came before the request: deciding on it
    /// takes the keeper's thread a few milliseconds, and a long one may even arrive after what was opened behind it. None
    /// when no configuration names the application in time.
    pub(crate) async fn pool_after(&self, offered: Offered, app: AppId) -> Option<Rc<Pool>> {
        let decided = || self.pool(app).filter(|_| self.decided.get() >= offered);
        if let Some(pool) = decided().or_else(|| self.leaving(offered, app)) {
            return Some(pool);
        }
        let waiting = ConfigWait::begin(self);
        let waited = poll_fn(|cx| match decided() {
            Some(pool) => Poll::Ready(pool),
            None => {
                waiting.register(cx.waker());
                Poll::Pending
            }
        });
        timeout(CONFIG_PATIENCE, waited).await.ok().or_else(|| self.pool(app))
    }

    /// The connections to an application's backend; none when no configuration names it.
    pub(crate) fn pool(&self, app: AppId) -> Option<Rc<Pool>> {
        if let Some(pool) = self.pools.borrow().get(&app) {
            return Some(Rc::clone(pool));
        }
        let backend = Arc::clone(self.table.borrow().as_ref()?.apps.get(&app)?);
        let counters = Arc::clone(&self.shared.counters);
        let (share, names) = (self.shared.workers.len(), self.names.clone());
        let way = self.shared.proxies.way(backend.proxy.as_ref());
        let pool = Pool::new(backend, way, share, counters, self.built_in.clone(), names);
        self.pools.borrow_mut().insert(app, Rc::clone(&pool));
        Some(pool)
    }
}
