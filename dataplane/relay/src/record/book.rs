//! What one worker counts of requests: by application, and refusals by code. The worker writes, the side thread reads at
//! any time; only when an application or a code is seen for the first time is there a lock, held for an insertion.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use postern_model::ids::{AppId, Name, TenantId};
use postern_model::plan::PlannedApp;
use postern_model::question::Stage;

use super::latency::Latency;
use crate::limits::{APPS_COUNTED_MAX, CODES_COUNTED_MAX};
use crate::worker::counters::Counter;

/// Shared between a worker and the side thread.
#[derive(Debug, Default)]
pub(crate) struct Book {
    apps: Mutex<Vec<Arc<AppFigures>>>,
    codes: Mutex<Vec<Arc<CodeFigures>>>,
    /// Requests that were for no published application.
    pub(crate) unrouted: Answers,
}

/// One application's requests on one worker.
#[derive(Debug)]
pub(crate) struct AppFigures {
    pub(crate) subject: Subject,
    pub(crate) stages: [Latency; Stage::ALL.len()],
    pub(crate) answers: Answers,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
}

/// Whom figures are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// An application and its name.
    App(AppId, Name),
    /// A tenant's applications beyond [`APPS_COUNTED_MAX`].
    Others(TenantId),
}

/// Requests by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Answers([Counter; CLASSES.len()]);

/// Refusals with one code.
#[derive(Debug)]
pub(crate) struct CodeFigures {
    pub(crate) code: &'static str,
    pub(crate) refused: Counter,
}

impl Book {
    /// All applications' figures.
    pub(crate) fn apps(&self) -> Vec<Arc<AppFigures>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All codes' figures.
    pub(crate) fn codes(&self) -> Vec<Arc<CodeFigures>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl AppFigures {
    fn new(subject: Subject) -> Arc<Self> {
        Arc::new(Self {
            subject,
            stages: Default::default(),
            answers: Answers::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
        })
    }
}

impl Subject {
    pub(crate) fn tenant(&self) -> TenantId {
        match self {
            Self::App(app, _) => app.tenant,
            Self::Others(tenant) => *tenant,
        }
    }

    /// Its name, as metrics spell it: `others` for several together, which no application can be called for its colon.
    pub(crate) fn label(&self) -> &str {
        match self {
            Self::App(_, name) => name.as_str(),
            Self::Others(_) => OTHERS,
        }
    }
}

impl Answers {
    /// Counts a request by its answer's status; `None`: the client got none.
    pub(crate) fn count(&self, status: Option<u16>) {
        let class = status.map_or(0, |status| usize::from(status / 100)).min(CLASSES.len() - 1);
        self.0[class].increment();
    }

    /// Counts by class.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(&self.0).map(|(class, count)| (class, count.value()))
    }
}

/// The worker's own way into its book: finds figures without a lock.
#[derive(Debug)]
pub(crate) struct BookWriter {
    book: Arc<Book>,
    apps: RefCell<BTreeMap<AppId, Arc<AppFigures>>>,
    others: RefCell<BTreeMap<TenantId, Arc<AppFigures>>>,
    codes: RefCell<BTreeMap<&'static str, Arc<CodeFigures>>>,
}

impl BookWriter {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { book, apps: RefCell::default(), others: RefCell::default(), codes: RefCell::default() }
    }

    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    /// The figures of an application.
    pub(crate) fn app(&self, app: &PlannedApp) -> Arc<AppFigures> {
        if let Some(known) = self.apps.borrow().get(&app.id) {
            return Arc::clone(known);
        }
        if self.apps.borrow().len() >= APPS_COUNTED_MAX {
            let mut others = self.others.borrow_mut();
            let figures = others.entry(app.tenant).or_insert_with(|| self.publish(Subject::Others(app.tenant)));
            return Arc::clone(figures);
        }
        let figures = self.publish(Subject::App(app.id, app.name.clone()));
        self.apps.borrow_mut().insert(app.id, Arc::clone(&figures));
        figures
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, code: &'static str) {
        let mut codes = self.codes.borrow_mut();
        if !codes.contains_key(code) && codes.len() >= CODES_COUNTED_MAX {
            return;
        }
        let figures = codes.entry(code).or_insert_with(|| {
            let figures = Arc::new(CodeFigures { code, refused: Counter::default() });
            self.book.codes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&figures));
            figures
        });
        figures.refused.increment();
    }

    /// Forgets applications that are no longer there.
    pub(crate) fn retain(&self, is_there: impl Fn(AppId) -> bool) {
        let mut apps = self.apps.borrow_mut();
        let before = apps.len();
        apps.retain(|app, _| is_there(*app));
        if apps.len() < before {
            let gone = |figures: &Arc<AppFigures>| matches!(&figures.subject, Subject::App(app, _) if !is_there(*app));
            self.book.apps.lock().unwrap_or_else(PoisonError::into_inner).retain(|figures| !gone(figures));
        }
    }

    fn publish(&self, subject: Subject) -> Arc<AppFigures> {
        let figures = AppFigures::new(subject);
        self.book.apps.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&figures));
        figures
    }
}

/// By the first digit of the status; `none`: the client got no answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const OTHERS: &str = ":others";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::snapshot;
    use postern_model::plan::Plan;

    fn app() -> PlannedApp {
        let plan = Plan::build(&snapshot(1)).unwrap();
        let host = plan.host(crate::side::testing::HOST).unwrap();
        PlannedApp::clone(host.route("/").unwrap())
    }

    #[test]
    fn an_application_has_one_page_and_leaves_with_the_application() {
        let writer = BookWriter::new(Arc::default());
        let app = app();
        writer.app(&app).answers.count(Some(204));
        writer.app(&app).answers.count(None);
        writer.app(&app).answers.count(Some(999));
        let pages = writer.book().apps();
        assert_eq!(pages.len(), 1);
        let counts: Vec<u64> = pages[0].answers.values().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 0, 1, 0, 0, 1]);
        writer.retain(|known| known == app.id);
        assert_eq!(writer.book().apps().len(), 1);
        writer.retain(|_| false);
        assert!(writer.book().apps().is_empty());
    }

    #[test]
    fn more_applications_than_there_are_pages_share_one_by_tenant() {
        let writer = BookWriter::new(Arc::default());
        for seq in 1..=u32::try_from(APPS_COUNTED_MAX).unwrap() + 10 {
            let app = PlannedApp { id: AppId::new(TenantId(1), seq), ..app() };
            writer.app(&app).answers.count(Some(200));
        }
        let pages = writer.book().apps();
        assert_eq!(pages.len(), APPS_COUNTED_MAX + 1);
        let others = pages.iter().find(|page| page.subject == Subject::Others(TenantId(1))).unwrap();
        assert_eq!(others.answers.values().nth(2), Some(("2xx", 10)));
    }

    #[test]
    fn refusals_are_counted_by_code() {
        let writer = BookWriter::new(Arc::default());
        for code in ["overloaded", "host-unknown", "overloaded"] {
            writer.refused(code);
        }
        let mut counts: Vec<_> =
            writer.book().codes().iter().map(|figures| (figures.code, figures.refused.value())).collect();
        counts.sort_unstable();
        assert_eq!(counts, [("host-unknown", 1), ("overloaded", 2)]);
    }
}
