//! Answers to control's questions, from what the workers share. No worker is asked: what they record can be read at any time.

use hdrhistogram::Histogram;
use postern_model::histogram;
use postern_model::ids::{AppId, RequestId, TenantId};
use postern_model::question::{Answer, HistogramReport, Question, Stage};
use postern_model::record::RequestRecord;

use super::run::Side;
use crate::limit::monotonic_ns;
use crate::record::book::{AppFigures, Book, Subject};

impl Side {
    /// The answer to one question.
    pub(super) fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Limiters { tenant } => {
                let items = self.config().current().limits.report(*tenant, monotonic_ns());
                Answer::Limiters { items }
            }
            Question::Histograms { tenant, app } => {
                Answer::Histograms { items: histograms(self.receiver.books.iter().map(|book| &**book), *tenant, *app) }
            }
            Question::Request { tenant, id } => {
                let line = self.receiver.log.find(*id);
                Answer::Request { record: line.and_then(|line| record(&line, *tenant, *id)).map(Box::new) }
            }
            Question::Trace { tenant, asked } => Answer::Trace { taken: self.receiver.traces.asked(*tenant, asked) },
            // Passed on to a connector, whose answer comes later.
            Question::Check { .. } | Question::Unknown => Answer::Unknown,
        }
    }
}

/// All workers' figures of an application, or of all the tenant's applications, added up by stage.
fn histograms<'a>(books: impl Iterator<Item = &'a Book>, tenant: TenantId, app: Option<AppId>) -> Vec<HistogramReport> {
    let mut sums: [(Histogram<u64>, u64); Stage::ALL.len()] = std::array::from_fn(|_| (histogram::empty(), 0));
    let wanted = |figures: &AppFigures| match (&figures.subject, app) {
        (subject, None) => subject.tenant() == tenant,
        (Subject::App(id, _), Some(app)) => *id == app && app.tenant == tenant,
        (Subject::Others(_), Some(_)) => false,
    };
    for figures in books.flat_map(Book::apps).filter(|figures| wanted(figures)) {
        for (latency, (sum, sum_us)) in figures.stages.iter().zip(&mut sums) {
            latency.add_to(sum);
            *sum_us = sum_us.saturating_add(latency.sum_us());
        }
    }
    let reports = Stage::ALL.into_iter().zip(&sums);
    reports
        .filter(|(_, (sum, _))| !sum.is_empty())
        .map(|(stage, (sum, sum_us))| HistogramReport::new(app, stage, sum, *sum_us))
        .collect()
}

/// A line as a record, unless it is another tenant's. Requests that were for no application are nobody's.
fn record(line: &str, tenant: TenantId, id: RequestId) -> Option<RequestRecord> {
    let record: RequestRecord = serde_json::from_str(line)
        .inspect_err(|error| tracing::error!(request = %id, %error, "a line of the access log cannot be read"))
        .ok()?;
    (record.tenant.is_none() || record.tenant == Some(tenant)).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::book::BookWriter;
    use crate::side::testing::{HOST, snapshot};
    use postern_model::plan::{Plan, PlannedApp};
    use std::sync::Arc;

    #[test]
    fn workers_are_added_up_by_application_and_by_tenant() {
        let plan = Plan::build(&snapshot(1)).unwrap();
        let app = plan.host(HOST).unwrap().route("/").unwrap();
        let other = PlannedApp { id: AppId::new(TenantId(9), 1), tenant: TenantId(9), ..PlannedApp::clone(app) };
        let second = PlannedApp { id: AppId::new(TenantId(1), 2), ..PlannedApp::clone(app) };
        let books: Vec<Arc<Book>> = vec![Arc::default(), Arc::default()];
        let total = Stage::Total.index();
        for book in &books {
            let writer = BookWriter::new(Arc::clone(book));
            writer.app(app).stages[total].record(100);
            writer.app(&second).stages[total].record(300);
            writer.app(&other).stages[total].record(500);
        }
        let of = |tenant, app| {
            let reports = histograms(books.iter().map(|book| &**book), TenantId(tenant), app);
            reports.into_iter().map(|report| (report.stage, report.count, report.sum_us)).collect::<Vec<_>>()
        };
        assert_eq!(of(1, Some(app.id)), [(Stage::Total, 2, 200)]);
        assert_eq!(of(1, None), [(Stage::Total, 4, 800)]);
        assert_eq!(of(9, None), [(Stage::Total, 2, 1000)]);
        assert_eq!(of(9, Some(app.id)), [], "another tenant's application");
    }

    #[test]
    fn a_record_is_shown_to_its_tenant_only() {
        let line = |tenant: &str| {
            let id = "0".repeat(31);
            format!(
                r#"{{"time":"t","request_id":"{id}7",{tenant}"client":"192.0.2.1:9","bytes_in":0,"bytes_out":0,"us":{{"queue":3}}}}"#
            )
        };
        let shown = |tenant: &str, to| record(&line(tenant), TenantId(to), RequestId(7));
        assert_eq!(shown("\"tenant\":\"t2\",", 2).unwrap().us.queue, Some(3));
        assert_eq!(shown("\"tenant\":\"t2\",", 1), None);
        assert!(shown("", 1).is_some());
    }
}
