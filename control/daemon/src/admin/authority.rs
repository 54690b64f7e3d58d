//! Routes of domains, and of the account with an authority of certificates.

use hyper::Method;
use postern_model::admin::Problem;

use super::directory::decoded;
use super::routes::{Ask, Reply, created, list, reply};
use crate::{acme, domains, tenants};

impl Ask<'_> {
    pub(super) async fn acme(&self, tenant: &str) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        match *method {
            Method::GET => reply(&acme::show(control, &tenant)?),
            Method::PUT => reply(&acme::set(control, actor, &tenant, self.body()?).await?),
            Method::DELETE => reply(&acme::remove(control, actor, &tenant)?),
            _ => Err(self.no_route()),
        }
    }

    pub(super) async fn domains(&self, tenant: &str, rest: &[&str]) -> Result<Reply, Problem> {
        let Self { control, actor, method, .. } = *self;
        let tenant = tenants::find(control, tenant)?;
        let rest = decoded(rest)?;
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        match (method, rest.as_slice()) {
            (&Method::GET, []) => reply(&list(domains::list(control, &tenant))),
            (&Method::POST, []) => created(&domains::add(control, actor, &tenant, &self.body()?)?),
            (&Method::POST, [name, "verify"]) => reply(&domains::verify(control, actor, &tenant, name).await?),
            (&Method::DELETE, [name]) => reply(&domains::remove(control, actor, &tenant, name)?),
            _ => Err(self.no_route()),
        }
    }
}
