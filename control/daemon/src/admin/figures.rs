//! Answers that come from the relays: asked all at once, put together here.

use hyper::Method;
use postern_model::admin::{LimitersView, Problem};
use postern_model::histogram;
use postern_model::ids::{AppId, RequestId, TenantId};
use postern_model::question::{Answer, HistogramReport, HistogramsView, Question, RequestView};

use super::routes::{Reply, reply};
use crate::control::Control;
use crate::problem::{not_found, problem};
use crate::questions::{Answers, ask_all};
use crate::{apps, policies, tenants, throttle};

/// Answers requests for such figures; `None` for all others.
pub(super) async fn answer(
    control: &Control,
    method: &Method,
    path: &str,
    query: &str,
) -> Option<Result<Reply, Problem>> {
    let rest = path.strip_prefix("/v1/tenants/").filter(|_| method == Method::GET)?;
    let segments: Vec<&str> = rest.split('/').collect();
    match segments.as_slice() {
        [tenant, "histograms"] => Some(histograms(control, tenant, query).await),
        [tenant, "limiters"] => Some(limiters(control, tenant).await),
        [tenant, "requests", id] => Some(request(control, tenant, id).await),
        _ => None, // what control answers by itself
    }
}

async fn histograms(control: &Control, tenant: &str, query: &str) -> Result<Reply, Problem> {
    let tenant = tenants::find(control, tenant)?;
    let app = match query.split_once('=') {
        None if query.is_empty() => None,
        Some(("app", name)) => Some(apps::find_app(&control.snapshot(), &tenant, name)?.clone()),
        Some(_) | None => return Err(problem("request-invalid", format!("the query {query:?} is not app="))),
    };
    let (id, name) = app.map_or((None, None), |app| (Some(app.id), Some(app.name)));
    let Answers { from, mut warnings } = ask_all(control, &Question::Histograms { tenant: tenant.id, app: id }).await;
    let (mut relays, mut reports) = (Vec::new(), Vec::new());
    for (relay, answer) in from {
        match histograms_of(answer, id) {
            Some(items) => {
                relays.push(relay);
                reports.extend(items);
            }
            None => warnings.push(format!("relay {relay} answers with what is no histogram")),
        }
    }
    let items = histogram::merged(id, &reports).map_err(|error| problem("internal", error.to_string()))?;
    reply(&HistogramsView { app: name, items, relays, warnings })
}

/// A relay's reports; nothing when one of them is damaged.
fn histograms_of(answer: Answer, app: Option<AppId>) -> Option<Vec<HistogramReport>> {
    let Answer::Histograms { items } = answer else { return None };
    histogram::merged(app, &items).ok()
}

async fn limiters(control: &Control, tenant: &str) -> Result<Reply, Problem> {
    let tenant = tenants::find(control, tenant)?;
    let Answers { from, mut warnings } = ask_all(control, &Question::Limiters { tenant: tenant.id }).await;
    let (mut relays, mut reports) = (Vec::new(), Vec::new());
    for (relay, answer) in from {
        match answer {
            Answer::Limiters { items } => {
                relays.push(relay);
                reports.extend(items);
            }
            Answer::Histograms { .. }
            | Answer::Request { .. }
            | Answer::Check { .. }
            | Answer::Trace { .. }
            | Answer::Unknown => {
                warnings.push(format!("relay {relay} answers with what are no limiters"));
            }
        }
    }
    reply(&LimitersView { items: throttle::added_up(reports), relays, warnings })
}

async fn request(control: &Control, tenant: &str, id: &str) -> Result<Reply, Problem> {
    let tenant: TenantId = tenants::find(control, tenant)?.id;
    let id: RequestId = id.parse().map_err(|error| problem("request-invalid", format!("{error}")))?;
    let Answers { from, warnings } = ask_all(control, &Question::Request { tenant, id }).await;
    for (relay, answer) in from {
        if let Answer::Request { record: Some(record) } = answer {
            let access = policies::explained(control, tenant, &record)?;
            return reply(&RequestView { relay, record: *record, access });
        }
    }
    let mut missing = not_found("request", &id.to_string());
    missing.detail.push_str(" that a relay remembers: relays keep the latest; older ones are in their access logs");
    for warning in warnings {
        missing.detail.push_str("; ");
        missing.detail.push_str(&warning);
    }
    Err(missing)
}
