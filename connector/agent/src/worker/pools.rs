//! The connections to each application's backend.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use postern_io::time::timeout;
use postern_model::ids::AppId;

use super::Worker;
use super::config_wait::ConfigWait;
use crate::keeper::Offered;
use crate::limits::CONFIG_PATIENCE;
use crate::pool::Pool;

impl Worker {
    /// The connections to an application's backend, by the configuration that came before the request: deciding on it
    /// takes the keeper's thread a few milliseconds, and a long one may even arrive after what was opened behind it. None
    /// when no configuration names the application in time.
    pub(crate) async fn pool_after(&self, offered: Offered, app: AppId) -> Option<Rc<Pool>> {
        let decided = || self.pool(app).filter(|_| self.decided.get() >= offered);
        if let Some(pool) = decided() {
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
        let pool = Pool::new(backend, share, counters, self.built_in.clone(), names);
        self.pools.borrow_mut().insert(app, Rc::clone(&pool));
        Some(pool)
    }
}
