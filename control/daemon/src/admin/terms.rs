//! Routes of terms of use.

use hyper::Method;
use postern_model::admin::Problem;

use super::directory::decoded;
use super::routes::{Ask, Reply, created, list, reply};
use crate::problem::problem;
use crate::{tenants, terms};

impl Ask<'_> {
    pub(super) async fn terms(&self, tenant: &str, rest: &[&str], query: &str) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        let before = control.fleet.borrow().newest_sessions();
        let names = decoded(rest)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match (method, names.as_slice()) {
            (&Method::GET, []) => reply(&list(terms::list(control, &tenant)?)),
            (&Method::POST, []) => created(&terms::create(control, actor, &tenant, self.body()?)?),
            (&Method::GET, [name]) => reply(&terms::show(control, &tenant, name, number(query, "version")?)?),
            (&Method::PATCH, [name]) => {
                let mut changed = terms::update(control, actor, &tenant, name, self.body()?)?;
                changed.warnings.extend(self.told(before).await);
                reply(&changed)
            }
            (&Method::DELETE, [name]) => {
                let mut changed = terms::remove(control, actor, &tenant, name)?;
                changed.warnings.extend(self.told(before).await);
                reply(&changed)
            }
            (&Method::GET, [name, "acceptances"]) => {
                let after = number(query, "after")?.unwrap_or_default();
                reply(&terms::acceptances(control, &tenant, name, after)?)
            }
            _ => Err(self.no_route()),
        }
    }
}

/// A query that is nothing but one number, or empty.
fn number(query: &str, name: &str) -> Result<Option<u32>, Problem> {
    if query.is_empty() {
        return Ok(None);
    }
    let value = query.split_once('=').filter(|(found, _)| *found == name).and_then(|(_, value)| value.parse().ok());
    let wrong = || problem("request-invalid", format!("the query {query:?} is not {name}=N"));
    value.map(Some).ok_or_else(wrong)
}
